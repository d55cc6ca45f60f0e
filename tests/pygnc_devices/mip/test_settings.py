"""Settings as texts and as parameters of commands."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.errors import SettingError
from pygnc_devices.mip.framing import make_packet, split_fields
from pygnc_devices.mip.settings import SETTINGS, THREE_DM, parse_format, setting
from pygnc_devices.mip.values import Values, Word
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
        ("lowpass.gyro", "on,manual,25.5"),
        ("gpio.2", "pps,output,none"),
        ("gpio.3", "gpio,input,open_drain+pullup"),
        ("gpio.4", "9"),
        ("event.trigger.2", "threshold,filter,5,1,window,-0.1,1e-07"),
        ("event.trigger.3", "none"),
        ("event.action.1", "2,message,filter,0,4,17"),
        ("sbas", "on,ranging+corrections,120,133"),
        ("sbas", "off,none"),
        ("nmea", "gga:gn:filter:100,hdt:gn:filter:50"),
        ("filter.estimation", "gyro_bias+hard_iron"),
        ("filter.tare", "roll+pitch"),
        ("filter.aiding.speed", "on"),
        ("filter.initialisation", "on,manual,none,90,0,0,48.25,11.5,500,0,0,0,llh"),
        ("filter.reference_position", "on,48.123456789012,11.5,520.25"),
        ("time_assistance", "345600.125,2400,0.1"),
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
        ("hard_iron", "1,2", r"expected offset_gauss \(3 numbers\)"),
        ("hard_iron", "1,2,3,4", "is not a value"),
        ("hard_iron", "1,2,x", "is not a value"),
        ("filter.dynamics", "boat", r"portable\|automotive\|airborne"),
        ("format.sensor", "accel:1", "scaled_accel"),
        ("format.sensor", "scaled_accel:x", "divider"),
        ("stream.sensor", "300", r"expected off\|on"),
        ("event.trigger.1", "gpio,1", "expected none"),
        ("sbas", "on,ranging+x", "ranging.corrections"),
        ("baud", "none", "expected baud"),
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


def random_data(values: Values, rng: np.random.Generator) -> bytes:
    """Return random values: words, the values that follow the last word, and the entries of a list."""
    data, last = b"", 0
    for word in values.words:
        if values.variants and word is values.words[-1]:
            last = int(rng.choice(list(values.variants)))
            data += word.layout.pack(last)
        else:
            data += random_word(word, rng)
    if values.variants:
        return data + random_data(values.variants[last], rng)
    if values.entry is None:
        return data
    count = int(rng.integers(4))
    return data + bytes([count]) + b"".join(random_data(values.entry, rng) for _ in range(count))


def random_word(word: Word, rng: np.random.Generator) -> bytes:
    if word.code[-1] == "d":
        return word.layout.pack(*rng.normal(scale=1e3, size=word.count))
    if word.code[-1] == "f":
        return word.layout.pack(*(float(np.float32(value)) for value in rng.normal(size=word.count)))
    return rng.bytes(word.layout.size) if word.count else bytes(word.layout.size)


def test_random_values_of_all_settings_are_texts_and_bytes_again() -> None:
    rng = np.random.default_rng(3)
    for entry in (command for known in SETTINGS.values() for command in known.commands):
        for _ in range(10):
            data = random_data(entry.values, rng)
            assert entry.to_bytes(entry.to_text(data)) == data, entry.name


@given(st.binary(max_size=40))
def test_a_format_of_any_bytes_has_entries_or_none(data: bytes) -> None:
    assert len(list(parse_format(data))) <= (data[0] if data else 0)
