import pytest

from pygnc_devices.declaration import Field, Labels, Packet
from pygnc_devices.units import RATE, TEMPERATURE

PACKET = Packet(
    "XY",
    (
        Field("temperature_degc", "h", TEMPERATURE, 0.25, 10.0, "of the board", "temp"),
        Field("rate_rad_s", "f", RATE, meaning="angular rate"),
        Field("mode", "B", meaning="a number"),
    ),
    ">",
)


def test_a_value_is_word_times_scale_plus_offset() -> None:
    values = PACKET.decode(bytes.fromhex("fffc 3f000000 07"))
    assert values == {"temperature_degc": 9.0, "rate_rad_s": 0.5, "mode": 7}
    assert isinstance(values["mode"], int)


def test_encoding_rounds_and_limits_to_the_range() -> None:
    assert PACKET.encode({"temperature_degc": 9.1})[:2].hex() == "fffc"
    assert PACKET.encode({"temperature_degc": 1e9})[:2].hex() == "7fff"
    assert PACKET.encode({"temperature_degc": -1e9})[:2].hex() == "8000"
    assert PACKET.encode({"mode": 300, "temperature_degc": 10.0}).hex() == "000000000000ff"


def test_csv_columns_have_their_own_units() -> None:
    assert PACKET.columns() == [("temp", "degC"), ("rate_rad_s", "deg/s"), ("mode", "")]
    row = PACKET.row(PACKET.decode(bytes.fromhex("fffc 3f000000 07")))
    assert row == [9.0, pytest.approx(28.6478898), 7]


def test_codes_and_bits_have_labels() -> None:
    stage, bits = Labels({3: "charging"}), Labels({0: "low", 2: "high"}, is_bit_field=True)
    assert [stage.describe(value) for value in (3, 4, None, "3", True)] == ["charging", "", "", "", ""]
    assert [bits.describe(value) for value in (0, 1, 5, 8, -1, None)] == ["none", "low", "low, high", "bit 3", "", ""]
    assert Field("stage", "B", labels=stage) == Field("stage", "B", labels=Labels({3: "charging"}))
    assert len({PACKET, Packet("XY", (Field("stage", "B", labels=stage),))}) == 2


def test_the_table_is_made_from_the_declaration() -> None:
    assert PACKET.table().splitlines()[2:] == [
        "| 0 | `h` | `temperature_degc` | °C | 0.25 | of the board |",
        "| 2 | `f` | `rate_rad_s` | rad/s |  | angular rate |",
        "| 6 | `B` | `mode` |  |  | a number |",
    ]


@pytest.mark.parametrize("length", [0, 6, 8])
def test_rejects_another_length(length: int) -> None:
    assert not PACKET.fits(length)
    with pytest.raises(ValueError, match="instead of 7"):
        PACKET.decode(bytes(length))


@pytest.mark.parametrize(
    ("fields", "clock", "message"),
    [
        ((Field("a", "B"), Field("a", "B")), "", "not unique"),
        ((Field("a", "text"), Field("b", "B")), "", "last field"),
        ((Field("a", "B"),), "b", "clock"),
    ],
)
def test_rejects_a_contradictory_declaration(fields: tuple[Field, ...], clock: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Packet("XY", fields, clock=clock)


def test_text_ends_at_its_nul_or_with_the_payload() -> None:
    packet = Packet("ID", (Field("number", "H"), Field("text", "text")))
    assert packet.decode(b"\0\1abc\0rest")["text"] == "abc"
    assert packet.decode(b"\0\1abc")["text"] == "abc"
    assert packet.encode({"number": 1, "text": "abc"}) == b"\0\1abc\0"
