"""Texts of settings and the bytes on the wire."""

import struct

import pytest

from pygnc_devices.errors import SettingError
from pygnc_devices.xsens.settings import SETTINGS, fastest_hz, parse_outputs, setting


@pytest.mark.parametrize(
    ("name", "text", "data"),
    [
        ("outputs", "packet_counter,sample_time_fine,acceleration:100", "1020ffff 1060ffff 40200064"),
        ("outputs", "quaternion.ned.double:400,rate_of_turn.fp1632:50,0xc830:10", "20170190 80220032 c830000a"),
        ("outputs", "none", "00000000"),
        ("filter_profile", "51", "0033"),
        ("filter_profile", "Responsive/VRU", b"Responsive/VRU".hex()),
        ("alignment.sensor", "1,0,0,-0.5", struct.pack(">4f", 1, 0, 0, -0.5).hex()),
        ("position", "52.25,-7,12.5", struct.pack(">3d", 52.25, -7, 12.5).hex()),
        ("error_mode", "report", "0002"),
        ("transmit_delay", "512", "0200"),
        ("baud", "921600", "0a"),
    ],
)
def test_a_value_has_a_text_and_bytes(name: str, text: str, data: str) -> None:
    octets = bytes.fromhex(data)
    assert setting(name).to_bytes(text) == octets
    assert setting(name).to_text(octets) == text


def test_older_firmware_sends_single_precision_and_no_selector() -> None:
    assert SETTINGS["position"].to_text(struct.pack(">3f", 52.25, -7, 12.5)) == "52.25,-7,12.5"
    quaternion = struct.pack(">4f", 1, 0, 0, 0)
    assert SETTINGS["alignment.local"].to_text(b"\x01" + quaternion) == "1,0,0,0"
    assert SETTINGS["alignment.local"].to_text(quaternion) == "1,0,0,0"
    assert SETTINGS["baud"].to_text(b"\x80") == "921600"
    assert SETTINGS["baud"].to_text(b"\x7f") == "code 0x7f"
    assert SETTINGS["outputs"].to_text(b"") == "none"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("outputs", "acceleration:fast", "not an item with a rate"),
        ("outputs", "speed:10", "items: packet_counter, "),
        ("outputs", "acceleration:70000", "not an item with a rate"),
        ("filter_profile", "1000", "by its number or its label"),
        ("alignment.local", "1,0,0", r"expected 4 number\(s\)"),
        ("error_mode", "3", "choose from ignore, count, report, stop"),
        ("location_id", "1.5", r"expected 1 number\(s\)"),
        ("baud", "100000", "choose from 4800, "),
        ("baud", "fast", "not a baud rate"),
    ],
)
def test_a_wrong_value_is_refused_with_the_right_ones(name: str, text: str, why: str) -> None:
    with pytest.raises(SettingError, match=why):
        setting(name).to_bytes(text)


def test_a_value_of_another_layout_and_an_unknown_setting_are_named() -> None:
    with pytest.raises(SettingError, match="location_id: the unit sends 010203"):
        setting("location_id").to_text(b"\x01\x02\x03")
    with pytest.raises(SettingError, match="unknown setting 'rate'; choose from outputs, "):
        setting("rate")


def test_the_rate_of_the_messages_is_the_fastest_of_the_items() -> None:
    data = setting("outputs").to_bytes("packet_counter,temperature:1,acceleration:400")
    assert fastest_hz(parse_outputs(data + b"\0")) == 400
    assert fastest_hz(parse_outputs(setting("outputs").to_bytes("packet_counter"))) is None
