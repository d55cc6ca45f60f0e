"""What the engine does at the edges; the rest is in the conformance suite and in the drivers' tests."""

import contextlib
import os
import time
from collections.abc import Iterator

import pytest

from pygnc_devices.engine import Engine, Wire
from pygnc_devices.frames import Frame
from pygnc_devices.procedure import Procedure
from pygnc_devices.reading import Reading, Stamp
from pygnc_devices.statistics import Counts
from pygnc_devices.ucb.framing import LONGEST_FRAME, make_frame, scan
from pygnc_devices.ucb.unit import UcbUnit

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
            time.sleep(0.05)
    assert (count, subscription.drops) == (500, 0)
    engine.close()


def test_a_recording_that_nobody_reads_can_be_closed(tmp_path: os.PathLike[str]) -> None:
    path = os.path.join(tmp_path, "x.raw")  # noqa: PTH118
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(S1 * 500)
    engine = Engine(f"file://{path}", 115200, Wire(scan, LONGEST_FRAME), UcbUnit(115200, is_recording=True))
    time.sleep(0.05)
    engine.close()
