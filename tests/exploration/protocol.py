"""Explicit-state search of the streaming interface: every order of faults within bounds, driven through both real ends.

A state consists of both ends, the pieces on the line in both directions, the fate of each message, and the number of
faults that may still happen. A step of an end depends on that end only, so each is executed once by the real objects
and then found in a table; the search combines these steps.
"""

import pickle
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple
from unittest.mock import patch

from pygnc.host import retransmission
from pygnc.host.channel import Channel
from scripts.controller import pygnc_controller as controller
from tests.exploration.canonical import Frozen, freeze, packed
from tests.exploration.ends import LOG, ControllerEnd, End, Event, HostEnd, PiEnd, watched_pop_events
from tests.exploration.search import Search, Violation

HOST, PI = 0, 1
NAMES: Final = ("host", "Pi")


@dataclass(frozen=True)
class Link:
    """Bounds of a search.

    Attributes:
        host: Implementation of the host's end: "channel" or "controller".
        host_sends: Messages of the host, a letter each: r ordered, R ordered and long, i unordered.
        pi_sends: Messages of the Pi.
        transfer: "upload", "download" or neither.
        faults: Pieces lost, doubled, cut, overtaken or delayed.
        restarts: Restarts of either end.
        capacity: Pieces on the line in each direction.
        kinds: Kinds of faults, by their first letter: lost, doubled, cut, overtaken, waiting (delayed).
    """

    host: str = "channel"
    host_sends: str = ""
    pi_sends: str = ""
    transfer: str = ""
    faults: int = 1
    restarts: int = 0
    capacity: int = 2
    kinds: str = "ldcow"
    tries_max: int = 3
    lifetime_s: float = 1.5

    @contextmanager
    def limits(self) -> Iterator[None]:
        """Use the limits of this scenario in both implementations."""
        with ExitStack() as stack:
            stack.enter_context(patch.object(Channel, "pop_events", watched_pop_events))
            for module, name, value in (
                (retransmission, "TRIES_MAX", self.tries_max),
                (retransmission, "UNORDERED_LIFETIME_S", self.lifetime_s),
                (controller, "TRIES_MAX", self.tries_max),
                (controller, "LIFE_MS", round(self.lifetime_s * 1000)),
            ):
                stack.enter_context(patch.object(module, name, value))
            yield

    def __str__(self) -> str:
        sends = f"host sends {self.host_sends or '-'}, Pi {self.pi_sends or '-'}"
        faults = f"{self.faults} faults{'' if self.kinds == 'ldcow' else ' ' + self.kinds}, {self.restarts} restarts"
        return f"{self.host}: {self.transfer or sends}; {faults}, {self.capacity} pieces"

    def ends(self) -> tuple[End, End]:
        host = HostEnd if self.host == "channel" else ControllerEnd
        return host(self.host_sends, self.transfer), PiEnd(self.pi_sends, self.transfer)


class Step(NamedTuple):
    """Result of a step of one end: its next state, the piece that it sends (or -1), and its events."""

    state: int
    piece: int
    events: tuple[Event, ...]


class EndTable:
    """States of one end and the steps between them."""

    def __init__(self, end: End, pieces: "Pieces") -> None:
        self._pieces = pieces
        self._ids: dict[Frozen, int] = {}
        self._packed: list[bytes] = []
        self.wakeups_ms: list[float] = []
        self.unsent: list[bool] = []
        self.settled: list[bool] = []
        self._steps: list[dict[tuple[str, int], Step]] = []
        end.shift(0.0)
        self._add(end)

    def step(self, state: int, action: str, argument: int = 0) -> Step:
        """Return the step of an action, which the real objects take the first time."""
        steps = self._steps[state]
        found = steps.get((action, argument))
        if found is None:
            found = steps[action, argument] = self._take(state, action, argument)
        return found

    def _take(self, state: int, action: str, argument: int) -> Step:
        end: End = pickle.loads(self._packed[state])  # noqa: S301 - made by this program
        LOG.clear()
        output = b""
        if action == "receive":
            end.receive(self._pieces.contents[argument])
        elif action == "output":
            output = end.output() or b""
        elif action == "send":
            end.send()
        elif action == "restart":
            end.restart()
        events = tuple(end.events())
        if action == "send":
            events = (*events, Event("queued", end.sent - 1))
        end.shift(argument / 1000.0 if action == "wait" else 0.0)
        if fault := end.fault():
            raise Violation(fault)
        return Step(self._add(end), self._pieces.add(output) if output else -1, events)

    def _add(self, end: End) -> int:
        key = freeze(end)
        state = self._ids.get(key)
        if state is None:
            state = self._ids[key] = len(self._packed)
            self._packed.append(packed(end))
            self.wakeups_ms.append(end.wakeup_ms())
            self.unsent.append(end.sent < len(end.messages))
            self.settled.append(end.is_settled)
            self._steps.append({})
        return state


class Pieces:
    """Numbers of the pieces on the line, and of lines with several of them."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._halves: dict[int, int] = {}

    def add(self, content: bytes) -> int:
        if content not in self._numbers:
            self._numbers[content] = len(self.contents)
            self.contents.append(content)
        return self._numbers[content]

    def cut(self, piece: int) -> int:
        """Return the first half of a piece."""
        if piece not in self._halves:
            self._halves[piece] = self.add(self.contents[piece][: len(self.contents[piece]) // 2])
        return self._halves[piece]


class Fates:
    """Fate of every message: bits for queued, received, acknowledged, lost and forgotten; their properties."""

    QUEUED, RECEIVED, ACKNOWLEDGED, LOST, FORGOTTEN = 1, 2, 4, 8, 16
    _BITS: Final = {"received": RECEIVED, "acknowledged": ACKNOWLEDGED, "lost": LOST}

    def __init__(self, scenario: Link) -> None:
        self._letters = (scenario.host_sends, scenario.pi_sends)
        self.all: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self._ids: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        self._next: dict[tuple[int, int, tuple[Event, ...]], int] = {}
        self.settled: list[bool] = []
        self._add(((0,) * len(scenario.host_sends), (0,) * len(scenario.pi_sends)))

    def after(self, fates: int, side: int, events: tuple[Event, ...]) -> int:
        if not events:
            return fates
        key = fates, side, events
        if key not in self._next:
            lists = [list(of_side) for of_side in self.all[fates]]
            for what, message in events:
                self._apply(lists, side, what, message)
            self._next[key] = self._add((tuple(lists[0]), tuple(lists[1])))
        return self._next[key]

    def _add(self, fates: tuple[tuple[int, ...], tuple[int, ...]]) -> int:
        if fates not in self._ids:
            self._ids[fates] = len(self.all)
            self.all.append(fates)
            ended = self.ACKNOWLEDGED | self.LOST | self.FORGOTTEN
            self.settled.append(all(fate & ended for of_side in fates for fate in of_side))
        return self._ids[fates]

    def _apply(self, lists: list[list[int]], side: int, what: str, message: int) -> None:
        if what == "restart":
            lists[side] = [
                fate | self.FORGOTTEN if fate and not fate & (self.ACKNOWLEDGED | self.LOST) else fate
                for fate in lists[side]
            ]
            return
        sender = side if what != "received" else 1 - side
        fates = lists[sender]
        text = f"message {message} of the {NAMES[sender]}"
        if what == "queued":
            fates[message] |= self.QUEUED
            return
        if what == "received":
            self._check_order(fates, self._letters[sender], message, text)
        elif fates[message] & (self.ACKNOWLEDGED | self.LOST):
            raise Violation(f"{text}: {what} after another outcome")
        elif what == "acknowledged" and not fates[message] & self.RECEIVED:
            raise Violation(f"{text}: acknowledged but not received")
        fates[message] |= self._BITS[what]

    def _check_order(self, fates: list[int], letters: str, message: int, text: str) -> None:
        if fates[message] & self.RECEIVED:
            raise Violation(f"{text}: received twice")
        if letters[message] == "i":
            return
        for other, fate in enumerate(fates):
            if letters[other] == "i":
                continue
            if other > message and fate & self.RECEIVED:
                raise Violation(f"{text}: received after message {other}")
            if other < message and not fate & (self.RECEIVED | self.LOST | self.FORGOTTEN):
                raise Violation(f"{text}: received before message {other}")


class State(NamedTuple):
    """State of everything: numbers of the ends' states, pieces on the line to the Pi and to the host, fates, faults."""

    host: int
    pi: int
    to_pi: tuple[int, ...]
    to_host: tuple[int, ...]
    fates: int
    faults: int
    restarts: int


def number(state: State, side: int) -> int:
    """Return the number of the state of one end."""
    return state.host if side == HOST else state.pi


def line_to(state: State, side: int) -> tuple[int, ...]:
    """Return the pieces on the line to one end."""
    return state.to_pi if side == PI else state.to_host


class LinkSearch(Search[State]):
    """Search of one scenario."""

    def __init__(self, scenario: Link) -> None:
        self.scenario = scenario
        self.pieces = Pieces()
        self.ends = tuple(EndTable(end, self.pieces) for end in scenario.ends())
        self.fates = Fates(scenario)
        self.lines: dict[tuple[int, ...], int] = {(): 0}
        super().__init__(State(0, 0, (), (), 0, scenario.faults, scenario.restarts))

    def limits(self) -> AbstractContextManager[None]:
        return self.scenario.limits()

    def normal(self, state: State) -> Iterator[tuple[str, State, int]]:
        """Yield the steps without faults: name, next state, duration in ms; the first is the usual continuation."""
        for side in (HOST, PI):
            if self.ends[side].unsent[number(state, side)]:
                yield f"{NAMES[side]} queues", self._send(state, side), 0
        for side in (PI, HOST):
            if line := line_to(state, side):
                yield f"{NAMES[side]} receives", self._receive(state, side, line[0], line[1:]), 0
        is_quiet = not state.to_pi and not state.to_host
        for side in (HOST, PI):
            if (after := self._output(state, side)) is not None:
                is_quiet = False
                yield f"{NAMES[side]} outputs", after, 0
        if is_quiet and (duration_ms := self._until_wakeup(state)) < inf:
            yield "wait", self._wait(state, int(duration_ms), state.faults), int(duration_ms)

    def faulty(self, state: State) -> Iterator[tuple[str, State, int]]:
        """Yield the steps with a fault like `normal`."""
        if state.restarts:
            for side in (HOST, PI):
                yield f"{NAMES[side]} restarts", self._restart(state, side), 0
        if state.faults:
            fewer = state._replace(faults=state.faults - 1)
            for side in (PI, HOST):
                if line := line_to(state, side):
                    for name, after in self._line_faults(fewer, side, line):
                        yield f"{name} before the {NAMES[side]}", after, 0
            duration_ms = self._until_wakeup(state) if "w" in self.scenario.kinds else 0
            if (state.to_pi or state.to_host) and 0 < duration_ms < inf:
                yield "delay", self._wait(fewer, int(duration_ms), fewer.faults), int(duration_ms)

    def _line_faults(self, state: State, side: int, line: tuple[int, ...]) -> Iterator[tuple[str, State]]:
        kinds = self.scenario.kinds
        if "l" in kinds:
            yield "loss", state._replace(to_pi=line[1:]) if side == PI else state._replace(to_host=line[1:])
        if "d" in kinds:
            yield "doubled", self._receive(state, side, line[0], line)
        if "c" in kinds:
            yield "cut", self._receive(state, side, self.pieces.cut(line[0]), line[1:])
        if "o" in kinds and len(line) > 1:
            yield "overtaken", self._receive(state, side, line[1], (line[0], *line[2:]))

    def _restart(self, state: State, side: int) -> State:
        after = self.ends[side].step(number(state, side), "restart").state
        fates = self.fates.after(state.fates, side, (Event("restart", 0),))
        host, pi = (after, state.pi) if side == HOST else (state.host, after)
        return state._replace(host=host, pi=pi, fates=fates, restarts=state.restarts - 1)

    def _output(self, state: State, side: int) -> State | None:
        """Return the state after an end has sent its next piece; None if it has none or the line is full."""
        host, pi, to_pi, to_host, fates, faults, restarts = state
        if len(to_pi if side == HOST else to_host) >= self.scenario.capacity:
            return None
        step = self.ends[side].step(number(state, side), "output")
        if step.piece < 0 and step.state == number(state, side):
            return None
        fates = self.fates.after(fates, side, step.events)
        sent = (step.piece,) if step.piece >= 0 else ()
        if side == HOST:
            return State(step.state, pi, to_pi + sent, to_host, fates, faults, restarts)
        return State(host, step.state, to_pi, to_host + sent, fates, faults, restarts)

    def _until_wakeup(self, state: State) -> float:
        return min(self.ends[HOST].wakeups_ms[state.host], self.ends[PI].wakeups_ms[state.pi])

    def _wait(self, state: State, duration_ms: int, faults: int) -> State:
        host = self.ends[HOST].step(state.host, "wait", duration_ms).state
        pi = self.ends[PI].step(state.pi, "wait", duration_ms).state
        return state._replace(host=host, pi=pi, faults=faults)

    def _send(self, state: State, side: int) -> State:
        step = self.ends[side].step(number(state, side), "send")
        fates = self.fates.after(state.fates, side, step.events)
        return (
            state._replace(host=step.state, fates=fates) if side == HOST else state._replace(pi=step.state, fates=fates)
        )

    def _receive(self, state: State, side: int, piece: int, rest: tuple[int, ...]) -> State:
        host, pi, to_pi, to_host, fates, faults, restarts = state
        step = self.ends[side].step(number(state, side), "receive", piece)
        fates = self.fates.after(fates, side, step.events)
        if side == PI:
            return State(host, step.state, rest, to_host, fates, faults, restarts)
        return State(step.state, pi, to_pi, rest, fates, faults, restarts)

    def is_end(self, state: State) -> bool:
        """Return True if everything is settled and nothing is on the line."""
        return (
            not state.to_pi
            and not state.to_host
            and self.fates.settled[state.fates]
            and self.ends[HOST].settled[state.host]
            and self.ends[PI].settled[state.pi]
        )

    def key(self, state: State) -> int:
        lines = self.lines
        to_pi, to_host = lines.get(state[2]), lines.get(state[3])
        if to_pi is None:
            to_pi = lines[state[2]] = len(lines)
        if to_host is None:
            to_host = lines[state[3]] = len(lines)
        return (
            state[0] | state[1] << 22 | to_pi << 44 | to_host << 66 | state[4] << 88 | state[5] << 104 | state[6] << 108
        )
