"""Simulated USB-ISS adapter with a particle counter on its SPI bus."""

import math
from typing import Final

from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator

_LENGTHS: Final = {b"\x5a\x01": 2, b"\x5a\x03": 2, b"\x5a\x02": 4}
_PIECE_S: Final = 0.05
"""Time after which an incomplete frame is dropped."""


class UsbIssSimulator:
    """Simulated adapter; see `SimulatedUnit`.

    Args:
        opc: the counter on its SPI bus; None for none.
        serial_number: serial number of the adapter, 8 characters.
        nacks: number of SPI exchanges that it rejects.
    """

    def __init__(self, opc: OpcN3Simulator | None, *, serial_number: str = "00030397", nacks: int = 0) -> None:
        self.baud = 9600
        self.opc = opc
        self.nacks = nacks
        self.exchanges_left = -1
        """Number of exchanges until the adapter stops answering; negative for never."""
        self._serial_number = serial_number
        self._mode = 0x40
        self._input = b""
        self._input_s = 0.0
        self._output = b""

    def receive(self, octets: bytes, now_s: float) -> None:
        """Receive bytes from the driver."""
        if now_s - self._input_s > _PIECE_S:
            self._input = b""
        self._input_s = now_s
        self._input += octets
        while self._take(now_s):
            pass

    def run(self, now_s: float) -> bytes:  # noqa: ARG002 - see `SimulatedUnit`
        """Return the bytes sent up to now."""
        sent, self._output = self._output, b""
        return sent

    def next_s(self) -> float:
        """Return the time of the next output; infinity because the adapter only answers."""
        return 0.0 if self._output else math.inf

    def power_cycle(self, now_s: float) -> None:
        """Restart adapter and counter, which share their power supply."""
        self._mode, self._input, self._output = 0x40, b"", b""
        if self.opc is not None:
            self.opc.power_cycle(now_s)

    def _take(self, now_s: float) -> bool:
        if len(self._input) < 2:
            return False
        head = self._input[:2]
        if head[0] == 0x61:
            self._input = self._input[2:]
            self._exchange(head[1], now_s)
            return True
        length = _LENGTHS.get(head)
        if length is None:
            self._input = self._input[1:]
            self._output += b"\x00\x05"
            return True
        if len(self._input) < length:
            return False
        frame, self._input = self._input[:length], self._input[length:]
        if head[1] == 0x01:
            self._output += bytes([0x07, 0x07, self._mode])
        elif head[1] == 0x03:
            self._output += self._serial_number.encode("ascii")
        else:
            self._mode = frame[2]
            self._output += b"\xff\x00"
        return True

    def _exchange(self, octet: int, now_s: float) -> None:
        if self.exchanges_left == 0:
            return
        self.exchanges_left -= 1
        if self.nacks or self._mode != 0x92:
            self.nacks = max(0, self.nacks - 1)
            self._output += b"\x00\x05"
            return
        self._output += bytes([0xFF, 0xFF if self.opc is None else self.opc.exchange(octet, now_s)])
