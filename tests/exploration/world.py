"""The supervisor as the exploration drives it: the real one and its handles of tasks, with a clock that stands at zero.

The tasks are played: their processes exist only here, and answer pings unless a fault has stopped them.
"""

import errno
import signal
from dataclasses import replace
from math import inf
from typing import Any, Final

from pygnc.bus import control
from pygnc.supervisor.event_log import EventLog
from pygnc.supervisor.process import START_LIMIT_S, Child, ExitCode, RunChild, SignalInbox, TaskSpec
from pygnc.supervisor.restart_budget import WINDOW_S
from pygnc.supervisor.supervisor import SLOW_START_S, Supervisor
from pygnc_system.service_notifier import ServiceNotifier
from tests.exploration.canonical import declare, shifted
from tests.exploration.search import Violation

SILENCE_LIMIT_S: Final = 2.0
LATEST_S: Final = 1.5
"""Time after the silence limit within which the supervisor kills: three pings."""
_SPAN_S: Final = WINDOW_S + 1.0
DELAY_S: Final = 3.0
"""Time for which a step of the supervisor itself is held up."""
_SPAN_STARVED_S: Final = 4.0


def _spec(name: str, stage: int, *, critical: bool = False, on_demand: bool = False) -> TaskSpec:
    reads = ("input",) if name == "reader" or on_demand else ()
    return TaskSpec(name, "", "", reads, (), stage, on_demand, critical, SILENCE_LIMIT_S, name == "status")


SPECS: Final = {
    spec.name: spec
    for spec in (
        _spec("line", 0),
        _spec("source", 1, critical=True),
        _spec("reader", 2),
        _spec("demand", 2, on_demand=True),
        _spec("status", 4, critical=True),
    )
}


class Task(Child):
    """A task and its process.

    Attributes:
        does: What it does: start, answer, freeze, starve, loop, or hang, so that even SIGKILL has no effect.
        is_deaf: True if it ignores the request to stop, and SIGTERM.
        code: Exit code once the process has ended.
        silent_s: Time since it last answered.
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.pid = 0
        self.progress = control.Progress()
        self.is_up = self.is_killed = False
        self.answered_at_s = 0.0
        self._last_ping = self._last_pong = 0
        self._late_since = None
        self.does = "start"
        self.is_deaf = False
        self.code: int | None = None
        self.used_s = self.awaited_s = self.silent_s = 0.0
        self.is_pinged = self.is_stopping = False
        self.to_send: list[control.Pong | control.StopRequest] = []

    # Socket of the supervisor

    @property
    def channel(self) -> "Task":  # type: ignore[override]
        return self

    def send(self, packet: bytes) -> None:
        message = control._from_supervisor(packet)
        if self.code is not None:
            raise BrokenPipeError
        if isinstance(message, control.Ping):
            self.is_pinged = True
        elif isinstance(message, control.Stop):
            self.is_stopping = True

    def recv(self, _size: int) -> bytes:
        if not self.to_send:
            raise BlockingIOError
        return control._encode(self.to_send.pop(0))

    def close(self) -> None: ...

    # Process

    def thread_times(self) -> dict[int, tuple[float, float]]:
        return {} if self.code is not None else {1: (self.used_s, self.awaited_s)}

    def signal(self, number: signal.Signals) -> None:
        self.is_killed |= number is signal.SIGKILL
        if self.code is None and self.does != "hang" and (number is signal.SIGKILL or self.hears):
            self.code = -number if number is signal.SIGKILL else 0

    def reap(self) -> int | None:
        return self.code

    @property
    def hears(self) -> bool:
        return self.does == "answer" and not self.is_deaf

    def answer(self) -> None:
        """Do what the task does by itself, before time passes."""
        if self.code is None and self.does == "answer" and self.is_pinged:
            self.is_pinged = False
            self.silent_s = 0.0
            self.to_send.append(control.Pong(self._last_ping, self.progress))

    def pass_time(self, by_s: float) -> None:
        if self.code is not None:
            return
        if self.does == "starve":
            self.awaited_s += by_s
        elif self.does == "loop":
            self.used_s += by_s
        elif self.does != "answer":
            self.silent_s = min(self.silent_s + by_s, START_LIMIT_S + 5.0)

    def shift(self, by_s: float) -> None:
        self.answered_at_s = round(self.answered_at_s - by_s, 3)
        if self._late_since is None:
            self.used_s = self.awaited_s = 0.0
        else:  # only times since then, and the difference of silence and waiting time, matter
            used_s, awaited_s = self._late_since.get(1, (0.0, 0.0))
            self.used_s, self.awaited_s = round(self.used_s - used_s, 3), round(self.awaited_s - awaited_s, 3)
            self._late_since = {1: (0.0, 0.0)}
            excess_s = max(0.0, self.awaited_s - _SPAN_STARVED_S)
            self.awaited_s, self.answered_at_s = self.awaited_s - excess_s, self.answered_at_s + excess_s
        if self._last_ping == self._last_pong:
            self._last_ping = self._last_pong = 0
        else:
            self._last_ping, self._last_pong = 1, 0


class Events(EventLog):
    """Log that keeps only whether tasks were given up."""

    def __init__(self) -> None:
        self.fault = None

    def report(self, task: str, severity: str, name: str, text: str) -> None:
        del severity, text
        if name == "failed":
            WORLD[0].given_up.add(task)

    def sync_if_due(self) -> None: ...

    def finish_sync(self) -> None: ...


class Manager(ServiceNotifier):
    """Service manager that does not exist."""

    def __init__(self) -> None: ...

    def ready(self) -> None: ...

    def feed(self) -> None: ...

    def show(self, status: str) -> None: ...

    def stopping(self) -> None: ...


class Inbox(SignalInbox):
    """Signals without handlers."""

    def __init__(self) -> None:
        self.count = 0
        self.first_at_s = 0.0

    def take(self) -> list[signal.Signals]:
        count, self.count = self.count, 0
        return [signal.SIGINT] * count


WORLD: Final[list["World"]] = []
"""The world in which the present step happens."""


def start(spec: TaskSpec, _run_child: RunChild, now_s: float) -> Child:
    del now_s
    world = WORLD[0]
    if spec.name in world.given_up:
        raise Violation(f"{spec.name} is started after it was given up")
    if world.supervisor._stop is not None:
        raise Violation(f"{spec.name} is started during the stop")
    if world.processes.get(spec.name) is not None:
        raise Violation(f"{spec.name} has two processes")
    if world.is_full:
        raise OSError(errno.EAGAIN, "no process is left")
    task = Task(spec)
    world.processes[spec.name] = task
    return task


def arm(delay_s: float, _before_exit: object) -> None:
    WORLD[0].hard_exit_s = delay_s


class World:
    """A supervisor, the processes of its tasks, and the resources of the computer.

    Attributes:
        is_full: True while no process can be started.
        has_news: True if the supervisor's poll would return at once.
        hard_exit_s: Time until the hard exit.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.processes: dict[str, Task] = {}
        self.given_up: set[str] = set()
        self.is_full = False
        self.has_news = False
        self.signals = 0
        self.hard_exit_s = inf
        self.since_stop_s = 0.0
        self.inbox = Inbox()
        WORLD[:] = [self]
        self.supervisor = Supervisor(
            [SPECS[name] for name in names],
            lambda _spec, _channel: 0,
            Events(),
            self.inbox,
            timeout_s=inf,
            exit_when_done=False,
            source="source",
            service_manager=Manager(),
            start_child=start,
            clock=lambda: 0.0,
        )
        self.supervisor.start()
        self.shift(0.0)

    @property
    def is_over(self) -> bool:
        return self.supervisor.is_over or self.hard_exit_s <= 0.0

    @property
    def wakeup_s(self) -> float:
        due = [self.supervisor._next_ping_s, *self.supervisor._restart_at_s.values()]
        if self.supervisor._stop is None:
            due.append(self.supervisor._deadline_s)
        return max(0.0, min(due))

    def act(self, action: str, name: str = "") -> None:
        """Let something happen; the supervisor notices it in its next step."""
        WORLD[:] = [self]
        task = self.processes.get(name)
        if action == "step":
            self.step()
        elif action == "wait":
            self.wait(self.wakeup_s)
            self.step()
        elif action == "delay":
            for task in self.processes.values():
                task.silent_s -= DELAY_S  # which the supervisor does not count
            self.wait(DELAY_S)
            self.step()
        elif action == "signal":
            self.inbox.count += 1
            self.signals += 1
            self.has_news = True
        elif action == "full":
            self.is_full = not self.is_full
        elif task is not None:
            self._play(task, action)
        self.check()

    def _play(self, task: Task, action: str) -> None:
        if action.startswith("ends"):
            task.code = int(action.split()[1])
            self.has_news = True
        elif action == "reports":
            task.does = "answer"
            task.to_send.append(control.Pong(0, task.progress))
            self.has_news = True
        elif action == "needs":
            task.progress = control.Progress(needed=("demand",))
            task.to_send.append(control.Pong(0, task.progress))
            self.has_news = True
        elif action == "requests the stop":
            task.to_send.append(control.StopRequest("stop"))
            self.has_news = True
        elif action == "ignores":
            task.is_deaf = True
        elif action == "recovers":
            task.does = "answer" if task.is_up else "start"
            self.has_news = True
        else:
            task.does = action

    def step(self) -> None:
        """Let the supervisor step until all answers to its pings have arrived."""
        for task in self.processes.values():
            task.answer()
        self.supervisor.step()
        for task in self.processes.values():
            task.answer()
        if any(task.to_send for task in self.processes.values()):
            self.supervisor.step()
        self.has_news = False
        self.processes = {
            name: task
            for name, task in self.processes.items()
            if self.supervisor._children.get(name) is task or task.code is None
        }

    def wait(self, by_s: float) -> None:
        for task in self.processes.values():
            task.pass_time(by_s)
        self.shift(by_s)

    def shift(self, by_s: float) -> None:
        """Move all times into the past, and forget what cannot change the behaviour any more."""
        supervisor = self.supervisor
        supervisor._event_count = 0
        is_starting = supervisor._phase == "starting"
        supervisor._began_at_s = shifted(supervisor._began_at_s, by_s, -SLOW_START_S - 1.0) if is_starting else 0.0
        supervisor._deadline_s = shifted(supervisor._deadline_s, by_s)
        supervisor._next_ping_s = shifted(supervisor._next_ping_s, by_s)
        supervisor._last_step_s = shifted(supervisor._last_step_s, by_s, -_SPAN_S)
        for times in (supervisor._restart_at_s, supervisor._unstarted_since_s):
            for name in times:
                times[name] = shifted(times[name], by_s, -_SPAN_S)
        for budget in supervisor._budgets.values():
            budget._times_s = [at for at_s in budget._times_s if (at := round(at_s - by_s, 3)) > -WINDOW_S]
            budget.total = 0
        if supervisor._stop is not None:
            supervisor._stop.began_at_s = shifted(supervisor._stop.began_at_s, by_s, -_SPAN_S)
            self.since_stop_s += by_s
        self.hard_exit_s = round(self.hard_exit_s - by_s, 3)
        for task in self.processes.values():
            task.shift(by_s)

    def check(self) -> None:
        """Check the properties.

        Raises:
            Violation: One does not hold.
        """
        supervisor = self.supervisor
        failed = {state.name for state in supervisor.state.tasks if state.state == "failed"}
        if failed != self.given_up:
            raise Violation(f"given up: {self.given_up}, but the status shows {failed}")
        for name, child in supervisor._children.items():
            if self.processes.get(name) is not child:
                raise Violation(f"{name} is supervised without a process")
        if supervisor._stop is None:
            self._check_run()
        elif self.hard_exit_s == inf:
            raise Violation("no hard exit is scheduled")
        has_failed = any(supervisor._specs[name].critical for name in self.given_up)
        if self.is_over and has_failed and supervisor.exit_code not in {ExitCode.TASK_FAILED, ExitCode.OUT_OF_MEMORY}:
            raise Violation(f"a critical task was given up, but the exit code is {supervisor.exit_code}")

    def _check_run(self) -> None:
        supervisor = self.supervisor
        for name, spec in supervisor._specs.items():
            known = name in supervisor._children or name in supervisor._restart_at_s or name in self.given_up
            if not known and not spec.on_demand:
                raise Violation(f"{name} is neither supervised nor to be started nor given up")
            if spec.critical and name in self.given_up:
                raise Violation(f"{name} is given up, but the run goes on")
        for task in self.processes.values():
            limit_s = SILENCE_LIMIT_S if task.is_up else START_LIMIT_S
            if not task.is_killed and task.silent_s > limit_s + LATEST_S:
                raise Violation(f"{task.spec.name} has been silent for {task.silent_s} s")


# Copies.

STATIC: Final[dict[str, Any]] = {}
"""Attributes of the supervisor that all copies share, which a search empties before its first world."""
_CHANGING: Final = (
    "_began_at_s",
    "_deadline_s",
    "_next_ping_s",
    "_last_step_s",
    "_children",
    "_finished",
    "_budgets",
    "_restart_at_s",
    "_unstarted_since_s",
    "_specs",
    "_memory_kills",
    "_limits",
    "_stop",
    "exit_code",
    "_phase",
    "_reported",
    "_inbox",
)


def _supervisor_parts(supervisor: Supervisor) -> tuple[Any, ...]:
    if not STATIC:
        STATIC.update(vars(supervisor))
    return tuple([getattr(supervisor, name) for name in _CHANGING])


def _supervisor(*parts: object) -> Supervisor:
    supervisor = Supervisor.__new__(Supervisor)
    vars(supervisor).update(STATIC)
    vars(supervisor).update(zip(_CHANGING, parts, strict=True))
    return supervisor


def _task_spec(name: str, memory_kills: int) -> TaskSpec:
    spec = SPECS[name]
    return replace(spec, memory_kills=memory_kills) if memory_kills else spec


def _struct(value: Any) -> object:  # noqa: ANN401 - any struct
    return tuple(getattr(value, name) for name in value.__struct_fields__)


declare(Supervisor, _supervisor_parts, _supervisor)
declare(TaskSpec, lambda spec: (spec.name, spec.memory_kills), _task_spec)
declare(control.TaskState, _struct)
declare(control.Progress, _struct)
declare(control.Pong, _struct)
declare(control.StopRequest, _struct)
declare(Inbox, lambda inbox: (inbox.count,))
