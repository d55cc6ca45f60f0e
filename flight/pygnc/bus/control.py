"""What the supervisor and a task tell each other over their socket pair.

The pair keeps message boundaries (SOCK_SEQPACKET); it needs no ZeroMQ. The supervisor sends Ping, RunState and Stop;
the task answers a Ping with a Pong from its own loop, sends Notice when something happened, and StopRequest when the
host wants the run to stop.
"""

import socket
from typing import Final, TypeAlias

import msgspec

PACKET_MAX: Final = 65_536


class ControlMessage(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base of the control messages."""


class Ping(ControlMessage, frozen=True):
    """The supervisor's keyed question: the task's loop returns the same counter."""

    counter: int


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a task is and what it counted.

    `through` is the last input number dealt with; `idle` is the source's word that its batch is done. `counts` are
    totals since the run began, by name.
    """

    through: int = 0
    idle: bool = False
    counts: dict[str, int] = {}


class Pong(ControlMessage, frozen=True):
    """The task's answer, or (with counter 0) its word that it is up or has got further and now waits."""

    counter: int
    progress: Progress


class Notice(ControlMessage, frozen=True):
    """An event for the events journal."""

    severity: str
    name: str
    text: str


class StopRequest(ControlMessage, frozen=True):
    """The task has been asked, by the host, to stop the whole run."""

    cause: str


class Stop(ControlMessage, frozen=True):
    """Finish within `drain_s` seconds and exit."""

    drain_s: float


class TaskState(msgspec.Struct, frozen=True, array_like=True):
    """One task as the supervisor sees it: state is starting, up, failed, stopped."""

    name: str
    state: str
    restarts: int
    progress: Progress


class RunState(ControlMessage, frozen=True):
    """The whole run, sent to the tasks that report it.

    `phase` is starting, batch, idle, no_data, stopping, stopped or failed; `cause` is what ended the run, in words.
    """

    phase: str
    cause: str
    tasks: tuple[TaskState, ...]
    events: int


FromSupervisor: TypeAlias = Ping | Stop | RunState
FromTask: TypeAlias = Pong | Notice | StopRequest

_encode: Final = msgspec.msgpack.Encoder().encode
_from_supervisor: Final = msgspec.msgpack.Decoder(FromSupervisor).decode
_from_task: Final = msgspec.msgpack.Decoder(FromTask).decode


def make_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a control channel, neither of which ever blocks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.settimeout(0)
    return ours, theirs


def send(channel: socket.socket, message: ControlMessage) -> bool:
    """Send without waiting; False when the other side is gone or has stopped reading."""
    try:
        channel.send(_encode(message))
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        return False
    return True


def receive_from_task(channel: socket.socket) -> FromTask | None:
    """Return the next message, or None when there is none."""
    packet = _receive(channel)
    return _from_task(packet) if packet else None


def receive_from_supervisor(channel: socket.socket) -> FromSupervisor | None:
    """Return the next message, or None when there is none."""
    packet = _receive(channel)
    return _from_supervisor(packet) if packet else None


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(PACKET_MAX)
    except (BlockingIOError, ConnectionResetError):
        return b""
