import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.formats.damage import AnomalyReason
from pygnc.formats.gps_packet import decode_gps_packets
from pygnc.formats.range_scan import scan
from pygnc.formats.ranges import (
    RANGE_PACKET,
    PacketKind,
    RangeMeasurements,
    consecutive_runs,
    decode_ranges,
    encode_ranges,
    join_packets,
    range_file_number,
)
from tests.reference import recording

UNIX_TIME_OF_GPS_EPOCH_S = 315_964_800


def packed(distance: int, frequency: int = 0, rssi: int = 107) -> bytes:
    """Build a packet byte by byte as documented in docs/interface.md."""
    head = struct.pack(">BBI", 74, rssi, 946_686_274)
    return head + (frequency & 0xFFFFFF).to_bytes(3, "big") + (distance & 0xFFFFFF).to_bytes(3, "big")


def decoded(*packets: bytes, bandwidth_hz: float = 812_500.0) -> RangeMeasurements:
    return decode_ranges(np.frombuffer(b"".join(packets), RANGE_PACKET), bandwidth_hz)


def test_first_packet_of_the_recorded_file() -> None:
    measured = decoded(packed(23_188, 0xF8))
    assert (len(measured), measured.partner_id[0], measured.t_spacecraft_s[0]) == (1, 74, 946_686_274)
    assert measured.rssi_dbm[0] == -53.5
    assert measured.range_m[0] == pytest.approx(1045.1, abs=0.05)
    assert measured.frequency_error_hz[0] == pytest.approx(192.2, abs=0.05)


@pytest.mark.parametrize("bandwidth_hz", [203_125.0, 406_250.0, 812_500.0, 1_625_000.0])
@pytest.mark.parametrize("raw", [0, 1, -1, 23_188, -(1 << 23), (1 << 23) - 1])
def test_distance_follows_the_data_sheet(raw: int, bandwidth_hz: float) -> None:
    """Semtech SX1280 data sheet, section on ranging: raw * 150 / (2**12 * BW in MHz) metres."""
    expected_m = raw * 150.0 / (4096 * bandwidth_hz / 1e6)
    assert decoded(packed(raw), bandwidth_hz=bandwidth_hz).range_m[0] == pytest.approx(expected_m, rel=1e-12)


@pytest.mark.parametrize("junk", [0x0, 0x7, 0xF])
@pytest.mark.parametrize("raw", [0, 248, -248, -(1 << 19), (1 << 19) - 1])
def test_frequency_error_uses_the_low_twenty_bits(raw: int, junk: int) -> None:
    word = (raw & 0xFFFFF) | junk << 20
    assert decoded(packed(0, word)).frequency_error_hz[0] == pytest.approx(1.55 * raw / 2, rel=1e-12)


@given(st.integers(0, 255), st.integers(-(1 << 19), (1 << 19) - 1), st.integers(-(1 << 23), (1 << 23) - 1))
def test_encoding_inverts_decoding(rssi: int, frequency: int, distance: int) -> None:
    octets = packed(distance, frequency & 0xFFFFF, rssi)
    for bandwidth_hz in (812_500.0, 1_625_000.0):
        assert encode_ranges(decoded(octets, bandwidth_hz=bandwidth_hz), bandwidth_hz).tobytes() == octets


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("range_m", 4e5),
        ("range_m", np.nan),
        ("frequency_error_hz", 5e5),
        ("rssi_dbm", 1.0),
        ("rssi_dbm", np.nan),
        ("partner_id", 300),
    ],
)
def test_values_beyond_the_range_of_a_field_are_rejected(field: str, value: float) -> None:
    measured = decoded(packed(1), packed(2))
    with pytest.raises(ValueError, match="must be"):
        encode_ranges(replace(measured, **{field: getattr(measured, field) * 0 + value}))


def test_file_numbers() -> None:
    assert range_file_number("rng00000.bin") == 0
    assert range_file_number("rng65535.bin") == 65_535
    for name in (
        "rng65536.bin",
        "rng1.bin",
        "rng000001.bin",
        "range.bin",
        "rng00001.bin.part",
        "xrng00001.bin",
        "rng0000².bin",
        "rng٠٠٠٠١.bin",
    ):
        assert range_file_number(name) is None


@pytest.mark.parametrize(
    ("numbers", "runs"),
    [
        ([], []),
        ([7], [[7]]),
        ([3, 1, 2], [[1, 2, 3]]),
        ([1, 2, 5, 6], [[1, 2], [5, 6]]),
        ([0, 1, 65_534, 65_535], [[65_534, 65_535, 0, 1]]),
        ([0, 65_535], [[65_535, 0]]),
        ([0, 1, 4, 65_530, 65_535], [[65_530], [65_535, 0, 1], [4]]),
        ([5, 5, 6], [[5, 6]]),
    ],
)
def test_files_are_sorted_in_the_order_of_writing(numbers: list[int], runs: list[list[int]]) -> None:
    assert consecutive_runs(numbers) == runs


@given(st.integers(0, 65_535), st.sets(st.integers(0, 30_000), min_size=1))
def test_the_order_of_files_survives_the_wrap_of_the_counter(first: int, ages: set[int]) -> None:
    written = [(first + age) % 65_536 for age in sorted(ages)]
    runs = consecutive_runs(sorted(written))
    assert [number for run in runs for number in run] == written
    assert all((later - earlier) % 65_536 == 1 for run in runs for earlier, later in pairwise(run))


def test_recorded_reference() -> None:
    octets = recording("recorded_range.bin").read_bytes()
    result = scan(octets)
    assert (len(result.fixes), len(result.ranges), result.damage) == (23, 20, ())
    assert [anomaly.reason for anomaly in result.anomalies] == [AnomalyReason.OUT_OF_ORDER]
    assert join_packets(result.kinds, result.fixes, result.ranges) == octets
    fixes, measured = decode_gps_packets(result.fixes), decode_ranges(result.ranges)

    assert fixes.gps_week.tolist() == [0] * 4 + [2278] * 19
    assert fixes.position_status.tolist() == fixes.velocity_status.tolist() == [1] * 5 + [0] * 18
    assert set(fixes.satellites_used[5:]) == {4, 5, 6}
    sigmas_m = fixes.position_sigma_m[5:]
    assert 3 < sigmas_m.min() < sigmas_m.max() < 106

    assert set(measured.partner_id) == {74}
    raw = np.rint(measured.range_m * 812_500.0 / 36_621.09375)
    assert (raw.min(), raw.max()) == (20_762, 25_034)
    assert measured.range_m.mean() == pytest.approx(1050, abs=0.5)
    assert measured.range_m.std() == pytest.approx(39, abs=0.5)
    assert measured.rssi_dbm[-16:].min() >= -30
    assert measured.rssi_dbm[-16:].max() <= -23
    assert encode_ranges(measured).tobytes() == result.ranges.tobytes()

    gps_as_unix_s = UNIX_TIME_OF_GPS_EPOCH_S + 604_800 * fixes.gps_week + fixes.gps_tow_ms // 1000
    follows_fix = (result.kinds[1:] == PacketKind.RANGE) & (result.kinds[:-1] == PacketKind.GPS)
    fix_before = np.cumsum(result.kinds == PacketKind.GPS)[:-1][follows_fix] - 1
    knows_time = fixes.gps_week[fix_before] > 0
    offsets_s = gps_as_unix_s[fix_before][knows_time] - measured.t_spacecraft_s[knows_time]
    assert set(offsets_s) == {747_519_639}
