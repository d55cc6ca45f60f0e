"""The process tree of a run: starts the tasks, keeps them alive, stops them in order.

One loop, one poll, no threads and no ZeroMQ.

How often a task may be restarted.

The order and the time limits in which a run is stopped.

The host cuts the power ten seconds after its Ctrl-C. The line to the host goes first: what it has acknowledged must
find ingest there. Counted from the stop: 0 to 1 s for that line, to 3 s for sources and estimators, to 6 s for the
writers, at 6 s SIGTERM, at 7.5 s SIGKILL, and a hard exit at 9 s whatever happens.
"""

import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from pygnc.bus import control
from pygnc.supervisor.process import Child, ExitCode, RunChild, SignalInbox, TaskSpec, arm_hard_exit

RESTARTS_MAX: Final = 3
WINDOW_S: Final = 60.0
PAUSES_S: Final = (0.2, 1.0, 5.0)


@dataclass(slots=True)
class RestartBudget:
    """Three restarts in a minute, each after a longer pause; restarts older than a minute are forgiven."""

    total: int = 0
    _at: list[float] = field(default_factory=list)

    def pause_s(self, now_s: float) -> float | None:
        """Take one restart out of the budget; return the pause before it, or None when the budget is used up."""
        self._at = [at for at in self._at if now_s - at < WINDOW_S]
        if len(self._at) >= RESTARTS_MAX:
            return None
        pause = PAUSES_S[len(self._at)]
        self._at.append(now_s)
        self.total += 1
        return pause


LINE_END_S: Final = 1.0
DRAIN_END_S: Final = 3.0
WRITE_END_S: Final = 6.0
TERMINATE_AT_S: Final = 6.0
KILL_AT_S: Final = 7.5
HARD_EXIT_AT_S: Final = 9.0
DRAIN_STAGES: Final = frozenset({0, 1, 2})


@dataclass(slots=True)
class StopPlan:
    """Where a stop has got to.

    Attributes:
        cause: what ended the run, in words.
        began_at_s: monotonic time.
        stage: the stop stage that has been told to finish.
    """

    cause: str
    began_at_s: float
    stage: int = -1
    terminated: bool = False
    killed: bool = False

    def hurry(self, now_s: float) -> None:
        """Go straight to SIGTERM: the host asked a second time."""
        self.began_at_s = min(self.began_at_s, now_s - TERMINATE_AT_S)

    def stage_end_s(self) -> float:
        """Monotonic time at which the present stage has had its share."""
        if self.stage == 0:
            return self.began_at_s + LINE_END_S
        return self.began_at_s + (DRAIN_END_S if self.stage in DRAIN_STAGES else WRITE_END_S)

    def must_terminate(self, now_s: float) -> bool:
        """Whether it is time for SIGTERM."""
        return not self.terminated and now_s >= self.began_at_s + TERMINATE_AT_S

    def must_kill(self, now_s: float) -> bool:
        """Whether it is time for SIGKILL."""
        return not self.killed and now_s >= self.began_at_s + KILL_AT_S


PING_INTERVAL_S: Final = 0.5


class Events(Protocol):
    """Where events go."""

    def report(self, task: str, severity: str, name: str, text: str) -> None:
        """Record an event."""

    def sync_if_due(self) -> None:
        """Make durable what was recorded some time ago; called twice a second."""


class Supervisor:
    """Runs the tasks of a table until the run ends.

    Args:
        specs: the task table.
        run_child: the body of every task process.
        events: takes events.
        inbox: the signals that ask for a stop.
        timeout_s: the run ends after this long.
        exit_when_done: the run ends when its batch is done.
        source: name of the task that feeds all others; the run is done when those have dealt with all it gave.
        last_act: done before a hard exit.
    """

    def __init__(
        self,
        specs: Sequence[TaskSpec],
        run_child: RunChild,
        events: Events,
        inbox: SignalInbox,
        *,
        timeout_s: float,
        exit_when_done: bool,
        source: str,
        last_act: Callable[[], None] = lambda: None,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._run_child = run_child
        self._log = events
        self._exit_when_done = exit_when_done
        self._source = source
        self._last_act = last_act
        now = time.monotonic()
        self._deadline_s = now + timeout_s
        self._next_ping_s = now + PING_INTERVAL_S
        self._turned_at_s = now
        self._children: dict[str, Child] = {}
        self._finished: dict[str, control.TaskState] = {}
        self._budgets = {name: RestartBudget() for name in self._specs}
        self._restart_at_s: dict[str, float] = {}
        self._stop: StopPlan | None = None
        self._code = ExitCode.OK
        self._phase = "starting"
        self._events = 0
        self._inbox = inbox

    @property
    def cause(self) -> str:
        """What ended the run, in words."""
        return self._stop.cause if self._stop else ""

    @property
    def not_recorded(self) -> bool:
        """Whether a task said that something it should have kept is not on disk."""
        return any(state.progress.counts.get("not_recorded") for state in self._task_states())

    def run(self) -> ExitCode:
        """Start everything, return when everything has ended."""
        for spec in self._specs.values():
            self._start(spec)
        while not self._is_over():
            self._poll()
            now = time.monotonic()
            for _ in self._inbox.take():
                self._on_signal(now)
            for child in list(self._children.values()):
                self._listen(child, now)
                self._reap(child, now)
            self._keep_alive(now)
            self._follow_phase(now)
            if self._stop:
                self._advance_stop(self._stop, now)
        return self._code

    def _start(self, spec: TaskSpec) -> None:
        self._children[spec.name] = Child.start(spec, self._run_child, time.monotonic())

    def _is_over(self) -> bool:
        return self._stop is not None and not self._children

    def _poll(self) -> None:
        poller = select.poll()
        poller.register(self._inbox.descriptor, select.POLLIN)
        for child in self._children.values():
            poller.register(child.channel, select.POLLIN)
            poller.register(child.pidfd, select.POLLIN)
        due = [self._next_ping_s, *self._restart_at_s.values()]
        if self._stop is None:
            due.append(self._deadline_s)
        poller.poll(max(0.0, min(due) - time.monotonic()) * 1e3)

    def _on_signal(self, now: float) -> None:
        if self._stop is None:
            self._begin_stop("stopped by the host", ExitCode.OK, now)
        else:
            self._stop.hurry(now)

    def _listen(self, child: Child, now: float) -> None:
        while message := control.receive_from_task(child.channel):
            if isinstance(message, control.Pong):
                child.take(message, now)
            elif isinstance(message, control.StopRequest):
                self._begin_stop(message.cause, ExitCode.OK, now)
            else:
                self._note(child.spec.name, message.severity, message.name, message.text)

    def _reap(self, child: Child, now: float) -> None:
        code = child.reap()
        if code is None:
            return
        self._listen(child, now)
        child.channel.close()
        name = child.spec.name
        del self._children[name]
        self._finished[name] = control.TaskState(name, "stopped", self._budgets[name].total, child.progress)
        if self._stop is not None:
            if code != 0:
                self._note(name, "warning", "killed", f"ended with {_in_words(code)} while stopping")
                self._code = self._code or ExitCode.FORCED
            return
        pause = self._budgets[name].pause_s(now)
        if pause is not None:
            self._note(name, "warning", "restart", f"ended with {_in_words(code)}; restarted in {pause} s")
            self._restart_at_s[name] = now + pause
        else:
            self._give_up(child, code, now)

    def _give_up(self, child: Child, code: int, now: float) -> None:
        name = child.spec.name
        self._finished[name] = control.TaskState(name, "failed", self._budgets[name].total, child.progress)
        self._note(name, "error", "failed", f"ended with {_in_words(code)}; its restarts are used up")
        if child.spec.critical:
            self._begin_stop(f"critical task {name} failed", ExitCode.TASK_FAILED, now)

    def _keep_alive(self, now: float) -> None:
        if now - self._turned_at_s > 2 * PING_INTERVAL_S:
            # This loop itself was held up (a slow disk, a frozen machine): nobody else can be blamed for silence.
            for child in self._children.values():
                child.answered_at_s += now - self._turned_at_s
        self._turned_at_s = now
        for name in [name for name, at in self._restart_at_s.items() if now >= at]:
            del self._restart_at_s[name]
            self._start(self._specs[name])
        if self._stop is None:
            for child in self._children.values():
                if child.is_silent(now):
                    limit = child.spec.silence_limit_s
                    self._note(child.spec.name, "warning", "silent", f"no answer for {limit} s; killed")
                    child.signal(signal.SIGKILL)
                    child.answered_at_s = now
        if now >= self._next_ping_s:
            self._next_ping_s = now + PING_INTERVAL_S
            for child in self._children.values():
                child.ping()
            self._tell_run_state()
            self._log.sync_if_due()

    def _follow_phase(self, now: float) -> None:
        if self._stop is None:
            if now >= self._deadline_s:
                self._begin_stop("timeout", ExitCode.OK, now)
                return
            phase = self._present_phase()
            if phase != self._phase:
                self._phase = phase
                self._note("supervisor", "info", "phase", phase)
                self._tell_run_state()
            if self._exit_when_done and phase in {"idle", "no_data"}:
                self._begin_stop("done", ExitCode.OK, now)

    def _present_phase(self) -> str:
        children = self._children
        if self._phase == "starting" and not all(name in children and children[name].is_up for name in self._specs):
            return "starting"
        source = children.get(self._source)
        if source is None or not source.progress.idle:
            return "batch"
        if not source.progress.counts.get("delivered_bytes"):
            return "no_data"
        readers = [spec.name for spec in self._specs.values() if "input" in spec.reads]
        behind = [
            name
            for name in readers
            if name in self._restart_at_s
            or (name in children and children[name].progress.through < source.progress.through)
        ]
        return "batch" if behind else "idle"

    def _begin_stop(self, cause: str, code: ExitCode, now: float) -> None:
        if self._stop is not None:
            return
        self._stop = StopPlan(cause, now)
        self._code = code
        self._phase = "stopping"
        self._restart_at_s.clear()
        arm_hard_exit(HARD_EXIT_AT_S, [child.pid for child in self._children.values()], self._last_act)
        self._note("supervisor", "info", "stop", cause)

    def _advance_stop(self, stop: StopPlan, now: float) -> None:
        stages = sorted({child.spec.stop_stage for child in self._children.values()})
        present = [child for child in self._children.values() if child.spec.stop_stage <= stop.stage]
        if stages and (not present or now >= stop.stage_end_s()) and stages[-1] > stop.stage:
            stop.stage = next(stage for stage in stages if stage > stop.stage)
            if stop.stage == stages[-1]:
                self._phase = "failed" if self._code == ExitCode.TASK_FAILED else "stopped"
            self._tell_run_state()
            for child in self._children.values():
                if child.spec.stop_stage == stop.stage:
                    control.send(child.channel, control.Stop(max(0.0, stop.stage_end_s() - now)))
        if stop.must_terminate(now):
            stop.terminated = True
            self._signal_all(signal.SIGTERM)
        if stop.must_kill(now):
            stop.killed = True
            self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children.values():
            child.signal(number)

    def _tell_run_state(self) -> None:
        state = control.RunState(self._phase, self.cause, tuple(self._task_states()), self._events)
        for child in self._children.values():
            if child.spec.reports_run:
                control.send(child.channel, state)

    def _task_states(self) -> list[control.TaskState]:
        states = []
        for name in self._specs:
            child = self._children.get(name)
            if child is not None:
                word = "up" if child.is_up else "starting"
                states.append(control.TaskState(name, word, self._budgets[name].total, child.progress))
            elif name in self._restart_at_s:
                last = self._finished[name].progress
                states.append(control.TaskState(name, "starting", self._budgets[name].total, last))
            elif name in self._finished:
                states.append(self._finished[name])
        return states

    def _note(self, task: str, severity: str, name: str, text: str) -> None:
        self._events += 1
        self._log.report(task, severity, name, text)


def _in_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
