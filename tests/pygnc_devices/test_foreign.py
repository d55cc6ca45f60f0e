"""Protocols of devices that no driver recognises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.foreign import PROTOCOLS, foreign_protocol

FRAMES = {
    "XBus": bytes.fromhex("fa ff 3e 00 c3"),  # WakeUp: MT0101P
    "NMEA": b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n",
    "UBX": bytes.fromhex("b562 0a04 0000 0e34"),  # MON-VER poll: UBX-13003221
}


@pytest.mark.parametrize("name", FRAMES)
def test_recognises_a_frame_inside_other_bytes(name: str) -> None:
    frame = FRAMES[name]
    for octets in (frame, b"\x55\xfa$u" + frame, frame[1:] + frame * 2):
        assert name in foreign_protocol(octets)


@pytest.mark.parametrize("name", FRAMES)
def test_a_damaged_or_incomplete_frame_is_not_recognised(name: str) -> None:
    frame = FRAMES[name].removesuffix(b"\r\n")
    assert foreign_protocol(frame[:-1]) == ""
    assert foreign_protocol(frame[:-1] + bytes([frame[-1] ^ 1]) + bytes(8)) == ""


def test_a_long_xbus_message_has_an_extended_length() -> None:
    body = bytes.fromhex("ff 36 ff 0100") + bytes(range(256))
    frame = b"\xfa" + body + bytes([-sum(body) & 0xFF])
    assert "XBus" in foreign_protocol(frame)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_title_or_nothing(octets: bytes) -> None:
    assert foreign_protocol(octets) in {"", *(protocol.title for protocol in PROTOCOLS)}
