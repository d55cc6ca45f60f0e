"""A unit behind a TCP port."""

import errno
import select
import socket

from pygnc_instruments.simulators.faults import FaultRates
from pygnc_instruments.simulators.line import READ_BYTES, Line
from pygnc_instruments.simulators.unit import SimulatedUnit


class TcpLine(Line):
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
