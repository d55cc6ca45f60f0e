"""Supervisor with a fake clock and fake task processes: order, health, restarts, phases, stop."""

import errno
import signal
import socket
from collections.abc import Callable, Iterator

import pytest

from pygnc.bus import control
from pygnc.supervisor import supervisor as module
from pygnc.supervisor.process import (
    BUSY_LIMIT_S,
    LATE_S,
    START_LIMIT_S,
    Child,
    ExitCode,
    RunChild,
    SignalInbox,
    TaskSpec,
    memory_kills,
)
from pygnc.supervisor.supervisor import (
    DRAIN_END_S,
    HARD_EXIT_AT_S,
    KILL_AT_S,
    LINE_END_S,
    PARTIAL,
    PAUSES_S,
    PING_INTERVAL_S,
    RESTARTS_MAX,
    SLOW,
    SLOW_START_S,
    START_INTERVAL_S,
    START_PATIENCE_S,
    TERMINATE_AT_S,
    WINDOW_S,
    WRITE_END_S,
    RestartBudget,
    StopPlan,
    Supervisor,
)

SILENCE_LIMIT_S = 3.0
TIMEOUT_S = 3600.0


def spec(
    name: str, stage: int, *, critical: bool = False, reads: tuple[str, ...] = (), on_demand: bool = False
) -> TaskSpec:
    return TaskSpec(
        name=name,
        purpose="",
        entry="",
        reads=reads,
        writes=(),
        on_demand=on_demand,
        critical=critical,
        stop_stage=stage,
        silence_limit_s=SILENCE_LIMIT_S,
        reports_run=name == "status",
    )


SPECS = (
    spec("line", 0),
    spec("source", 1, critical=True),
    spec("estimator", 2, reads=("input",)),
    spec("writer", 3, reads=("input",)),
    spec("status", 4, critical=True),
)


class FakeChild(Child):
    """A task without a process: the test plays its part at the other end of the control channel."""

    def __init__(self, task: TaskSpec, now_s: float) -> None:
        self.spec = task
        self.pid = 0
        self.channel, self.task_end = control.make_pair()
        self.progress = control.Progress()
        self.is_up = False
        self.answered_at_s = now_s
        self.is_killed = False
        self._last_ping = self._last_pong = 0
        self._late_since = None
        self.used_s = self.awaited_s = 0.0
        self.other_threads: dict[int, tuple[float, float]] = {}
        self.signals: list[signal.Signals] = []
        self.exit_code: int | None = None
        self.answers_pings = True

    def signal(self, number: signal.Signals) -> None:
        self.signals.append(number)
        self.is_killed |= number is signal.SIGKILL

    def thread_times(self) -> dict[int, tuple[float, float]]:
        return {1: (self.used_s, self.awaited_s)} | self.other_threads

    def reap(self) -> int | None:
        return self.exit_code

    def send(self, message: control.Pong | control.Notice | control.StopRequest) -> None:
        control.send(self.task_end, message)

    def report(self, last_seq: int = 0, *, idle: bool = False, needed: tuple[str, ...] = (), **counts: int) -> None:
        self.send(control.Pong(0, control.Progress(last_seq, idle, counts, needed)))

    def received(self) -> list[control.FromSupervisor]:
        """Take what the supervisor has sent; answer pings."""
        messages = []
        while message := control.receive_from_supervisor(self.task_end):
            messages.append(message)
            if isinstance(message, control.Ping) and self.answers_pings:
                self.send(control.Pong(message.counter, self.progress))
        return messages


class FakeInbox(SignalInbox):
    """Signals without handlers."""

    def __init__(self) -> None:
        self.pending: list[signal.Signals] = []

    def take(self) -> list[signal.Signals]:
        taken, self.pending = self.pending, []
        return taken


class Events:
    """Collects events."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.seen: list[tuple[str, str, str]] = []
        self.syncs = 0
        self.is_syncing = False

    def report(self, task: str, severity: str, name: str, text: str) -> None:
        del text
        self.seen.append((task, severity, name))

    def sync_if_due(self) -> None:
        self.syncs += 1
        self.is_syncing = True

    def finish_sync(self) -> None:
        self.is_syncing = False


class Manager:
    """Collects the messages to the service manager."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.feeds = 0

    def ready(self) -> None:
        self.messages.append("ready")

    def feed(self) -> None:
        self.feeds += 1

    def show(self, status: str) -> None:
        self.messages.append(status)

    def stopping(self) -> None:
        self.messages.append("stopping")


class Harness:
    """A supervisor whose clock and tasks the test controls."""

    def __init__(
        self,
        *,
        exit_when_done: bool = False,
        cannot_start: tuple[str, ...] = (),
        specs: tuple[TaskSpec, ...] = SPECS,
    ) -> None:
        self.now_s = 1000.0
        self.started: list[str] = []
        self.children: dict[str, FakeChild] = {}
        self.all_children: list[FakeChild] = []
        self.events = Events()
        self.inbox = FakeInbox()
        self.manager = Manager()
        self.supervisor = Supervisor(
            specs,
            lambda _spec, _channel: 0,
            self.events,
            self.inbox,
            timeout_s=TIMEOUT_S,
            exit_when_done=exit_when_done,
            source="source",
            service_manager=self.manager,
            start_child=self._start,
            clock=lambda: self.now_s,
        )
        self.cannot_start = set(cannot_start)
        self.supervisor.start()

    def _start(self, task: TaskSpec, run_child: RunChild, now_s: float) -> FakeChild:
        del run_child
        assert not self.events.is_syncing
        if task.name in self.cannot_start:
            raise OSError(errno.EAGAIN, "no process is left")
        child = FakeChild(task, now_s)
        self.started.append(task.name)
        self.children[task.name] = child
        self.all_children.append(child)
        return child

    def advance(self, seconds: float) -> None:
        """Let time pass in steps as short as the supervisor's own."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + PING_INTERVAL_S)
            self.supervisor.step()
            for child in self.children.values():
                child.received()

    def bring_up(self) -> None:
        for child in self.children.values():
            child.report()
        self.supervisor.step()

    def end(self, name: str, code: int = 0) -> None:
        self.children[name].exit_code = code
        self.supervisor.step()

    def stop(self) -> None:
        self.inbox.pending.append(signal.SIGINT)
        self.supervisor.step()

    def stop_message(self, name: str) -> control.Stop | None:
        found = [m for m in self.children[name].received() if isinstance(m, control.Stop)]
        return found[-1] if found else None

    def names(self, task: str) -> list[str]:
        return [name for seen, _, name in self.events.seen if seen == task]

    def run_states(self) -> list[control.RunState]:
        return [m for m in self.children["status"].received() if isinstance(m, control.RunState)]


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Delays of the hard exits that were armed."""
    delays: list[float] = []

    def arm(delay_s: float, before_exit: Callable[[], None]) -> None:
        del before_exit
        delays.append(delay_s)

    monkeypatch.setattr(module, "arm_hard_exit", arm)
    return delays


@pytest.fixture
def harness(armed: list[float]) -> Iterator[Harness]:
    del armed
    made = Harness()
    yield made
    close_all(made)


def close_all(made: Harness) -> None:
    for child in made.all_children:
        child.task_end.close()
        if isinstance(child.channel, socket.socket):
            child.channel.close()


# --- Start and phases -------------------------------------------------------------------------------------------------


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
    assert harness.supervisor.cause == ""
    harness.children["source"].report(0, idle=True, delivered_bytes=1)
    harness.supervisor.step()
    assert harness.supervisor.cause == "done"
    assert armed == [HARD_EXIT_AT_S]
    close_all(harness)


def test_the_timeout_stops_the_run(harness: Harness) -> None:
    harness.bring_up()
    harness.advance(TIMEOUT_S - 1.0)
    assert harness.supervisor.cause == ""
    harness.advance(1.0)
    assert harness.supervisor.cause == "timeout"


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
    assert harness.supervisor.cause == "done"
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
    assert harness.supervisor.cause == cause
    close_all(harness)


# --- Health -----------------------------------------------------------------------------------------------------------


def test_pings_count_up_and_wait_for_the_answer(harness: Harness) -> None:
    child = harness.children["estimator"]
    child.answers_pings = False
    pings = []
    for _ in range(4):
        harness.now_s += PING_INTERVAL_S
        harness.supervisor.step()
        pings += [m.counter for m in child.received() if isinstance(m, control.Ping)]
    assert pings == [1]
    child.send(control.Pong(1, control.Progress()))
    harness.now_s += PING_INTERVAL_S
    harness.supervisor.step()
    assert [m.counter for m in child.received() if isinstance(m, control.Ping)] == [2]


def test_kills_a_task_that_is_silent_for_longer_than_its_limit(harness: Harness) -> None:
    harness.bring_up()
    harness.children["estimator"].answers_pings = False
    harness.advance(SILENCE_LIMIT_S)
    assert harness.children["estimator"].signals == []
    harness.advance(2 * PING_INTERVAL_S)
    assert harness.children["estimator"].signals == [signal.SIGKILL]
    assert harness.names("estimator") == ["silent"]
    assert harness.children["writer"].signals == []


def test_a_task_that_uses_or_awaits_a_processor_is_not_silent(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.answers_pings = False
    for _ in range(int(6 * SILENCE_LIMIT_S / PING_INTERVAL_S)):
        child.used_s += 0.2 * PING_INTERVAL_S
        child.awaited_s += 0.8 * PING_INTERVAL_S
        harness.advance(PING_INTERVAL_S)
    assert child.signals == []
    harness.advance(SILENCE_LIMIT_S + LATE_S)
    assert child.signals == [signal.SIGKILL]


def test_a_thread_that_ends_does_not_make_its_task_silent(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.other_threads = {2: (5.0, 20.0)}
    child.answers_pings = False
    for _ in range(int(2 * LATE_S / PING_INTERVAL_S)):
        child.used_s += PING_INTERVAL_S
        harness.advance(PING_INTERVAL_S)
    child.other_threads = {}
    child.used_s += PING_INTERVAL_S
    harness.advance(PING_INTERVAL_S)
    assert child.signals == []


def test_a_task_in_an_endless_loop_is_killed(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.answers_pings = False
    while child.used_s < BUSY_LIMIT_S:
        assert child.signals == []
        child.used_s += PING_INTERVAL_S
        harness.advance(PING_INTERVAL_S)
    for _ in range(int(2 * LATE_S / PING_INTERVAL_S)):
        child.used_s += PING_INTERVAL_S
        harness.advance(PING_INTERVAL_S)
    assert child.signals == [signal.SIGKILL]


def test_a_start_has_more_time_than_a_response(harness: Harness) -> None:
    child = harness.children["estimator"]
    child.answers_pings = False
    for name in ("line", "source", "writer", "status"):
        harness.children[name].report()
    harness.advance(START_LIMIT_S)
    assert child.signals == []
    harness.advance(2 * PING_INTERVAL_S)
    assert child.signals == [signal.SIGKILL]


def test_unsolicited_reports_do_not_count_as_answers(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.answers_pings = False
    for _ in range(8):
        child.report(1)
        harness.advance(PING_INTERVAL_S)
    assert child.signals == [signal.SIGKILL]


def test_does_not_blame_tasks_when_the_supervisor_itself_was_held_up(harness: Harness) -> None:
    harness.bring_up()
    harness.advance(1.0)
    harness.now_s += 10 * SILENCE_LIMIT_S
    harness.supervisor.step()
    assert all(not child.signals for child in harness.children.values())


def test_syncs_events_with_every_ping(harness: Harness) -> None:
    harness.advance(4 * PING_INTERVAL_S)
    assert harness.events.syncs == 4


# --- Restarts ---------------------------------------------------------------------------------------------------------


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
    assert harness.supervisor.cause == ""
    harness.advance(PING_INTERVAL_S)
    harness.now_s += PING_INTERVAL_S
    harness.supervisor.step()
    states = {task.name: task for task in harness.run_states()[-1].tasks}
    assert states["estimator"].state == "failed"
    assert states["estimator"].restarts == RESTARTS_MAX
    assert states["writer"].state == "up"


def test_stops_the_run_when_a_critical_task_fails(harness: Harness) -> None:
    exhaust_restarts(harness, "source")
    assert harness.supervisor.cause == "critical task source failed"
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
    if harness.supervisor.cause == "":
        harness.stop()
    for task in SPECS:
        if task.name != name:
            harness.end(task.name)
    assert harness.supervisor.is_over
    assert harness.supervisor.exit_code is ExitCode.OUT_OF_MEMORY
    assert harness.supervisor.state.phase == phase
    assert harness.supervisor.state.limits["MEMORY"] == f"{name} ran out of memory"


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


# --- Stop -------------------------------------------------------------------------------------------------------------


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
    assert harness.supervisor.cause == "stopped over the line"


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
    assert harness.supervisor.cause == "stopped by the host"


def test_the_status_task_learns_the_final_phase_before_it_is_stopped(harness: Harness) -> None:
    harness.bring_up()
    harness.stop()
    for name in ("line", "source", "estimator", "writer"):
        harness.end(name)
    messages = harness.children["status"].received()
    assert isinstance(messages[-1], control.Stop)
    state = next(m for m in reversed(messages) if isinstance(m, control.RunState))
    assert state.phase == "stopped"
    assert state.cause == "stopped by the host"


def test_reports_output_that_is_not_recorded(harness: Harness) -> None:
    harness.bring_up()
    assert not harness.supervisor.not_recorded
    harness.children["writer"].report(1, not_recorded=1)
    harness.supervisor.step()
    assert harness.supervisor.not_recorded


def test_the_stop_deadlines_leave_a_second_before_the_power_is_cut() -> None:
    assert LINE_END_S < DRAIN_END_S < WRITE_END_S <= TERMINATE_AT_S < KILL_AT_S < HARD_EXIT_AT_S < 10.0


def test_a_second_request_never_delays_a_stop() -> None:
    plan = StopPlan("test", 100.0)
    assert not plan.take_due_signals(100.2)
    plan.hurry(100.2)
    assert plan.take_due_signals(100.2) == [signal.SIGTERM]
    plan.hurry(103.0)
    assert plan.take_due_signals(101.7) == [signal.SIGKILL]
