"""Endpoints at which drivers reach a simulated unit: a pseudo-terminal, a TCP port or UDP datagrams, with line faults.

An endpoint runs its unit in a thread, can be unplugged and plugged in again, and injects random but repeatable faults.
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
from typing import Final, Self, TypedDict, Unpack

from pygnc_instruments.simulators.unit import SimulatedUnit

_MAX_WAIT_S: Final = 0.1
_READ_BYTES: Final = 4096
_BAUD_OF_SPEED: Final = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if name[0] == "B" and name[1:].isdecimal()
}
"""Baud rates by termios constant."""


@dataclass(frozen=True, slots=True)
class FaultRates:
    """Rates of line faults.

    Attributes:
        lost: fraction of bytes that are lost, 0 to 1.
        flipped: fraction of bytes in which a bit is flipped, 0 to 1.
        doubled: fraction of bytes that arrive twice, 0 to 1.
        silences_per_s: rate of silences, in which all bytes are lost, 1/s.
        silence_s: duration of a silence, s.
    """

    lost: float = 0.0
    flipped: float = 0.0
    doubled: float = 0.0
    silences_per_s: float = 0.0
    silence_s: float = 0.5


class FaultInjector:
    """Generator of line faults; equal seeds and equal bytes give equal faults.

    Attributes:
        injected: number of faults so far.
    """

    def __init__(self, rates: FaultRates, seed: int = 0) -> None:
        self._rates = rates
        self._random = Random(seed)  # noqa: S311 - repeatable faults, no secrets
        self._silent_until_s = 0.0
        self._last_s: float | None = None
        self.injected = 0

    def apply(self, octets: bytes, now_s: float) -> bytes:
        """Return the bytes that arrive at the other end of the line."""
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


class EndpointOptions(TypedDict, total=False):
    """Options of every endpoint.

    Attributes:
        faults: rates of the line's faults, in both directions; default: none.
        seed: seed of the fault generator; default: 0.
        speed: simulated seconds per second; default: 1.
    """

    faults: FaultRates | None
    seed: int
    speed: float


class Endpoint(ABC):
    """Base class of endpoints: a simulated unit that runs in a thread; a context manager.

    An error of the unit disconnects it, so that no driver waits for it, and is raised at the end of the `with` block.

    Attributes:
        unit: the unit; only the endpoint's thread calls it, except inside `hold`.
        faults: the generator of faults.
    """

    def __init__(self, unit: SimulatedUnit, **options: Unpack[EndpointOptions]) -> None:
        self.unit = unit
        self.faults = FaultInjector(options.get("faults") or FaultRates(), options.get("seed", 0))
        self._speed = options.get("speed", 1.0)
        self._start_s = time.monotonic()
        self._plugged = threading.Event()
        self._plugged.set()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._queue_for_lock = threading.Lock()
        """Held while waiting for `_lock`: without it the thread, which re-acquires `_lock` at once, starves others."""
        self._stepped = threading.Condition()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="simulated unit", daemon=True)

    @property
    @abstractmethod
    def url(self) -> str:
        """Path or URL for a driver."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._close()
        self._raise_error()

    def unplug(self) -> None:
        """Disconnect the unit: a driver's open port fails."""
        with self.hold():
            self._plugged.clear()
            self._close()

    def plug_in(self, *, power_cycled: bool = True) -> None:
        """Connect the unit again; a unit that is powered by its cable restarts."""
        with self.hold():
            if power_cycled:
                self.unit.power_cycle(self.now_s())
            self._open()
            self._plugged.set()

    @contextlib.contextmanager
    def hold(self) -> Generator[None, None, None]:
        """Pause the unit inside the block; the port stays open."""
        with self._queue_for_lock:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def wait_until(self, condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
        """Wait until a condition of the unit is true, checked after each step; return False after `limit_s` seconds.

        Raises:
            Exception: the unit has raised this error.
        """
        with self._stepped:
            is_true = self._stepped.wait_for(lambda: self._error is not None or condition(), limit_s)
        self._raise_error()
        return is_true

    def now_s(self) -> float:
        """Return the simulated time since the start, s."""
        return (time.monotonic() - self._start_s) * self._speed

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._simulate()
        except Exception as error:  # noqa: BLE001 - `__exit__` and `wait_until` raise it
            self._error = error
            self.unplug()
            with self._stepped:
                self._stepped.notify_all()

    def _simulate(self) -> None:
        while not self._stopping.is_set():
            with self.hold():
                is_plugged = self._plugged.is_set()
                if is_plugged:
                    self._step()
            if is_plugged:
                with self._stepped:
                    self._stepped.notify_all()
            else:
                self._plugged.wait(_MAX_WAIT_S)

    def _step(self) -> None:
        wait_s = min(_MAX_WAIT_S, max(0.0, (self.unit.next_s() - self.now_s()) / self._speed))
        octets = self._read(wait_s)
        now_s = self.now_s()
        if octets and self._has_same_baud():
            self.unit.receive(self.faults.apply(octets, now_s), now_s)
        has_same_baud = self._has_same_baud()
        sent = self.unit.run(now_s)
        if sent:
            # With a wrong baud rate the same number of bytes arrives, with other values.
            self._write(self.faults.apply(sent, now_s) if has_same_baud else bytes(octet ^ 0xA5 for octet in sent))

    def _has_same_baud(self) -> bool:
        """Return True if the driver uses the unit's baud rate; networks have no baud rate."""
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
    """Endpoint at a pseudo-terminal.

    Args:
        unit: the unit.
        link: path of the symbolic link to the pseudo-terminal; the path stays valid when the unit is plugged in again.
        options: see `EndpointOptions`.
    """

    def __init__(self, unit: SimulatedUnit, link: Path, **options: Unpack[EndpointOptions]) -> None:
        super().__init__(unit, **options)
        self._link = link
        self._master, self._slave = -1, -1
        self._open()

    @property
    def url(self) -> str:
        """Path of the link."""
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

    def _has_same_baud(self) -> bool:
        return _BAUD_OF_SPEED.get(termios.tcgetattr(self._slave)[5]) == self.unit.baud

    def _read(self, wait_s: float) -> bytes:
        if select.select([self._master], [], [], wait_s)[0]:
            with contextlib.suppress(OSError):
                return os.read(self._master, _READ_BYTES)
        return b""

    def _write(self, octets: bytes) -> None:
        with contextlib.suppress(BlockingIOError):  # without a reader the bytes are lost, as on a real line
            os.write(self._master, octets)


class TcpEndpoint(Endpoint):
    """Endpoint at a TCP port of this computer, as on a serial server; one client at a time.

    Args:
        unit: the unit.
        port: TCP port to listen on; 0 for any free port.
        options: see `EndpointOptions`.
    """

    def __init__(self, unit: SimulatedUnit, *, port: int = 0, **options: Unpack[EndpointOptions]) -> None:
        super().__init__(unit, **options)
        self._port = port
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None
        self._open()

    @property
    def url(self) -> str:
        """URL in pyserial's form."""
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
                self._disconnect_client()
                self._client, _ = end.accept()
                self._client.setblocking(False)  # noqa: FBT003 - the library's signature
                break  # the other end is that of the client before
            try:
                octets = bytes(end.recv(_READ_BYTES))
            except OSError:
                octets = b""
            if octets:
                return octets
            self._disconnect_client()
        return b""

    def _write(self, octets: bytes) -> None:
        if self._client is not None:
            try:
                self._client.send(octets)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK):
                    self._disconnect_client()

    def _disconnect_client(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None


class UdpEndpoint(Endpoint):
    """Endpoint that sends datagrams to a UDP port of this computer.

    Args:
        unit: the unit.
        datagram_bytes: size of a datagram, bytes; after a lost byte, the following datagrams begin one byte late.
        port: UDP port that the driver listens on; 0 for any free port.
        options: see `EndpointOptions`.
    """

    def __init__(
        self, unit: SimulatedUnit, datagram_bytes: int, port: int = 0, **options: Unpack[EndpointOptions]
    ) -> None:
        super().__init__(unit, **options)
        self.port = port or _free_udp_port()
        self._datagram_bytes = datagram_bytes
        self._open()

    @property
    def url(self) -> str:
        """URL on which the driver listens."""
        return f"udp://127.0.0.1:{self.port}"

    def _open(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def _close(self) -> None:
        self._socket.close()

    def _read(self, wait_s: float) -> bytes:
        time.sleep(wait_s)
        return b""

    def _write(self, octets: bytes) -> None:
        for start in range(0, len(octets), self._datagram_bytes):
            self._socket.sendto(octets[start : start + self._datagram_bytes], ("127.0.0.1", self.port))


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
