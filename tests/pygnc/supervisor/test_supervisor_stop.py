"""Stop of a run in stages, with a fake clock and fake task processes."""

import signal

import pytest

from pygnc.bus import control
from pygnc.common.constants import HARD_EXIT_AT_S
from pygnc.supervisor.process import (
    ExitCode,
)
from pygnc.supervisor.stop_plan import DRAIN_END_S, KILL_AT_S, LINE_END_S, TERMINATE_AT_S, WRITE_END_S, StopPlan
from tests.pygnc.supervisor.harness import SILENCE_LIMIT_S, SPECS, Harness


def test_stops_the_stages_one_after_the_other(harness: Harness) -> None:
    harness.bring_up()
    harness.stop()
    for task, later in zip(SPECS, [*SPECS[1:], None], strict=True):
        stop = harness.stop_message(task.name)
        assert stop is not None
        if later is not None:
            assert harness.stop_message(later.name) is None
        harness.end(task.name)
    assert harness.supervisor.is_over
    assert harness.supervisor.exit_code is ExitCode.OK


def test_a_stage_that_does_not_end_gives_way_when_its_time_is_over(harness: Harness) -> None:
    harness.bring_up()
    harness.stop()
    assert harness.stop_message("line") == control.Stop(LINE_END_S)
    harness.advance(LINE_END_S - 0.1)
    harness.now_s += 0.1
    harness.supervisor.step()
    assert harness.stop_message("source") == control.Stop(DRAIN_END_S - LINE_END_S)
    harness.end("line")
    harness.end("source")
    harness.end("estimator")
    stop = harness.stop_message("writer")
    assert stop is not None
    assert stop.drain_s == pytest.approx(WRITE_END_S - LINE_END_S)


def test_sends_sigterm_then_sigkill_to_tasks_that_do_not_end(harness: Harness) -> None:
    harness.bring_up()
    harness.stop()
    for name in ("line", "source", "estimator", "status"):
        harness.end(name)
    writer = harness.children["writer"]
    harness.advance(TERMINATE_AT_S - 0.1)
    assert writer.signals == []
    harness.advance(0.1)
    assert writer.signals == [signal.SIGTERM]
    harness.advance(KILL_AT_S - TERMINATE_AT_S)
    assert writer.signals == [signal.SIGTERM, signal.SIGKILL]
    harness.end("writer", -signal.SIGKILL)
    assert harness.names("writer") == ["killed"]
    assert harness.supervisor.exit_code is ExitCode.FORCED


def test_a_second_signal_advances_to_sigterm(harness: Harness) -> None:
    harness.bring_up()
    harness.stop()
    harness.stop()
    assert all(child.signals == [signal.SIGTERM] for child in harness.children.values())


def test_stops_when_a_task_forwards_the_hosts_request(harness: Harness) -> None:
    harness.bring_up()
    harness.children["line"].send(control.StopRequest("stopped over the line"))
    harness.supervisor.step()
    assert harness.events.stop_cause == "stopped over the line"


def test_does_not_restart_or_kill_for_silence_during_a_stop(harness: Harness) -> None:
    harness.bring_up()
    harness.stop()
    harness.children["status"].answers_pings = False
    harness.end("line", 1)
    harness.advance(SILENCE_LIMIT_S + 1.0)
    assert harness.started.count("line") == 1
    assert harness.children["status"].signals == []


def test_the_first_cause_of_a_stop_is_kept(harness: Harness) -> None:
    harness.bring_up()
    harness.stop()
    harness.children["line"].send(control.StopRequest("stopped over the line"))
    harness.supervisor.step()
    assert harness.events.stop_cause == "stopped by the host"


def test_the_status_task_learns_the_final_phase_before_it_is_stopped(harness: Harness) -> None:
    harness.bring_up()
    harness.stop()
    for name in ("line", "source", "estimator", "writer"):
        harness.end(name)
    messages = harness.children["status"].received()
    assert isinstance(messages[-1], control.Stop)
    state = next(m for m in reversed(messages) if isinstance(m, control.RunState))
    assert state.phase == "stopped"


def test_reports_output_that_is_not_recorded(harness: Harness) -> None:
    harness.bring_up()
    assert not harness.supervisor.not_recorded
    harness.children["writer"].report(1, not_recorded=1)
    harness.supervisor.step()
    assert harness.supervisor.not_recorded


def test_the_stop_deadlines_leave_a_second_before_the_power_is_cut() -> None:
    assert LINE_END_S < DRAIN_END_S < WRITE_END_S <= TERMINATE_AT_S < KILL_AT_S < HARD_EXIT_AT_S < 10.0


def test_a_second_request_never_delays_a_stop() -> None:
    plan = StopPlan(100.0)
    assert not plan.take_due_signals(100.2)
    plan.hurry(100.2)
    assert plan.take_due_signals(100.2) == [signal.SIGTERM]
    plan.hurry(103.0)
    assert plan.take_due_signals(101.7) == [signal.SIGKILL]
