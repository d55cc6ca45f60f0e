import math

import msgspec
import pytest

from pygnc.bus.messages import DEVICES, BatchEnd, GnssFix, SensorSample
from pygnc.estimators.attitude.settings import HallWord
from pygnc.formats.gps_packet import RANGE_GPS, SENSE_GPS, range_packet_from_sense
from pygnc.inputs.host_packets import fix_message, sample_message
from pygnc.inputs.journaled import decode_input
from tests.pygnc.inputs.test_host_packets import PLACE, packet, sensor_packet

END = BatchEnd(seq=4, cause="")


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


def former_sample(sample: SensorSample, hall: int, *others: object) -> bytes:
    """Return the sample as journals recorded it with the Hall word."""
    place = sample.seq, sample.source, sample.offset
    measured = sample.mag_imu_ut, hall, sample.gyro_imu_rad_s, sample.lux
    return msgspec.msgpack.encode(["SensorSample", *place, sample.t_spacecraft_s, *measured, sample.raw, *others])


@pytest.mark.parametrize("satellite_id", [0, 75])
@pytest.mark.parametrize("kind", [SENSE_GPS, RANGE_GPS])
def test_reads_fixes_of_older_journals(kind: str, satellite_id: int) -> None:
    raw = packet(gps_week=398)
    raw = raw if kind == SENSE_GPS else range_packet_from_sense(raw)
    fix = fix_message(raw, PLACE, kind, satellite_id=satellite_id, earliest_week=2048)
    assert decode_input(former_message(fix)) == fix


def test_reads_the_messages_of_today() -> None:
    for message in (fix_message(packet(), PLACE, SENSE_GPS), sample_message(sensor_packet(7), PLACE, "times"), END):
        assert decode_input(msgspec.msgpack.encode(message)) == message


@pytest.mark.parametrize("payload", [["GpsFix", 1], ["Unknown", 1], {"seq": 1}, ["GpsFix", *[0] * 18, b"short"]])
def test_other_bytes_are_no_message(payload: object) -> None:
    with pytest.raises((msgspec.DecodeError, ValueError)):
        decode_input(msgspec.msgpack.encode(payload))


@pytest.mark.parametrize("hall_word", ["times", "resistance", None])
@pytest.mark.parametrize("t_mono_ns", [None, 70])
def test_reads_samples_of_older_journals(hall_word: HallWord | None, t_mono_ns: int | None) -> None:
    sample = sample_message(sensor_packet(7), PLACE, hall_word or "resistance", t_mono_ns)
    others: tuple[object, ...] = () if t_mono_ns is None else (t_mono_ns, {}, 0)
    assert decode_input(former_sample(sample, 7, *others), hall_word) == sample


def test_reads_samples_that_a_reading_began_of_older_journals() -> None:
    unknown = (math.nan,) * 3
    sample = SensorSample(8, DEVICES, 3, "", 1000, 250, None, unknown, unknown, (), b"", t_mono_ns=70)
    assert str(decode_input(former_sample(sample, 0, 70, {}, 250))) == str(sample)


def test_reads_the_hall_words_of_journaled_samples_again() -> None:
    flown = sample_message(sensor_packet(7), PLACE, "resistance", t_mono_ns=70)
    again = decode_input(msgspec.msgpack.encode(flown), "times")
    assert again == sample_message(sensor_packet(7), PLACE, "times", t_mono_ns=70)
