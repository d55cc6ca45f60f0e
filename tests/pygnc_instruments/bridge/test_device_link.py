"""The bridge's connection to its device."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pygnc_devices.declaration import Record
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_instruments.bridge import device_link as link_module
from pygnc_instruments.bridge.device_link import DeviceLink, LinkState
from pygnc_instruments.bridge.messages import Event
from pygnc_instruments.device.connection import DeviceSelection
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

PATIENCE_S = 30.0


def serve(selection: DeviceSelection, goal: Callable[[DeviceLink], bool]) -> list[Event]:
    """Serve a unit until the goal is reached; return the published events."""

    async def run() -> list[Event]:
        events: list[Event] = []
        link = DeviceLink(selection, events.append)
        serving = asyncio.create_task(link.run())
        async with asyncio.timeout(PATIENCE_S):
            while not goal(link):
                assert not serving.done(), serving.result()
                await asyncio.sleep(0.01)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return events

    return asyncio.run(run())


def test_a_failing_driver_is_reported_and_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [ZeroDivisionError()]
    interpret = UcbUnit.interpret

    def fail_once(unit: UcbUnit, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        if faults:
            raise faults.pop()
        return interpret(unit, frame, stamp, counters)

    monkeypatch.setattr(UcbUnit, "interpret", fail_once)
    monkeypatch.setattr(link_module, "SEARCH_PAUSE_S", 0.05)
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line:
        events = serve(
            DeviceSelection(line.url, "ucb", 115200),
            lambda link: link.state is LinkState.STREAMING and link.latest is not None,
        )
    assert any("internal error of the driver" in event.data["reason"] for event in events)


def test_a_baud_rate_without_a_family_is_the_one_that_is_searched(tmp_path: Path) -> None:
    with PtyEndpoint(UcbSimulator(eeprom={2: 6}), tmp_path / "port") as line:
        serve(DeviceSelection(line.url, baud=230_400), lambda link: link.state is LinkState.STREAMING)


def test_the_packets_of_the_readings_are_known(tmp_path: Path) -> None:
    found: dict[str, Record] = {}

    def has_readings(link: DeviceLink) -> bool:
        found.update(link.packets)
        return bool(found)

    with PtyEndpoint(MipSimulator(formats={0x80: [(0x04, 5), (0x12, 5)]}), tmp_path / "port") as line:
        serve(DeviceSelection(line.url, "mip", 115200), has_readings)
    assert [name for name, _ in found["sensor"].columns()][:4] == ["xAccel", "yAccel", "zAccel", "tow_s"]


def test_identifies_a_unit_without_fields(tmp_path: Path) -> None:
    with PtyEndpoint(Gx2Simulator(), tmp_path / "port") as line:
        events = serve(DeviceSelection(line.url, "gx2", 115200), lambda link: link.state is LinkState.STREAMING)
    assert "2143-01876" in events[-1].data["id"]


def test_a_searched_unit_may_return_at_another_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [str(tmp_path / "first")]
    monkeypatch.setattr("pygnc_devices.discovery.candidate_ports", lambda: ports)
    monkeypatch.setattr(link_module, "SEARCH_PAUSE_S", 0.05)
    monkeypatch.setattr(link_module, "_OTHER_PORT_S", 0.2)
    with PtyEndpoint(UcbSimulator(), tmp_path / "first") as line:

        def move(link: DeviceLink) -> bool:
            if link.state is LinkState.STREAMING and ports[0] == line.url:
                line.unplug()
                ports[0] = str(tmp_path / "second")
            return link.state is LinkState.STREAMING and link.summary()["url"] == ports[0]

        with PtyEndpoint(UcbSimulator(), tmp_path / "second"):
            events = serve(DeviceSelection(), move)
    assert [event.data["state"] for event in events if event.data["state"] == "unplugged"]
