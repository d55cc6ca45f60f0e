"""Where simulated units hang: a line that can be unplugged, such as a pty under a fixed name."""

import contextlib
import os
import select
import termios
import threading
import time
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, Self

from pygnc_instruments.simulators.faults import FaultRates, FaultyLine
from pygnc_instruments.simulators.unit import SimulatedUnit

_LONGEST_WAIT_S: Final = 0.1
READ_BYTES: Final = 4096
_SPEEDS: Final = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdecimal()
}


class Line(ABC):
    """A unit on a line, in a thread; a context manager.

    Args:
        unit: what hangs on it; called in the line's thread only.
        faults: how bad the line is, both ways.
        seed: of the faults.
        speed: seconds of the unit's time per second.
    """

    def __init__(
        self, unit: SimulatedUnit, *, faults: FaultRates | None = None, seed: int = 0, speed: float = 1.0
    ) -> None:
        self.unit = unit
        self.faults = FaultyLine(faults or FaultRates(), seed)
        self._speed = speed
        self._start_s = time.monotonic()
        self._plugged = threading.Event()
        self._plugged.set()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._turnstile = threading.Lock()
        """Held by whoever waits for the lock: the thread, which asks for both all the time, would never let it in."""
        self._turned = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="simulated unit", daemon=True)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where a driver finds it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._close()

    def unplug(self) -> None:
        """Pull the cable: whoever has the port open finds it gone."""
        with self.hold():
            self._plugged.clear()
            self._close()

    def plug_in(self, *, power_cycled: bool = True) -> None:
        """Put it back; a unit that is fed by its cable starts anew."""
        with self.hold():
            if power_cycled:
                self.unit.power_cycle(self.now_s())
            self._open()
            self._plugged.set()

    @contextlib.contextmanager
    def hold(self) -> Generator[None, None, None]:
        """Stop the unit where it is; the line stays open."""
        with self._turnstile:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def wait_until(self, condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
        """Wait until something is true of the unit, looked at after each of its turns; tell whether it is."""
        with self._turned:
            return self._turned.wait_for(condition, limit_s)

    def now_s(self) -> float:
        """Return the unit's time."""
        return (time.monotonic() - self._start_s) * self._speed

    def _serve(self) -> None:
        while not self._stopping.is_set():
            with self.hold():
                is_plugged = self._plugged.is_set()
                if is_plugged:
                    self._turn()
            if is_plugged:
                with self._turned:
                    self._turned.notify_all()
                continue
            self._plugged.wait(_LONGEST_WAIT_S)

    def _turn(self) -> None:
        wait_s = min(_LONGEST_WAIT_S, max(0.0, (self.unit.next_s() - self.now_s()) / self._speed))
        octets = self._read(wait_s)
        now_s = self.now_s()
        if octets and self._can_hear():
            self.unit.receive(self.faults.pass_on(octets, now_s), now_s)
        can_hear = self._can_hear()
        sent = self.unit.run(now_s)
        if sent:
            # At a wrong speed bytes arrive, but not these.
            self._write(self.faults.pass_on(sent, now_s) if can_hear else bytes(octet ^ 0xA5 for octet in sent))

    def _can_hear(self) -> bool:
        return True

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    @abstractmethod
    def _read(self, wait_s: float) -> bytes: ...

    @abstractmethod
    def _write(self, octets: bytes) -> None: ...


class PtyLine(Line):
    """A unit behind a pty.

    Args:
        unit: see `Line`.
        link: name under which the pty is found, the same after each plugging in.
        faults: see `Line`.
        seed: see `Line`.
        speed: see `Line`.
    """

    def __init__(
        self,
        unit: SimulatedUnit,
        link: Path,
        *,
        faults: FaultRates | None = None,
        seed: int = 0,
        speed: float = 1.0,
    ) -> None:
        super().__init__(unit, faults=faults, seed=seed, speed=speed)
        self._link = link
        self._master, self._slave = -1, -1
        self._open()

    @property
    def url(self) -> str:
        """The path of the link."""
        return str(self._link)

    def _open(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._slave))

    def _close(self) -> None:
        if self._master >= 0:
            os.close(self._master)
            os.close(self._slave)
            self._link.unlink(missing_ok=True)
        self._master, self._slave = -1, -1

    def _can_hear(self) -> bool:
        return _SPEEDS.get(termios.tcgetattr(self._slave)[5]) == self.unit.baud

    def _read(self, wait_s: float) -> bytes:
        if select.select([self._master], [], [], wait_s)[0]:
            with contextlib.suppress(OSError):
                return os.read(self._master, READ_BYTES)
        return b""

    def _write(self, octets: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # nobody reads: as on a real line, it is lost
            os.write(self._master, octets)
