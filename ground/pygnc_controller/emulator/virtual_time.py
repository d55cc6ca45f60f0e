"""Two ends of a line in virtual time: what owners of ports do, without ports and without waiting."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final

from pygnc_controller.emulator.line import SerialLine

PORT_AHEAD_S: Final = 0.01
"""An end hands its port the next portion when the one before is sent but for this."""
_TICK_S: Final = 1e-6


@dataclass
class End:
    """What drives one end: `read` takes bytes, `line` gives what is to be sent, `wakeup` says when to ask again."""

    read: Callable[[bytes, float], None]
    line: Callable[[float], bytes | None]
    wakeup: Callable[[], float]


class Session:
    """Two ends, joined by a line in each direction."""

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
            self.now_s = max(min(times), self.now_s + _TICK_S)
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
