"""Start of the tasks and phases of a run, with a fake clock and fake task processes."""

import select

import msgspec
import pytest

from pygnc.bus import control
from pygnc.common.constants import HARD_EXIT_AT_S
from pygnc.supervisor.process import NOT_STARTED
from pygnc.supervisor.restart_budget import PAUSES_S, RESTARTS_MAX
from pygnc.supervisor.supervisor import (
    COLLECT_S,
    PARTIAL,
    PING_INTERVAL_S,
    SLOW,
    SLOW_START_S,
    START_INTERVAL_S,
    START_PATIENCE_S,
)
from tests.pygnc.supervisor.harness import SPECS, TIMEOUT_S, Harness, close_all, spec


def test_starts_all_tasks_in_the_order_of_the_table(harness: Harness) -> None:
    assert harness.started == [task.name for task in SPECS]


def test_the_service_manager_learns_the_phase_and_that_the_loop_is_running(harness: Harness) -> None:
    harness.advance(PING_INTERVAL_S)
    assert harness.manager.messages == []
    harness.bring_up()
    assert harness.manager.messages == ["ready", "batch"]
    before = harness.manager.feeds
    harness.advance(10 * PING_INTERVAL_S)
    assert harness.manager.feeds == before + 10
    harness.stop()
    assert harness.manager.messages[2:] == ["stopping"]


def test_a_stop_during_the_start_is_no_failed_start(harness: Harness) -> None:
    harness.stop()
    assert harness.manager.messages == ["ready", "stopping"]


def test_phase_is_starting_until_every_task_has_reported(harness: Harness) -> None:
    for name in ("line", "source", "estimator", "writer"):
        harness.children[name].report()
    harness.supervisor.step()
    assert harness.names("supervisor") == []
    harness.children["status"].report()
    harness.supervisor.step()
    assert harness.names("supervisor") == ["phase"]
    assert harness.run_states()[-1].phase == "batch"


def test_a_task_on_demand_starts_when_it_is_needed_and_then_counts_as_a_reader(armed: list[float]) -> None:
    del armed
    harness = Harness(specs=(*SPECS, spec("partners", 2, reads=("input",), on_demand=True)))
    harness.bring_up()
    harness.children["estimator"].report(7)
    harness.children["writer"].report(7)
    harness.children["source"].report(7, idle=True, delivered_bytes=1)
    harness.supervisor.step()
    assert harness.supervisor.state.phase == "idle"
    assert "partners" not in [task.name for task in harness.supervisor.state.tasks]
    harness.children["source"].report(7, idle=True, needed=("partners",), delivered_bytes=1)
    harness.supervisor.step()
    assert harness.supervisor.state.phase == "batch"
    harness.children["partners"].report(7)
    harness.supervisor.step()
    assert harness.supervisor.state.phase == "idle"
    harness.end("partners", 1)
    harness.advance(PAUSES_S[0] + 0.1)
    assert harness.started.count("partners") == 2
    close_all(harness)


def test_phase_is_idle_only_when_all_readers_have_processed_the_last_input(harness: Harness) -> None:
    harness.bring_up()
    harness.children["source"].report(100, idle=True, delivered_bytes=1)
    harness.children["estimator"].report(100)
    harness.children["writer"].report(99)
    harness.supervisor.step()
    assert harness.run_states()[-1].phase == "batch"
    harness.children["writer"].report(100)
    harness.supervisor.step()
    assert harness.run_states()[-1].phase == "idle"
    assert harness.phases == ["batch", "idle"]


@pytest.mark.parametrize(("start_s", "limits"), [(SLOW_START_S - 1.0, []), (SLOW_START_S + 1.0, [SLOW])])
def test_a_slow_start_is_reported_once(harness: Harness, start_s: float, limits: list[str]) -> None:
    harness.children["writer"].answers_pings = False
    harness.advance(start_s)
    harness.bring_up()
    harness.supervisor.step()
    assert [*harness.supervisor.state.limits] == limits
    assert harness.names("supervisor").count("slow") == len(limits)


@pytest.mark.parametrize(
    ("idle", "processed", "limits"), [(True, 100, []), (True, 99, [PARTIAL]), (False, 100, [PARTIAL])]
)
def test_a_run_that_ends_before_all_inputs_are_processed_is_partial(
    harness: Harness, *, idle: bool, processed: int, limits: list[str]
) -> None:
    harness.bring_up()
    harness.children["source"].report(100, idle=idle, delivered_bytes=1)
    harness.children["writer"].report(100)
    harness.children["estimator"].report(processed)
    harness.supervisor.step()
    assert not harness.supervisor.state.limits
    harness.stop()
    assert [*harness.supervisor.state.limits] == limits


def test_phase_is_no_data_if_the_source_delivered_nothing(harness: Harness) -> None:
    harness.bring_up()
    harness.children["source"].report(1, idle=True)
    harness.supervisor.step()
    assert harness.run_states()[-1].phase == "no_data"


def test_a_reader_that_waits_for_its_restart_keeps_the_phase_at_batch(harness: Harness) -> None:
    harness.bring_up()
    harness.end("estimator", 1)
    harness.children["source"].report(100, idle=True, delivered_bytes=1)
    harness.children["writer"].report(100)
    harness.supervisor.step()
    assert harness.run_states()[-1].phase == "batch"


def test_exit_when_done_stops_the_run_at_idle(armed: list[float]) -> None:
    harness = Harness(exit_when_done=True)
    harness.bring_up()
    assert harness.events.stop_cause == ""
    harness.children["source"].report(0, idle=True, delivered_bytes=1)
    harness.supervisor.step()
    assert harness.events.stop_cause == "done"
    assert armed == [HARD_EXIT_AT_S]
    close_all(harness)


def test_the_timeout_stops_the_run(harness: Harness) -> None:
    harness.bring_up()
    harness.advance(TIMEOUT_S - 1.0)
    assert harness.events.stop_cause == ""
    harness.advance(1.0)
    assert harness.events.stop_cause == "timeout"


@pytest.mark.parametrize("given_up", ["estimator", "line"])
def test_an_optional_task_given_up_during_the_start_does_not_delay_the_run(armed: list[float], given_up: str) -> None:
    harness = Harness(exit_when_done=True)
    for _ in range(RESTARTS_MAX + 1):
        harness.end(given_up, 1)
        harness.advance(max(PAUSES_S) + PING_INTERVAL_S)
    assert harness.names(given_up)[-1] == "failed"
    for name in {task.name for task in SPECS} - {given_up}:
        harness.children[name].report(0, idle=name == "source", delivered_bytes=1)
    harness.supervisor.step()
    assert harness.events.stop_cause == "done"
    assert armed == [HARD_EXIT_AT_S]
    close_all(harness)


def test_a_task_that_cannot_be_started_is_retried(armed: list[float]) -> None:
    del armed
    harness = Harness(cannot_start=("writer",))
    harness.bring_up()
    harness.advance(10 * START_INTERVAL_S)
    assert harness.started.count("writer") == 0
    assert harness.names("writer") == ["not_started"]
    states = {task.name: task.state for task in harness.supervisor.state.tasks}
    assert states["writer"] == "starting"
    harness.cannot_start.clear()
    harness.advance(2 * START_INTERVAL_S)
    harness.bring_up()
    assert harness.started.count("writer") == 1
    assert harness.supervisor.state.phase == "batch"
    close_all(harness)


@pytest.mark.parametrize(("task", "cause"), [("writer", ""), ("source", "critical task source failed")])
def test_a_task_that_cannot_be_started_for_a_minute_is_given_up(armed: list[float], task: str, cause: str) -> None:
    del armed
    harness = Harness(cannot_start=(task,))
    harness.bring_up()
    harness.advance(START_PATIENCE_S + 2 * START_INTERVAL_S)
    assert harness.names(task) == ["not_started", "failed"]
    assert harness.events.stop_cause == cause
    assert harness.health == ["failure"]
    close_all(harness)


def test_a_critical_task_that_is_given_up_ends_the_start_of_all_others(armed: list[float]) -> None:
    del armed
    harness = Harness(cannot_start=tuple(task.name for task in SPECS))
    harness.advance(START_PATIENCE_S + 2 * START_INTERVAL_S)
    assert harness.events.stop_cause == "critical task source failed"
    assert harness.supervisor.is_over
    close_all(harness)


# --- Data of a task that must not end the run ---------------------------------------------------------------------


def test_control_messages_that_cannot_be_decoded_are_dropped_and_reported_once(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    for packet in (b"\xc1", msgspec.msgpack.encode(["Later", 1]), msgspec.msgpack.encode(["Pong", 1, ["many"]])):
        child.task_end.send(packet)
    child.report(5)
    harness.supervisor.step()
    assert child.progress.last_sequence_processed == 5
    assert harness.names("estimator") == [control.DROPPED]
    assert not harness.supervisor.is_over


@pytest.mark.parametrize("count", [float("nan"), "many", None, {"a": 1}])
def test_a_counter_that_is_no_number_costs_no_response(harness: Harness, count: object) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.send(control.Pong(0, control.Progress(5, counts={"fixes_accepted": count})))
    harness.supervisor.step()
    assert child.progress.last_sequence_processed == 5
    assert harness.names("estimator") == []


def test_a_needed_task_that_is_not_in_the_table_is_reported_once(harness: Harness) -> None:
    harness.bring_up()
    for _ in range(2):
        harness.children["source"].report(needed=("stargazer",))
        harness.supervisor.step()
    assert "stargazer" not in harness.started
    assert harness.names("source") == ["unknown_task"]


def test_a_task_without_threads_is_started_again_after_a_pause(harness: Harness) -> None:
    harness.bring_up()
    harness.end("writer", NOT_STARTED)
    assert "writer" not in harness.children or harness.started.count("writer") == 1
    harness.advance(START_INTERVAL_S + PING_INTERVAL_S)
    assert harness.started.count("writer") == 2
    assert "crashed" not in harness.names("writer")


class Polls:
    """Poll that records its descriptors and timeouts, and returns `found`."""

    def __init__(self) -> None:
        self.registered: list[object] = []
        self.calls: list[tuple[int, float]] = []
        self.found: list[tuple[int, int]] = []

    def register(self, descriptor: object, _: int) -> None:
        self.registered.append(descriptor)

    def poll(self, timeout_ms: float) -> list[tuple[int, int]]:
        self.calls.append((len(self.registered), timeout_ms))
        return self.found


@pytest.mark.parametrize(("phase", "collect_ms"), [("starting", 0.0), ("batch", 1e3 * COLLECT_S)])
def test_reports_are_collected_but_the_ends_of_tasks_and_signals_are_not(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, phase: str, collect_ms: float
) -> None:
    polls = Polls()
    monkeypatch.setattr(select, "poll", lambda: polls)
    supervisor = harness.supervisor
    supervisor._phase = phase
    supervisor._inbox.descriptor = -1
    supervisor._next_ping_s = harness.now_s + 0.5
    supervisor._wait()
    count = len(supervisor._children)
    assert [registered for registered, _ in polls.calls] == [1 + count, 1 + 2 * count]
    assert [timeout_ms for _, timeout_ms in polls.calls] == pytest.approx([collect_ms, 500.0 - collect_ms])
    polls.found = [(3, select.POLLIN)]
    supervisor._wait()
    assert len(polls.calls) == 3
