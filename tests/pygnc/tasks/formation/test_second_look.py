"""Second look of the formation: solutions and filter updates are repeated bit for bit."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from pygnc.bus.control import ESTIMATES_WRONG
from pygnc.bus.messages import Message
from pygnc.bus.streams import StreamWriter
from pygnc.configuration.run import Run
from pygnc.tasks import second_look
from pygnc.tasks.checkpoints import Checkpoint, CheckpointFile
from pygnc.tasks.formation.task import FormationTask
from pygnc.tasks.seal import StateChangedError
from tests.pygnc.navigation import formation_batch as batch
from tests.pygnc.tasks.runs import run_in

pytestmark = pytest.mark.xdist_group("formation_batch")  # one worker makes the batch


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(second_look, "IDLE_S", 0.0)
    monkeypatch.setattr(second_look, "_NICE", 0)
    return replace(run_in(tmp_path), earth_orientation=batch.orientation())


@pytest.fixture
def events() -> list[str]:
    return []


@pytest.fixture
def answers() -> list[Message]:
    """Messages of the orbit task."""
    return [message for answer in batch.answers().values() for message in answer]


@pytest.fixture
def task(run: Run, events: list[str], answers: list[Message]) -> Iterator[FormationTask]:
    with zmq.Context() as context:
        inputs = StreamWriter(context, run.runtime, "input", run.open_journal("input"))
        orbits = StreamWriter(context, run.runtime, "orbit", run.open_journal("orbit"))
        inputs.write(batch.inputs())
        orbits.write(answers)
        made = FormationTask(run, context, lambda _, name, __: events.append(name))
        yield made
        made.close()
        inputs.close()
        orbits.close()


def work_until(task: FormationTask, is_done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 60.0
    while not is_done():
        assert time.monotonic() < deadline_s
        task.work()
        time.sleep(0.001)


def test_a_solution_is_repeated_bit_for_bit_and_a_wrong_state_replaced(
    run: Run, task: FormationTask, events: list[str]
) -> None:
    def verified() -> Checkpoint | None:
        return CheckpointFile(run.runtime / "formation.verified", lambda *_: None).load()

    work_until(task, lambda: task._second_look._pid != 0)
    assert task._stage is not None
    right = task._stage.tracker.checkpoint()
    assert task._stage.tracker._memory.filter is not None
    work_until(task, lambda: verified() is not None)
    found = verified()
    assert found is not None
    assert (found.last_output_seq, found.tracker) == (task.output.last_seq, right)
    assert events == []

    (run.runtime / "formation.verified").unlink()
    task._second_look._verified, task._second_look._due_s = Checkpoint(), 0.0
    task._stage.tracker._arc._counts["ranges_no_time"] ^= 1 << 21
    with pytest.raises(StateChangedError):
        work_until(task, lambda: False)
    saved = CheckpointFile(run.runtime / "formation.checkpoint", lambda *_: None).load()
    assert saved is not None
    assert saved.tracker == right
    assert ESTIMATES_WRONG not in events


@pytest.mark.parametrize("answers", [[]])
def test_a_solution_without_the_orbit_it_awaited_is_not_repeated(task: FormationTask, events: list[str]) -> None:
    task.orbit_failed = True
    work_until(task, lambda: "orbit_late" in events)
    assert not task.is_repeatable
