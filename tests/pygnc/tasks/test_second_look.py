"""Second look: a task that is idle repeats its inputs, and continues from the repeated state if its own is wrong."""

import fcntl
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from pygnc.bus.control import ESTIMATES_WRONG, LIBRARY_CHANGED
from pygnc.bus.messages import BatchEnd, OrbitWatermark
from pygnc.bus.streams import encode
from pygnc.configuration.run import Run
from pygnc.tasks import second_look
from pygnc.tasks.checkpoints import Checkpoint, CheckpointFile
from pygnc.tasks.orbit.task import OrbitTask
from pygnc.tasks.seal import StateChangedError
from tests.pygnc.tasks.runs import run_in


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(second_look, "IDLE_S", 0.0)
    monkeypatch.setattr(second_look, "_NICE", 0)
    made = run_in(tmp_path)
    made.open_journal("input").append([encode(BatchEnd(seq=seq, cause="")) for seq in range(1, 6)])
    return made


@pytest.fixture
def task(run: Run, events: list[str]) -> Iterator[OrbitTask]:
    with zmq.Context() as context:
        made = OrbitTask(run, context, lambda _, name, __: events.append(name))
        yield made
        made.close()


@pytest.fixture
def events() -> list[str]:
    return []


def work_until(task: OrbitTask, is_done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30.0
    while not is_done():
        assert time.monotonic() < deadline_s
        task.work()
        time.sleep(0.001)


def verified(run: Run) -> Checkpoint | None:
    return CheckpointFile(run.runtime / "orbit.verified", lambda *_: None).load()


def test_a_task_without_new_inputs_does_not_wake_for_a_repetition(task: OrbitTask) -> None:
    look = task._second_look
    work_until(task, lambda: look._pid > 0)
    assert look.wait_s() == second_look.IDLE_S
    look._interval_s = 0.0
    work_until(task, lambda: look._verified.last_input_seq == 5 and not look._pid)
    task.work()
    assert look.wait_s() == math.inf


def test_a_repetition_that_is_due_is_awaited(task: OrbitTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_look, "IDLE_S", 0.5)
    look = task._second_look
    look._has_inputs = True
    look._due_s = time.monotonic() + 2.0
    assert 1.0 < look.wait_s() <= 2.0
    look._due_s = 0.0
    assert look.wait_s() == 0.5


def test_the_state_of_an_idle_task_is_verified(run: Run, task: OrbitTask, events: list[str]) -> None:
    work_until(task, lambda: verified(run) is not None)
    found = verified(run)
    assert found is not None
    assert (found.last_input_seq, found.last_output_seq, found.tracker) == (5, 5, task._tracker.checkpoint())
    assert events == []


def test_only_one_task_at_a_time_has_a_second_look(run: Run, task: OrbitTask, events: list[str]) -> None:
    other = os.open(run.runtime, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    while task.work() and task.input.last_seq < 5:
        pass
    for _ in range(10):
        task._second_look._due_s = 0.0
        task.work()
        assert not task._second_look._pid
    os.close(other)  # as the end of another task's process does
    work_until(task, lambda: verified(run) is not None)
    assert events == []


def test_a_wrong_state_is_replaced_by_the_repeated_one(run: Run, task: OrbitTask, events: list[str]) -> None:
    while task.work() and task.input.last_seq < 5:
        pass
    right = task._tracker.checkpoint()
    task._tracker._memory.fix_gps_ms ^= 1 << 40
    with pytest.raises(StateChangedError):
        work_until(task, lambda: False)
    saved = CheckpointFile(run.runtime / "orbit.checkpoint", lambda *_: None).load()
    assert saved is not None
    assert saved.tracker == right
    assert events == []


def test_wrong_estimates_that_were_published_are_reported(task: OrbitTask, events: list[str]) -> None:
    task.output.write([OrbitWatermark(seq=1, last_input_seq=7)])
    with pytest.raises(StateChangedError):
        work_until(task, lambda: False)
    assert events == [ESTIMATES_WRONG]


def test_a_wrong_repetition_changes_nothing(
    run: Run, task: OrbitTask, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look, compare = task._second_look, second_look.SecondLook._compare

    def compare_wrongly(self: second_look.SecondLook) -> second_look._Difference:
        found = compare(self)
        return second_look._Difference(found.checkpoint, wrong=1) if self._first is None else found

    monkeypatch.setattr(second_look.SecondLook, "_compare", compare_wrongly)
    work_until(task, lambda: verified(run) is not None)
    assert look._first is None
    assert events == []


def test_a_repetition_that_lacks_an_input_changes_nothing(run: Run, task: OrbitTask, events: list[str]) -> None:
    while task.work() and task.input.last_seq < 5:
        pass
    (file,) = run.folder.glob("input-*")
    content = bytearray(file.read_bytes())
    content[-10] ^= 3  # the CRC corrects a single bit
    file.write_bytes(content)
    task._second_look._due_s = 0.0
    task.work()
    work_until(task, lambda: not task._second_look._pid)
    assert verified(run) is None
    assert events == []


def test_repetitions_that_fail_again_and_again_are_reported_once(
    run: Run, task: OrbitTask, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: second_look.SecondLook) -> second_look._Difference:
        os._exit(1)

    monkeypatch.setattr(second_look.SecondLook, "_compare", fail)
    for _ in range(second_look.FAILED_REPORTED + 2):
        task._second_look._due_s = 0.0
        work_until(task, lambda: bool(task._second_look._pid))
        work_until(task, lambda: not task._second_look._pid)
    assert verified(run) is None
    assert events == ["not_verified"]


def test_a_checkpoint_is_not_used_if_the_journal_lacks_its_last_message(run: Run, events: list[str]) -> None:
    CheckpointFile(run.runtime / "orbit.checkpoint", lambda *_: None).save(Checkpoint(3, 0, 3, None))
    with zmq.Context() as context:
        task = OrbitTask(run, context, lambda _, name, __: events.append(name))
        work_until(task, lambda: task.input.last_seq == 5)
        assert task.stream.journal.last_seq == task.output.last_seq == 5
        task.close()
    assert events == ["checkpoint"]


def test_a_changed_table_ends_the_process(run: Run) -> None:
    with zmq.Context() as context:
        task = OrbitTask(replace(run, earth_orientation_crc=1), context, lambda *_: None)
        with pytest.raises(StateChangedError, match="Earth orientation"):
            work_until(task, lambda: False)
        task.close()


def test_a_changed_library_is_reported(
    run: Run, task: OrbitTask, events: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_look, "find_changed_library", lambda: "libm.so: the page at offset 0 has changed")
    work_until(task, lambda: verified(run) is not None)
    assert events == [LIBRARY_CHANGED]


def test_an_estimate_that_is_damaged_on_the_disk_was_not_wrong(run: Run, task: OrbitTask, events: list[str]) -> None:
    while task.work() and task.input.last_seq < 5:
        pass
    (file,) = run.folder.glob("orbit-*")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    work_until(task, lambda: verified(run) is not None)
    assert events == []


def test_a_task_whose_estimates_the_journals_do_not_determine_is_never_repeated(run: Run, events: list[str]) -> None:
    with zmq.Context() as context:
        for is_first in (True, False):
            task = OrbitTask(run, context, lambda _, name, __: events.append(name))
            if is_first:
                task.note_late_orbit()
            while task.input.last_seq < 5 or task.work():
                task.work()
            for _ in range(20):
                task.work()
            assert task._second_look._pid == 0
            task.close()
    assert verified(run) is None
