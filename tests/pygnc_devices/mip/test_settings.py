"""Settings as texts and as parameters of commands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.mip.commands import THREE_DM
from pygnc_devices.mip.framing import make_packet, split_fields
from pygnc_devices.mip.settings import SETTINGS, SettingError, parse_format, setting
from tests.pygnc_devices.mip.vectors import FORMAT, HARD_IRON, SENSOR_FORMAT


def test_commands_equal_those_of_the_vendors_library() -> None:
    for name, text, raw in (
        ("format.sensor", "scaled_accel:10,reference_time:1", SENSOR_FORMAT),
        ("hard_iron", "0.1,0.2,-0.3", HARD_IRON),
    ):
        entry = SETTINGS[name]
        data = b"\x01" + entry.selector + entry.to_bytes(text)
        assert make_packet(THREE_DM, [(entry.command, data)]) == raw


def test_formats_of_older_models_equal_those_of_osgar() -> None:
    formats = {
        "format.sensor": "sensor_timestamp:10,scaled_accel:10,scaled_gyro:10",
        "format.filter": "filter_timestamp:10,status:10,position:10,velocity:10,quaternion:10",
    }
    fields = []
    for name, text in formats.items():
        entry = SETTINGS[name].alternative
        assert entry is not None
        fields.append((entry.command, b"\x01" + entry.to_bytes(text)))
    assert list(split_fields(FORMAT[4:-2])) == fields


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("format.sensor", "scaled_accel:1,scaled_gyro:1,scaled_mag:10"),
        ("format.filter", "none"),
        ("stream.sensor", "off"),
        ("hard_iron", "0.1,-0.25,1e-07"),
        ("soft_iron", "1,0,0,0,1,0,0,0,1"),
        ("filter.dynamics", "airborne"),
        ("filter.dynamics", "7"),
        ("filter.heading", "gnss+mag"),
        ("baud", "921600"),
        ("range.gyro", "3"),
    ],
)
def test_texts_and_parameters_are_inverse(name: str, text: str) -> None:
    assert setting(name).to_text(setting(name).to_bytes(text)) == text


def test_a_field_without_a_name_is_given_by_its_descriptor() -> None:
    entry = setting("format.sensor")
    assert entry.to_text(entry.to_bytes("0x7A:5,scaled_accel")) == "0x7a:5,scaled_accel:1"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("hard_iron", "1,2", r"expected 3 number\(s\)"),
        ("hard_iron", "1,2,x", "is not a value"),
        ("filter.dynamics", "boat", "portable, automotive, airborne"),
        ("format.sensor", "accel:1", "scaled_accel"),
        ("format.sensor", "scaled_accel:x", "scaled_accel:10"),
        ("stream.sensor", "300", "choose from off, on"),
    ],
)
def test_a_bad_value_is_refused_with_a_remedy(name: str, text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        setting(name).to_bytes(text)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(SettingError, match=r"unknown setting 'rate'; choose from format\.sensor"):
        setting("rate")


def test_another_layout_is_an_error() -> None:
    with pytest.raises(SettingError, match="the unit sends 0001"):
        setting("hard_iron").to_text(b"\x00\x01")


@given(st.binary(max_size=40))
def test_a_format_of_any_bytes_has_entries_or_none(data: bytes) -> None:
    assert len(list(parse_format(data))) <= (data[0] if data else 0)
