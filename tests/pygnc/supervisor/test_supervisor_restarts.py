"""Restarts of ended tasks and lack of memory, with a fake clock and fake task processes."""

import signal

import pytest

from pygnc.bus import control
from pygnc.supervisor import supervisor as module
from pygnc.supervisor.process import (
    STATE_CHANGED,
    ExitCode,
    memory_kills,
)
from pygnc.supervisor.restart_budget import PAUSES_S, RESTARTS_MAX, WINDOW_S, RestartBudget
from pygnc.supervisor.supervisor import PARTIAL, PING_INTERVAL_S
from tests.pygnc.supervisor.harness import SPECS, Harness


def test_restarts_an_ended_task_after_the_pause(harness: Harness) -> None:
    harness.bring_up()
    harness.end("estimator", 1)
    harness.now_s += 0.9 * PAUSES_S[0]
    harness.supervisor.step()
    assert harness.started.count("estimator") == 1
    harness.now_s += 0.2 * PAUSES_S[0]
    harness.supervisor.step()
    assert harness.started.count("estimator") == 2
    assert harness.names("estimator") == ["restart"]


def exhaust_restarts(harness: Harness, name: str) -> None:
    harness.bring_up()
    for _ in range(RESTARTS_MAX):
        harness.end(name, -signal.SIGSEGV)
        harness.advance(max(PAUSES_S) + PING_INTERVAL_S)
    harness.end(name, -signal.SIGSEGV)


def test_gives_up_an_optional_task_and_continues_the_run(harness: Harness) -> None:
    exhaust_restarts(harness, "estimator")
    assert harness.names("estimator") == [*["restart"] * RESTARTS_MAX, "failed"]
    assert harness.events.stop_cause == ""
    harness.advance(PING_INTERVAL_S)
    harness.now_s += PING_INTERVAL_S
    harness.supervisor.step()
    states = {task.name: task for task in harness.run_states()[-1].tasks}
    assert states["estimator"].state == "failed"
    assert states["estimator"].restarts == RESTARTS_MAX
    assert states["writer"].state == "up"


def test_stops_the_run_when_a_critical_task_fails(harness: Harness) -> None:
    exhaust_restarts(harness, "source")
    assert harness.events.stop_cause == "critical task source failed"
    for name in ("line", "estimator", "writer", "status"):
        harness.end(name)
    assert harness.supervisor.is_over
    assert harness.supervisor.exit_code is ExitCode.TASK_FAILED


@pytest.mark.parametrize(("name", "phase"), [("estimator", "stopped"), ("source", "failed")])
def test_a_task_given_up_for_lack_of_memory_gives_the_exit_code(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str, phase: str
) -> None:
    killed_for_memory = memory_kills()
    monkeypatch.setattr(module, "memory_kills", lambda: killed_for_memory)
    harness.bring_up()
    for kill in range(RESTARTS_MAX + 1):
        assert harness.children[name].spec.memory_kills == kill
        killed_for_memory += 1
        harness.end(name, -signal.SIGKILL)
        harness.advance(max(PAUSES_S) + PING_INTERVAL_S)
    if harness.events.stop_cause == "":
        harness.stop()
    for task in SPECS:
        if task.name != name:
            harness.end(task.name)
    assert harness.supervisor.is_over
    assert harness.supervisor.exit_code is ExitCode.OUT_OF_MEMORY
    assert harness.supervisor.state.phase == phase
    assert harness.supervisor.state.limits["MEMORY"] == f"{name} ran out of memory"


def test_a_task_whose_memory_has_changed_is_restarted(harness: Harness) -> None:
    harness.bring_up()
    harness.end("estimator", STATE_CHANGED)
    harness.advance(max(PAUSES_S))
    assert harness.started.count("estimator") == 2
    assert harness.names("estimator") == ["restart"]


@pytest.mark.parametrize("pause_s", [0.0, 2.0 * max(PAUSES_S)])
def test_a_run_that_ends_before_a_restart_is_partial(harness: Harness, pause_s: float) -> None:
    harness.bring_up()
    harness.children["source"].report(100, idle=True, delivered_bytes=1)
    for name in ("writer", "estimator"):
        harness.children[name].report(100)
    harness.end("estimator", STATE_CHANGED)
    harness.advance(pause_s)
    if pause_s:
        harness.children["estimator"].report(100)
        harness.supervisor.step()
    harness.stop()
    assert [*harness.supervisor.state.limits] == ([] if pause_s else [PARTIAL])


@pytest.mark.parametrize(("event", "word"), [(control.ESTIMATES_WRONG, "WRONG"), (control.LIBRARY_CHANGED, "CODE")])
def test_a_change_of_the_memory_that_a_task_reports_limits_the_results(harness: Harness, event: str, word: str) -> None:
    harness.bring_up()
    harness.children["estimator"].send(control.Notice("error", event, "what has changed"))
    harness.supervisor.step()
    assert harness.names("estimator") == [event]
    assert harness.supervisor.state.limits == {word: "estimator: what has changed"}


def test_two_tasks_killed_for_memory_at_once_are_both_recognised(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.bring_up()
    kills = memory_kills()
    monkeypatch.setattr(module, "memory_kills", lambda: kills + 2)
    for name in ("estimator", "writer", "line"):
        harness.end(name, -signal.SIGKILL)
    harness.advance(max(PAUSES_S))
    assert [harness.children[name].spec.memory_kills for name in ("estimator", "writer", "line")] == [1, 1, 0]


def test_a_kill_by_another_process_is_no_lack_of_memory(harness: Harness) -> None:
    harness.bring_up()
    harness.end("estimator", -signal.SIGKILL)
    harness.advance(max(PAUSES_S))
    assert harness.children["estimator"].spec.memory_kills == 0


def test_pauses_grow_until_the_restarts_are_exhausted() -> None:
    budget = RestartBudget()
    assert [budget.pause_s(float(k)) for k in range(RESTARTS_MAX + 1)] == [*PAUSES_S, None]
    assert budget.total == RESTARTS_MAX


def test_restarts_older_than_the_window_do_not_count() -> None:
    budget = RestartBudget()
    for k in range(RESTARTS_MAX):
        budget.pause_s(float(k))
    assert budget.pause_s(WINDOW_S + 0.5) == PAUSES_S[-1]
    assert budget.pause_s(10 * WINDOW_S) == PAUSES_S[0]


def test_reports_once_that_all_tasks_are_up_and_each_task_that_is_given_up(harness: Harness) -> None:
    assert harness.health == []
    harness.bring_up()
    assert harness.health == ["up"]
    for _ in range(RESTARTS_MAX + 1):
        harness.end("estimator", 1)
        harness.advance(max(PAUSES_S) + PING_INTERVAL_S)
    assert harness.health == ["up", "failure"]
