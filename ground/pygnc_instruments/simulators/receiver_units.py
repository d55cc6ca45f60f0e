"""Simulated satellite navigation receivers of NovAtel, u-blox and SkyTraq on a circular orbit of two bodies."""

import math
import struct
from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pygnc_devices.receivers import packets
from pygnc_instruments.simulators.unit import SimulatedUnit

_WEEK: Final = 2400
_TOW_S: Final = 345_600
_S_PER_WEEK: Final = 604_800
_LEAP_S: Final = 18
_RADIUS_M: Final = 6_878_137.0
_SPEED_MPS: Final = math.sqrt(3.986004418e14 / _RADIUS_M)
_EARTH_RATE_RAD_S: Final = 7.292115e-5
_INCLINATION_RAD: Final = 1.2
_WGS84_A_M: Final = 6_378_137.0
_WGS84_B_M: Final = 6_356_752.314245


class ReceiverSimulator(SimulatedUnit):
    """Simulated receiver: its messages, and its responses to commands.

    Args:
        rate_hz: rate of its messages after power-up, Hz; 0: it is silent until it is commanded.
    """

    def __init__(self, rate_hz: float = 0.0) -> None:
        super().__init__()
        self._stored_hz = rate_hz
        self.rate_hz = rate_hz
        self._next_s = 0.0 if rate_hz else math.inf

    def set_rate(self, hz: float, now_s: float) -> None:
        """Send messages at this rate, at multiples of its period."""
        self.rate_hz = hz
        self._next_s = math.ceil(now_s * hz) / hz if hz else math.inf

    def gps_s(self, t_s: float) -> float:
        """Return the GPS time since 1980-01-06 at a time of the simulation, s."""
        return _WEEK * _S_PER_WEEK + _TOW_S + t_s

    def solution(self, gps_s: float) -> dict[str, Any]:
        """Return position and velocity in axes fixed to the Earth and their standard deviations, by field name."""
        t_s = gps_s - (_WEEK * _S_PER_WEEK + _TOW_S)
        angle, turned = t_s * _SPEED_MPS / _RADIUS_M, t_s * _EARTH_RATE_RAD_S
        across, up = math.cos(_INCLINATION_RAD), math.sin(_INCLINATION_RAD)
        out, along = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
        position = _turned([_RADIUS_M * factor for factor in (out[0], across * out[1], up * out[1])], turned)
        velocity = _turned([_SPEED_MPS * factor for factor in (along[0], across * along[1], up * along[1])], turned)
        velocity[0] += _EARTH_RATE_RAD_S * position[1]
        velocity[1] -= _EARTH_RATE_RAD_S * position[0]
        return vector("ecef", "m", position) | vector("velocity", "mps", velocity) | {"sigma_m": 1.5, "sigma_mps": 0.05}

    def values(self, gps_s: float) -> dict[str, Any]:
        """Return all values of the messages at a GPS time, by field name."""
        solution = self.solution(gps_s)
        week, tow_s = divmod(gps_s, _S_PER_WEEK)
        return solution | geodetic(solution) | {"week": int(week), "tow_s": tow_s, "satellites": 9}

    def _tick_s(self) -> float:
        return self._next_s

    def _tick(self) -> bytes:
        gps_s = self.gps_s(self._next_s)
        self._next_s = (round(self._next_s * self.rate_hz) + 1) / self.rate_hz
        return self.message(gps_s)

    def _restart(self, now_s: float) -> None:
        self.set_rate(self._stored_hz, now_s)

    @abstractmethod
    def message(self, gps_s: float) -> bytes:
        """Return the message with the position at a GPS time."""


def _turned(components: list[float], angle: float) -> list[float]:
    """Return a vector of an inertial frame in axes that the Earth's rotation has turned by an angle, rad."""
    x, y, z = components
    sine, cosine = math.sin(angle), math.cos(angle)
    return [cosine * x + sine * y, cosine * y - sine * x, z]


def vector(name: str, suffix: str, components: list[float]) -> dict[str, Any]:
    """Return the components of a vector by field name."""
    return {f"{name}_{axis}_{suffix}": value for axis, value in zip("xyz", components, strict=True)}


def geodetic(solution: Mapping[str, Any]) -> dict[str, Any]:
    """Return the place on WGS 84 and the velocity north, east and down, by field name; Bowring's formula."""
    x, y, z = (solution[f"ecef_{axis}_m"] for axis in "xyz")
    across_m, longitude = math.hypot(x, y), math.atan2(y, x)
    first, second = 1 - (_WGS84_B_M / _WGS84_A_M) ** 2, (_WGS84_A_M / _WGS84_B_M) ** 2 - 1
    angle = math.atan2(z * _WGS84_A_M, across_m * _WGS84_B_M)
    latitude = math.atan2(
        z + second * _WGS84_B_M * math.sin(angle) ** 3, across_m - first * _WGS84_A_M * math.cos(angle) ** 3
    )
    (sin_lat, cos_lat), (sin_lon, cos_lon) = ((math.sin(a), math.cos(a)) for a in (latitude, longitude))
    height_m = across_m / cos_lat - _WGS84_A_M / math.sqrt(1.0 - first * sin_lat**2)
    vx, vy, vz = (solution[f"velocity_{axis}_mps"] for axis in "xyz")
    outward = vx * cos_lon + vy * sin_lon
    return {
        "latitude_rad": latitude,
        "longitude_rad": longitude,
        "height_m": height_m,
        "height_msl_m": height_m,
        "velocity_north_mps": vz * cos_lat - outward * sin_lat,
        "velocity_east_mps": vy * cos_lon - vx * sin_lon,
        "velocity_down_mps": -outward * cos_lat - vz * sin_lat,
    }


# --- NovAtel --------------------------------------------------------------------------------------------------------

_NOVATEL_HEADER: Final = struct.Struct("<3sBHBBHHBBHIIHH")
_BESTXYZ: Final = 241
_FINE_STEERING: Final = 180
_SINGLE, _DOPPLER_VELOCITY = 16, 8
_FASTEST_S: Final = 0.01


class NovatelSimulator(ReceiverSimulator):
    """Simulated OEM719: abbreviated ASCII commands LOG and UNLOGALL, logs BESTXYZB and VERSIONA."""

    baud = 9600

    def _take(self, now_s: float) -> bool:
        line, end, rest = self._input.partition(b"\n")
        if end:
            self._input = rest
            words = line.decode("ascii", "replace").upper().split()
            if words:
                self._obey(words, now_s)
        return bool(end)

    def _obey(self, words: list[str], now_s: float) -> None:
        answer, log = "OK", b""
        match words:
            case ["LOG", "VERSIONA", "ONCE"]:
                log = self._version(self.gps_s(now_s))
            case ["LOG", "BESTXYZB", "ONTIME", period] if _FASTEST_S <= float(period) <= _S_PER_WEEK:
                self.set_rate(1.0 / float(period), now_s)
            case ["LOG", "BESTXYZB", "ONTIME", _]:
                answer = "ERROR:Invalid Parameter. Field = 3"
            case ["UNLOGALL"]:
                self.set_rate(0.0, now_s)
            case _:
                answer = "ERROR:Invalid Command Name. Field = 0"
        self._send(f"\r\n<{answer}\r\n[COM1]".encode() + log, now_s)

    def message(self, gps_s: float) -> bytes:
        """Return BESTXYZB."""
        values = self.values(gps_s)
        values |= vector("ecef_sigma", "m", [values["sigma_m"]] * 3)
        values |= vector("velocity_sigma", "mps", [values["sigma_mps"]] * 3)
        values |= {"satellites_tracked": 12, "position_type": _SINGLE, "velocity_type": _DOPPLER_VELOCITY}
        body = packets.NOVATEL["BESTXYZ"].encode(values)[7:] + bytes(6)
        times = (_FINE_STEERING, values["week"], round(1e3 * values["tow_s"]))
        head = _NOVATEL_HEADER.pack(b"\xaa\x44\x12", 28, _BESTXYZ, 0, 32, len(body), 0, 120, *times, 0, 0, 16_807)
        return head + body + struct.pack("<I", novatel_crc(head + body))

    def _version(self, gps_s: float) -> bytes:
        week, tow_s = divmod(gps_s, _S_PER_WEEK)
        head = f"VERSIONA,COM1,0,60.0,FINESTEERING,{week:.0f},{tow_s:.3f},02000000,3681,16807"
        part = 'GPSCARD,"FFNRNNCBN","BMHR15470120X","OEM719N-1.10","OM7CR0709RN0000","OM7BR0000RBG000"'
        text = f'{head};1,{part},"2024/Mar/29","14:02:11"'.encode()
        return b"#%s*%08x\r\n" % (text, novatel_crc(text))


def novatel_crc(octets: bytes) -> int:
    """Return NovAtel's CRC-32, bit by bit."""
    crc = 0
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc


# --- u-blox ---------------------------------------------------------------------------------------------------------

_MON_VER: Final = b"\x0a\x04"
_CFG_MSG: Final = b"\x06\x01"
_CFG_RATE: Final = b"\x06\x08"
_CFG_VALSET: Final = b"\x06\x8a"
_KEY_RATE_MS: Final = 0x3021_0001
_KEY_PVT_UART1: Final = 0x2091_0007
_WITH_PVT: Final = 7
_WITH_VALSET: Final = 9
_WITHOUT_CFG_MSG: Final = 10


class UbloxSimulator(ReceiverSimulator):
    """Simulated u-blox receiver at UART1.

    Args:
        rate_hz: see `ReceiverSimulator`.
        generation: 6 has NAV-SOL and not NAV-PVT; from 9 on there is CFG-VALSET, and from 10 on only that.
        sends_covariances: NAV-COV follows each of these messages.
    """

    baud = 38400

    def __init__(self, rate_hz: float = 0.0, generation: int = 9, *, sends_covariances: bool = False) -> None:
        super().__init__(rate_hz)
        self._sends_covariances = sends_covariances
        self._generation = generation
        self._measured_hz = rate_hz or 1.0

    def _take(self, now_s: float) -> bool:
        at = self._input.find(b"\xb5\x62")
        self._input = self._input[at:] if at >= 0 else self._input[-1:]
        size = int.from_bytes(self._input[4:6], "little") + 8
        if at < 0 or len(self._input) < 6 or len(self._input) < size:
            return False
        frame, self._input = self._input[:size], self._input[size:]
        number, payload = frame[2:4], frame[6:-2]
        if frame == ubx_frame(number, payload):
            self._answer(number, payload, now_s)
        return True

    def _answer(self, number: bytes, payload: bytes, now_s: float) -> None:
        if number == _MON_VER:
            texts = [b"EXT CORE 1.00 (61b2dd)", b"00190000", b"FWVER=HPG 1.32", b"PROTVER=27.31", b"MOD=ZED-F9P"]
            sizes = [30, 10, 30, 30, 30]
            texts = [text.ljust(size, b"\0") for text, size in zip(texts, sizes, strict=True)]
            self._send(ubx_frame(_MON_VER, b"".join(texts)), now_s)
            return
        is_taken = self._obey(number, payload, now_s)
        self._send(ubx_frame(b"\x05\x01" if is_taken else b"\x05\0", number), now_s)

    def _obey(self, number: bytes, payload: bytes, now_s: float) -> bool:
        is_old = self._generation < _WITHOUT_CFG_MSG
        if number == _CFG_MSG and is_old and payload[:2] == self._number:
            self.set_rate(payload[2] * self._measured_hz, now_s)
        elif number == _CFG_RATE and is_old:
            self._measure(int.from_bytes(payload[:2], "little"), now_s)
        elif number == _CFG_VALSET and self._generation >= _WITH_VALSET:
            key, value = int.from_bytes(payload[4:8], "little"), int.from_bytes(payload[8:], "little")
            if key == _KEY_RATE_MS:
                self._measure(value, now_s)
            elif key == _KEY_PVT_UART1:
                self.set_rate(value * self._measured_hz, now_s)
            else:
                return False
        else:
            return False
        return True

    def _measure(self, period_ms: int, now_s: float) -> None:
        self._measured_hz = 1e3 / period_ms
        if self.rate_hz:
            self.set_rate(self._measured_hz, now_s)

    @property
    def _number(self) -> bytes:
        return packets.UBX_NUMBERS["NAV-PVT" if self._generation >= _WITH_PVT else "NAV-SOL"]

    def message(self, gps_s: float) -> bytes:
        """Return NAV-PVT, or NAV-SOL of an old receiver, and NAV-COV."""
        values = self.values(gps_s)
        return self._solution_message(gps_s, values) + (_covariances(values) if self._sends_covariances else b"")

    def _solution_message(self, gps_s: float, values: dict[str, Any]) -> bytes:
        values["speed_accuracy_mps"] = math.sqrt(3.0) * values["sigma_mps"]
        if self._generation < _WITH_PVT:
            values |= {"fix_type": 3, "status_flags": 0x0D, "ecef_accuracy_m": math.sqrt(3.0) * values["sigma_m"]}
            return ubx_frame(self._number, packets.UBLOX["NAV-SOL"].encode(values))
        values |= {"fix_type": 3, "status_flags": 1, "valid": 7, "time_accuracy_ns": 30} | _utc(gps_s)
        values |= {
            "horizontal_accuracy_m": math.sqrt(2.0) * values["sigma_m"],
            "vertical_accuracy_m": values["sigma_m"],
        }
        return ubx_frame(self._number, packets.UBLOX["NAV-PVT"].encode(values) + bytes(8))


def _covariances(values: Mapping[str, Any]) -> bytes:
    """Return NAV-COV with equal variances along all axes but twice the vertical standard deviations."""
    found = {"tow_s": values["tow_s"], "position_valid": 1, "velocity_valid": 1}
    for name, sigma in (("position", values["sigma_m"]), ("velocity", values["sigma_mps"])):
        found |= {f"{name}_{pair}": (sigma * factor) ** 2 for pair, factor in (("nn", 1), ("ee", 1), ("dd", 2))}
    return ubx_frame(packets.UBX_NUMBERS["NAV-COV"], packets.UBLOX["NAV-COV"].encode(found))


def _utc(gps_s: float) -> dict[str, Any]:
    """Return the date and the time of day, by field name."""
    whole = round(gps_s)
    utc = datetime(1980, 1, 6) + timedelta(seconds=whole - _LEAP_S)  # noqa: DTZ001 - UTC
    named = {f"utc_{part}": getattr(utc, part) for part in ("year", "month", "day", "hour", "minute", "second")}
    return named | {"nano_ns": round(1e9 * (gps_s - whole))}


def ubx_frame(number: bytes, payload: bytes) -> bytes:
    """Return a UBX frame; `number` are class and number of the message."""
    body = number + struct.pack("<H", len(payload)) + payload
    first = second = 0
    for octet in body:
        first = (first + octet) % 256
        second = (second + first) % 256
    return b"\xb5\x62" + body + bytes([first, second])


# --- SkyTraq --------------------------------------------------------------------------------------------------------

_ACK, _NACK = 0x83, 0x84
_QUERY_VERSION, _TYPE, _RATE, _INTERVAL = 0x02, 0x09, 0x0E, 0x11
_BINARY: Final = 2
_RATES_HZ: Final = (1, 2, 4, 5, 8, 10, 20, 25, 40, 50)


class SkytraqSimulator(ReceiverSimulator):
    """Simulated Venus 8: message A8, or DF."""

    def __init__(self, rate_hz: float = 0.0, *, sends_state: bool = False) -> None:
        super().__init__(rate_hz)
        self._sends_state = sends_state
        self._set_hz = 1.0

    def _take(self, now_s: float) -> bool:
        at = self._input.find(b"\xa0\xa1")
        self._input = self._input[at:] if at >= 0 else self._input[-1:]
        size = int.from_bytes(self._input[2:4], "big") + 7
        if at < 0 or len(self._input) < 4 or len(self._input) < size:
            return False
        frame, self._input = self._input[:size], self._input[size:]
        payload = frame[4:-3]
        if payload and frame == skytraq_frame(payload):
            is_taken = self._obey(payload, now_s)
            self._send(skytraq_frame(bytes((_ACK if is_taken else _NACK, payload[0]))), now_s)
            if is_taken and payload[0] == _QUERY_VERSION:
                self._send(skytraq_frame(b"\x80\x01" + bytes((0, 2, 2, 3, 0, 1, 7, 28, 0, 20, 5, 6))), now_s)
        return True

    def _obey(self, payload: bytes, now_s: float) -> bool:
        match payload[0]:
            case 0x02:
                return True
            case 0x09:
                self.set_rate(self._set_hz if payload[1] == _BINARY else 0.0, now_s)
            case 0x0E if payload[1] in _RATES_HZ:
                self._set_hz = float(payload[1])
                if self.rate_hz:
                    self.set_rate(self._set_hz, now_s)
            case 0x11:
                self.set_rate(self._set_hz if payload[1] else 0.0, now_s)
            case _:
                return False
        return True

    def message(self, gps_s: float) -> bytes:
        """Return the message A8, or DF."""
        values = self.values(gps_s) | {"fix_type": 2, "state": 3, "pdop": 1.5}
        name = "receiver state" if self._sends_state else "navigation data"
        return skytraq_frame(bytes([packets.SKYTRAQ_NUMBERS[name]]) + packets.SKYTRAQ[name].encode(values))


def skytraq_frame(payload: bytes) -> bytes:
    """Return a SkyTraq frame."""
    check = 0
    for octet in payload:
        check ^= octet
    return b"\xa0\xa1" + struct.pack(">H", len(payload)) + payload + bytes([check]) + b"\r\n"
