"""A client written from the messages of python-openimu's web server, against real bridges."""

import base64
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_instruments.bridge.running import Client, RunningBridge

Start = Callable[..., RunningBridge]

pytestmark = pytest.mark.slow


def ask(client: Client, method: str, parameters: object = None) -> Any:  # noqa: ANN401 - any JSON
    client.send({"method": method, "params": parameters})
    return client.wait(lambda message: message["method"] == method)["result"]


def stream(client: Client, packet: str) -> Any:  # noqa: ANN401 - any JSON
    message = client.wait(lambda message: message["method"] == "stream" and message["result"]["packetType"] == packet)
    return message["result"]["data"]


def values(client: Client) -> dict[str, Any]:
    return {entry["name"]: entry["value"] for entry in ask(client, "getParams")["data"]}


def test_the_server_introduces_itself_and_streams_all_readings_on_request(bridge: RunningBridge) -> None:
    with bridge.connect("openimu") as client:
        server = stream(client, "serverInfo")
        assert server["deviceConnected"] is True
        assert (server["clientCount"], server["deviceType"]) == (0, "DMU")
        assert ask(client, "startStream") == {"packetType": "success"}
        counters = [reading["counter"] for _ in range(8) for reading in stream(client, "S1")]
        assert len(counters) > 16  # 100 Hz in messages at 20 Hz
        assert {(later - earlier) % 65536 for earlier, later in pairwise(counters)} == {1}
        assert ask(client, "stopStream") == {"packetType": "success"}


def test_parameters_of_a_unit_with_fields(bridge: RunningBridge, unit: UcbSimulator) -> None:
    with bridge.connect("openimu") as client:
        conf = ask(client, "getConf")
        assert conf["packetType"] == "conf"
        names = {entry["paramId"]: entry["name"] for entry in conf["data"]["inputParams"]}
        assert names == {
            1: "Packet Rate", 2: "Baud Rate", 3: "Packet Type", 5: "Accel LPF", 6: "Rate LPF", 7: "Orientation",
        }  # fmt: skip
        s1 = next(entry for entry in conf["data"]["outputs"] if entry["name"] == "S1")
        assert s1["payload"][0] == {"type": "float", "name": "xAccel", "unit": "m/s^2"}
        assert values(client)["Packet Type"] == "S1"
        for number, value in ((1, 5), (3, "A1"), (5, 20), (7, "-X-Y+Z")):
            assert ask(client, "setParam", {"paramId": number, "value": value}) == {
                "packetType": "success",
                "data": {"error": 0},
            }
        assert ask(client, "getParam", {"paramId": 5})["data"] == {
            "paramId": 5, "name": "Accel LPF", "value": 20, "parsed": True,
        }  # fmt: skip
        assert values(client)["Orientation"] == "-X-Y+Z"
        assert unit.eeprom[3] == 0x5331
        assert ask(client, "saveConfig")["packetType"] == "success"
        assert [unit.eeprom[number] for number in (1, 3, 7)] == [5, 0x4131, 0x009]
        for bad in ({"paramId": 5, "value": 17}, {"paramId": 99, "value": 1}, {"paramId": 7, "value": float("1e400")}):
            assert ask(client, "setParam", bad)["packetType"] == "error"
        assert ask(client, "getParam", {"paramId": 99})["packetType"] == "error"


def test_parameters_of_an_openimu_application(start: Start, tmp_path: Path) -> None:
    unit = UcbSimulator(1808500001, "OpenIMU300ZI-EZ 5020-3885-01 1.1.1")
    with PtyEndpoint(unit, tmp_path / "port") as line:
        bridge = start(line.url, "--family", "ucb", "--port", "0", "--protocol", "openimu").with_unit()
        with bridge.connect("") as client:
            assert stream(client, "serverInfo")["deviceType"] == "IMU"
            device = {entry["name"]: entry["value"] for entry in ask(client, "getDeviceInfo")["data"]}
            assert device["SN"] == "1808500001"
            names = [entry["name"] for entry in ask(client, "getConf")["data"]["inputParams"]]
            assert names[:8] == [
                "Data CRC", "Data Size", "Baud Rate", "Packet Type", "Packet Rate", "Accel LPF", "Rate LPF",
                "Orientation",
            ]  # fmt: skip
            assert ask(client, "setParam", {"paramId": 4, "value": "50"})["data"] == {"error": 0}
            assert values(client)["Packet Rate"] == 50
            assert ask(client, "saveConfig")["packetType"] == "success"
            assert int.from_bytes(unit._user.flash[4], "little") == 50
            assert ask(client, "setParam", {"paramId": 4, "value": "often"})["packetType"] == "error"


def test_logs_and_upgrades(bridge: RunningBridge, unit: UcbSimulator) -> None:

    unit.bootloader.enter_s = unit.bootloader.erase_s = 0.05
    with bridge.connect("openimu") as client:
        log = ask(client, "startLog", {"fileName": "drive", "id": "u", "access_token": ""})
        assert log == {"packetType": "success", "data": "drive.csv"}
        assert ask(client, "stopLog") == {"packetType": "success", "data": ""}
        assert ask(client, "upgradeFramework", {"file": "/etc/passwd"})["packetType"] == "error"
        image = make_image("IMU381ZA-400 5020-1383-01 11.00.00")
        request = {"image": base64.b64encode(image).decode(), "confirm": True}
        assert ask(client, "upgradeFramework", request) == {"packetType": "success"}
        assert stream(client, "upgrade_progress").keys() == {"addr", "fs_len"}
        assert stream(client, "upgrade_complete") == {"success": True}


def test_unknown_methods_and_a_lost_device(bridge: RunningBridge, line: PtyEndpoint) -> None:
    with bridge.connect("openimu") as client:
        stream(client, "serverInfo")
        client.send({"method": "formatDisk"})
        assert client.wait(lambda message: message["method"] == "unknown")["result"]["packetType"] == "error"
        line.unplug()
        assert stream(client, "ping") == {"status": 2}
        assert stream(client, "serverInfo")["deviceConnected"] is False
        line.plug_in()
        assert stream(client, "serverInfo")["deviceConnected"] is True
