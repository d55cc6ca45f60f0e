"""Frames worked out by hand from the manual, and a recording."""

import pytest

from pygnc_devices.framing import Damage, DamageReason, scan_to_end
from pygnc_devices.ucb import commands
from pygnc_devices.ucb.framing import crc16, make_frame, scan
from tests.reference import recording

PING = make_frame("PK")


def test_the_checksum_matches_the_catalogue() -> None:
    assert crc16(b"123456789") == 0xE5CC  # CRC-16/SPI-FUJITSU


@pytest.mark.parametrize(
    ("octets", "worked"),
    [
        (commands.ping().octets, "5555504B009EF4"),  # DMU380ZA manual 7430-3810
        (commands.command("CH", b"\1\2\3\4").octets, "555543480401020304FE4B"),
        (commands.get_packet("ID").octets, "55554750024944233D"),
        (commands.get_packet("VR").octets, "555547500256524287"),
        (commands.get_packet("T0").octets, "555547500254306801"),
        (commands.ask_fields("GF", [1]).octets, "5555474603010001F34F"),
        (commands.ask_fields("RF", [1]).octets, "5555524603010001AACA"),
        (commands.ask_fields("RF", [1, 2, 3]).octets, "5555524607030001000200035266"),
        (commands.put_fields("SF", {1: 0}).octets, "5555534605010001" + "00004081"),
        (commands.put_fields("SF", {1: 1}).octets, "5555534605010001000150A0"),
        (commands.put_fields("WF", {1: 1}).octets, "555557460501000100015FCD"),
        (commands.put_fields("SF", {3: 0x5331}).octets, "55555346050100035331537F"),
        (commands.command("SR").octets, "55555352007E4F"),
        (commands.command("PR").octets, "5555505200271F"),
        (commands.command("AR").octets, "5555415200534C"),
        (commands.command("RE", b"\x07\x1c\1").octets, "5555524503071C01B0A6"),
        (commands.calibrate(0x000C).octets, "5555574302000CD984"),
        (make_frame("\x15\x15", b"GF"), "55551515024746A318"),
        (make_frame("\0\0", b"GF"), "5555000002474623F7"),
        (make_frame("JI"), "55554A49007C34"),
        (make_frame("JA"), "55554A4100F59D"),
    ],
)
def test_frames_equal_those_worked_out_by_hand(octets: bytes, worked: str) -> None:
    assert octets.hex().upper() == worked


def test_a_bad_checksum_costs_one_byte_only() -> None:
    bogus = b"\x55\x55S1\xff" + b"\0" * 3  # claims 255 bytes
    found = scan_to_end(scan, bogus + PING * 40)
    assert len(found.frames) == 40
    assert found.damage == (Damage(0, 1, DamageReason.CHECKSUM), Damage(1, len(bogus), DamageReason.NOISE))


def test_keeps_a_cut_frame_until_it_is_stalled() -> None:
    cut = make_frame("CH", bytes(200))[:50] + PING
    assert scan(cut).used == 0
    given_up = scan(cut, stalled=True)
    assert given_up.frames[0].raw == PING
    assert given_up.damage[0] == Damage(0, 1, DamageReason.CUT)


def test_overlapping_preambles_hide_no_frame() -> None:
    assert [frame.raw for frame in scan_to_end(scan, b"\x55\x55\x55" + PING).frames] == [PING]


@pytest.mark.parametrize("payload", [256, 300])
def test_no_frame_is_longer_than_its_length_byte(payload: int) -> None:
    with pytest.raises(ValueError, match="a UCB frame has"):
        make_frame("CH", bytes(payload))


def test_every_frame_of_the_real_recordings_is_found() -> None:
    octets = recording("../aceinna/dmu380_s1.raw").read_bytes()
    found = scan_to_end(scan, octets)
    assert (len(found.frames), found.damage) == (1002, ())
    octets = recording("../aceinna/openimu_z1.raw").read_bytes()
    found = scan_to_end(scan, octets)
    assert {frame.kind for frame in found.frames} == {"z1"}
    assert len(found.frames) == 2127
    assert sum(damage.stop - damage.start for damage in found.damage) == 31  # the incomplete frame at the end
