"""Supervisor of a run: starts the tasks, checks and restarts them, stops them in a fixed order.

It is one loop with one poll, without threads and without ZeroMQ. It copies its state before each wait, and continues
with the copy if radiation has flipped a bit of the state meanwhile. `stop_plan` has the time table of a stop.
"""

import pickle
import select
import signal
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import msgspec

from pygnc.bus import control
from pygnc.common.constants import HARD_EXIT_AT_S
from pygnc.supervisor.event_log import SUPERVISOR, EventLog
from pygnc.supervisor.process import (
    NOT_STARTED,
    STATE_CHANGED,
    Child,
    ExitCode,
    RunChild,
    SignalInbox,
    TaskSpec,
    arm_hard_exit,
    memory_kills,
)
from pygnc.supervisor.restart_budget import RestartBudget
from pygnc.supervisor.stop_plan import StopPlan
from pygnc_system.service_notifier import ServiceNotifier

PING_INTERVAL_S: Final = 1.0
COLLECT_S: Final = 0.02
"""Time for which reports of tasks are collected before they are processed together, s; each step costs two copies."""
SLOW: Final = "SLOW"
PARTIAL: Final = "PARTIAL"
"""Code words of causes: SLOW for a slow computer, PARTIAL for a run that ended before all inputs were processed."""
_WORDS: Final = MappingProxyType({control.ESTIMATES_WRONG: "WRONG", control.LIBRARY_CHANGED: "CODE"})
"""Code words of causes that an event of a task reports."""
SLOW_START_S: Final = 8.0
"""Duration of the start of all tasks above which the computer counts as slow, s; a fast one needs 0.25 s."""
START_INTERVAL_S: Final = 1.0
CODE_INTERVAL_S: Final = 600.0
"""Time between two comparisons of the code of this process, s."""
START_PATIENCE_S: Final = 60.0
"""Time for which the start of a task is tried again if the system has no process, memory or descriptor for it, s."""

_UNCOPIED: Final = frozenset(
    f"_{name}"
    for name in (
        *("run_child", "start_child", "clock", "before_hard_exit", "watchdog", "restore_code", "on_up"),
        *("on_phase", "on_failure", "events", "service_manager", "inbox", "children"),
    )
)
"""Attributes of the supervisor that are no state, change during a wait, or contain sockets."""


class Supervisor:
    """Parent of the tasks of a table until the run ends.

    Args:
        specs: The task table.
        run_child: Body of every task process.
        events: Log of the run's events.
        inbox: Collector of the signals that request a stop.
        timeout_s: Maximum duration of the run, s.
        exit_when_done: True if the run ends when its batch is processed.
        source: Name of the task that feeds all others; the batch is processed when all its readers are.
        before_hard_exit: Called before a hard exit.
        watchdog: Called before each step; it may end the process if it is not called again in time.
        restore_code: Restores constants and instructions of this process; returns True if any had changed.
        limits: Texts of causes, known before the start, that limit the results, by code word.
        on_up: Functions to call once all tasks are up.
        on_phase: Functions to call after a change of the phase.
        on_failure: Functions to call when a task is given up.
        service_manager: Sends the phase and watchdog messages of this loop to the service manager.
        start_child: Forks a task; replaced in tests.
        clock: Monotonic time in s; replaced in tests.

    Attributes:
        exit_code: Exit code of the run, as known so far.
    """

    def __init__(
        self,
        specs: Sequence[TaskSpec],
        run_child: RunChild,
        events: EventLog,
        inbox: SignalInbox,
        *,
        timeout_s: float,
        exit_when_done: bool,
        source: str,
        before_hard_exit: Callable[[], None] = lambda: None,
        watchdog: Callable[[], None] = lambda: None,
        restore_code: Callable[[], bool] = lambda: False,
        limits: Mapping[str, str] = MappingProxyType({}),
        on_up: Sequence[Callable[[], None]] = (),
        on_phase: Sequence[Callable[[], None]] = (),
        on_failure: Sequence[Callable[[], None]] = (),
        service_manager: ServiceNotifier,
        start_child: Callable[[TaskSpec, RunChild, float], Child] = Child.start,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._run_child = run_child
        self._events = events
        self._exit_when_done = exit_when_done
        self._source = source
        self._before_hard_exit = before_hard_exit
        self._watchdog = watchdog
        self._restore_code = restore_code
        self._on_up = on_up
        self._on_phase = on_phase
        self._on_failure = on_failure
        self._service_manager = service_manager
        self._start_child = start_child
        self._clock = clock
        now = clock()
        self._began_at_s = now
        self._deadline_s = now + timeout_s
        self._next_ping_s = now + PING_INTERVAL_S
        self._next_code_s = now + CODE_INTERVAL_S
        self._last_step_s = now
        self._children: dict[str, Child] = {}
        self._finished: dict[str, control.TaskState] = {}
        self._budgets = {name: RestartBudget() for name in self._specs}
        self._restart_at_s: dict[str, float] = {}
        self._unstarted_since_s: dict[str, float] = {}
        self._memory_kills = memory_kills()
        self._limits = dict(limits)
        self._readers = {spec.name for spec in specs if "input" in spec.reads}
        self._stop: StopPlan | None = None
        self.exit_code = ExitCode.OK
        self._phase = "starting"
        self._event_count = 0
        self._reported: set[tuple[str, str]] = set()
        self._inbox = inbox

    @property
    def not_recorded(self) -> bool:
        """True if events or a task's output are not on the disk."""
        states = self._task_states()
        return self._events.fault is not None or any(state.progress.counts.get("not_recorded") for state in states)

    @property
    def state(self) -> control.RunState:
        """Present state of the run and its tasks, as sent to tasks with `reports_run`."""
        not_recorded = int(self._events.fault is not None)
        tasks = tuple(self._task_states())
        partial = {PARTIAL: "the run ended before all inputs were processed"} if self._is_partial else {}
        return control.RunState(self._phase, tasks, self._event_count, not_recorded, self._limits | partial)

    def run(self) -> ExitCode:
        """Start the tasks, supervise them until all have ended, and return the exit code of the run.

        If a stop is already requested, no task is started.
        """
        if not self._inbox.has_received:
            self.start()
        while not self.is_over:
            self._wait_unchanged()
            self._watchdog()
            self.step()
        self._phase = self._final_phase()
        return self.exit_code

    def start(self) -> None:
        """Start all tasks in the order of the table, except those on demand."""
        for name, spec in self._specs.items():
            if not spec.on_demand:
                self._start_task(name)

    @property
    def is_over(self) -> bool:
        """True once the run has been stopped and all tasks have ended."""
        return self._stop is not None and not self._children

    def step(self) -> None:
        """Process signals, messages and ended tasks since the last step, and all actions that are due; never wait."""
        self._service_manager.feed()
        now = self._clock()
        for _ in self._inbox.take():
            if self._stop is None:
                self._begin_stop("stopped by the host", ExitCode.OK, min(now, self._inbox.first_at_s))
            else:
                self._stop.hurry(now)
        for child in list(self._children.values()):
            self._receive(child, now)
            self._reap(child, now)
        self._check_health(now)
        self._restart_due(now)
        self._start_needed()
        self._update_phase(now)
        if self._stop:
            self._advance_stop(self._stop, now)

    def _start_task(self, name: str) -> None:
        self._events.finish_sync()
        now = self._clock()
        try:
            self._children[name] = self._start_child(self._specs[name], self._run_child, now)
        except OSError as error:
            self._retry_start(name, str(error.strerror), now)

    def _retry_start(self, name: str, reason: str, now: float) -> None:
        self._finished.setdefault(name, control.TaskState(name, "starting", 0, control.Progress()))
        began_at_s = self._unstarted_since_s.setdefault(name, now)
        if began_at_s == now:
            self._report(name, "warning", "not_started", f"{reason}; retrying every {START_INTERVAL_S:g} s")
        if now - began_at_s < START_PATIENCE_S:
            self._restart_at_s[name] = now + START_INTERVAL_S
        else:
            self._give_up(name, f"could not be started for {START_PATIENCE_S:g} s: {reason}", now)

    def _wait_unchanged(self) -> None:
        """Wait; if the state has changed during the wait, restore it."""
        copy, children = self._copy(), dict(self._children)
        crc = zlib.crc32(copy)
        self._wait()
        if self._copy() == copy:
            return
        if zlib.crc32(copy) == crc:
            own, of_children = pickle.loads(copy)  # noqa: S301 - made by this process
            vars(self).update(own)
            self._children = children
            for name, state in of_children.items():
                children[name].restore(state)
        self._report(SUPERVISOR, "warning", "state_changed", "the supervisor's state changed while it waited; restored")

    def _copy(self) -> bytes:
        own = {name: value for name, value in vars(self).items() if name not in _UNCOPIED}
        return pickle.dumps((own, {name: child.state for name, child in self._children.items()}))

    def _wait(self) -> None:
        """Wait for a signal, the end of a task, a report of a task, or until an action is due.

        In a run that neither starts nor stops, reports wait for `COLLECT_S`, so that one step processes several.
        """
        poller = select.poll()
        poller.register(self._inbox.descriptor, select.POLLIN)
        for child in self._children.values():
            poller.register(child.pidfd, select.POLLIN)
        due = [self._next_ping_s, *self._restart_at_s.values()]
        if self._stop is None:
            due.append(self._deadline_s)
        wait_ms = max(0.0, min(due) - self._clock()) * 1e3
        is_urgent = self._stop is not None or self._phase == "starting"
        collect_ms = 0.0 if is_urgent else min(wait_ms, COLLECT_S * 1e3)
        if poller.poll(collect_ms):
            return
        for child in self._children.values():
            poller.register(child.channel, select.POLLIN)
        poller.poll(wait_ms - collect_ms)

    def _receive(self, child: Child, now: float) -> None:
        while message := control.receive_from_task(child.channel):
            if isinstance(message, control.Pong):
                child.receive_pong(message, now)
                self._unstarted_since_s.pop(child.spec.name, None)
            elif isinstance(message, control.StopRequest):
                self._begin_stop(message.cause, ExitCode.OK, now)
            elif message.name != control.DROPPED:
                if word := _WORDS.get(message.name):
                    self._limits[word] = f"{child.spec.name}: {message.text}"
                self._report(child.spec.name, message.severity, message.name, message.text)
            else:
                self._report_once(child.spec.name, message.name, message.text)

    def _reap(self, child: Child, now: float) -> None:
        code = child.reap()
        if code is None:
            return
        self._receive(child, now)
        child.channel.close()
        name = child.spec.name
        del self._children[name]
        self._finished[name] = control.TaskState(name, "stopped", self._budgets[name].total, child.progress)
        if self._stop is not None:
            if code != 0:
                self._report(name, "warning", "killed", f"ended with {_exit_text(code)} while stopping")
                self.exit_code = self.exit_code or ExitCode.FORCED
            return
        if code == NOT_STARTED:
            self._retry_start(name, "no thread is left", now)
            return
        how = "a change of its memory" if code == STATE_CHANGED else _exit_text(code)
        if code == ExitCode.OUT_OF_MEMORY or self._was_killed_for_memory(child, code):
            how = "lack of memory"
            self._specs[name] = replace(child.spec, memory_kills=child.spec.memory_kills + 1)
            self._limits["MEMORY"] = f"{name} ran out of memory"
        pause_s = self._budgets[name].pause_s(now)
        if pause_s is not None:
            self._report(name, "warning", "restart", f"ended with {how}; restarting in {pause_s} s")
            self._restart_at_s[name] = now + pause_s
        else:
            self._give_up(name, f"ended with {how}; no restarts are left", now)

    def _was_killed_for_memory(self, child: Child, code: int) -> bool:
        if code != -signal.SIGKILL or child.is_killed:
            return False
        is_for_memory = memory_kills() > self._memory_kills
        self._memory_kills += is_for_memory  # count one kill only: others may belong to tasks not reaped yet
        return is_for_memory

    def _give_up(self, name: str, text: str, now: float) -> None:
        self._finished[name] = msgspec.structs.replace(self._finished[name], state="failed")
        self._report(name, "error", "failed", text)
        for note in self._on_failure:
            note()
        code = ExitCode.OUT_OF_MEMORY if self._specs[name].memory_kills else ExitCode.OK
        self.exit_code = self.exit_code or code
        if self._specs[name].critical:
            self._begin_stop(f"critical task {name} failed", code or ExitCode.TASK_FAILED, now)

    def _restart_due(self, now: float) -> None:
        for name in [name for name, at_s in self._restart_at_s.items() if now >= at_s]:
            if self._restart_at_s.pop(name, None) is not None:  # a critical task that was given up has begun a stop
                self._start_task(name)

    def _start_needed(self) -> None:
        """Start the tasks on demand that the source reports as needed; before that, their absence saves memory."""
        if self._stop is None and self._source in self._children:
            known = self._children.keys() | self._finished.keys()
            for name in self._children[self._source].progress.needed:
                if name not in self._specs:
                    self._report_once(self._source, "unknown_task", f"{name} is not in the task table")
                elif name not in known:
                    self._start_task(name)

    def _check_health(self, now: float) -> None:
        if now - self._last_step_s > 2 * PING_INTERVAL_S:
            # This loop itself was delayed (slow disk, frozen machine), so the tasks may have responded in time.
            for child in self._children.values():
                child.answered_at_s += now - self._last_step_s
        self._last_step_s = now
        if self._stop is None:
            for child in self._children.values():
                if child.is_silent(now):
                    silence_s = now - child.answered_at_s
                    self._report(child.spec.name, "warning", "silent", f"no response for {silence_s:.1f} s; killed")
                    child.signal(signal.SIGKILL)
                    child.answered_at_s = now
        if now >= self._next_ping_s:
            self._next_ping_s = now + PING_INTERVAL_S
            for child in self._children.values():
                child.ping()
            self._send_run_state()
            self._events.sync_if_due()
        if now >= self._next_code_s:
            self._next_code_s = now + CODE_INTERVAL_S
            if self._restore_code():
                text = "a constant or an instruction of the supervisor had changed and was restored"
                self._report(SUPERVISOR, "warning", "state_changed", text)

    def _update_phase(self, now: float) -> None:
        if self._stop is not None:
            return
        if now >= self._deadline_s:
            self._begin_stop("timeout", ExitCode.OK, now)
            return
        phase = self._present_phase()
        if phase != self._phase:
            self._note_slow_start(now)
            if self._phase == "starting":
                self._service_manager.ready()
                if all(name in self._children for name, spec in self._specs.items() if not spec.on_demand):
                    for note in self._on_up:
                        note()
            self._service_manager.show(phase)
            self._phase = phase
            self._report(SUPERVISOR, "info", "phase", phase)
            self._send_run_state()
            for note in self._on_phase:
                note()
        if self._exit_when_done and phase in {"idle", "no_data"}:
            self._begin_stop("done", ExitCode.OK, now)

    def _note_slow_start(self, now: float) -> None:
        start_s = now - self._began_at_s
        if self._phase == "starting" and start_s > SLOW_START_S:
            self._limits[SLOW] = f"the start of the tasks took {start_s:.0f} s; results take long"
            self._report(SUPERVISOR, "warning", "slow", self._limits[SLOW])

    def _present_phase(self) -> str:
        if self._phase == "starting" and not all(map(self._is_settled, self._specs)):
            return "starting"
        source = self._children.get(self._source)
        if source is None or not source.progress.idle:
            return "batch"
        if not source.progress.counts.get("delivered_bytes"):
            return "no_data"
        return "batch" if self._is_behind(source.progress) or self._restart_at_s.keys() & self._readers else "idle"

    def _is_behind(self, source: control.Progress) -> bool:
        """Return True if a task that is not given up has not processed all of the source's messages."""
        states = [state for state in self._task_states() if state.name in self._readers and state.state != "failed"]
        return any(state.progress.last_sequence_processed < source.last_sequence_processed for state in states)

    @property
    def _is_partial(self) -> bool:
        source = next((state.progress for state in self._task_states() if state.name == self._source), None)
        return self._stop is not None and (source is None or not source.idle or self._is_behind(source))

    def _is_settled(self, name: str) -> bool:
        """Return True unless a task is starting or waits for a restart."""
        if name in self._children:
            return self._children[name].is_up
        return name not in self._restart_at_s

    def _begin_stop(self, cause: str, code: ExitCode, now: float) -> None:
        if self._stop is not None:
            return
        if self._phase == "starting" and code is ExitCode.OK:
            self._service_manager.ready()  # otherwise systemd would count this end as a failed start
        self._service_manager.stopping()
        self._stop = StopPlan(now, is_failure=code is not ExitCode.OK)
        self.exit_code = code or self.exit_code
        self._phase = "stopping"
        if waiting := sorted(self._restart_at_s.keys() & self._readers):
            self._limits[PARTIAL] = f"{', '.join(waiting)}: not restarted before the run ended; counts may be too low"
        self._restart_at_s.clear()
        arm_hard_exit(HARD_EXIT_AT_S, self._before_hard_exit)
        self._report(SUPERVISOR, "info", "stop", cause)

    def _advance_stop(self, stop: StopPlan, now: float) -> None:
        stages = sorted({child.spec.stop_stage for child in self._children.values()})
        running = [child for child in self._children.values() if child.spec.stop_stage <= stop.stage]
        if stages and (not running or now >= stop.stage_end_s()) and stages[-1] > stop.stage:
            stop.stage = next(stage for stage in stages if stage > stop.stage)
            if stop.stage == stages[-1]:
                self._phase = self._final_phase()
            self._send_run_state()
            for child in self._children.values():
                if child.spec.stop_stage == stop.stage:
                    control.send(child.channel, control.Stop(max(0.0, stop.stage_end_s() - now)))
        for number in stop.take_due_signals(now):
            for child in self._children.values():
                child.signal(number)

    def _final_phase(self) -> str:
        return "failed" if self._stop and self._stop.is_failure else "stopped"

    def _send_run_state(self) -> None:
        state = self.state
        for child in self._children.values():
            if child.spec.reports_run:
                control.send(child.channel, state)

    def _task_states(self) -> list[control.TaskState]:
        states = []
        for name in self._specs:
            child = self._children.get(name)
            if child is not None:
                state = "up" if child.is_up else "starting"
                states.append(control.TaskState(name, state, self._budgets[name].total, child.progress))
            elif name in self._restart_at_s:
                states.append(msgspec.structs.replace(self._finished[name], state="starting"))
            elif name in self._finished:
                states.append(self._finished[name])
        return states

    def _report_once(self, task: str, name: str, text: str) -> None:
        if (task, name) not in self._reported:
            self._reported.add((task, name))
            self._report(task, "warning", name, text)

    def _report(self, task: str, severity: str, name: str, text: str) -> None:
        self._event_count += 1
        self._events.report(task, severity, name, text)


def _exit_text(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
