"""What the engine does at the edges; the rest is in the conformance suite and in the drivers' tests."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.errors import RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counts, Reading, Stamp
from pygnc_devices.scheduler import Deliver, Pause, Procedure
from pygnc_devices.subscriptions import Feed
from pygnc_devices.ucb.framing import LONGEST_FRAME, make_frame, scan
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

S1 = make_frame("S1", bytes(24))


class Broken:
    def take(self, frame: Frame, stamp: Stamp, counts: Counts) -> Reading | None:  # noqa: ARG002 - as called
        raise ZeroDivisionError

    def reconnected(self) -> Procedure[None] | None:
        return None


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(slave)
    with contextlib.suppress(OSError):
        os.close(master)


def test_a_fault_of_a_driver_reaches_its_user(pty: tuple[int, str]) -> None:
    engine = Engine(pty[1], 115200, Wire(scan, LONGEST_FRAME), Broken())
    subscription = engine.feed.subscribe()
    os.write(pty[0], S1)
    with pytest.raises(ZeroDivisionError):
        subscription.take(5.0)
    engine.close()


def test_a_frame_behind_a_cut_one_is_not_kept_waiting(pty: tuple[int, str]) -> None:
    engine = Engine(pty[1], 115200, Wire(scan, LONGEST_FRAME), UcbUnit(115200))
    subscription = engine.feed.subscribe()
    start_s = time.monotonic()
    os.write(pty[0], make_frame("CH", bytes(250))[:20] + S1)  # then silence
    assert subscription.take(5.0) is not None
    assert time.monotonic() - start_s < 0.5
    assert engine.counts.damaged["cut"] == 1
    engine.close()


def test_a_recording_waits_for_its_readers_and_drops_nothing(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "x.raw")  # noqa: PTH118 - a URL is made of it
    with open(path, "wb") as file:  # noqa: PTH123 - likewise
        file.write(S1 * 500)
    engine = Engine(f"file://{path}", 115200, Wire(scan, LONGEST_FRAME), UcbUnit(115200, is_recording=True))
    subscription = engine.feed.subscribe(depth=3)
    count = 0
    while (subscription.take(1.0)) is not None:
        count += 1
        if count == 10:
            end_s = time.monotonic() + 5.0
            while len(subscription.queue) < subscription.depth and time.monotonic() < end_s:
                time.sleep(0.001)
            assert len(subscription.queue) == subscription.depth
    assert (count, subscription.drops) == (500, 0)
    engine.close()


def test_a_recording_that_nobody_reads_can_be_closed(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = threading.Event()

    def has_room(_: Feed) -> bool:
        waits.set()
        return False

    monkeypatch.setattr(Feed, "_has_room", has_room)
    path = os.path.join(tmp_path, "x.raw")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(S1 * 500)
    engine = Engine(f"file://{path}", 115200, Wire(scan, LONGEST_FRAME), UcbUnit(115200, is_recording=True))
    assert waits.wait(5.0)
    engine.close()
    assert not engine._thread.is_alive()


class Polled:
    """A unit of which a procedure makes readings."""

    packet = Packet("P", (Field("word", "B", meaning="a word"),))

    def __init__(self) -> None:
        self.begun = 0
        self.cleaned_up = threading.Event()

    def take(self, frame: Frame, stamp: Stamp, counts: Counts) -> Reading | None:  # noqa: ARG002 - as called
        if frame.kind != "whole":
            return None
        return Reading(self.packet, frame.raw, self.packet.decode(frame.payload), *stamp)

    def reconnected(self) -> Procedure[None] | None:
        return None

    def poll(self) -> Procedure[None]:
        self.begun += 1
        try:
            for number in range(3):
                yield Deliver(Frame("whole", bytes([number]), bytes([number])))
            yield Pause(60.0)
        finally:
            yield Pause(0.01)
            self.cleaned_up.set()


def test_a_kept_procedure_delivers_readings_and_is_given_up_at_the_end_with_its_clean_up(pty: tuple[int, str]) -> None:
    unit = Polled()
    engine = Engine(pty[1], 115200, Wire(scan, LONGEST_FRAME), unit)
    subscription = engine.feed.subscribe()
    engine.keep(unit.poll)
    readings = [subscription.take(5.0) for _ in range(3)]
    assert [reading.values["word"] for reading in readings if reading is not None] == [0, 1, 2]
    engine.close()
    assert unit.cleaned_up.is_set()
    assert (unit.begun, engine.counts.readings) == (1, 3)


def test_a_kept_procedure_begins_anew_when_the_port_is_back(tmp_path: Path) -> None:
    unit = Polled()
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line:
        engine = Engine(line.url, 115200, Wire(scan, LONGEST_FRAME), unit)
        subscription = engine.feed.subscribe()
        engine.keep(unit.poll)
        first = [subscription.take(5.0) for _ in range(3)]
        line.unplug()
        line.plug_in()
        again = [subscription.take(10.0) for _ in range(3)]
        engine.close()
    assert None not in first + again
    assert unit.begun == 2


def test_a_kept_procedure_that_fails_is_heard_of(pty: tuple[int, str]) -> None:
    def fail() -> Procedure[None]:
        yield Pause(0.01)
        raise RefusedError("no")

    engine = Engine(pty[1], 115200, Wire(scan, LONGEST_FRAME), Polled())
    subscription = engine.feed.subscribe()
    engine.keep(fail)
    with pytest.raises(RefusedError, match="no"):
        subscription.take(5.0)
    engine.close()
