"""Control protocol between the supervisor and a task, over a socket pair.

The pair is SOCK_SEQPACKET, which preserves message boundaries, so neither side needs ZeroMQ here. The supervisor sends
Ping, RunState and Stop. The task returns a Pong for each Ping from its own loop. It sends a Notice for each event and a
StopRequest when the host requests the end of the run.
"""

import contextlib
import socket
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

PACKET_MAX: Final = 65_536
DROPPED: Final = "message_dropped"
"""Name of the event that reports a message that cannot be decoded."""

ESTIMATES_WRONG: Final = "estimates_wrong"
"""Name of the event that reports wrong estimates that were published."""
LIBRARY_CHANGED: Final = "library_changed"
"""Name of the event that reports a change in the machine code or in a constant table of a library."""


class ControlMessage(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """Base class of the messages between the supervisor and a task."""


class Ping(ControlMessage, frozen=True):
    """Health check; the task's loop responds with a Pong that has this counter."""

    counter: int


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """Progress and counters of a task.

    `last_sequence_processed` is the number of the last input processed. `counts` are totals since the start of the run,
    by name; their users must check that a value is a number. Only the ingest task sets `idle`, when the batch is
    finished, and `needed`, the tasks on demand for which it has written an input.
    """

    last_sequence_processed: int = 0
    idle: bool = False
    counts: Mapping[str, object] = {}
    needed: tuple[str, ...] = ()


class Pong(ControlMessage, frozen=True):
    """Response to a Ping; with counter 0, an unsolicited report that the task has started or made progress."""

    counter: int
    progress: Progress


class Notice(ControlMessage, frozen=True):
    """Event for the events journal; `severity` is info, warning or error."""

    severity: str
    name: str
    text: str


class StopRequest(ControlMessage, frozen=True):
    """Request of the host, received by the task, to stop the whole run."""

    cause: str


class Stop(ControlMessage, frozen=True):
    """Request to finish within `drain_s` seconds and to exit."""

    drain_s: float


class TaskState(msgspec.Struct, frozen=True, array_like=True):
    """State of one task; `state` is starting, up, failed or stopped."""

    name: str
    state: str
    restarts: int
    progress: Progress


class RunState(ControlMessage, frozen=True):
    """State of the whole run, sent to the tasks with `reports_run`.

    `phase` is starting, batch, idle, no_data, stopping, stopped or failed. `events` is the number of events so far;
    `not_recorded` is 1 if they are not completely on the disk, else 0. `limits` contains the texts of causes that limit
    the results, by their code words for the info text.
    """

    phase: str
    tasks: tuple[TaskState, ...]
    events: int
    not_recorded: int = 0
    limits: dict[str, str] = {}


FromSupervisor: TypeAlias = Ping | Stop | RunState
FromTask: TypeAlias = Pong | Notice | StopRequest

_encode: Final = msgspec.msgpack.Encoder().encode
_from_supervisor: Final = msgspec.msgpack.Decoder(FromSupervisor).decode
_from_task: Final = msgspec.msgpack.Decoder(FromTask).decode


def make_pair() -> tuple[socket.socket, socket.socket]:
    """Return both ends of a control channel, for the supervisor and the task; calls on them never wait."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (ours, theirs):
        end.settimeout(0)
    return ours, theirs


def send(channel: socket.socket, message: ControlMessage) -> bool:
    """Send a message without waiting; return False if the other end is closed, or a buffer or the memory is full."""
    try:
        channel.send(_encode(message))
    except OSError:
        return False
    return True


def receive_from_task(channel: socket.socket) -> FromTask | None:
    """Return the next message of a task without waiting, or None; for an undecodable one, a Notice that reports it."""
    packet = _receive(channel)
    try:
        return _from_task(packet) if packet else None
    except msgspec.DecodeError as error:
        return Notice("warning", DROPPED, f"a control message cannot be decoded and is dropped: {error}")


def receive_from_supervisor(channel: socket.socket) -> FromSupervisor | None:
    """Return the next message of the supervisor without waiting, or None; skip those that cannot be decoded."""
    while packet := _receive(channel):
        with contextlib.suppress(msgspec.DecodeError):
            message: FromSupervisor = _from_supervisor(packet)
            return message
    return None


def _receive(channel: socket.socket) -> bytes:
    try:
        return channel.recv(PACKET_MAX)
    except (BlockingIOError, ConnectionResetError):
        return b""
