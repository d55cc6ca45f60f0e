"""A unit that sends datagrams to a port of this computer."""

import socket
import time

from pygnc_instruments.simulators.faults import FaultRates
from pygnc_instruments.simulators.line import Line
from pygnc_instruments.simulators.unit import SimulatedUnit


class UdpLine(Line):
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
