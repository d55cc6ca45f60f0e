"""A base station that is not there: wraps the replies of the node behind it, acknowledges or refuses commands."""

from pygnc_devices.gx2.packets import PACKETS
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator


class Gx2BaseStation:
    """A base station with one node behind it; see `unit.SimulatedUnit`.

    Args:
        unit: the node's unit.
        node: its address.
    """

    def __init__(self, unit: Gx2Simulator, node: int = 76) -> None:
        self.unit = unit
        self.node = node
        self.baud = 115200
        self._input = b""
        self._output = b""

    def receive(self, octets: bytes, now_s: float) -> None:
        """Take bytes from the line: wrapped commands, and the question whether a node is there."""
        self._input += octets
        while self._input:
            if self._input[0] == 0x02 and len(self._input) >= 3:
                is_mine = int.from_bytes(self._input[1:3], "big") == self.node
                self._output += b"\x02" if is_mine else b"\x21"
                self._input = self._input[3:]
            elif self._input[:3] == b"\xaa\x0b\x00" and len(self._input) >= 6:
                if not self._take_wrapped(now_s):
                    return
            elif self._input[0] in {0x02, 0xAA} and len(self._input) < 6:
                return
            else:
                self._input = self._input[1:]

    def run(self, now_s: float) -> bytes:
        """Return what it has sent up to now."""
        sent, self._output = self._output, b""
        replies = self.unit.run(now_s)
        while replies:
            length = PACKETS[f"{replies[0]:02X}"].layout.size + 3
            data, replies = replies[: length - 2], replies[length:]
            body = b"\x07\x00" + self.node.to_bytes(2, "big") + bytes([len(data) + 1, 0]) + data
            sent += b"\xaa" + body + b"\x26\xd4" + (sum(body) & 0xFFFF).to_bytes(2, "big")
        return sent

    def next_s(self) -> float:
        """Return when it will next have something to send."""
        return 0.0 if self._output else self.unit.next_s()

    def power_cycle(self, now_s: float) -> None:
        """Start anew."""
        self.unit.power_cycle(now_s)

    def _take_wrapped(self, now_s: float) -> bool:
        end = 6 + self._input[5] + 2
        if len(self._input) < end:
            return False
        body, total = self._input[1 : end - 2], self._input[end - 2 : end]
        if (sum(body) & 0xFFFF).to_bytes(2, "big") != total:
            self._input = self._input[1:]
            return True
        self._input = self._input[end:]
        if int.from_bytes(body[2:4], "big") != self.node:
            self._output += b"\x21"
        else:
            self._output += b"\xaa"
            self.unit.receive(body[6:], now_s)
        return True
