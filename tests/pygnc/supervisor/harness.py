"""Supervisor with a fake clock and fake task processes, whose parts the tests play."""

import errno
import signal
import socket

from pygnc.bus import control
from pygnc.supervisor.event_log import EventLog
from pygnc.supervisor.process import (
    Child,
    RunChild,
    SignalInbox,
    TaskSpec,
)
from pygnc.supervisor.supervisor import PING_INTERVAL_S, Supervisor
from pygnc_system.service_notifier import ServiceNotifier

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
        self.pid = self.pidfd = 0
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


class Events(EventLog):
    """Collects events."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.seen: list[tuple[str, str, str]] = []
        self.stop_cause = ""
        self.syncs = 0
        self.is_syncing = False

    def report(self, task: str, severity: str, name: str, text: str) -> None:
        self.seen.append((task, severity, name))
        if name == "stop":
            self.stop_cause = text

    def sync_if_due(self) -> None:
        self.syncs += 1
        self.is_syncing = True

    def finish_sync(self) -> None:
        self.is_syncing = False


class Manager(ServiceNotifier):
    """Collects the messages to the service manager."""

    def __init__(self) -> None:
        super().__init__()
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
        self.health: list[str] = []
        self.phases: list[str] = []
        self.code_changes: list[bool] = []
        self.supervisor = Supervisor(
            specs,
            lambda _spec, _channel: 0,
            self.events,
            self.inbox,
            timeout_s=TIMEOUT_S,
            exit_when_done=exit_when_done,
            source="source",
            on_up=[lambda: self.health.append("up")],
            restore_code=lambda: bool(self.code_changes and self.code_changes.pop()),
            on_phase=[lambda: self.phases.append(self.supervisor.state.phase)],
            on_failure=[lambda: self.health.append("failure")],
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


def close_all(made: Harness) -> None:
    for child in made.all_children:
        child.task_end.close()
        if isinstance(child.channel, socket.socket):
            child.channel.close()
