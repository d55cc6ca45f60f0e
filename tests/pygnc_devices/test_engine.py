"""Errors, recordings and polled devices; the conformance suite and the tests of the drivers cover the rest."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.engine import UNFRAMED, Engine, Wire
from pygnc_devices.errors import PortGoneError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_devices.scheduler import Claim, Operation, Publish, Request, Sleep
from pygnc_devices.subscriptions import Publisher
from pygnc_devices.ucb.framing import LONGEST_FRAME, make_frame, scan
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

S1 = make_frame("S1", bytes(24))


class Broken:
    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:  # noqa: ARG002 - as called
        raise ZeroDivisionError

    def reconnected(self) -> Operation[None] | None:
        return None


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(slave)
    with contextlib.suppress(OSError):
        os.close(master)


def test_the_error_of_an_interpreter_reaches_subscribers(pty: tuple[int, str]) -> None:
    engine = Engine(pty[1], 115200, Wire(scan, LONGEST_FRAME), Broken())
    subscription = engine.publisher.subscribe()
    os.write(pty[0], S1)
    with pytest.raises(ZeroDivisionError):
        subscription.take(5.0)
    engine.close()


def test_finds_a_frame_behind_a_cut_one_without_more_input(pty: tuple[int, str]) -> None:
    engine = Engine(pty[1], 115200, Wire(scan, LONGEST_FRAME), UcbUnit(115200))
    subscription = engine.publisher.subscribe()
    start_s = time.monotonic()
    os.write(pty[0], make_frame("CH", bytes(250))[:20] + S1)  # then silence
    assert subscription.take(5.0) is not None
    assert time.monotonic() - start_s < 0.5
    assert engine.counters.damaged["cut"] == 1
    engine.close()


def test_a_recording_waits_for_slow_subscribers_and_drops_nothing(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "x.raw")  # noqa: PTH118 - a URL is made of it
    with open(path, "wb") as file:  # noqa: PTH123 - likewise
        file.write(S1 * 500)
    engine = Engine(f"file://{path}", 115200, Wire(scan, LONGEST_FRAME), UcbUnit(115200))
    subscription = engine.publisher.subscribe(depth=3)
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


def test_a_recording_refuses_operations_at_once(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "x.raw")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(S1 * 500)
    engine = Engine(f"file://{path}", 115200, Wire(scan, LONGEST_FRAME), UcbUnit(115200))
    subscription = engine.publisher.subscribe(depth=3)  # full: the engine's thread waits for room
    with pytest.raises(PortGoneError, match="recording, which accepts no commands"):
        engine.start(Polled().poll()).result(5.0)
    engine.run_while_connected(Polled().poll)
    assert sum(subscription.take(5.0) is not None for _ in range(500)) == 500
    assert subscription.take(5.0) is None
    engine.close()


def test_a_recording_without_subscribers_can_be_closed(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = threading.Event()

    def has_room(_: Publisher) -> bool:
        waits.set()
        return False

    monkeypatch.setattr(Publisher, "_has_room", has_room)
    path = os.path.join(tmp_path, "x.raw")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(S1 * 500)
    engine = Engine(f"file://{path}", 115200, Wire(scan, LONGEST_FRAME), UcbUnit(115200))
    assert waits.wait(5.0)
    engine.close()
    assert not engine._thread.is_alive()


class Polled:
    """Device without framing: a request has one byte, a response has two."""

    packet = Packet("P", (Field("word", "B", meaning="a word"),))

    def __init__(self) -> None:
        self.starts = 0
        self.cleaned_up = threading.Event()

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:
        raise AssertionError(f"bytes without framing form no frames: {frame} {stamp} {counters}")

    def reconnected(self) -> None:
        return None

    async def poll(self) -> None:
        self.starts += 1
        try:
            for number in range(3):
                stamp = Stamp.now()
                await Publish(Reading(self.packet, bytes([number]), {"word": number}, *stamp))
            await Sleep(60.0)
        finally:
            await Sleep(0.01)
            self.cleaned_up.set()

    async def exchange(self, octet: int) -> bytes:
        answer = b""

        def accept(frame: Frame) -> Claim:
            nonlocal answer
            assert frame.kind == UNFRAMED
            answer += frame.payload
            return Claim.LAST if len(answer) == 2 else Claim.PART

        await Request(bytes([octet]), accept, "byte", timeout_s=10.0, tries=1, grace_s=10.0)
        return answer


def test_publishes_what_a_polling_operation_reads_and_waits_for_its_clean_up(pty: tuple[int, str]) -> None:
    unit = Polled()
    engine = Engine(pty[1], 115200, Wire(None), unit)
    subscription = engine.publisher.subscribe()
    engine.run_while_connected(unit.poll)
    readings = [subscription.take(5.0) for _ in range(3)]
    assert [reading.values["word"] for reading in readings if reading is not None] == [0, 1, 2]
    engine.close()
    assert unit.cleaned_up.is_set()
    assert (unit.starts, engine.counters.readings) == (1, 3)


def test_a_device_without_framing_is_asked_byte_by_byte(pty: tuple[int, str]) -> None:
    unit = Polled()
    engine = Engine(pty[1], 115200, Wire(None), unit)
    os.write(pty[0], b"noise")
    end_s = time.monotonic() + 5.0
    while engine.counters.skipped_bytes < 5 and time.monotonic() < end_s:
        time.sleep(0.001)
    task = engine.start(unit.exchange(0x41))
    assert os.read(pty[0], 1) == b"A"
    os.write(pty[0], b"1")
    os.write(pty[0], b"2")
    assert task.result(5.0) == b"12"
    engine.close()
    counters = engine.counters
    assert (counters.bytes_received, counters.frame_bytes, counters.skipped_bytes) == (7, 2, 5)


def test_starts_a_polling_operation_again_after_reconnection(tmp_path: Path) -> None:
    unit = Polled()
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line:
        engine = Engine(line.url, 115200, Wire(None), unit)
        subscription = engine.publisher.subscribe()
        engine.run_while_connected(unit.poll)
        first = [subscription.take(5.0) for _ in range(3)]
        line.unplug()
        line.plug_in()
        again = [subscription.take(10.0) for _ in range(3)]
        engine.close()
    assert None not in first + again
    assert unit.starts == 2


def test_the_error_of_a_polling_operation_reaches_subscribers(pty: tuple[int, str]) -> None:
    async def fail() -> None:
        await Sleep(0.01)
        raise RefusedError("no")

    engine = Engine(pty[1], 115200, Wire(None), Polled())
    subscription = engine.publisher.subscribe()
    engine.run_while_connected(fail)
    with pytest.raises(RefusedError, match="no"):
        subscription.take(5.0)
    engine.close()
