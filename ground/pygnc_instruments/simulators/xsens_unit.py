"""Simulated Xsens unit: states, settings, MTData2 messages."""

import math
import struct
from collections.abc import Iterable
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.xsens.items import encode_items, item_of
from pygnc_instruments.simulators.declared_unit import values_at
from pygnc_instruments.simulators.unit import SimulatedUnit, motion

_START: Final = b"\xfa\xff"
_BASE_HZ: Final = 2000
_TICK_HZ: Final = 10_000
_EVERY_MESSAGE: Final = 0xFFFF
_RESTART_S: Final = 0.3
_INVALID_MESSAGE, _INVALID_BAUD, _INVALID_PARAMETER = 0x04, 0x20, 0x21
_BAUDS: Final = {0x00: 460_800, 0x01: 230_400, 0x02: 115_200, 0x04: 57_600, 0x07: 19_200, 0x09: 9600, 0x0A: 921_600}
_OUTPUTS: Final = ((0x1020, _EVERY_MESSAGE), (0x1060, _EVERY_MESSAGE), (0x4020, 100), (0x8020, 100), (0xC020, 100))
_ORIENTATION: Final = ((0x2034, 100), (0xE020, _EVERY_MESSAGE))
GNSS_OUTPUTS: Final = (*_OUTPUTS, *_ORIENTATION, (0x5042, 100), (0xD014, 100), (0x7010, 4), (0x7020, 4))
"""Outputs of a unit with a receiver."""
_COMMON: Final = {0x1020, 0x1060}
"""Items that messages of the receiver have, too."""
_RECEIVER: Final = 0x7000
_GROUP: Final = 0xF800
_RECEIVER_DELAY_S: Final = 0.08
_BAUD, _ALIGNMENT, _OUTPUT, _PROFILE = 0x18, 0xEC, 0xC0, 0x64
_PROFILES: Final = ((50, b"General"), (51, b"High_mag_dep"), (54, b"VRU_general"))
_MEASUREMENT_ONLY: Final = {0x22: 2, 0xA4: 2}
"""Messages that a unit accepts while it measures, and the length of their data."""


def _outputs(entries: Iterable[tuple[int, int]]) -> bytes:
    return b"".join(struct.pack(">HH", *entry) for entry in entries)


_STORED: Final[dict[tuple[int, bytes], bytes]] = {
    (_OUTPUT, b""): _outputs((*_OUTPUTS, *_ORIENTATION)),
    (_BAUD, b""): b"\x02",
    (_PROFILE, b""): bytes([0, 50]),
    (_ALIGNMENT, b"\x00"): struct.pack(">4f", 1, 0, 0, 0),
    (_ALIGNMENT, b"\x01"): struct.pack(">4f", 1, 0, 0, 0),
    (0x6E, b""): struct.pack(">3d", 52.0, 7.0, 0.0),
    (0xDA, b""): b"\x00\x01",
    (0x84, b""): b"\x00\x00",
    (0xDC, b""): b"\x00\x00",
}
"""Settings by message and selector, as delivered."""


class XsensSimulator(SimulatedUnit):
    """Simulated unit, which sends MTData2 messages at 100 Hz after power-up.

    Args:
        product: product code.
        serial_number: device identifier.
        outputs: stored outputs: identifiers and rates, Hz; None: those of an AHRS.
        is_deaf: True for a unit that does not respond.
        clock_restarts: True for a unit whose clock begins at zero when it begins to measure.
        first_ticks: sample time at power-up, ticks of 0.1 ms.
        day_clock: True for a unit whose clock wraps after a day.

    Attributes:
        messages: messages received and their data.
        read_only: messages whose values the unit acknowledges but does not store.
    """

    _input_gap_s = 0.1

    def __init__(
        self,
        product: str = "MTi-30-2A8G4",
        serial_number: int = 0x0380_0123,
        *,
        outputs: Iterable[tuple[int, int]] | None = None,
        is_deaf: bool = False,
        clock_restarts: bool = False,
        first_ticks: int = 0,
        day_clock: bool = False,
    ) -> None:
        super().__init__()
        self.product = product
        self.serial_number = serial_number
        self.is_deaf = is_deaf
        self.clock_restarts = clock_restarts
        self.first_ticks = first_ticks
        self.modulus = 864_000_000 if day_clock else 1 << 32
        self.stored = dict(_STORED)
        if outputs is not None:
            self.stored[_OUTPUT, b""] = _outputs(outputs)
        self.messages: list[tuple[int, bytes]] = []
        self.read_only: set[int] = set()
        self._restart(0.0)

    def _restart(self, now_s: float) -> None:
        self.baud = _BAUDS[self.stored[_BAUD, b""][0]]
        self.is_measuring = True
        self._ready_s = self._boot_s = now_s
        self._begin_measurement(now_s)
        self._send(_message(0x3E, b""), now_s)

    def _begin_measurement(self, now_s: float) -> None:
        self._count, self._number = 0, 0
        self._begin_s = now_s
        if self.clock_restarts:
            self._boot_s = now_s
        entries = struct.iter_unpack(">HH", self.stored[_OUTPUT, b""])
        self._entries: list[tuple[int, int]] = [(identifier, hz) for identifier, hz in entries if identifier]
        rates = [hz for _, hz in self._entries if 0 < hz < _EVERY_MESSAGE]
        self._divider = _BASE_HZ // math.lcm(*rates) if rates else 0

    def _take(self, now_s: float) -> bool:
        begin = self._input.find(_START)
        if begin < 0:
            self._input = self._input[-1:] if self._input.endswith(_START[:1]) else b""
            return False
        self._input = self._input[begin:]
        end = 5 + self._input[3] if len(self._input) > 3 else math.inf
        if len(self._input) < end:
            return False
        octets = self._input[: int(end)]
        if sum(octets[1:]) & 0xFF:
            self._input = self._input[1:]
            return True
        self._input = self._input[len(octets) :]
        if not self.is_deaf and now_s >= self._ready_s:
            self._obey(octets[2], octets[4:-1], now_s)
        return True

    def _obey(self, message: int, data: bytes, now_s: float) -> None:
        self.messages.append((message, data))
        reply = self._reply(message, data)
        error = reply if isinstance(reply, int) else None
        octets = reply if isinstance(reply, bytes) else b""
        self._send(_message(message + 1, octets) if error is None else _message(0x42, bytes([error])), now_s)
        if message == 0x30:
            self.is_measuring = False
        elif message == 0x10 and error is None and not self.is_measuring:
            self.is_measuring = True
            self._begin_measurement(now_s)
        elif message == 0x40:
            self._restart(now_s)
            self._ready_s = self._begin_s = now_s + _RESTART_S

    def _reply(self, message: int, data: bytes) -> bytes | int:
        """Return the data of the acknowledgement, or the code of the error."""
        if message in {0x30, 0x10, 0x40}:
            return b""
        if message in _MEASUREMENT_ONLY and (self.is_measuring or data == b"\x00\x00"):
            return b"" if len(data) == _MEASUREMENT_ONLY[message] else _INVALID_PARAMETER
        if self.is_measuring:
            return _INVALID_MESSAGE
        fixed = {
            0x00: self.serial_number.to_bytes(4, "big"),
            0x12: bytes([1, 8, 2]),
            0x1C: self.product.encode().ljust(20),
            0x1E: bytes([2, 0]),
            0x24: b"\x01\xff",
            0x62: b"".join(struct.pack(">BB20s", number, 1, label.ljust(20)) for number, label in _PROFILES),
        }
        return fixed[message] if message in fixed else self._setting(message, data)

    def _setting(self, message: int, data: bytes) -> bytes | int:
        size = 1 if message == _ALIGNMENT else 0
        key, value = (message, data[:size]), data[size:]
        if key not in self.stored:
            return _INVALID_MESSAGE if not size else _INVALID_PARAMETER
        if not value:
            return key[1] + self.stored[key]
        if message == _BAUD and value[0] not in _BAUDS:
            return _INVALID_BAUD
        if message == _OUTPUT:
            rates = [hz for _, hz in struct.iter_unpack(">HH", value)] if len(value) % 4 == 0 else [3]
            if any(hz and hz < _EVERY_MESSAGE and _BASE_HZ % hz for hz in rates):
                return _INVALID_PARAMETER
        elif message != _PROFILE and len(value) != len(self.stored[key]):
            return _INVALID_PARAMETER
        if message not in self.read_only:
            self.stored[key] = value
        return value if message == _OUTPUT else b""

    def _tick_s(self) -> float:
        if not self.is_measuring or not self._divider:
            return math.inf
        return self._begin_s + (self._count + 1) * self._divider / _BASE_HZ

    def _tick(self) -> bytes:
        t_s = self._tick_s()
        self._count += 1
        elapsed = self._count * self._divider
        due = [
            identifier
            for identifier, hz in self._entries
            if hz == _EVERY_MESSAGE or (hz and elapsed % (_BASE_HZ // hz) == 0)
        ]
        if not any(hz != _EVERY_MESSAGE for identifier, hz in self._entries if identifier in due):
            return b""
        receiver = [identifier for identifier in due if identifier & _GROUP == _RECEIVER]
        octets = self.data_message([part for part in due if part not in receiver], t_s - self._boot_s)
        if receiver:
            common = [identifier for identifier in due if identifier in _COMMON]
            octets += self.data_message([*common, *receiver], t_s - self._boot_s - _RECEIVER_DELAY_S)
        return octets

    def data_message(self, identifiers: Iterable[int], t_s: float) -> bytes:
        """Return an MTData2 message with the values at a time since power-up, s."""
        values: dict[str, Value | None] = {}
        for item in filter(None, map(item_of, identifiers)):
            values |= values_at(item, t_s)
        values |= motion(t_s) | {
            "packet_counter": self._number,
            "sample_time_ticks": (self.first_ticks + round(t_s * _TICK_HZ)) % self.modulus,
            "sample_time_coarse_s": int(t_s),
            "status_word": 0x03,
            "mag_x_au": 0.4 * math.cos(0.5 * t_s),
            "mag_y_au": -0.4 * math.sin(0.5 * t_s),
            "mag_z_au": 0.9,
            "pressure_pa": 101_325,
            "gnss_fix_type": 3,
            "gnss_flags": 1,
            "gnss_latitude_rad": 0.65,
            "gnss_longitude_rad": -2.13,
            "satellites_count": 2,
            "satellites": bytes([0, 7, 41, 0x1F, 6, 3, 22, 0x14]),
        }
        self._number = (self._number + 1) & 0xFFFF
        items = encode_items(identifiers, values)
        payload = b"".join(struct.pack(">HB", identifier, len(data)) + data for identifier, data in items)
        return _message(0x36, payload)


def _message(message: int, data: bytes) -> bytes:
    length = bytes([len(data)]) if len(data) < 0xFF else struct.pack(">BH", 0xFF, len(data))
    body = _START[1:] + bytes([message]) + length + data
    return _START[:1] + body + bytes([-sum(body) & 0xFF])
