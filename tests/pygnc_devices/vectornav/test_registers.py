"""Settings as texts and as words of registers."""

import pytest

from pygnc_devices.errors import SettingError
from pygnc_devices.vectornav.packets import field_names, header_of, place_of
from pygnc_devices.vectornav.registers import SETTINGS, setting
from tests.pygnc_devices.vectornav.vectors import OUTPUT


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("async.type", "YMR", ["14"]),
        ("async.type", "off", ["0"]),
        ("async.rate", "40", ["40"]),
        ("tag", "roof, left", ["roof, left"]),
        ("vpe", "1,0,1,1", ["1", "0", "1", "1"]),
        ("ins", "gnss,1,0,0", ["2", "1", "0", "0"]),
        ("binary.1", "1,8,common.time_startup,imu.accel", ["1", "8", "05", "0001", "0200"]),
        ("binary.2", "3,400,gnss1.fix,gnss1.status,gnss3.fix", ["3", "400", "88", "10", "8010", "0002", "0010"]),
    ],
)
def test_texts_and_words_are_inverse(name: str, text: str, words: list[str]) -> None:
    assert setting(name).to_words(text, words) == words
    assert setting(name).to_text(words) == text


def test_reads_words_as_units_write_them() -> None:
    _, number, *words = OUTPUT.decode().split("*")[0].split(",")
    assert int(number) == setting("binary.1").number
    names = "common.time_startup,common.angular_rate,common.accel,common.imu"
    assert setting("binary.1").to_text(words) == f"3,400,{names}"
    assert setting("calibration.mag").to_text(["+01.000000", "-00.124300", "+1.5E-05"]) == "1,-0.1243,1.5e-05"
    assert setting("async.type").to_text(["1", "1"]) == "YPR,1"
    assert setting("binary.1").to_text(["0", "1", "00"]) == "off"


def test_an_output_is_switched_off_with_its_fields() -> None:
    assert setting("binary.1").to_words("off", ["3", "400", "01", "0321"]) == ["0", "400", "01", "0321"]


def test_an_unknown_field_of_an_output_is_named() -> None:
    assert setting("binary.1").to_text(["1", "8", "04", "2200"]) == "1,8,imu.accel,imu.bit13"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("async.type", "XYZ", "choose from off, YPR"),
        ("vpe", "1,2", r"expected 4 number\(s\)"),
        ("vpe", "1,2,3,inf", r"expected 4 number\(s\)"),
        ("tag", "a*b", r"\$ or \*"),
        ("binary.1", "1,8,accel", r"fields: common\.time_startup"),
        ("binary.1", "1,x,imu.accel", "PORTS,DIVISOR"),
        ("binary.1", "4,8,imu.accel", "ports 0 to 3"),
        ("binary.1", "1,0,imu.accel", "divisor of 1 or more"),
        ("binary.1", "1,8", "ports 0 to 3"),
    ],
)
def test_a_bad_value_is_refused_with_a_remedy(name: str, text: str, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        setting(name).to_words(text, ["1", "1", "01", "0001"])


def test_an_unknown_setting_and_another_layout_are_errors() -> None:
    with pytest.raises(SettingError, match=r"unknown setting 'rate'; choose from tag"):
        setting("rate")
    with pytest.raises(SettingError, match="which is not a binary output"):
        setting("binary.1").to_text(["1"])


def test_every_register_has_one_setting_and_every_field_a_place() -> None:
    assert len({register.number for register in SETTINGS.values()}) == len(SETTINGS)
    assert all(header_of([place_of(name)]) for name in field_names())
