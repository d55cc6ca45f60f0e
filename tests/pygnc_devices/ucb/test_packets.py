"""Layouts compared with the documented lengths and with a packet worked out by hand."""

import math

import pytest

from pygnc_devices.ucb.openimu import DescriptionError, packet_from_description, packets_from_json
from pygnc_devices.ucb.unit import PACKETS, UcbUnit

LENGTHS = {
    "S0": 30,
    "S1": 24,
    "A0": 30,
    "A1": 32,
    "A2": 30,
    "A3": 30,
    "A6": 10,
    "A7": 16,
    "B1": 18,
    "B2": 10,
    "N0": 32,
    "N1": 42,
    "N2": 46,
    "F1": 54,
    "F2": 66,
    "FM": 116,
    "SM": 62,
    "E3": 32,
    "VR": 5,
    "T0": 28,
    "T1": 32,
    "CD": 10,
    "zT": 4,
    "z1": 40,
    "s1": 52,
    "a1": 47,
    "a2": 48,
    "e1": 75,
    "e2": 123,
}
OFFSETS = {
    "A1": {"mag_x_t": 18, "temperature_x_degc": 24, "itow_ms": 26, "bit_status": 30},
    "N0": {"velocity_north_mps": 12, "longitude_rad": 18, "latitude_rad": 22, "altitude_m": 26, "itow": 28},
    "N1": {"velocity_north_mps": 18, "longitude_rad": 24, "altitude_m": 32, "itow_ms": 36, "bit_status": 40},
    "B1": {"rate_z_rad_s": 6, "accel_x_mps2": 8, "itow_ms": 12},
    "E3": {"roll_rad": 4, "accel_x_mps2": 12, "rate_x_rad_s": 18, "steering_rate_rad_s": 24, "speed_mps": 26},
    "e1": {
        "roll_rad": 12,
        "accel_x_mps2": 24,
        "rate_x_rad_s": 36,
        "rate_bias_x_rad_s": 48,
        "mag_x_t": 60,
        "operation_mode": 72,
    },
    "e2": {
        "accel_bias_x_mps2": 36,
        "rate_x_rad_s": 48,
        "velocity_north_mps": 72,
        "mag_x_t": 84,
        "latitude_rad": 96,
        "turn_switch": 122,
    },
    "a1": {"roll_rad": 12, "rate_x_rad_s": 20, "accel_x_mps2": 32, "operation_mode": 44},
    "s1": {"accel_x_mps2": 12, "rate_x_rad_s": 24, "mag_x_t": 36, "temperature_degc": 48},
}
S1_COLUMNS = "xAccel yAccel zAccel xRate yRate zRate xRateTemp yRateTemp zRateTemp boardTemp counter BITstatus"


def test_packets_have_the_documented_lengths() -> None:
    assert {name: packet.layout.size for name, packet in PACKETS.items() if name != "ID"} == LENGTHS


def test_packets_have_the_documented_offsets() -> None:
    for name, offsets in OFFSETS.items():
        rows = PACKETS[name].table().splitlines()[2:]
        found = {row.split("`")[3]: int(row.split("|")[1]) for row in rows}
        assert offsets.items() <= found.items(), name


def test_decodes_a_real_s1_packet() -> None:
    payload = bytes.fromhex("FFE000160CC0FFFEFFF9FFFF27EB27EB27EB27F728F50002")
    values = PACKETS["S1"].decode(payload)
    assert [float(values[f"accel_{axis}_mps2"]) / 9.80665 for axis in "xyz"] == pytest.approx(
        [-0.009766, 0.006714, 0.996094], abs=1e-6
    )
    assert [math.degrees(float(values[f"rate_{axis}_rad_s"])) for axis in "xyz"] == pytest.approx(
        [-0.038452, -0.134583, -0.019226], abs=1e-6
    )
    assert values["temperature_board_degc"] == pytest.approx(31.2225, abs=1e-4)
    assert (values["counter"], values["bit_status"]) == (10485, 2)


def test_csv_columns_and_their_units_are_those_of_the_older_driver() -> None:
    packet = PACKETS["S1"]
    assert [name for name, _ in packet.columns()] == S1_COLUMNS.split()
    assert dict(packet.columns())["xRate"] == "deg/s"
    payload = bytes.fromhex("FFE000160CC0FFFEFFF9FFFF27EB27EB27EB27F728F50002")
    assert packet.row(packet.decode(payload))[3] == pytest.approx(-0.038452, abs=1e-6)


def test_the_altitude_range_is_that_of_the_manual() -> None:
    altitude = next(field for field in PACKETS["N0"].fields if field.name == "altitude_m")
    assert altitude.to_value(-32768) == -100.0
    assert altitude.to_value(32767) == 16283.75


def test_the_nav440_sends_a_tenth_of_the_field() -> None:
    payload = bytes(12) + b"\x40\x00" + bytes(16)
    usual = UcbUnit(115200).packets["S0"].decode(payload)["mag_x_t"]
    tenth = UcbUnit(115200, magnetic_range=2.0).packets["S0"].decode(payload)["mag_x_t"]
    assert usual == pytest.approx(5e-4)
    assert tenth == pytest.approx(5e-5)


def test_a_user_packet_follows_from_its_description() -> None:
    (packet,) = packets_from_json(
        '{"userMessages": {"outputPackets": [{"name": "xy", "description": "levels", "clock": "timer", "payload": ['
        '{"type": "uint32", "name": "timer", "unit": "ms"}, {"type": "double", "name": "tank level", "unit": "m"},'
        '{"type": "string", "name": "tag", "length": 3}, {"type": "char", "name": "mode"}]}]}}'
    )
    assert packet.layout.size == 4 + 8 + 3 + 1
    values = packet.decode(b"\x01\0\0\0" + bytes(6) + b"\xf0\x3fabcZ")
    assert values == {"timer": 1, "tank_level": 1.0, "tag": b"abc", "mode": b"Z"}
    assert packet.columns()[1] == ("tank level", "m")


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({}, "two characters"),
        ({"name": "xy", "payload": [{"type": "float24", "name": "a"}]}, "float24.*uint8"),
        ({"name": "xy", "payload": [{"type": "float"}]}, "needs"),
        ({"name": "xy", "payload": [{"type": "string", "name": "a"}]}, "length"),
        ({"name": "xy", "payload": [{"type": "float", "name": "a"}] * 2}, "not unique"),
    ],
)
def test_the_error_for_a_bad_description_names_the_place(description: dict[str, object], message: str) -> None:
    with pytest.raises(DescriptionError, match=message):
        packet_from_description(description)


def test_rejects_a_description_that_is_not_json() -> None:
    with pytest.raises(DescriptionError, match="not JSON"):
        packets_from_json("{")
