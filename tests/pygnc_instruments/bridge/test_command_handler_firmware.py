"""Firmware upgrades over the bridge."""

import asyncio
import base64
import json
from typing import Any

import pytest

from pygnc_instruments.bridge.command_handler import FirmwareUpgrader
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.messages import BridgeError, Event
from pygnc_instruments.bridge.protocols import MessageProtocol
from pygnc_instruments.device.connection import DeviceSelection
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_instruments.bridge.running import Client, RunningBridge

NEW = "IMU381ZA-400 5020-1383-01 11.00.00"
IMAGE = make_image(NEW, 3000)


@pytest.fixture
def unit() -> UcbSimulator:
    unit = UcbSimulator(restart_s=0.01)
    unit.bootloader.enter_s, unit.bootloader.erase_s = 0.02, 0.05
    return unit


def message(image: bytes = IMAGE, **more: object) -> dict[str, object]:
    return {"image": base64.b64encode(image).decode(), **more}


def until_it_ends(client: Client) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    while not steps or steps[-1]["state"] == "running":
        steps.append(client.wait(lambda entry: entry["cmd"] == "upgrade_progress")["data"])
    return steps


def test_upgrade_reports_every_step_to_all_clients(bridge: RunningBridge, unit: UcbSimulator) -> None:
    with bridge.connect() as client, bridge.connect() as other:
        assert client.ask("upgrade", message(confirm=True)) == {"started": True, "total_bytes": len(IMAGE)}
        steps, steps_of_other = until_it_ends(client), until_it_ends(other)
        assert steps == steps_of_other
        written = [step["written_bytes"] for step in steps if step["state"] == "running"]
        assert written == sorted(written)
        assert written[-1] == len(IMAGE)
        assert (steps[-1]["state"], steps[-1]["after"]) == ("done", NEW)
        assert client.ask("status")["device"]["id"] == f"{unit.serial_number} {NEW}"
        client.wait(lambda entry: entry["cmd"] == "output")


def test_upgrade_reports_progress_in_protocol_v2(bridge: RunningBridge) -> None:
    with bridge.connect("v2") as client:
        client.send({"messageType": "requestAction", "data": {"upgrade": message(confirm=True)}})
        assert client.wait(lambda entry: "upgrade" in entry["data"])["data"]["upgrade"]["started"] is True
        last = client.wait(lambda entry: entry["data"].get("upgradeProgress", {}).get("state") == "done")
        assert last["messageType"] == "event"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (message(), "upgrade"),  # not confirmed
        (message(confirm="yes"), "upgrade"),
        (message(b"", confirm=True), "bad_value"),
        (message(b"\x7fELF" + bytes(2000), confirm=True), "bad_value"),
        (message(confirm=True, sha256="00"), "bad_value"),
        ({"image": "not base64!", "confirm": True}, "bad_message"),
        ({"image": "A" * 2_900_000, "confirm": True}, "too_large"),
        (None, "bad_message"),
        (message(confirm=True), "no_device"),
    ],
)
def test_rejects_invalid_or_unconfirmed_images_before_writing(data: object, code: str) -> None:
    async def ask() -> str:
        events: list[Event] = []
        link = DeviceLink(DeviceSelection("/dev/null"), events.append)
        try:
            request = MessageProtocol().parse(json.dumps({"cmd": "upgrade", "data": data}))
            await FirmwareUpgrader(link, events.append).start(**request.arguments)
        except BridgeError as error:
            assert not events
            return str(error.code)
        return ""

    assert asyncio.run(ask()) == code


def test_one_upgrade_at_a_time_and_no_field_access_during_it(bridge: RunningBridge, unit: UcbSimulator) -> None:
    unit.bootloader.erase_s = 2.0
    with bridge.connect() as client, bridge.connect() as other:
        client.ask("upgrade", message(confirm=True))
        assert other.ask_in_full("upgrade", message(confirm=True))["err"]["code"] == "upgrade"
        assert other.ask_in_full("GF", [1])["err"]["code"] == "upgrade"
        assert other.ask("status")["upgrade"]["state"] == "running"
        assert until_it_ends(client)[-1]["state"] == "done"
        assert other.ask("GF", [1]) == [[1, 1]]


def test_upgrade_continues_after_client_and_cable_are_disconnected(bridge: RunningBridge, line: PtyEndpoint) -> None:
    with bridge.connect() as watching:
        with bridge.connect() as client:
            client.ask("upgrade", message(confirm=True))
        watching.wait(lambda entry: entry["cmd"] == "upgrade_progress" and entry["data"].get("written_bytes", 0) > 0)
        line.unplug()
        watching.wait(lambda entry: entry["cmd"] == "device" and not entry["data"]["connected"])
        line.plug_in()
        assert until_it_ends(watching)[-1] | {"retries": 0} == {
            "state": "done", "before": "IMU381ZA-400 5020-1383-01 10.00.01", "after": NEW, "retries": 0,
        }  # fmt: skip


def test_stopping_the_bridge_waits_for_the_upgrade(bridge: RunningBridge, unit: UcbSimulator) -> None:
    with bridge.connect() as client:
        client.ask("upgrade", message(confirm=True))
        client.wait(lambda entry: entry["cmd"] == "upgrade_progress")
        bridge.process.terminate()
        assert bridge.process.wait(30) == 0
    assert unit.text == NEW
    assert "a firmware upgrade is running" in bridge.log.read_text()
