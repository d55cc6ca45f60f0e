import struct
from dataclasses import fields, replace

import numpy as np
import pytest

from pygnc.formats.gps_packet import (
    RANGE_GPS,
    RANGE_GPS_PACKET,
    SENSE_GPS,
    SENSE_GPS_PACKET,
    GpsFixes,
    decode_gps_packets,
    encode_gps_packets,
    plausible_gps_packets,
    range_packet_from_sense,
    received_gps_week,
)
from tests.pygnc.formats.streams import sense_records

POSITION = (999_120.28, -4_735_944.26, 4_956_989.35)
VELOCITY = (-3_045.89, 4_772.05, 5_173.39)
SIGMAS = (1.5, 2.5, 3.5)
AGES = (0.05, 1.0, 0.25)


def packed_sense_packet() -> bytes:
    """Build a packet field by field as documented in docs/interface.md."""
    return (
        struct.pack(">IB", 1_606_694_411, 160)
        + struct.pack("<HIB3d3f", 2134, 86_401_000, 0, *POSITION, *SIGMAS)
        + struct.pack("<B3d3f", 1, *VELOCITY, *SIGMAS)
        + struct.pack("<3fBB", *AGES, 10, 8)
    )


def packed_range_packet() -> bytes:
    return (
        b"\xaa\x44\x12"
        + struct.pack("<HIB3d3f", 2134, 86_401_000, 0, *POSITION, *SIGMAS)
        + struct.pack("<I3d3f", 1, *VELOCITY, *SIGMAS)
        + struct.pack("<3fBB", *AGES, 10, 8)
        + b"\r\n"
    )


def test_sizes() -> None:
    assert SENSE_GPS_PACKET.itemsize == len(packed_sense_packet()) == 99
    assert RANGE_GPS_PACKET.itemsize == len(packed_range_packet()) == 102


@pytest.mark.parametrize(
    ("octets", "packet"), [(packed_sense_packet(), SENSE_GPS_PACKET), (packed_range_packet(), RANGE_GPS_PACKET)]
)
def test_decode_reads_every_field_at_its_offset(octets: bytes, packet: np.dtype[np.void]) -> None:
    fixes = decode_gps_packets(np.frombuffer(octets, packet))
    assert len(fixes) == 1
    assert (fixes.gps_week[0], fixes.gps_tow_ms[0]) == (2134, 86_401_000)
    assert (fixes.position_status[0], fixes.velocity_status[0]) == (0, 1)
    assert tuple(fixes.position_ecef_m[0]) == POSITION
    assert tuple(fixes.velocity_ecef_mps[0]) == VELOCITY
    assert tuple(fixes.position_sigma_m[0]) == tuple(fixes.velocity_sigma_mps[0]) == SIGMAS
    ages = (fixes.velocity_latency_s[0], fixes.differential_age_s[0], fixes.solution_age_s[0])
    assert ages == pytest.approx(AGES, rel=1e-7)
    assert (fixes.satellites_tracked[0], fixes.satellites_used[0]) == (10, 8)


def test_only_the_sense_packet_contains_spacecraft_time() -> None:
    sense = decode_gps_packets(np.frombuffer(packed_sense_packet(), SENSE_GPS_PACKET))
    assert sense.t_spacecraft_s is not None
    assert sense.time_status is not None
    assert (sense.t_spacecraft_s[0], sense.time_status[0]) == (1_606_694_411, 160)
    ranges = decode_gps_packets(np.frombuffer(packed_range_packet(), RANGE_GPS_PACKET))
    assert ranges.t_spacecraft_s is ranges.time_status is None


def test_native_types() -> None:
    fixes = decode_gps_packets(sense_records(3)["gps"])
    for field in fields(GpsFixes):
        assert getattr(fixes, field.name).dtype in (np.dtype(np.int64), np.dtype(np.float64)), field.name


@pytest.mark.parametrize(
    ("octets", "packet"), [(packed_sense_packet(), SENSE_GPS_PACKET), (packed_range_packet(), RANGE_GPS_PACKET)]
)
def test_encoding_inverts_decoding(octets: bytes, packet: np.dtype[np.void]) -> None:
    assert encode_gps_packets(decode_gps_packets(np.frombuffer(octets, packet)), packet).tobytes() == octets


def test_encoding_rejects_values_that_do_not_fit() -> None:
    fixes = decode_gps_packets(sense_records(2)["gps"])
    with pytest.raises(ValueError, match="gps_week"):
        encode_gps_packets(replace(fixes, gps_week=fixes.gps_week + 70_000), SENSE_GPS_PACKET)
    with pytest.raises(ValueError, match="t_spacecraft_s"):
        encode_gps_packets(replace(fixes, t_spacecraft_s=None), SENSE_GPS_PACKET)
    with pytest.raises(ValueError, match="shape"):
        encode_gps_packets(replace(fixes, position_ecef_m=fixes.position_ecef_m[:1]), SENSE_GPS_PACKET)


def test_decoding_in_blocks_gives_all_values() -> None:
    records = sense_records(5000)
    fixes = decode_gps_packets(records["gps"])
    np.testing.assert_array_equal(fixes.position_ecef_m, records["gps"]["position_ecef_m"])
    np.testing.assert_array_equal(fixes.gps_tow_ms, records["gps"]["gps_tow_ms"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("position_ecef_m", (np.nan, 0.0, 0.0)),
        ("position_ecef_m", (np.inf, 0.0, 0.0)),
        ("position_ecef_m", (1e300, -1e300, 1e308)),
        ("position_ecef_m", (1e-300, 0.0, 0.0)),
        ("position_ecef_m", (1000.0, 0.0, 0.0)),
        ("velocity_ecef_mps", (0.0, np.nan, 0.0)),
        ("velocity_ecef_mps", (0.0, 0.0, 1e6)),
        ("position_sigma_m", (1.0, np.nan, 1.0)),
        ("velocity_sigma_mps", (1.0, 1.0, np.inf)),
        ("velocity_latency_s", np.nan),
        ("differential_age_s", -np.inf),
        ("solution_age_s", 1e30),
        ("gps_tow_ms", 604_800_000),
        ("satellites_used", 0),
        ("satellites_used", 11),
    ],
)
def test_impossible_values_are_implausible(field: str, value: float) -> None:
    records = sense_records(3, satellites=(10, 8))
    assert plausible_gps_packets(records["gps"]).all()
    records["gps"][field][1] = value
    assert plausible_gps_packets(records["gps"]).tolist() == [True, False, True]


def test_a_receiver_without_a_fix_is_plausible() -> None:
    assert plausible_gps_packets(sense_records(4, has_fix=False)["gps"]).all()


@pytest.mark.parametrize(
    ("week", "expected"), [(0, 0), (398, 2446), (1422, 2446), (2047, 3071), (2048, 2048), (2446, 2446)]
)
def test_a_week_before_the_earliest_is_a_rollover(week: int, expected: int) -> None:
    packets = np.frombuffer(packed_sense_packet(), SENSE_GPS_PACKET).copy()
    packets["gps_week"] = week
    assert decode_gps_packets(packets, 2048).gps_week.tolist() == [expected]
    assert decode_gps_packets(packets).gps_week.tolist() == [week]
    assert received_gps_week(SENSE_GPS, packets.tobytes()) == week
    assert received_gps_week(RANGE_GPS, range_packet_from_sense(packets.tobytes())) == week


def test_a_signalling_nan_is_decoded_without_a_warning() -> None:
    packets = np.frombuffer(packed_sense_packet(), SENSE_GPS_PACKET).copy()
    packets["solution_age_s"] = np.frombuffer(b"\x01\x00\x80\x7f", "<f4")
    assert np.isnan(decode_gps_packets(packets).solution_age_s).all()
