import math

import msgspec
import numpy as np
import pytest

from pygnc.formats.gps_packet import (
    RANGE_GPS,
    SENSE_GPS,
    SENSE_GPS_PACKET,
    range_packet_from_sense,
    solution_name,
    time_sigma_s,
)
from pygnc.formats.sense import SENSE_SENSORS, SENSOR_PACKET, TORQUERS_ON, decode_sensors
from pygnc.inputs.host_packets import fix_message, rollover, sample_message
from tests.pygnc.formats.streams import sense_records

PLACE = (7, "sense.bin", 360)


def packet(**words: float) -> bytes:
    gps = sense_records(1)["gps"].copy()
    for name, value in words.items():
        gps[name] = value
    return gps.tobytes()


def test_maps_every_word_of_the_receiver() -> None:
    raw = packet(gps_week=2358, gps_tow_ms=345_638_000, time_status=180, velocity_status=1, velocity_latency_s=0.25)
    words = np.frombuffer(raw, SENSE_GPS_PACKET)[0]
    fix = fix_message(raw, PLACE, SENSE_GPS)
    assert (fix.seq, fix.source, fix.offset, fix.kind, fix.raw) == (*PLACE, SENSE_GPS, raw)
    assert (fix.gps_ms, fix.time_sigma_s) == (2358 * 604_800_000 + 345_638_000, 1e-6)
    assert (fix.position_solution, fix.velocity_solution) == ("computed", "insufficient_observations")
    for name in ("position_ecef_m", "position_sigma_m", "velocity_ecef_mps", "velocity_sigma_mps"):
        assert getattr(fix, name) == tuple(words[name].tolist())
    for name in ("t_spacecraft_s", "velocity_latency_s", "differential_age_s", "solution_age_s"):
        assert getattr(fix, name) == words[name]
    assert (fix.satellites_tracked, fix.satellites_used) == (words["satellites_tracked"], words["satellites_used"])
    assert fix.is_own


def test_a_packet_of_a_range_file_states_neither_spacecraft_time_nor_the_accuracy_of_its_time() -> None:
    fix = fix_message(range_packet_from_sense(packet()), PLACE, RANGE_GPS, satellite_id=75)
    assert (fix.t_spacecraft_s, fix.time_sigma_s, fix.is_own) == (None, None, False)


@pytest.mark.parametrize(
    ("status", "sigma_s"),
    [(0, math.inf), (20, math.inf), (60, 1.0), (80, 1.0), (100, 1e-2), (130, 1e-2), (140, 1e-6), (200, 1e-6)],
)
def test_a_higher_time_status_means_a_more_accurate_time(status: int, sigma_s: float) -> None:
    assert time_sigma_s(status) == sigma_s


def test_different_solution_statuses_have_different_names() -> None:
    assert len({solution_name(status) for status in range(256)}) == 256


@pytest.mark.parametrize(("week", "tow_ms"), [(0, 1), (2358, 604_800_000)])
def test_an_invalid_time_is_no_time(week: int, tow_ms: int) -> None:
    fix = fix_message(packet(gps_week=week, gps_tow_ms=tow_ms), PLACE, SENSE_GPS)
    assert fix.gps_ms is None
    assert rollover(fix) is None


def test_reports_a_rollover_of_the_weeks() -> None:
    fix = fix_message(packet(gps_week=398), PLACE, SENSE_GPS, earliest_week=2048)
    assert rollover(fix) == (398, 2446)
    assert rollover(fix_message(packet(gps_week=2446), PLACE, SENSE_GPS, earliest_week=2048)) is None
    assert rollover(msgspec.structs.replace(fix, kind="line", raw=b"2446,0")) is None


def sensor_packet(hall: int) -> bytes:
    sensors = sense_records(1)["sensors"][0, :1].copy()
    sensors["hall"] = hall
    return sensors.tobytes()


@pytest.mark.parametrize(
    ("hall", "expected"),
    [
        (7, (7, 1e-3 / math.sqrt(12.0), False)),
        (999 | TORQUERS_ON, (999, 1e-3 / math.sqrt(12.0), True)),
        (1001, (0, None, False)),
    ],
)
def test_hall_words_give_milliseconds_and_torquers_where_the_settings_say_so(
    hall: int, expected: tuple[int, float | None, bool]
) -> None:
    sample = sample_message(sensor_packet(hall), PLACE, "times")
    assert (sample.t_spacecraft_ms, sample.time_sigma_s, sample.torquers_on) == expected
    sample = sample_message(sensor_packet(hall), PLACE, "resistance")
    assert (sample.t_spacecraft_ms, sample.time_sigma_s, sample.torquers_on) == (0, None, False)


def test_maps_every_word_of_a_sensor_packet() -> None:
    raw = sensor_packet(26_000)
    sample = sample_message(raw, PLACE, "resistance", t_mono_ns=5)
    expected = decode_sensors(np.frombuffer(raw, np.dtype([("sensors", SENSOR_PACKET, (1,))])))
    assert (sample.seq, sample.source, sample.offset, sample.kind, sample.raw) == (*PLACE, SENSE_SENSORS, raw)
    assert (sample.t_spacecraft_s, sample.t_mono_ns) == (expected.t_spacecraft_s.item(), 5)
    for name in ("mag_imu_ut", "gyro_imu_rad_s", "lux"):
        assert getattr(sample, name) == tuple(getattr(expected, name)[0, 0].tolist())
