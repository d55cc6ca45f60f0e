"""Simulated USB-ISS adapter with a particle counter on its SPI bus."""

from typing import Final

from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from pygnc_instruments.simulators.unit import SimulatedUnit

_LENGTHS: Final = {b"\x5a\x01": 2, b"\x5a\x03": 2, b"\x5a\x02": 4}
_SPI_ON: Final = 0x92
_SPI_OFF: Final = 0x40
_REJECTED: Final = b"\x00\x05"


class UsbIssSimulator(SimulatedUnit):
    """Simulated USB-ISS adapter.

    Args:
        opc: the counter on its SPI bus; None: no counter.
        serial_number: serial number of the adapter, 8 characters.
        nacks: number of SPI exchanges that it rejects.

    Attributes:
        exchanges_left: number of exchanges until the adapter stops responding; negative: no limit.
    """

    _input_gap_s = 0.05

    def __init__(self, opc: OpcN3Simulator | None, *, serial_number: str = "00030397", nacks: int = 0) -> None:
        super().__init__()
        self.baud = 9600
        self.opc = opc
        self.nacks = nacks
        self.exchanges_left = -1
        self._serial_number = serial_number
        self._mode = _SPI_OFF

    def _restart(self, now_s: float) -> None:
        """Restart adapter and counter, which share their power supply."""
        self._mode = _SPI_OFF
        if self.opc is not None:
            self.opc.power_cycle(now_s)

    def _take(self, now_s: float) -> bool:
        head = self._input[:2]
        if len(head) < 2:
            return False
        length = 2 if head[0] == 0x61 else _LENGTHS.get(head, 1)
        if len(self._input) < length:
            return False
        frame, self._input = self._input[:length], self._input[length:]
        if length == 1:
            self._send(_REJECTED, now_s)
        elif head[0] == 0x61:
            self._exchange(head[1], now_s)
        elif head[1] == 0x01:
            self._send(bytes([0x07, 0x07, self._mode]), now_s)
        elif head[1] == 0x03:
            self._send(self._serial_number.encode("ascii"), now_s)
        else:
            self._mode = frame[2]
            self._send(b"\xff\x00", now_s)
        return True

    def _exchange(self, octet: int, now_s: float) -> None:
        if self.exchanges_left == 0:
            return
        self.exchanges_left -= 1
        if self.nacks or self._mode != _SPI_ON:
            self.nacks = max(0, self.nacks - 1)
            self._send(_REJECTED, now_s)
        else:
            self._send(bytes([0xFF, 0xFF if self.opc is None else self.opc.exchange(octet, now_s)]), now_s)
