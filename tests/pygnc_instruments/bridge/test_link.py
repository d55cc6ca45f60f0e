"""The bridge's end of the line, without a bridge around it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_instruments.bridge import link as link_module
from pygnc_instruments.bridge.events import Event
from pygnc_instruments.bridge.link import Link, Place, State
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.line import PtyLine
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

PATIENCE_S = 30.0


def serve(place: Place, goal: Callable[[Link], bool]) -> list[Event]:
    """Serve a unit until the goal is reached; return what was told."""

    async def run() -> list[Event]:
        told: list[Event] = []
        link = Link(place, told.append)
        serving = asyncio.create_task(link.run())
        async with asyncio.timeout(PATIENCE_S):
            while not goal(link):
                assert not serving.done(), serving.result()
                await asyncio.sleep(0.01)
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        return told

    return asyncio.run(run())


def test_a_driver_that_fails_is_told_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [ZeroDivisionError()]
    interpret = UcbUnit.interpret

    def fail_once(unit: UcbUnit, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        if faults:
            raise faults.pop()
        return interpret(unit, frame, stamp, counters)

    monkeypatch.setattr(UcbUnit, "interpret", fail_once)
    monkeypatch.setattr(link_module, "SEARCH_PAUSE_S", 0.05)
    with PtyLine(UcbSimulator(), tmp_path / "port") as line:
        told = serve(
            Place(line.url, 115200, "ucb"), lambda link: link.state is State.STREAMING and link.latest is not None
        )
    assert any("its driver has failed" in event.data["reason"] for event in told)


def test_a_unit_without_fields_tells_who_it_is_too(tmp_path: Path) -> None:
    with PtyLine(Gx2Simulator(), tmp_path / "port") as line:
        told = serve(Place(line.url, 115200, "gx2"), lambda link: link.state is State.STREAMING)
    assert "2143-01876" in told[-1].data["id"]


def test_a_unit_that_was_not_named_may_come_back_at_another_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = [str(tmp_path / "first")]
    monkeypatch.setattr("pygnc_devices.discovery.candidate_ports", lambda: ports)
    monkeypatch.setattr(link_module, "SEARCH_PAUSE_S", 0.05)
    monkeypatch.setattr(link_module, "_ELSEWHERE_S", 0.2)
    with PtyLine(UcbSimulator(), tmp_path / "first") as line:

        def move(link: Link) -> bool:
            if link.state is State.STREAMING and ports[0] == line.url:
                line.unplug()
                ports[0] = str(tmp_path / "second")
            return link.state is State.STREAMING and link.summary()["url"] == ports[0]

        with PtyLine(UcbSimulator(), tmp_path / "second"):
            told = serve(Place(), move)
    assert [event.data["state"] for event in told if event.data["state"] == "unplugged"]
