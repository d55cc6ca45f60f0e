"""The status task compares its newest estimates with the journals."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from pygnc.bus.control import RunState
from pygnc.bus.messages import OrbitEstimate
from pygnc.bus.streams import MESSAGES_PER_STEP, encode
from pygnc.tasks.seal import StateChangedError
from pygnc.tasks.status.task import StatusTask
from tests.pygnc.tasks.runs import run_in

ESTIMATE = OrbitEstimate(
    seq=1,
    last_input_seq=1,
    gps_ms=1_400_000_000_000,
    fix_gps_ms=1_400_000_000_000,
    position_ecef_m=(7e6, 0.0, 0.0),
    velocity_ecef_mps=(0.0, 7e3, 0.0),
    position_sigma_m=(1.0, 1.0, 1.0),
    velocity_sigma_mps=(0.1, 0.1, 0.1),
    position_gcrf_m=(7e6, 0.0, 0.0),
    velocity_gcrf_mps=(0.0, 7e3, 0.0),
    accepted=True,
    cause="",
    nis=1.0,
    nis_dof=6,
    nis_mean=1.0,
    nis_count=1,
    spacecraft_to_gps_ms=None,
)


@pytest.fixture
def task(tmp_path: Path) -> Iterator[StatusTask]:
    run = run_in(tmp_path)
    run.open_journal("orbit").append([encode(msgspec.structs.replace(ESTIMATE, seq=seq)) for seq in (1, 2, 3)])
    with zmq.Context() as context:
        made = StatusTask(run, context, lambda *_: None)
        made.work()
        made._checked = {}
        yield made
        made.close()


def test_estimates_of_the_journals_are_accepted(task: StatusTask) -> None:
    task._check()
    assert task._checked["orbit"] == 3


def test_a_changed_estimate_is_noticed(task: StatusTask) -> None:
    assert task._newest.orbit is not None
    msgspec.structs.force_setattr(task._newest.orbit, "gps_ms", 0)
    with pytest.raises(StateChangedError):
        task._check()


@pytest.mark.parametrize("position", [1, 1 << 20])
def test_a_wrong_position_of_a_reader_is_noticed_if_it_is_the_same_twice(task: StatusTask, position: int) -> None:
    task._orbits.last_seq = position
    task._check()
    task._orbits.last_seq += 1
    task._check()
    with pytest.raises(StateChangedError):
        task._check()


def test_a_prediction_may_be_newer_than_the_journal(task: StatusTask) -> None:
    task._newest.take(msgspec.structs.replace(ESTIMATE, seq=0, gps_ms=ESTIMATE.gps_ms + 1000))
    task._check()


def test_a_record_waits_for_all_estimates_and_nothing_wakes_the_task_before_it_is_due(
    task: StatusTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(task._files, "write", lambda _, newest: written.append(newest.orbit.seq))
    task.run.open_journal("orbit").append(
        [encode(msgspec.structs.replace(ESTIMATE, seq=seq)) for seq in range(4, 4 + 3 * MESSAGES_PER_STEP)]
    )
    task._orbits.has_backlog = True
    task.on_run_state(RunState("idle", (), 0))
    while task.work():
        assert not written
    assert written == [3 + 3 * MESSAGES_PER_STEP]
    assert not task.sockets()
    assert 0.0 < task.wait_s() <= 1.0


def test_a_record_does_not_wait_for_ever(task: StatusTask, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    monkeypatch.setattr(task._files, "write", lambda _, newest: written.append(newest.orbit.seq))
    monkeypatch.setattr(task, "_take", lambda: True)
    task._next_write_s = 0.0
    assert task.work()
    assert written == [3]
