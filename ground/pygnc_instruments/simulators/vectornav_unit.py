"""Simulated VectorNav unit: registers, periodic lines and binary outputs."""

import math
import re
import struct
from functools import reduce
from operator import xor
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.vectornav.fields import LINES
from pygnc_devices.vectornav.packets import record_of
from pygnc_instruments.simulators.unit import SimulatedUnit, motion

_IMU_HZ: Final = 800
_RESTART_S: Final = 0.3
_WEEK, _TOW_S = 2400, 345_600
_S_PER_WEEK: Final = 604_800
_INS_TRACKS: Final = 0b110
_BAUDS: Final = (9600, 19200, 38400, 57600, 115_200, 128_000, 230_400, 460_800, 921_600)
_RATES_HZ: Final = (1, 2, 4, 5, 10, 20, 25, 40, 50, 100, 200)
_LINES: Final = {
    1: "YPR", 2: "QTN", 8: "QMR", 10: "MAG", 11: "ACC", 12: "GYR", 13: "MAR", 14: "YMR", 16: "YBA", 17: "YIA",
    19: "IMU", 20: "GPS", 21: "GPE", 22: "INS", 23: "INE", 28: "ISL", 29: "ISE", 30: "DTV", 32: "G2S", 33: "G2E",
    34: "HVE",
}  # fmt: skip
_CHECKSUM, _COMMAND, _FEW, _MANY, _PARAMETER, _REGISTER, _ACCESS = range(3, 10)
_BAUD, _TYPE, _RATE, _PROTOCOL = 5, 6, 7, 30
_OUTPUTS: Final = (75, 76, 77)
_IDENTITY: Final = (1, 2, 3, 4)
_CALIBRATION: Final = (
    "+01.000000,+00.000000,+00.000000,+00.000000,+01.000000,+00.000000,+00.000000,+00.000000,+01.000000"
)
DEFAULTS: Final = {
    0: "",
    _BAUD: "115200",
    _TYPE: "14",
    _RATE: "40",
    21: "+001.000,+000.000,+001.800,+000.000,+000.000,-009.794",
    23: f"{_CALIBRATION},+00.000000,+00.000000,+00.000000",
    25: f"{_CALIBRATION},+00.000000,+00.000000,+00.000000",
    26: _CALIBRATION,
    _PROTOCOL: "0,0,0,0,1,0,1",
    32: "3,0,0,0,0,1,0,100000000,0",
    35: "1,1,1,1",
    44: "1,3,5",
    74: "+00.000000,+00.000000,+00.000000,+00.000000,+00.000000,+00.000000,+00.000000",
    75: "0,0,00",
    76: "0,0,00",
    77: "0,0,00",
    82: "0,0,0,0,0",
    83: "1,1,0,0,1000,+02026.000,+00000.000,+00000.000,+00000.000",
    84: f"{_CALIBRATION},+00.000000,+00.000000,+00.000000",
    85: "0,4,4,4,0,0,3,3,3,0",
}
"""Factory defaults by register."""
STREAMING: Final = {_TYPE: "0", 75: "1,8,01,0529"}
"""Registers of a unit that streams 100 binary packets a second: time, attitude, rate and specific force."""
NAVIGATING: Final = {
    _TYPE: "0",
    55: "0,0,5,0,1",
    57: "+00.000,+00.000,+00.000",
    67: "3,1,1,0",
    75: "1,8,21,0129,0013",
    76: "1,160,0A,0005,40B8",
    93: "+01.000,+00.000,+00.000,+00.025,+00.025,+00.025",
    105: "+00.000,+00.000,+00.000,+00.000,+00.000,+00.000",
}
"""Registers of a unit with INS and receivers, which sends the INS at 100 Hz and the first receiver at 5 Hz."""
_SATELLITES: Final = b"".join(struct.pack("<5Bbh", 0, 2 * k + 1, 3, 40 + k, 7, 10 * k, 36 * k) for k in range(9))
_REQUEST: Final = re.compile(rb"\$(VN([A-Z]{3})(?:,(.*))?)\*([0-9A-Fa-f]{4}|[0-9A-Fa-f]{2}|XX)\r?")


class VectorNavSimulator(SimulatedUnit):
    """Simulated unit.

    Args:
        model: name of the model.
        serial_number: serial number.
        registers: stored registers that differ from the factory defaults.
        is_deaf: True for a unit that does not respond to commands.
    """

    _input_gap_s = 0.1

    def __init__(
        self,
        model: str = "VN-100S-CR",
        serial_number: str = "100012345",
        *,
        registers: dict[int, str] | None = None,
        is_deaf: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.serial_number = serial_number
        self.is_deaf = is_deaf
        self.stored = DEFAULTS | (registers or {})
        self._factory = self.stored | DEFAULTS
        self.commands: list[str] = []
        self._restart(0.0)

    def _restart(self, now_s: float) -> None:
        self.registers = dict(self.stored)
        self.baud = int(self.registers[_BAUD])
        self._boot_s = self._ready_s = now_s
        self._tick_number, self._is_paused = 0, False

    def _take(self, now_s: float) -> bool:
        line, end, rest = self._input.partition(b"\n")
        if end:
            self._input = rest
            request = _REQUEST.search(line)
            if request is not None and not self.is_deaf and now_s >= self._ready_s:
                self._obey(request, now_s)
        return bool(end)

    def _obey(self, request: re.Match[bytes], now_s: float) -> None:
        if not _is_intact(request[1], request[4]):
            self._answer(f"ERR,{_CHECKSUM:02X}", now_s)
            return
        name, text = request[2].decode(), (request[3] or b"").decode()
        self.commands.append(f"{name},{text}" if text else name)
        self._answer(self._carry_out(name, text), now_s)
        if name in {"RST", "RFS"}:
            self._restart(now_s)
            self._ready_s = now_s + _RESTART_S
        self.baud = int(self.registers[_BAUD])

    def _carry_out(self, name: str, text: str) -> str:
        """Return the response to a command, without frame."""
        match name:
            case "RRG":
                return self._read(text)
            case "WRG":
                return self._write(text)
            case "WNV":
                self.stored = dict(self.registers)
            case "RFS":
                self.stored = dict(self._factory)
            case "ASY":
                self._is_paused = text == "0"
            case "RST" | "TAR" | "SGB" | "KMD" | "KAD":
                pass
            case _:
                return f"ERR,{_COMMAND:02X}"
        return f"{name},{text}" if text else name

    def _read(self, text: str) -> str:
        number = int(text.split(",", maxsplit=1)[0])
        identity = {1: self.model, 2: "3", 3: self.serial_number, 4: "2.1.0.0"}
        value = identity.get(number, self.registers.get(number))
        return f"ERR,{_REGISTER:02X}" if value is None else f"RRG,{number:02},{value}"

    def _write(self, text: str) -> str:
        head, _, value = text.partition(",")
        error = self._error(int(head), value)
        if error:
            return f"ERR,{error:02X}"
        self.registers[int(head)] = value
        return f"WRG,{int(head):02},{value}"

    def _error(self, number: int, value: str) -> int:
        """Return the error of a write, 0 if there is none."""
        if number in _IDENTITY:
            return _ACCESS
        if number not in self.registers:
            return _REGISTER
        size, wanted = value.count(","), self.registers[number].count(",")
        if number not in _OUTPUTS and number and size != wanted:
            return _MANY if size > wanted else _FEW
        allowed: dict[int, tuple[int, ...]] = {_BAUD: _BAUDS, _TYPE: (0, *_LINES), _RATE: _RATES_HZ}
        return _PARAMETER if number in allowed and int(value) not in allowed[number] else 0

    def _periods(self) -> dict[int, int]:
        """Return the period of each output in samples of the IMU, by register."""
        periods = {}
        if self.registers[_TYPE] != "0":
            periods[_TYPE] = _IMU_HZ // int(self.registers[_RATE])
        for number in _OUTPUTS:
            ports, divisor, *_ = self.registers[number].split(",")
            if int(ports, 16) & 1:
                periods[number] = int(divisor)
        return {} if self._is_paused else periods

    def _next_tick(self) -> float:
        ticks = ((self._tick_number // period + 1) * period for period in self._periods().values())
        return min(ticks, default=math.inf)

    def _tick_s(self) -> float:
        return max(self._ready_s, self._boot_s + self._next_tick() / _IMU_HZ)

    def _tick(self) -> bytes:
        self._tick_number = round(self._next_tick())
        values = self._values(self._tick_number / _IMU_HZ)
        due = (number for number, period in self._periods().items() if self._tick_number % period == 0)
        return b"".join(self._output(number, values) for number in due)

    def _output(self, number: int, values: dict[str, Value]) -> bytes:
        if number == _TYPE:
            line = LINES[_LINES[int(self.registers[_TYPE])]]
            count, status, *_ = self.registers[_PROTOCOL].split(",")
            appended = (",T" + str(self._tick_number)) * (count != "0") + ",S0006" * (status != "0")
            return self._framed(f"{line.name},{line.encode(dict(values)).decode()}{appended}")
        _, _, *words = self.registers[number].split(",")
        header = b"".join(int(word, 16).to_bytes(len(word) // 2, "little") for word in words)
        record = record_of(header)
        payload = header if record is None else record.encode(dict(values))
        return b"\xfa" + payload + crc16(payload).to_bytes(2, "big")

    def _answer(self, text: str, now_s: float) -> None:
        self._send(self._framed(text), now_s)

    def _framed(self, text: str) -> bytes:
        body = f"VN{text}".encode()
        checksum = {"1": f"{reduce(xor, body):02X}", "3": f"{crc16(body):04X}"}
        digits = checksum.get(self.registers[_PROTOCOL].split(",")[4], "XX")
        return b"$" + body + f"*{digits}\r\n".encode()

    def _values(self, t_s: float) -> dict[str, Value]:
        """Return the measurements and the clocks at a time since the start, s."""
        values = motion(t_s)
        measured = {f"raw_{name}": value for name, value in values.items() if name.startswith(("accel", "rate", "mag"))}
        tow_s = _TOW_S + t_s
        times: dict[str, Value] = {
            "time_startup_ns": round(t_s * 1e9),
            "time_gps_ns": round((_WEEK * _S_PER_WEEK + tow_s) * 1e9),
            "tow_ns": round(tow_s * 1e9),
            "tow_s": tow_s,
            "week": _WEEK,
            "sync_in_count": self._tick_number,
        }
        for name in ("gnss1", "gnss2"):
            solved = {f"{name}_{key}": value for key, value in (values | times).items()}
            times |= solved | {f"{name}_fix": 3, f"{name}_satellites": 9, f"{name}_satellite_list": _SATELLITES}
        half = 0.5 * float(values["yaw_rad"])
        other = {"q0": math.cos(half), "q3": math.sin(half), "pressure_pa": 101_325.0, "ins_status": _INS_TRACKS}
        return values | measured | times | other


def _is_intact(body: bytes, digits: bytes) -> bool:
    if digits == b"XX":
        return True
    return int(digits, 16) == (reduce(xor, body) if len(digits) == len("5A") else crc16(body))


def crc16(octets: bytes) -> int:
    """Return the CRC of CCITT with the initial value 0, by the remainder of each byte."""
    crc = 0
    for octet in octets:
        crc = (crc << 8 & 0xFFFF) ^ _REMAINDERS[crc >> 8 ^ octet]
    return crc


def _remainder(octet: int) -> int:
    crc = octet << 8
    for _ in range(8):
        crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


_REMAINDERS: Final = tuple(map(_remainder, range(256)))
