"""The lower-case commands of a simulated OpenIMU application."""

import struct
from typing import Final, Protocol

_SLOTS: Final = 20
_SLOT_BYTES: Final = 8
_ANSWER_S: Final = 0.002
_TYPE, _RATE, _ORIENTATION = 3, 4, 7
_RATES_HZ: Final = (0, 2, 5, 10, 20, 25, 50, 100, 200)


class _Unit(Protocol):
    serial_number: int
    text: str

    def send(self, kind: bytes, payload: bytes, at_s: float) -> None: ...

    def power_cycle(self, now_s: float) -> None: ...


def _defaults() -> list[bytes]:
    slots = [struct.pack("<q", 0)] * _SLOTS
    slots[2] = struct.pack("<q", 115200)
    slots[_TYPE] = b"z1".ljust(_SLOT_BYTES, b"\0")
    slots[_RATE] = struct.pack("<q", 100)
    slots[_ORIENTATION] = b"+X+Y+Z".ljust(_SLOT_BYTES, b"\0")
    return slots


class UserCommands:
    """Parameters of eight bytes each, in RAM and in flash."""

    def __init__(self, unit: _Unit) -> None:
        self._unit = unit
        self.ram = _defaults()
        self.flash = _defaults()

    def obey(self, kind: bytes, payload: bytes, now_s: float) -> bool:
        """Carry a command out; False if it is none of these."""
        handler = {
            b"pG": self._ping, b"gV": self._version, b"gA": self._get_all, b"gP": self._get, b"gC": self._get_some,
            b"uP": self._set, b"uC": self._set_some, b"uA": self._set_all, b"sC": self._save, b"rD": self._default,
            b"ma": self._align,
        }.get(kind)  # fmt: skip
        if kind == b"rS":
            self.ram = list(self.flash)
            self._unit.power_cycle(now_s)
            return True
        if handler is None:
            return False
        try:
            answer = handler(payload)
        except (struct.error, IndexError):
            return False
        self._unit.send(kind, answer, now_s + _ANSWER_S)
        return True

    def _ping(self, _: bytes) -> bytes:
        return f"{self._unit.text} SN:{self._unit.serial_number}".encode("latin-1") + b"\0"

    def _version(self, _: bytes) -> bytes:
        return b"OpenIMU300-IMU 1.1.1\0"

    def _get_all(self, _: bytes) -> bytes:
        return b"".join(self.ram)

    def _get(self, payload: bytes) -> bytes:
        (number,) = struct.unpack("<I", payload)
        return payload + bytes(self.ram[number])

    def _get_some(self, payload: bytes) -> bytes:
        count, first = struct.unpack("<II", payload)
        return payload + b"".join(self.ram[first : first + count])

    def _set(self, payload: bytes) -> bytes:
        (number,) = struct.unpack_from("<I", payload)
        return self._put(number, payload[4:])

    def _set_some(self, payload: bytes) -> bytes:
        count, first = struct.unpack_from("<II", payload)
        return self._put(first, payload[8:]) if len(payload) == 8 + count * _SLOT_BYTES else struct.pack("<i", -3)

    def _set_all(self, payload: bytes) -> bytes:
        return self._put(0, payload) if len(payload) == _SLOTS * _SLOT_BYTES else struct.pack("<i", -3)

    def _put(self, first: int, octets: bytes) -> bytes:
        if first + len(octets) // _SLOT_BYTES > _SLOTS:
            return struct.pack("<i", -1)
        slots = [octets[at : at + _SLOT_BYTES] for at in range(0, len(octets), _SLOT_BYTES)]
        for number, slot in enumerate(slots, first):
            if number == _RATE and int.from_bytes(slot, "little", signed=True) not in _RATES_HZ:
                return struct.pack("<i", -2)
        self.ram[first : first + len(slots)] = slots
        return struct.pack("<i", 0)

    def _save(self, _: bytes) -> bytes:
        self.flash = list(self.ram)
        return b""

    def _default(self, _: bytes) -> bytes:
        self.ram = _defaults()
        return b""

    def _align(self, payload: bytes) -> bytes:
        (action,) = struct.unpack("B", payload)
        return bytes([action, 0])
