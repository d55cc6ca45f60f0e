"""Simulated DMU38x or OpenIMU: stream, commands, fields in RAM and EEPROM, parameters of an OpenIMU application."""

import binascii
import math
import struct
from collections.abc import Callable, Mapping
from typing import Final

from pygnc_devices.declaration import Packet, Value
from pygnc_devices.ucb import fields
from pygnc_devices.ucb.packets import ANSWER_PACKETS, OUTPUT_PACKETS, USER_PACKETS
from pygnc_instruments.simulators.ucb_bootloader import ANSWER_S, CRC_INITIAL, ERASE_S, Bootloader, FramedUnit, frame
from pygnc_instruments.simulators.unit import motion

PACKETS: Final = {packet.name: packet for packet in (*OUTPUT_PACKETS, *ANSWER_PACKETS, *USER_PACKETS)}
DEFAULTS: Final = {
    0x01: 1, 0x02: 5, 0x03: 0x5331, 0x05: 1070, 0x06: 1070, 0x07: 0x006B, 0x08: 0, 0x09: 0, 0x0A: 0, 0x0B: 0x8000,
    0x0C: 0, 0x0D: 0, 0x0E: 0, 0x10: 0xFFFF, 0x11: 0xFFFF, 0x12: 0xFFFF, 0x13: 0xFFFF, 0x071C: 0x0081,
}  # fmt: skip
_SLOTS: Final = 20
_SLOT_BYTES: Final = 8
_TYPE, _RATE, _ORIENTATION = 3, 4, 7
_RATES_HZ: Final = (0, 2, 5, 10, 20, 25, 50, 100, 200)
_COMMAND_LIMIT_S: Final = 4.0
_SHORT_PING_S: Final = 0.02
_EEPROM_S: Final = 1.0
_RESTART_S: Final = 2.0
_TIMER_HZ: Final = 1 << 16


def accepts_field(store: Mapping[int, int], number: int, value: int) -> bool:
    """Return True if a unit with the fields `store` accepts a value for field `number`."""
    spec = fields.FIELD_TABLE.get(number)
    if spec is None or number not in store or not spec.writable:
        return False
    if spec.legal is not None and value not in spec.legal:
        return False
    after = {**store, number: value}
    packet = PACKETS.get(fields.type_text(after[fields.PACKET_TYPE]))
    if packet is None or not packet.is_reading:
        return False
    if number not in (fields.RATE, fields.BAUD, fields.PACKET_TYPE):
        return True
    rate_hz, baud = fields.HZ_OF_DIVIDER[after[fields.RATE]], fields.BAUD_OF_CODE[after[fields.BAUD]]
    return fields.fits_line(packet.layout.size, rate_hz, baud)


def _defaults() -> list[bytes]:
    slots = [struct.pack("<q", 0)] * _SLOTS
    slots[2] = struct.pack("<q", 115200)
    slots[_TYPE] = b"z1".ljust(_SLOT_BYTES, b"\0")
    slots[_RATE] = struct.pack("<q", 100)
    slots[_ORIENTATION] = b"+X+Y+Z".ljust(_SLOT_BYTES, b"\0")
    return slots


class UserCommands:
    """Lower-case commands of an OpenIMU application: parameters of eight bytes each, in RAM and in flash."""

    def __init__(self, unit: "UcbSimulator") -> None:
        self._unit = unit
        self.ram = _defaults()
        self.flash = _defaults()

    def obey(self, kind: bytes, payload: bytes, now_s: float) -> bool:
        """Carry out a command and return True; return False if the command is unknown."""
        if kind == b"rS":
            self.ram = list(self.flash)
            self._unit.power_cycle(now_s)
            return True
        handlers: dict[bytes, Callable[[bytes], bytes]] = {
            b"pG": lambda _: f"{self._unit.text} SN:{self._unit.serial_number}".encode("latin-1") + b"\0",
            b"gV": lambda _: b"OpenIMU300-IMU 1.1.1\0",
            b"gA": lambda _: b"".join(self.ram),
            b"gP": self._get,
            b"gC": self._get_some,
            b"uP": self._set,
            b"uC": self._set_some,
            b"uA": self._set_all,
            b"sC": self._save,
            b"rD": self._default,
            b"ma": lambda action: bytes([*struct.unpack("B", action), 0]),
        }
        try:
            response = handlers[kind](payload)
        except (KeyError, struct.error, IndexError):
            return False
        self._unit.send(kind, response, now_s + ANSWER_S)
        return True

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


class UcbSimulator(FramedUnit):
    """Simulated DMU38x or OpenIMU.

    Args:
        serial_number: serial number.
        text: model, part number and version.
        nak: packet type of refusals: 0x1515 for a DMU380, 0x0000 for an OpenIMU.
        counter_is_timer: True if the counter of S1 is a timer with 65536 ticks per second.
        restart_s: time without responses after SR and JA, s.
        erase_s: time in which the bootloader erases the flash, s.
        eeprom: fields in EEPROM that differ from DEFAULTS.
    """

    def __init__(
        self,
        serial_number: int = 2008705635,
        text: str = "IMU381ZA-400 5020-1383-01 10.00.01",
        *,
        nak: bytes = b"\x15\x15",
        counter_is_timer: bool = False,
        restart_s: float = _RESTART_S,
        erase_s: float = ERASE_S,
        eeprom: dict[int, int] | None = None,
    ) -> None:
        super().__init__(text, nak)
        self.serial_number = serial_number
        self.eeprom = DEFAULTS | (eeprom or {})
        self._start(0.0)
        self.bit_status = 0
        self.align_s = 2.0
        self._counter_is_timer = counter_is_timer
        self._restart_s = restart_s
        self._input_since_s = 0.0
        self._user = UserCommands(self)
        self.bootloader = Bootloader(self, erase_s)
        self._handlers: dict[bytes, Callable[[bytes, float], bytes | None]] = {
            b"PK": lambda payload, _: payload,
            b"CH": lambda payload, _: payload,
            b"GP": self._get_packet,
            b"GF": lambda payload, now_s: self._ask(b"GF", payload, self.ram, now_s),
            b"RF": lambda payload, now_s: self._ask(b"RF", payload, self.eeprom, now_s),
            b"SF": lambda payload, now_s: self._put(b"SF", payload, now_s),
            b"WF": lambda payload, now_s: self._put(b"WF", payload, now_s),
            b"RE": self._read_words,
            b"AR": lambda payload, _: payload,
            b"SR": self._reset,
            b"PR": self._reset,
            b"WC": self._calibrate,
            b"JI": self.bootloader.enter,
        }

    def receive(self, octets: bytes, now_s: float) -> None:
        """Receive bytes; a command must be complete within 4 s, and a command with a wrong CRC is ignored."""
        if now_s < self._ignoring_until_s:
            return
        if not self._input or now_s - self._input_since_s > _COMMAND_LIMIT_S:
            self._input, self._input_since_s = b"", now_s
        super().receive(octets, now_s)

    def run(self, now_s: float) -> bytes:
        """Return the bytes that the unit has sent since the previous call and up to `now_s`."""
        self.bootloader.run(now_s)
        if self._input == b"UUPK" and now_s - self._input_since_s > _SHORT_PING_S:
            self._input = b""
            self.send(b"PK", b"", now_s)
        return super().run(now_s)

    def next_s(self) -> float:
        """Return the time by which `run` has to be called again, s."""
        short_ping_s = self._input_since_s + _SHORT_PING_S if self._input == b"UUPK" else math.inf
        return min(super().next_s(), self.bootloader.next_s(), short_ping_s + 1e-3)

    def _restart(self, now_s: float) -> None:
        self._start(now_s)
        self.bootloader.power_up(now_s)

    def _start(self, stream_s: float) -> None:
        """Start with the fields in EEPROM, and stream from this time on."""
        self.ram = dict(self.eeprom)
        self.baud = fields.BAUD_OF_CODE[self.ram[fields.BAUD]]
        self._sample, self._start_s, self._next_sample_s = 0, stream_s, stream_s

    def start_application(self, now_s: float) -> None:
        """See `FramedUnit`."""
        self._start(now_s + self._restart_s)
        self.ignore_until(now_s + self._restart_s)

    def values(self, t_s: float) -> dict[str, Value]:
        """Return the measurements at a time in seconds, by field name, in SI units and radians.

        The clock of the unit begins at zero when its application starts.
        """
        clock_s = max(0.0, t_s - self._start_s)
        ms, ticks = round(clock_s * 1000), round(clock_s * _TIMER_HZ)
        clock: dict[str, Value] = {
            "counter": (ticks if self._counter_is_timer else self._sample) & 0xFFFF,
            "itow": (ticks if self._counter_is_timer else ms) & 0xFFFF,
            "itow_ms": ms,
            "time_ticks": round(clock_s * 1e6) & 0xFFFFFFFF,
            "time_ms": ms,
            "time_s": clock_s,
            "bit_status": self.bit_status,
        }
        return motion(t_s) | clock

    def _tick(self) -> bytes:
        packet = PACKETS[fields.type_text(self.ram[fields.PACKET_TYPE])]
        at_s = self._next_sample_s
        self._next_sample_s += 1.0 / fields.HZ_OF_DIVIDER[self.ram[fields.RATE]]
        payload = packet.encode(self.values(at_s))
        self._sample += 1
        return frame(packet.name.encode(), payload)

    def _tick_s(self) -> float:
        if self.bootloader.is_active:
            return math.inf
        rate_hz = fields.HZ_OF_DIVIDER[self.ram[fields.RATE]]
        return max(self._next_sample_s, self._ignoring_until_s) if rate_hz else math.inf

    def _take(self, now_s: float) -> bool:
        begin = self._input.find(b"UU")
        if begin < 0:
            self._input = self._input[-1:] if self._input.endswith(b"U") else b""
            return False
        self._input = self._input[begin:]
        if len(self._input) < 5 or len(self._input) < 7 + self._input[4]:
            return False
        stop, self._input_since_s = 7 + self._input[4], now_s
        body, crc = self._input[2 : stop - 2], self._input[stop - 2 : stop]
        crc = crc[::-1] if self.bootloader.wants_swapped(body[:2]) else crc
        if binascii.crc_hqx(body, CRC_INITIAL).to_bytes(2, "big") != crc:
            self._input = self._input[1:]
            return True
        self._input = self._input[stop:]
        self._obey(body[:2], body[3:], now_s)
        return True

    def _obey(self, kind: bytes, payload: bytes, now_s: float) -> None:
        handler = self._handlers.get(kind)
        try:
            if self.bootloader.is_active:
                self.bootloader.obey(kind, payload, now_s)
            elif handler is not None:
                response = handler(payload, now_s)
                if response is not None:
                    self.send(kind, response, now_s + ANSWER_S)
            elif not self._user.obey(kind, payload, now_s):
                self.refuse(kind, now_s)
        except struct.error:
            self.refuse(kind, now_s)

    def _read_words(self, payload: bytes, now_s: float) -> bytes | None:
        address, count = struct.unpack(">HB", payload)
        words = [self.eeprom.get(number) for number in range(address, address + count)]
        if not words or None in words:
            self.refuse(b"RE", now_s)
            return None
        return payload + struct.pack(f">{count}H", *words)

    def _get_packet(self, payload: bytes, now_s: float) -> None:
        packet = PACKETS.get(payload.decode("latin-1"))
        if packet is None or packet.name == "CD":
            self.refuse(b"GP", now_s)
        else:
            self.send(payload, self._answer(packet, now_s), now_s + ANSWER_S)

    def _answer(self, packet: Packet, now_s: float) -> bytes:
        if packet.name == "ID":
            return packet.encode({"serial_number": self.serial_number, "text": self.text})
        if packet.name == "VR":
            return packet.encode({"major": 19, "minor": 0, "patch": 7})
        return packet.encode(self.values(now_s))

    def _ask(self, kind: bytes, payload: bytes, store: dict[int, int], now_s: float) -> bytes | None:
        ids = struct.unpack(f">{payload[0]}H" if payload else ">B", payload[1:])
        known = [number for number in ids if number in store]
        if len(known) < len(ids):
            self.refuse(kind, now_s)
        words = [word for number in known for word in (number, store[number])]
        return struct.pack(f">B{len(words)}H", len(known), *words) if known else None

    def _put(self, kind: bytes, payload: bytes, now_s: float) -> bytes | None:
        words = struct.unpack(f">{2 * payload[0]}H" if payload else ">B", payload[1:])
        store = self.ram if kind == b"SF" else self.eeprom
        accepted = []
        for number, value in zip(words[::2], words[1::2], strict=True):
            if accepts_field(store, number, value):
                store[number] = value
                accepted.append(number)
        delay_s = ANSWER_S if kind == b"SF" else _EEPROM_S
        if len(accepted) < len(words) // 2:
            self.send(self._nak, kind, now_s + delay_s + ANSWER_S)
        if kind == b"SF":
            self._apply(accepted, now_s)
        if accepted:
            self.send(kind, struct.pack(f">B{len(accepted)}H", len(accepted), *accepted), now_s + delay_s)
        return None

    def _apply(self, changed: list[int], now_s: float) -> None:
        if fields.RATE in changed:
            self._next_sample_s = now_s + ANSWER_S
        if fields.BAUD in changed:  # at once: the response has the new baud rate
            self.baud = fields.BAUD_OF_CODE[self.ram[fields.BAUD]]

    def _reset(self, _: bytes, now_s: float) -> bytes:
        self.power_cycle(now_s + self._restart_s)
        self._ignoring_until_s = now_s + self._restart_s
        return b""

    def _calibrate(self, payload: bytes, now_s: float) -> bytes | None:
        (request,) = struct.unpack(">H", payload)
        if request not in (0x0006, 0x0009, 0x000B, 0x000C, 0x000E):
            self.refuse(b"WC", now_s)
            return None
        if request in (0x000B, 0x000C):
            found = {"request": request, "hard_iron_x_t": 1.0e-5, "hard_iron_y_t": -2.0e-5, "soft_iron_ratio": 0.98}
            after_s = self.align_s if request == 0x000C else 2 * ANSWER_S
            self.send(b"CD", PACKETS["CD"].encode(found), now_s + after_s)
        return payload
