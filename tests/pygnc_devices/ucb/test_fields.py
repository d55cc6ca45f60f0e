import numpy as np
import pytest

from pygnc_devices.ucb import fields, packets
from pygnc_devices.ucb.fields import FIELD_TABLE, FieldError


def code(axes: str) -> int:
    """Return the code of an orientation by the rule in DMU380ZA manual 7430-3810."""
    places = enumerate(zip(axes[::2], axes[1::2], strict=True))
    return sum((int(sign == "-") | ("xyz".index(axis) - at) % 3 << 1) << 3 * at for at, (sign, axis) in places)


def matrix(axes: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the matrix M with v_output = M v_unit."""
    return np.array(
        [np.eye(3)["xyz".index(axis)] * float(sign + "1") for sign, axis in zip(axes[::2], axes[1::2], strict=True)]
    )


def test_the_24_orientations_follow_the_rule_of_the_manual() -> None:
    assert len(fields.ORIENTATION_TEXTS) == len(set(fields.ORIENTATION_TEXTS.values())) == 24
    assert all(code(text) == number for number, text in fields.ORIENTATION_TEXTS.items())
    assert all(fields.ORIENTATION_CODES[text] == number for number, text in fields.ORIENTATION_TEXTS.items())


def test_every_orientation_is_a_rotation() -> None:
    for text in fields.ORIENTATION_TEXTS.values():
        assert np.array_equal(matrix(text) @ matrix(text).T, np.eye(3))
        assert round(np.linalg.det(matrix(text))) == 1


def test_rejects_other_orientations() -> None:
    for illegal in set(range(512)) - set(fields.ORIENTATION_TEXTS):
        with pytest.raises(FieldError, match="orientation"):
            FIELD_TABLE[fields.ORIENTATION].check(illegal)


@pytest.mark.parametrize(
    ("number", "value", "message"),
    [
        (1, 3, "unknown value 3; choose from 0 .quiet., 1 .100 Hz."),
        (2, 9, "baud"),
        (3, 0, "two characters"),
        (8, 65536, "16 bits"),
        (0x071C, 1, "read-only"),
        (0x1234, 1, "unknown field"),
    ],
)
def test_the_error_for_an_illegal_value_lists_the_legal_ones(number: int, value: int, message: str) -> None:
    with pytest.raises(FieldError, match=message):
        fields.check_values({number: value})


def test_rates_are_those_of_recordings() -> None:
    assert {4: 25, 5: 20, 10: 10, 20: 5, 25: 4, 50: 2}.items() <= fields.HZ_OF_DIVIDER.items()


@pytest.mark.parametrize(
    ("payload", "baud", "fastest_hz"),
    [(24, 38400, 100), (24, 115200, 200), (30, 38400, 50), (30, 57600, 100), (40, 57600, 50), (40, 115200, 100),
     (75, 115200, 100), (123, 115200, 50), (123, 230400, 100), (123, 460800, 200)],
)  # fmt: skip
def test_the_fastest_rate_is_that_of_the_firmware(payload: int, baud: int, fastest_hz: int) -> None:
    assert max(hz for hz in fields.DIVIDER_OF_HZ if fields.fits_line(payload, hz, baud)) == fastest_hz


def test_fields_are_found_by_name_and_by_the_name_on_a_dmu380() -> None:
    assert fields.field_id("gyro_filter") == 5
    assert fields.field_id("filter_6") == 6
    with pytest.raises(FieldError, match="packet_rate_divider"):
        fields.field_id("speed")


def test_filter_codes_give_the_written_frequency() -> None:
    for hz, code in fields.FILTER_CODE_OF_HZ.items():
        assert fields.filter_hz(code) == hz
    assert [fields.filter_hz(code) for code in (8034, 4017, 2142)] == [10, 20, 25]


def test_names_the_bits_of_the_built_in_test() -> None:
    assert packets.status_bit_names("bit_status", 0x0002) == ("hardware error",)
    assert packets.status_bit_names("software_status", 0b1001) == ("algorithm initialising", "turn switch")
    assert packets.status_bit_names("com", 1 << 12) == ("bit 12",)
