"""Frames of receivers between bytes that only look like beginnings of frames."""

import struct

import pytest

from pygnc_devices.family import family
from pygnc_devices.framing import DamageReason, scan_to_end
from pygnc_devices.receivers import framing
from pygnc_instruments.simulators.receiver_units import novatel_crc, skytraq_frame, ubx_frame


def novatel_text(text: bytes) -> bytes:
    return b"#%s*%08x" % (text, novatel_crc(text))


def novatel_range(signals: int) -> bytes:
    data = struct.pack("<I", signals) + bytes(44 * signals)
    head = struct.pack("<3sBHBBHHBBHII", b"\xaa\x44\x12", 28, 43, 0, 32, len(data), 0, 120, 180, 2400, 0, 0)
    log = head + bytes(28 - len(head)) + data
    return log + struct.pack("<I", novatel_crc(log))


RAWX = ubx_frame(b"\x02\x15", bytes(range(16)) + bytes(32) * 255)
RANGE = novatel_range(372)
TEXT = novatel_text(b"RANGEA,COM1,0,60.0,FINESTEERING,2400,0.0,02000000,0,16807;300" + b",0" * 14_000)
FALSE = {
    "ublox": b"\xb5\x62\x01\x07\xff\xff",
    "novatel": b"\xaa\x44\x12\x1c\x2a\x00\x00\x00\xff\xff",
    "novatel, text": b"#AB",
    "skytraq": b"\xa0\xa1\xff\xf0",
}


@pytest.mark.parametrize(
    ("name", "frame"),
    [("ublox", RAWX), ("novatel", RANGE), ("novatel", TEXT), ("skytraq", skytraq_frame(b"\x83" + bytes(60_000)))],
)
def test_the_longest_messages_are_frames(name: str, frame: bytes) -> None:
    (found,) = scan_to_end(family(name).scanner, frame).frames
    assert found.raw == frame


@pytest.mark.parametrize(("frame_at", "head"), [(framing.ublox, FALSE["ublox"]), (framing.novatel, FALSE["novatel"])])
def test_a_length_that_no_message_has_is_rejected_by_the_header(frame_at: object, head: bytes) -> None:
    assert callable(frame_at)
    assert frame_at(head + bytes(18), 0) is DamageReason.CONTENT


@pytest.mark.parametrize("form", FALSE)
def test_frames_between_false_beginnings_are_found(form: str) -> None:
    name = form.partition(",")[0]
    frame = {
        "ublox": ubx_frame(b"\x01\x07", bytes(92)),
        "novatel": novatel_range(1),
        "novatel, text": novatel_text(b"TIMEA,COM1;VALID"),
        "skytraq": skytraq_frame(b"\x83" + bytes(9)),
    }[form]
    octets = (FALSE[form] * 500 + b"\r\n" + frame) * 3
    found = [entry.raw for entry in scan_to_end(family(name).scanner, octets).frames]
    assert found.count(frame) == 3


def test_the_end_of_a_text_is_searched_for_once() -> None:
    octets = FALSE["novatel, text"] * 1000 + b"*00000000\r\n"
    framing._ends.cache_clear()
    assert not [frame for frame in family("novatel").scanner(octets, False).frames if frame.kind != "line end"]  # noqa: FBT003 - every scanner's signature
    assert framing._ends.cache_info().misses == 1


def test_a_position_whose_datum_is_a_name_is_read() -> None:
    text = (
        b"BESTPOSA,COM1,0,60.0,FINESTEERING,2400,1.0,02000000,0,16807;SOL_COMPUTED,SINGLE,51.1,-114.0,1064.9,-16.3,"
        b'WGS84,1.6,1.4,3.2,"",0.0,0.0,9,8,9,9,0,00,00,00'
    )
    (frame,) = scan_to_end(family("novatel").scanner, novatel_text(text)).frames
    found = framing.novatel_values(frame)
    assert found is not None
    packet, values = found
    assert packet.name == "BESTPOS"
    assert (values["datum"], values["height_msl_m"], values["satellites"]) == (61, 1064.9, 8)
