"""A serial line in virtual time: bytes take their time, and faults drawn from a seed happen to them."""

import heapq
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, log

BITS_PER_BYTE = 10
BURST_BYTES = 16
"""Bytes arrive in pieces as from a UART's FIFO."""


@dataclass(frozen=True)
class Faults:
    """Probabilities per byte. During a `cut` (from, to, s) nothing arrives at all."""

    lost: float = 0.0
    flipped: float = 0.0
    doubled: float = 0.0
    stalled: float = 0.0
    stall_s: float = 0.2
    cuts: tuple[tuple[float, float], ...] = ()


@dataclass
class SerialLine:
    """One direction of a line."""

    seed: int
    faults: Faults = field(default_factory=Faults)
    baud: int = 115_200

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - faults that a seed repeats
        self._arriving: deque[tuple[float, bytes]] = deque()
        self.busy_until_s = 0.0
        self._stalled_until_s = 0.0
        self._rate = self.faults.lost + self.faults.flipped + self.faults.doubled + self.faults.stalled
        self._next_fault = self._gap()
        self.injected = dict.fromkeys(("lost", "flipped", "doubled", "stalled"), 0)

    def write(self, data: bytes, now_s: float) -> None:
        """Put bytes on the line, behind those that are still being sent."""
        at = max(now_s, self.busy_until_s)
        for start in range(0, len(data), BURST_BYTES):
            burst = data[start : start + BURST_BYTES]
            at += len(burst) * BITS_PER_BYTE / self.baud
            self.busy_until_s = at
            if any(begin <= at < end for begin, end in self.faults.cuts):
                continue
            arrived = self._damaged(burst, at)
            if arrived:
                self._arriving.append((max(at, self._stalled_until_s), arrived))

    def next_arrival_s(self) -> float:
        """When the next byte arrives."""
        return self._arriving[0][0] if self._arriving else inf

    def read(self, now_s: float) -> bytes:
        """Return what has arrived."""
        found = []
        while self._arriving and self._arriving[0][0] <= now_s:
            found.append(self._arriving.popleft()[1])
        return b"".join(found)

    def _gap(self) -> int:
        """Bytes without a fault until the next one."""
        return int(log(1.0 - self._random.random()) / log(1.0 - self._rate)) if self._rate else -1

    def _damaged(self, burst: bytes, at: float) -> bytes:
        if self._next_fault < 0 or self._next_fault >= len(burst):
            self._next_fault -= len(burst) if self._next_fault >= 0 else 0
            return burst
        place = self._next_fault
        head, octet, rest = burst[:place], burst[place : place + 1], burst[place + 1 :]
        chances = {name: getattr(self.faults, name) for name in self.injected}
        name = self._random.choices(list(chances), list(chances.values()))[0]
        self.injected[name] += 1
        if name == "lost":
            octet = b""
        elif name == "flipped":
            octet = bytes([octet[0] ^ 1 << self._random.randrange(8)])
        elif name == "doubled":
            octet *= 2
        else:
            self._stalled_until_s = at + self._random.random() * self.faults.stall_s
        self._next_fault = self._gap()
        return head + octet + self._damaged(rest, at)


@dataclass
class End:
    """What drives one end: `read` takes bytes, `line` gives the next line, `wakeup` says when to ask again."""

    read: Callable[[bytes, float], None]
    line: Callable[[float], bytes | None]
    wakeup: Callable[[], float]


PORT_AHEAD_S = 0.02
"""An end hands its port the next line when the one before is sent but for this."""


class Session:
    """Two ends, joined by a line in each direction, in virtual time."""

    def __init__(self, ends: Sequence[End], lines: Sequence[SerialLine]) -> None:
        self.ends = list(ends)
        self.lines = list(lines)
        self.now_s = 0.0
        self._calls: list[tuple[float, int, Callable[[float], None]]] = []

    def at(self, time_s: float, call: Callable[[float], None]) -> None:
        """Call something at a time."""
        heapq.heappush(self._calls, (time_s, len(self._calls), call))

    def run(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Go on until something is true; False if it is not at `limit_s`."""
        while not until():
            self._step()
            times = [self._next_s(k) for k in range(2)] + [self._calls[0][0] if self._calls else inf]
            self.now_s = max(min(times), self.now_s + 1e-6)
            if self.now_s > limit_s:
                self.now_s = limit_s
                return until()
        return True

    def _step(self) -> None:
        while self._calls and self._calls[0][0] <= self.now_s:
            heapq.heappop(self._calls)[2](self.now_s)
        for k, end in enumerate(self.ends):
            data = self.lines[1 - k].read(self.now_s)
            if data:
                end.read(data, self.now_s)
        for k, end in enumerate(self.ends):
            while self.lines[k].busy_until_s <= self.now_s + PORT_AHEAD_S:
                line = end.line(self.now_s)
                if line is None:
                    break
                self.lines[k].write(line, self.now_s)

    def _next_s(self, k: int) -> float:
        """When end k has something to do: bytes arrive, a timer ends, or its port takes the next line."""
        wakeup = self.ends[k].wakeup()
        port_s = self.lines[k].busy_until_s - PORT_AHEAD_S
        own = port_s if port_s > self.now_s else wakeup
        return min(self.lines[1 - k].next_arrival_s(), own)
