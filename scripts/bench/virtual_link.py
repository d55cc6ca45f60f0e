"""Simulation of a line and of the Pi's end of the streaming interface in virtual time, for benchmarks and tests."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Final

from pygnc.host.channel import Channel, ChannelCounters
from pygnc.host.channel_events import Received
from pygnc.host.connection import HostConnection
from pygnc.host.home_files import HomeFiles
from pygnc.host.parameters import Parameters
from pygnc.host.sentence import Direction
from pygnc.host.sentence_types import STAT, SentenceType
from pygnc.host.settings_slots import read_slots, write_slot
from pygnc_controller.emulator.serial_line import SerialLine

PORT_AHEAD_S: Final = 0.01
"""Remaining transmission time of the current output at which an end produces the next output."""
RESTART_S: Final = 1.5
"""Time from a false Ctrl-C to the restart of main.py."""
CTRL_C: Final = b"\x03"
_TICK_S: Final = 1e-6


@dataclass
class LineEnd:
    """Callbacks of an end of the line.

    Attributes:
        read: Function that processes bytes received at a time (second argument, s).
        line: Function that returns the bytes to send at a time (argument, s), or None.
        wakeup: Function that returns the time, s, at which `line` must be called if nothing arrives before.
    """

    read: Callable[[bytes, float], None]
    line: Callable[[float], bytes | None]
    wakeup: Callable[[], float]


class VirtualLink:
    """Simulated link: two ends with a line in each direction, in virtual time."""

    def __init__(self, ends: Sequence[LineEnd], lines: Sequence[SerialLine]) -> None:
        self.ends = list(ends)
        self.lines = list(lines)
        self.now_s = 0.0
        self._calls: list[tuple[float, int, Callable[[float], None]]] = []

    def at(self, time_s: float, call: Callable[[float], None]) -> None:
        """Schedule a call at a time, s."""
        heapq.heappush(self._calls, (time_s, len(self._calls), call))

    def run(self, until: Callable[[], bool], limit_s: float) -> bool:
        """Advance the time until a condition holds; return False if it does not hold at `limit_s`, s."""
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
        """Return the time of the next event of end k: arrival of bytes, timer, or readiness of its port."""
        wakeup = self.ends[k].wakeup()
        port_s = self.lines[k].busy_until_s - PORT_AHEAD_S
        own = port_s if port_s > self.now_s else wakeup
        return min(self.lines[1 - k].next_arrival_s(), own)


class VirtualPi:
    """Simulated Pi: what the task host_link does, without its process.

    Args:
        home: Home folder with real files.
        status: Status record for responses.
        info: Info text for responses.

    Attributes:
        packets: Types and bytes of the live packets, in order of arrival.
        interrupts: Ctrl-C characters received; main.py was restarted after each.
    """

    def __init__(self, home: Path, status: bytes = b"", info: bytes = b"") -> None:
        self.packets: list[tuple[str, bytes]] = []
        self.interrupts = 0
        self._home = home
        self._reports = (status, info)
        self._starts = 0
        self._down_until_s = 0.0
        self._conversation: HostConnection | None = None

    def end(self) -> LineEnd:
        """Return the callbacks of this end."""
        return LineEnd(self._read, self._line, self._wakeup_s)

    @property
    def counts(self) -> ChannelCounters:
        """Counters of sentences since the last restart."""
        return self._talk().channel.counts

    def take_packet(self, received: Received) -> None:
        """See `HostServices`."""
        self.packets.append((received.kind.name, received.body.tail))

    def report(self, kind: SentenceType) -> bytes:
        """See `HostServices`."""
        return self._reports[0] if kind is STAT else self._reports[1]

    def stop(self) -> None:
        """See `HostServices`."""

    def _read(self, data: bytes, now_s: float) -> None:
        if now_s < self._down_until_s:
            return
        before, interrupt, _ = data.partition(CTRL_C)
        self._talk().take(before, now_s)
        if interrupt:
            self.interrupts += 1
            self._conversation = None
            self._down_until_s = now_s + RESTART_S

    def _line(self, now_s: float) -> bytes | None:
        return None if now_s < self._down_until_s else self._talk().next_output(now_s)

    def _wakeup_s(self) -> float:
        return self._down_until_s if self._conversation is None else self._conversation.channel.wakeup_s()

    def _talk(self) -> HostConnection:
        if self._conversation is None:
            self._starts += 1
            files = HomeFiles(self._home, 0)
            write = partial(write_slot, self._home)
            parameters = Parameters({}, lambda _: None, read_slots(self._home), write)
            channel = Channel(Direction.TO_HOST, self._starts, "PyGNC")
            self._conversation = HostConnection(channel, files, parameters, self)
        return self._conversation
