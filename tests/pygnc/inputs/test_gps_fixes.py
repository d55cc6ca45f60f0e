import math

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import BatchEnd, GnssFix
from pygnc.formats.gps_packet import (
    RANGE_GPS,
    SENSE_GPS,
    SENSE_GPS_PACKET,
    range_packet_from_sense,
    solution_name,
    time_sigma_s,
)
from pygnc.inputs.gps_fixes import decode_input, fix_message, rollover
from tests.pygnc.formats.streams import sense_records

PLACE = (7, "sense.bin", 360)


def packet(**words: float) -> bytes:
    gps = sense_records(1)["gps"].copy()
    for name, value in words.items():
        gps[name] = value
    return gps.tobytes()


def former_message(fix: GnssFix, **words: int) -> bytes:
    """Return the fix as journals recorded it in the words of the receiver."""
    week, tow_ms = divmod(fix.gps_ms or 0, 604_800_000)
    words = {"t": 1000, "time": 180, "week": week, "position": 0, "velocity": 0} | words
    return msgspec.msgpack.encode(
        [
            "GpsFix",
            *(fix.seq, fix.source, fix.offset),
            *(words["t"], words["time"], words["week"], tow_ms),
            *(words["position"], fix.position_ecef_m, fix.position_sigma_m),
            *(words["velocity"], fix.velocity_ecef_mps, fix.velocity_sigma_mps),
            *(fix.velocity_latency_s, fix.differential_age_s, fix.solution_age_s),
            *(fix.satellites_tracked, fix.satellites_used, fix.raw),
            *([fix.satellite_id] if fix.satellite_id else []),
        ]
    )


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


@pytest.mark.parametrize("satellite_id", [0, 75])
@pytest.mark.parametrize("kind", [SENSE_GPS, RANGE_GPS])
def test_reads_fixes_of_older_journals(kind: str, satellite_id: int) -> None:
    raw = packet(gps_week=398)
    raw = raw if kind == SENSE_GPS else range_packet_from_sense(raw)
    fix = fix_message(raw, PLACE, kind, satellite_id=satellite_id, earliest_week=2048)
    assert decode_input(former_message(fix)) == fix


def test_reads_the_messages_of_today() -> None:
    for message in (fix_message(packet(), PLACE, SENSE_GPS), BatchEnd(seq=4, cause="")):
        assert decode_input(msgspec.msgpack.encode(message)) == message


@pytest.mark.parametrize("payload", [["GpsFix", 1], ["Unknown", 1], {"seq": 1}, ["GpsFix", *[0] * 18, b"short"]])
def test_other_bytes_are_no_message(payload: object) -> None:
    with pytest.raises((msgspec.DecodeError, ValueError)):
        decode_input(msgspec.msgpack.encode(payload))
