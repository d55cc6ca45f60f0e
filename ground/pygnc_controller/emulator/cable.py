"""The controller's end of a real line: a pty's master or a serial port, at a set pace, with faults on the way."""

import os
import select
import time
from math import inf
from typing import Final

from pygnc_controller.emulator.line import BITS_PER_BYTE, Faults, SerialLine

AHEAD_S: Final = 0.01
"""Bytes are put on the line, and taken from it, at most so long before it is their turn."""
BACKLOG_MAX: Final = 65_536
"""As much waits at the Pi's end as in its driver; what comes beyond is lost, for the line has no flow control."""


class Cable:
    """A line to a Pi.

    Args:
        descriptor: of the port; stays the caller's. Is made non-blocking.
        baud: pace of both directions.
        faults: what happens on the way, both ways. Spans count from `begin_spans` on.
        seed: of the faults.
    """

    def __init__(self, descriptor: int, baud: int = 115_200, faults: Faults | None = None, seed: int = 0) -> None:
        self._descriptor = descriptor
        self._faults = faults or Faults()
        os.set_blocking(descriptor, False)
        quiet = self._faults.since(inf)
        self.to_pi = SerialLine(2 * seed, quiet, baud)
        self.to_host = SerialLine(2 * seed + 1, quiet, baud)
        self.is_open = True
        self._portion = max(1, int(AHEAD_S * baud / BITS_PER_BYTE))
        self._rest = b""

    def begin_spans(self) -> None:
        """Let the time of cuts and of wrong speeds count from now on."""
        self.to_pi.faults = self.to_host.faults = self._faults.since(time.monotonic())

    @property
    def is_free(self) -> bool:
        """Whether the line takes more to the Pi."""
        return self.to_pi.busy_until_s <= time.monotonic() + AHEAD_S

    def write(self, octets: bytes) -> None:
        """Put bytes on the line."""
        self.to_pi.write(octets, time.monotonic())

    def exchange(self, wait_s: float) -> bytes:
        """Move what is to be moved, waiting for it up to `wait_s`; return what has arrived here."""
        now_s = time.monotonic()
        reads_at_s = max(now_s, self.to_host.busy_until_s - AHEAD_S)
        arrives_s = min(self.to_pi.next_arrival_s(), self.to_host.next_arrival_s())
        wait_s = max(0.0, min(wait_s, arrives_s - now_s, reads_at_s - now_s if reads_at_s > now_s else inf))
        readable = [self._descriptor] if reads_at_s <= now_s and self.is_open else []
        writable = [self._descriptor] if self._rest and self.is_open else []
        if readable or writable:
            readable, _, _ = select.select(readable, writable, [], wait_s)
        elif wait_s > 0.0:
            time.sleep(wait_s)
        if readable:
            self._take()
        self._deliver()
        return self.to_host.read(time.monotonic())

    def _take(self) -> None:
        try:
            octets = os.read(self._descriptor, self._portion)
        except BlockingIOError:
            return
        except OSError:
            octets = b""
        if not octets:
            self.is_open = False
        self.to_host.write(octets, time.monotonic())

    def _deliver(self) -> None:
        self._rest += self.to_pi.read(time.monotonic())
        if len(self._rest) > BACKLOG_MAX:
            self.to_pi.injected["overrun"] += len(self._rest) - BACKLOG_MAX
            self._rest = self._rest[:BACKLOG_MAX]
        try:
            while self._rest and self.is_open:
                self._rest = self._rest[os.write(self._descriptor, self._rest) :]
        except BlockingIOError:
            return
        except OSError:
            self.is_open = False
