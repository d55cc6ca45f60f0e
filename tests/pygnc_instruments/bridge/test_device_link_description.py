"""Description of a device for Navigation Studio and the bridge's page."""

import json

import pytest

from pygnc_devices.family import Family, all_families, family
from pygnc_instruments.bridge.device_link import describe, device_properties, graphs


def titles(packet: str) -> list[str]:
    declared = next(entry for entry in family("ucb").packets if entry.name == packet)
    return [graph["title"] for graph in graphs(declared)]


def test_each_vector_has_its_own_graph() -> None:
    assert titles("S1") == ["specific force", "angular rate", "temperature"]
    rates = "angular rate less its estimated bias"
    assert titles("N0") == ["roll, pitch, yaw", rates, "velocity", "longitude, latitude", "altitude"]
    assert "estimated bias of the angular rate" in titles("e1")


@pytest.mark.parametrize("kind", all_families(), ids=lambda kind: kind.name)
def test_every_family_can_be_described(kind: Family) -> None:
    assert json.dumps(device_properties("x", kind.packets, has_fields=True))
    described = json.loads(json.dumps(describe(kind.packets, has_fields=True)))
    for packet in described["packets"].values():
        drawn = [column for graph in packet["graphs"] for column in graph["columns"]]
        assert drawn == [column["name"] for column in packet["columns"] if column["unit"]]


def test_attitude_names_the_columns_of_roll_pitch_and_yaw() -> None:
    packets = describe(family("ucb").packets, has_fields=False)["packets"]
    assert packets["A1"]["attitude"] == ["rollAngle", "pitchAngle", "yawAngleMag"]
    assert packets["S1"]["attitude"] == []


def test_the_unit_of_the_hard_iron_depends_on_the_model() -> None:
    steps = {}
    for model in ("", "IMU381ZA-400", "OpenIMU300RI"):
        fields = {entry["name"]: entry for entry in describe((), has_fields=True, model=model)["fields"]}
        assert fields["soft_iron_ratio"]["step"] == 2 / 65536
        steps[model] = fields["hard_iron_x"]["step"]
    assert steps == {"": 0.0, "IMU381ZA-400": 2 / 65536, "OpenIMU300RI": 20 / 65536}


def test_device_properties_have_the_keys_of_navigation_studio() -> None:
    properties = json.loads(json.dumps(device_properties("IMU381", family("ucb").packets, has_fields=True)))
    assert properties["properties"]["packetRate"]["options"]["5"] == "20 Hz"
    assert properties["properties"]["packetType"]["options"]["21297"] == "S1"
    s1 = properties["outputPackets"]["S1"]
    assert s1["byteOffset"] == {str(2 * k): k for k in range(12)}
    assert s1["graphs"][0] | {"colors": []} == {
        "name": "specific force",
        "units": "m/s^2",
        "xAxis": "Time (s)",
        "yAxes": ["xAccel", "yAccel", "zAccel"],
        "colors": [],
    }
