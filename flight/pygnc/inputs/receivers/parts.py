"""Fixes of a receiver, each put together from the messages of one epoch."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from pygnc.bus.messages import GnssFix, vector3
from pygnc.common.arrays import Array
from pygnc.environment.erfa_functions import erfa

COMPUTED: Final = "computed"
"""Name of a position or velocity that the receiver has computed, as in `GnssFix`."""
_WGS84: Final = 1
_NOT_STATED: Final = (-1, -1)
_NO_ROTATION: Final = np.eye(3)
Values: TypeAlias = Mapping[str, Any]
"""Values of a message by the names of its declaration in `pygnc_devices`."""


class Spread(NamedTuple):
    """Covariance (3, 3) of a position or velocity in ITRF, or in axes east, north, up if `is_local`."""

    covariance: Array
    is_local: bool = False

    @classmethod
    def of(cls, sigma: Sequence[float] | Array, *, is_local: bool = False) -> "Spread":
        """Return the spread of three standard deviations; those that are not finite and positive count as unknown."""
        known = np.array(sigma, dtype=float)
        known[~(np.isfinite(known) & (known > 0.0))] = 0.0
        return cls(known**2 * _NO_ROTATION, is_local)

    def sigma(self, ecef_from_local: Array) -> Array:
        """Return the standard deviations in ITRF, shape (3,); 0 if unknown."""
        covariance = self.covariance
        if self.is_local:
            covariance = ecef_from_local @ covariance @ ecef_from_local.T
        variances: Array = np.maximum(np.diagonal(covariance), 0.0)
        return np.sqrt(variances)


def shared(accuracy: float) -> Spread:
    """Return the spread of an accuracy that is the root sum square over three axes."""
    return Spread.of([accuracy / math.sqrt(3.0)] * 3)


def numbers(values: Values, name: str, suffix: str) -> Array:
    """Return the values `name_x_suffix` and so on, shape (3,)."""
    return np.array(_components(name, suffix)(values), dtype=float)


@cache
def _components(name: str, suffix: str) -> Callable[[Values], tuple[Any, ...]]:
    return itemgetter(*(f"{name}_{axis}_{suffix}" for axis in "xyz"))


class Position(NamedTuple):
    """Position in ITRF, m, shape (3,); `solution` as in `GnssFix`."""

    solution: str
    ecef_m: Array
    spread: Spread | None = None


class Velocity(NamedTuple):
    """Velocity relative to the Earth, m/s, shape (3,), in ITRF, or east, north, up if `is_local`."""

    solution: str
    mps: Array
    spread: Spread | None = None
    latency_s: float = 0.0
    is_local: bool = False


class Part(NamedTuple):
    """Content of one message about an epoch.

    Attributes:
        key_ms: Time of the epoch in its period: time of week, or UTC time of day.
        period: Number of the period: GPS week, or days since 1970; None if the message does not contain it.
        late_s: True time of the epoch minus the time stated, s.
        time_sigma_s: Standard deviation of the time stated, s; None if the message does not contain it.
        position: Position.
        velocity: Velocity.
        position_spread: Covariance of the position of another message, m^2.
        velocity_spread: Covariance of the velocity of another message, m^2/s^2.
        satellites: Numbers of satellites received and used.
        differential_age_s: Age of the differential corrections, s.
        solution_age_s: Age of the solution, s.
    """

    key_ms: int
    period: int | None = None
    late_s: float = 0.0
    time_sigma_s: float | None = None
    position: Position | None = None
    velocity: Velocity | None = None
    position_spread: Spread | None = None
    velocity_spread: Spread | None = None
    satellites: tuple[int, int] | None = None
    differential_age_s: float = 0.0
    solution_age_s: float = 0.0


class Place(NamedTuple):
    """Fields of a fix that tell where it comes from, as in `GnssFix`."""

    seq: int
    source: str
    offset: int
    kind: str
    t_spacecraft_s: int | None
    raw: bytes
    t_spacecraft_ms: int = 0


def fix_of(parts: Sequence[Part], gps_ms: int | None, place: Place) -> GnssFix | None:
    """Return the fix of an epoch from its parts, the most complete first; None without a position."""
    position = next((part.position for part in parts if part.position is not None), None)
    if position is None:
        return None
    moving = next((part.velocity for part in parts if part.velocity is not None), None)
    ecef_from_local = east_north_up(position.ecef_m) if any(map(_has_local_axes, parts)) else _NO_ROTATION
    velocity_mps, velocity_sigma = np.zeros(3), np.zeros(3)
    if moving is not None:
        velocity_mps = ecef_from_local @ moving.mps if moving.is_local else moving.mps
        velocity_sigma = _sigma([part.velocity_spread for part in parts], moving.spread, ecef_from_local)
    late_s = next((part.late_s for part in parts if part.late_s), 0.0)
    time_sigma_s = next((part.time_sigma_s for part in parts if part.time_sigma_s is not None), None)
    velocity_solution = "none" if moving is None else moving.solution
    if not _is_finite(velocity_mps):
        velocity_solution = "invalid"
    is_moving = velocity_solution == COMPUTED
    # The time of a fix is in whole milliseconds; the position is moved along the velocity by the rest.
    late_ms = round(1000.0 * late_s)
    rest_s = late_s - 1e-3 * late_ms
    if rest_s and not is_moving:
        time_sigma_s = max(abs(rest_s), time_sigma_s or 0.0)
    tracked, used = next((part.satellites for part in parts if part.satellites is not None), _NOT_STATED)
    return GnssFix(
        **place._asdict(),
        gps_ms=None if gps_ms is None else gps_ms + late_ms,
        time_sigma_s=time_sigma_s,
        position_solution=position.solution if _is_finite(position.ecef_m) else "invalid",
        position_ecef_m=vector3(position.ecef_m - rest_s * velocity_mps if is_moving else position.ecef_m),
        position_sigma_m=vector3(_sigma([part.position_spread for part in parts], position.spread, ecef_from_local)),
        velocity_solution=velocity_solution,
        velocity_ecef_mps=vector3(velocity_mps),
        velocity_sigma_mps=vector3(velocity_sigma),
        velocity_latency_s=0.0 if moving is None else moving.latency_s,
        differential_age_s=max(part.differential_age_s for part in parts),
        solution_age_s=max(part.solution_age_s for part in parts),
        satellites_tracked=tracked,
        satellites_used=used,
    )


def _is_finite(vector: Array) -> bool:
    return all(map(math.isfinite, vector.tolist()))  # quicker than NumPy's for three numbers


def _has_local_axes(part: Part) -> bool:
    spreads = (
        part.position_spread,
        part.velocity_spread,
        *(one.spread for one in (part.position, part.velocity) if one),
    )
    return any(one is not None and one.is_local for one in (part.velocity, *spreads))


def _sigma(others: Sequence[Spread | None], own: Spread | None, ecef_from_local: Array) -> Array:
    """Return the standard deviations by the covariance of another message, else by that of the message itself."""
    spread = next((other for other in others if other is not None), own)
    return np.zeros(3) if spread is None else spread.sigma(ecef_from_local)


def ecef_from_geodetic(latitude_rad: float, longitude_rad: float, height_m: float) -> Array:
    """Return the position in ITRF, m, of a place on WGS 84; NaN for an impossible place."""
    if not (abs(latitude_rad) <= math.pi / 2 and math.isfinite(longitude_rad) and math.isfinite(height_m)):
        return np.full(3, math.nan)
    position_m: Array = erfa.gd2gc(_WGS84, longitude_rad, latitude_rad, height_m)[0]
    return position_m


def east_north_up(position_ecef_m: Array) -> Array:
    """Return the rotation (3, 3) to ITRF from the axes east, north, up of WGS 84 at a position."""
    if not (_is_finite(position_ecef_m) and position_ecef_m.any()):
        return np.full((3, 3), math.nan)
    longitude, latitude, *_ = erfa.gc2gd(_WGS84, position_ecef_m)
    (sin_lat, cos_lat), (sin_lon, cos_lon) = ((math.sin(angle), math.cos(angle)) for angle in (latitude, longitude))
    return np.array(
        [
            [-sin_lon, -sin_lat * cos_lon, cos_lat * cos_lon],
            [cos_lon, -sin_lat * sin_lon, cos_lat * sin_lon],
            [0.0, cos_lat, sin_lat],
        ]
    )
