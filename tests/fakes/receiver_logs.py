"""Logs of satellite navigation receivers, encoded for tests without code of the readers."""

import binascii
import math
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor
from typing import NamedTuple

import erfa
import numpy as np

from pygnc_instruments.simulators.receiver_units import novatel_crc, skytraq_frame, ubx_frame

_GPS_EPOCH = datetime(1980, 1, 6, tzinfo=UTC)
_MS_PER_WEEK = 604_800_000


class Solution(NamedTuple):
    """Solution of a receiver in ITRF: m, m/s, with one standard deviation for each."""

    gps_ms: int
    position_m: tuple[float, float, float]
    velocity_mps: tuple[float, float, float]
    position_sigma_m: float = 5.0
    velocity_sigma_mps: float = 0.05
    satellites: int = 9
    leap_s: int = 18

    @property
    def week(self) -> int:
        """GPS week."""
        return self.gps_ms // _MS_PER_WEEK

    @property
    def tow_ms(self) -> int:
        """Time of week."""
        return self.gps_ms % _MS_PER_WEEK

    @property
    def utc(self) -> datetime:
        """UTC."""
        return _GPS_EPOCH + timedelta(milliseconds=self.gps_ms, seconds=-self.leap_s)

    @property
    def geodetic(self) -> tuple[float, float, float]:
        """Latitude and longitude in degrees, height in m."""
        longitude, latitude, height = erfa.gc2gd(1, self.position_m)
        return math.degrees(latitude), math.degrees(longitude), float(height)

    @property
    def velocity_enu_mps(self) -> tuple[float, float, float]:
        """Velocity east, north, up."""
        latitude, longitude, _ = (math.radians(angle) for angle in self.geodetic)
        up = np.array([math.cos(latitude) * math.cos(longitude), math.cos(latitude) * math.sin(longitude), 0.0])
        up[2] = math.sin(latitude)
        east = np.array([-math.sin(longitude), math.cos(longitude), 0.0])
        north = np.cross(up, east)
        velocity = np.array(self.velocity_mps)
        return float(east @ velocity), float(north @ velocity), float(up @ velocity)


# --- Framing --------------------------------------------------------------------------------------------------------


def novatel_binary(number: int, solution: Solution, data: bytes, status: int = 180) -> bytes:
    """Return a binary log."""
    head = b"\xaa\x44\x12\x1c" + struct.pack("<HBBHHBBHIIHH", number, 0, 32, len(data), 0, 100, status, 0, 0, 0, 0, 0)
    head = head[:14] + struct.pack("<HI", solution.week, solution.tow_ms) + head[20:]
    return head + data + struct.pack("<I", novatel_crc(head + data))


def novatel_text(name: str, solution: Solution, data: str, status: str = "FINESTEERING") -> bytes:
    """Return an ASCII log."""
    head = f"{name}A,COM1,0,60.0,{status},{solution.week},{solution.tow_ms / 1000:.3f},02000000,0,16807"
    content = f"{head};{data}".encode()
    return b"#" + content + b"*%08x\r\n" % novatel_crc(content)


def skytraq(number: int, body: bytes) -> bytes:
    """Return a SkyTraq frame."""
    return skytraq_frame(bytes([number]) + body)


def sbf(number: int, body: bytes) -> bytes:
    """Return an SBF block."""
    body += bytes(-len(body) % 4)
    checked = struct.pack("<HH", number, 8 + len(body)) + body
    return b"$@" + struct.pack("<H", binascii.crc_hqx(checked, 0)) + checked


def nmea(content: str) -> bytes:
    """Return an NMEA sentence."""
    return f"${content}*{reduce(xor, content.encode()):02X}\r\n".encode()


# --- Messages -------------------------------------------------------------------------------------------------------


def bestxyza(
    solution: Solution,
    solution_status: str = "SOL_COMPUTED",
    status: str = "FINESTEERING",
    *,
    kind: str = "SINGLE",
    ages_s: tuple[float, float] = (0.0, 0.0),
) -> bytes:
    """Return BESTXYZ in ASCII; `ages_s` are those of differential corrections and solution."""
    position, velocity = ([f"{value:.4f}" for value in vector] for vector in (solution[1], solution[2]))
    sigma, sigma_mps = ([f"{value:.4f}"] * 3 for value in (solution.position_sigma_m, solution.velocity_sigma_mps))
    words = [
        *(solution_status, kind, *position, *sigma, solution_status, "DOPPLER_VELOCITY", *velocity, *sigma_mps),
        *(
            '""',
            "0.000",
            *(f"{age_s:.3f}" for age_s in ages_s),
            str(solution.satellites + 2),
            str(solution.satellites),
            "9,0,0,06,0,33",
        ),
    ]
    return novatel_text("BESTXYZ", solution, ",".join(words), status)


def bestxyzb(solution: Solution) -> bytes:
    """Return BESTXYZ in binary."""
    data = struct.pack("<2I3d3f", 0, 16, *solution.position_m, *[solution.position_sigma_m] * 3)
    data += struct.pack("<2I3d3f", 0, 8, *solution.velocity_mps, *[solution.velocity_sigma_mps] * 3)
    data += b"\0" * 4 + struct.pack("<3f8B", 0, 0, 0, solution.satellites + 2, solution.satellites, 9, 0, 0, 6, 0, 0x33)
    return novatel_binary(241, solution, data)


def bestpos_bestvel(solution: Solution) -> bytes:
    """Return BESTPOS and BESTVEL in binary."""
    latitude, longitude, height = solution.geodetic
    data = struct.pack("<2I3dfI3f", 0, 16, latitude, longitude, height - 40.0, 40.0, 61, *[solution[3]] * 3)
    data += b"\0" * 4 + struct.pack("<2f8B", 0, 0, solution.satellites + 2, solution.satellites, 9, 0, 0, 6, 0, 0x33)
    east, north, up = solution.velocity_enu_mps
    track = math.degrees(math.atan2(east, north)) % 360.0
    speed = struct.pack("<2I2f3df", 0, 8, 0.0, 0.0, math.hypot(east, north), track, up, 0.0)
    return novatel_binary(42, solution, data) + novatel_binary(99, solution, speed)


def nav_pvt(solution: Solution, fix: int = 3) -> bytes:
    """Return UBX-NAV-PVT."""
    utc, (latitude, longitude, height) = solution.utc, solution.geodetic
    east, north, up = (round(1e3 * value) for value in solution.velocity_enu_mps)
    level = round(1e3 * math.sqrt(2.0) * solution.position_sigma_m)
    payload = struct.pack("<IH6B", solution.tow_ms, utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, 7)
    payload += struct.pack("<Ii4B", 20, 1000 * utc.microsecond, fix, fix in {3, 4}, 0, solution.satellites)
    payload += struct.pack("<4i", round(1e7 * longitude), round(1e7 * latitude), round(1e3 * height), 0)
    payload += struct.pack("<2I", level, round(1e3 * solution.position_sigma_m))
    payload += struct.pack("<5i2I", north, east, -up, 0, 0, round(1e3 * math.sqrt(3.0) * solution[4]), 0)
    return ubx_frame(b"\x01\x07", payload + bytes(92 - len(payload)))


def nav_sol(solution: Solution) -> bytes:
    """Return UBX-NAV-SOL."""
    position, velocity = ([round(100.0 * value) for value in vector] for vector in (solution[1], solution[2]))
    accuracies = (round(100.0 * math.sqrt(3.0) * sigma) for sigma in (solution[3], solution[4]))
    payload = struct.pack("<IihBB", solution.tow_ms, 0, solution.week, 3, 0x0D)
    payload += struct.pack("<3iI3iIHBBI", *position, next(accuracies), *velocity, next(accuracies), 150, 0, 9, 0)
    return ubx_frame(b"\x01\x06", payload)


def nav_ecef(solution: Solution) -> bytes:
    """Return UBX-NAV-TIMEGPS, -POSECEF and -VELECEF."""
    position, velocity = ([round(100.0 * value) for value in vector] for vector in (solution[1], solution[2]))
    accuracy, speed = (round(100.0 * math.sqrt(3.0) * sigma) for sigma in (solution[3], solution[4]))
    time = struct.pack("<IihbBI", solution.tow_ms, 0, solution.week, solution.leap_s, 7, 20)
    return (
        ubx_frame(b"\x01\x01", struct.pack("<I3iI", solution.tow_ms, *position, accuracy))
        + ubx_frame(b"\x01\x11", struct.pack("<I3iI", solution.tow_ms, *velocity, speed))
        + ubx_frame(b"\x01\x20", time)
    )


def navigation_data(solution: Solution) -> bytes:
    """Return SkyTraq's message A8."""
    position, velocity = ([round(100.0 * value) for value in vector] for vector in (solution[1], solution[2]))
    latitude, longitude, height = solution.geodetic
    body = struct.pack(">BBHI", 2, solution.satellites, solution.week, solution.tow_ms // 10)
    body += struct.pack(">4i", round(1e7 * latitude), round(1e7 * longitude), round(100 * height), round(100 * height))
    return skytraq(0xA8, body + struct.pack(">5H6i", 250, 200, 100, 150, 120, *position, *velocity))


def receiver_state(solution: Solution) -> bytes:
    """Return SkyTraq's message DF."""
    body = struct.pack(">BBHd", 0, 3, solution.week, solution.tow_ms / 1000.0)
    body += struct.pack(">3d3f", *solution.position_m, *solution.velocity_mps)
    return skytraq(0xDF, body + struct.pack(">df5f", 0.0, 0.0, 2.5, 2.0, 1.0, 1.5, 1.2))


def pvt_cartesian(solution: Solution) -> bytes:
    """Return SBF's PVTCartesian, PosCovCartesian and VelCovCartesian."""
    head = struct.pack("<IHBB", solution.tow_ms, solution.week, 1, 0)
    pvt = head + struct.pack("<3df3ffdf", *solution.position_m, 40.0, *solution.velocity_mps, 0.0, 0.0, 0.0)
    pvt += struct.pack("<4BHHIB3x", 0, 0, solution.satellites, 0, 0, 0, 0, 0)
    position, velocity = (
        head + struct.pack("<10f", *[sigma**2] * 3, 1.0, *[0.0] * 6) for sigma in (solution[3], solution[4])
    )
    return sbf(4006, pvt) + sbf(5905, position) + sbf(5907, velocity)


def sentences(solution: Solution) -> bytes:
    """Return the sentences RMC, GGA, GST and ZDA."""
    utc, (latitude, longitude, height) = solution.utc, solution.geodetic
    time = f"{utc:%H%M%S}.{utc.microsecond // 10_000:02d}"
    place = f"{_minutes(latitude, 2)},{'NS'[latitude < 0]},{_minutes(longitude, 3)},{'EW'[longitude < 0]}"
    sigma = f"{solution.position_sigma_m:.3f}"
    return b"".join(
        map(
            nmea,
            (
                f"GPRMC,{time},A,{place},999.9,45.0,{utc:%d%m%y},,,A",
                f"GPGGA,{time},{place},1,{solution.satellites:02d},1.0,{height - 40.0:.3f},M,40.000,M,,",
                f"GPGST,{time},4.0,,,,{sigma},{sigma},{sigma}",
                f"GPZDA,{time},{utc:%d,%m,%Y},00,00",
            ),
        )
    )


def _minutes(angle: float, digits: int) -> str:
    whole, part = divmod(abs(angle), 1.0)
    return f"{int(whole):0{digits}d}{60.0 * part:010.7f}"


def log(solutions: Sequence[Solution], *messages: object) -> bytes:
    """Return the messages, made by functions above, of all solutions."""
    return b"".join(_each(solutions, messages))


def _each(solutions: Sequence[Solution], messages: Sequence[object]) -> Iterator[bytes]:
    for solution in solutions:
        for message in messages:
            assert callable(message)
            yield message(solution)
