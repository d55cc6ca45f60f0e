"""Faulty line between two pseudo-terminals: a port for the host's program and the console of the Pi."""

import os
import select
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Self

from pygnc_controller.emulator.serial_line import LineFaults, PacedPort


class PtyRelay:
    """Context manager that transfers bytes in a thread.

    `port` is what the host's program opens, as if it were a serial port. `chores` are called now and then.
    """

    def __init__(self, console: int, faults: LineFaults, seed: int, baud: int) -> None:
        self.cable = PacedPort(console, baud, faults, seed)
        self.cable.begin_spans()
        self._host, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._host, False)
        self.port = Path(os.ttyname(self._slave))
        self.chores: list[Callable[[], None]] = []
        self._inject = b""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="bad cable", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        os.close(self._host)
        os.close(self._slave)

    def inject(self, octets: bytes) -> None:
        """Let bytes reach the Pi that the host never sent."""
        self._inject += octets

    def _carry(self) -> None:
        rest = b""
        while not self._stopping.is_set():
            for chore in self.chores:
                chore()
            if self._inject:
                injected, self._inject = self._inject, b""
                self.cable.write(injected)
            if self.cable.is_free and select.select([self._host], [], [], 0.0)[0]:
                self.cable.write(os.read(self._host, 256))
            rest += self.cable.exchange(0.002)
            try:
                while rest:
                    rest = rest[os.write(self._host, rest) :]
            except BlockingIOError:
                continue
