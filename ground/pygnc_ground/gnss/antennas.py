"""Antennas: phase centres and nominal attitudes of navigation satellites, and of a receiver's satellite.

Offsets of navigation satellites come from ANTEX files (M. Rothacher & R. Schmid, ANTEX 1.4, 2010). Their x axis is on
the side of the Sun and z points to the Earth. Patterns that depend on the nadir angle are not applied: they reach 1 cm.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc_ground.gnss.measurements import L1_HZ, L2_HZ, FloatArray, IntArray
from pygnc_ground.truth.epochs import calendar_date, gps_ns

_NS_PER_MS: Final = 1_000_000
_M_PER_MM: Final = 1e-3
_LABEL: Final = slice(60, 80)
L1_SHARE: Final = L1_HZ**2 / (L1_HZ**2 - L2_HZ**2)
"""Coefficient of L1 in the ionosphere-free combination; that of L2 is one minus it."""


@dataclass(slots=True)
class _Entry:
    satellite: str
    first_gps_ms: int = 0
    last_gps_ms: int = np.iinfo(np.int64).max
    offset_m: FloatArray | None = None


class SatelliteAntennas:
    """Offsets of phase centres from the centres of mass of navigation satellites, by satellite and time."""

    def __init__(self, entries: list[_Entry]) -> None:
        self._entries = entries

    @classmethod
    def of(cls, text: str) -> "SatelliteAntennas":
        """Return the offsets of the satellites in an ANTEX file.

        Raises:
            ValueError: The file is no ANTEX file or is damaged; the message names the line.
        """
        if text[_LABEL].strip() != "ANTEX VERSION / SYST":
            raise ValueError("line 1: not an ANTEX file; its first line ends with 'ANTEX VERSION / SYST'")
        entries, frequency, by_frequency = list[_Entry](), "", dict[str, FloatArray]()
        for number, line in enumerate(text.splitlines(), start=1):
            label = line[_LABEL].strip()
            try:
                if label == "TYPE / SERIAL NO":
                    satellite = line[20:23] if line[23:40].strip() == "" else ""
                    entries.append(_Entry(satellite))
                    by_frequency = {}
                elif label == "VALID FROM":
                    entries[-1].first_gps_ms = _gps_ms(line)
                elif label == "VALID UNTIL":
                    entries[-1].last_gps_ms = _gps_ms(line)
                elif label == "START OF FREQUENCY":
                    frequency = line[3:6]
                elif label == "NORTH / EAST / UP":
                    parts = [float(line[at : at + 10]) for at in (0, 10, 20)]
                    by_frequency[frequency] = _M_PER_MM * np.array(parts)
                    first, second = by_frequency.get("G01"), by_frequency.get("G02")
                    if first is not None and second is not None:
                        entries[-1].offset_m = L1_SHARE * first + (1.0 - L1_SHARE) * second
            except (ValueError, IndexError) as error:
                raise ValueError(f"line {number}: {line.strip()!r} is not an ANTEX record ({error})") from error
        return cls([entry for entry in entries if entry.satellite and entry.offset_m is not None])

    def offset_m(self, satellite: str, gps_ms: int) -> FloatArray | None:
        """Return the offset of the ionosphere-free phase centre in the axes x, y, z, shape (3,); None if unknown."""
        for entry in self._entries:
            if entry.satellite == satellite and entry.first_gps_ms <= gps_ms <= entry.last_gps_ms:
                return entry.offset_m
        return None


def _gps_ms(line: str) -> int:
    year, month, day, hour, minute = (int(line[at : at + 6]) for at in range(0, 30, 6))
    return gps_ns(calendar_date(year, month, day), hour, minute, 0, "GPS") // _NS_PER_MS + int(1e3 * float(line[30:43]))


def navigation_axes(position_m: FloatArray, sun_m: FloatArray) -> FloatArray:
    """Return the axes x, y, z of navigation satellites as rows, shape (n, 3, 3), with nominal yaw steering.

    z points to the Earth, y is perpendicular to the direction of the Sun, x is on the side of the Sun (O. Montenbruck
    et al., GNSS satellite geometry and attitude models, Adv. Space Res. 56, 2015). Both positions (n, 3) are geocentric
    in one frame.
    """
    nadir = -_unit(position_m)
    y = _unit(np.cross(nadir, _unit(sun_m - position_m)))
    return np.stack((np.cross(y, nadir), y, nadir), axis=1)


def orbital_axes(position_m: FloatArray, velocity_mps: FloatArray) -> FloatArray:
    """Return the nominal axes x, y, z of an Earth-pointing satellite as rows, shape (n, 3, 3).

    x points along the flight, y against the orbit's normal, z to the Earth. The velocities (n, 3) are inertial, along
    the axes of the frame of the positions.
    """
    nadir = -_unit(position_m)
    y = -_unit(np.cross(position_m, velocity_mps))
    return np.stack((np.cross(y, nadir), y, nadir), axis=1)


def wind_up_cycles(axes: FloatArray, antenna_axes: FloatArray, line_of_sight: FloatArray) -> FloatArray:
    """Return the phase wind-up in cycles, -0.5 to 0.5, shape (n,): what the antennas' attitudes add to the phase.

    Source: J. T. Wu et al., Effects of antenna orientation on GPS carrier phase, Manuscripta Geodaetica 18, 1993.

    Args:
        axes: Axes of the transmitting antenna as rows, z along its boresight, shape (n, 3, 3).
        antenna_axes: Axes of the receiving antenna as rows, z along its boresight, shape (n, 3, 3).
        line_of_sight: Unit vectors from the transmitter to the receiver, shape (n, 3).
    """
    transmitted = _dipole(axes, line_of_sight, -1.0)
    received = _dipole(antenna_axes, line_of_sight, 1.0)
    sine = np.einsum("ni,ni->n", line_of_sight, np.cross(transmitted, received))
    cosine = np.einsum("ni,ni->n", transmitted, received)
    return np.asarray(np.arctan2(sine, cosine) / (2.0 * np.pi))


def continuous(cycles: FloatArray, restarts: IntArray) -> FloatArray:
    """Return wind-up in order of time without jumps of whole cycles, except at the given rows."""
    parts = np.split(cycles, restarts)
    return np.concatenate([np.unwrap(part, period=1.0) for part in parts])


def _dipole(axes: FloatArray, line_of_sight: FloatArray, sign: float) -> FloatArray:
    x, y = axes[:, 0], axes[:, 1]
    along = np.einsum("ni,ni->n", line_of_sight, x)
    dipole: FloatArray = x - line_of_sight * along[:, None] + sign * np.cross(line_of_sight, y)
    return dipole


def _unit(vectors: FloatArray) -> FloatArray:
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit
