"""A bad line: bytes lost, flipped and doubled, and silences, by rate and seed.

Where simulated units hang: a line that can be unplugged, such as a pty under a fixed name.

A unit behind a TCP port.

A unit that sends datagrams to a port of this computer.
"""

import contextlib
import errno
import os
import select
import socket
import termios
import threading
import time
import tty
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Self

from pygnc_instruments.simulators.unit import SimulatedUnit


@dataclass(frozen=True, slots=True)
class FaultRates:
    """How bad a line is.

    Attributes:
        lost: share of bytes that vanish.
        flipped: share of bytes with a flipped bit.
        doubled: share of bytes that come twice.
        silences_per_s: how often the line falls silent; what is sent meanwhile is lost.
        silence_s: for how long.
    """

    lost: float = 0.0
    flipped: float = 0.0
    doubled: float = 0.0
    silences_per_s: float = 0.0
    silence_s: float = 0.5


class FaultInjector:
    """Applies faults to bytes; the same seed and the same bytes give the same faults.

    Attributes:
        injected: number of faults so far.
    """

    def __init__(self, rates: FaultRates, seed: int = 0) -> None:
        self._rates = rates
        self._random = Random(seed)  # noqa: S311 - faults that can be repeated, no secrets
        self._silent_until_s = 0.0
        self._last_s: float | None = None
        self.injected = 0

    def pass_on(self, octets: bytes, now_s: float) -> bytes:
        """Return what arrives at the other end."""
        if self._is_silent(now_s):
            return b""
        rates = self._rates
        if not rates.lost + rates.flipped + rates.doubled:
            return octets
        arrived = bytearray()
        for octet in octets:
            draw = self._random.random()
            if draw < rates.lost:
                self.injected += 1
            elif draw < rates.lost + rates.flipped:
                self.injected += 1
                arrived.append(octet ^ 1 << self._random.randrange(8))
            elif draw < rates.lost + rates.flipped + rates.doubled:
                self.injected += 1
                arrived += bytes([octet, octet])
            else:
                arrived.append(octet)
        return bytes(arrived)

    def _is_silent(self, now_s: float) -> bool:
        elapsed_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        if now_s >= self._silent_until_s and self._random.random() < self._rates.silences_per_s * elapsed_s:
            self.injected += 1
            self._silent_until_s = now_s + self._rates.silence_s
        return now_s < self._silent_until_s


_LONGEST_WAIT_S: Final = 0.1
READ_BYTES: Final = 4096
_SPEEDS: Final = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdecimal()
}


class Endpoint(ABC):
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
        self.faults = FaultInjector(faults or FaultRates(), seed)
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


class PtyEndpoint(Endpoint):
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


class TcpEndpoint(Endpoint):
    """A unit behind a TCP port, as a serial server offers it; one client at a time.

    Args:
        unit: see `Line`.
        port: to listen at; 0: a free one.
        faults: see `Line`.
        seed: see `Line`.
        speed: see `Line`.
    """

    def __init__(
        self,
        unit: SimulatedUnit,
        *,
        port: int = 0,
        faults: FaultRates | None = None,
        seed: int = 0,
        speed: float = 1.0,
    ) -> None:
        super().__init__(unit, faults=faults, seed=seed, speed=speed)
        self._port = port
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._open()

    @property
    def url(self) -> str:
        """For pyserial."""
        return f"socket://127.0.0.1:{self._port}"

    def _open(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]

    def _close(self) -> None:
        for end in (self._client, self._listener):
            if end is not None:
                end.close()
        self._client = self._listener = None

    def _read(self, wait_s: float) -> bytes:
        ends = [end for end in (self._listener, self._client) if end is not None]
        for end in select.select(ends, [], [], wait_s)[0]:
            if end is self._listener:
                self._hang_up()
                self._client, _ = end.accept()
                self._client.setblocking(False)  # noqa: FBT003 - the library's signature
                continue
            try:
                octets = bytes(end.recv(READ_BYTES))
            except OSError:
                octets = b""
            if octets:
                return octets
            self._hang_up()
        return b""

    def _write(self, octets: bytes) -> None:
        if self._client is not None:
            try:
                self._client.send(octets)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                    self._hang_up()

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


class UdpEndpoint(Endpoint):
    """Sends what a unit says, cut into datagrams.

    Args:
        unit: see `Line`.
        port: that the driver listens at; 0: one that is free now.
        datagram_bytes: of one datagram.
        faults: see `Line`; a lost byte makes the datagrams behind it begin one byte late.
        seed: see `Line`.
        speed: see `Line`.
    """

    def __init__(
        self,
        unit: SimulatedUnit,
        datagram_bytes: int,
        port: int = 0,
        *,
        faults: FaultRates | None = None,
        seed: int = 0,
        speed: float = 1.0,
    ) -> None:
        super().__init__(unit, faults=faults, seed=seed, speed=speed)
        self.port = port or _free_port()
        self._datagram_bytes = datagram_bytes
        self._socket: socket.socket | None = None
        self._open()

    @property
    def url(self) -> str:
        """Where the driver listens."""
        return f"udp://127.0.0.1:{self.port}"

    def _open(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _read(self, wait_s: float) -> bytes:
        time.sleep(wait_s)
        return b""

    def _write(self, octets: bytes) -> None:
        if self._socket is not None:
            for at in range(0, len(octets), self._datagram_bytes):
                self._socket.sendto(octets[at : at + self._datagram_bytes], ("127.0.0.1", self.port))


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port
