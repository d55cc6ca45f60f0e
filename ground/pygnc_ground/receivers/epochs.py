"""Fixes of a receiver, each put together from the messages of one epoch."""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import erfa
import numpy as np

from pygnc.bus.messages import GnssFix, vector3
from pygnc.common.arrays import Array
from pygnc.common.clock import MS_PER_WEEK, gps_ms_from_unix_ms, gps_ms_from_week
from pygnc_devices.framing import Frame

COMPUTED: Final = "computed"
"""Name of a position or velocity that the receiver has computed, as in `GnssFix`."""
_WGS84: Final = 1
_MS_PER_DAY: Final = 86_400_000
_NOT_STATED: Final = (-1, -1)


class Spread(NamedTuple):
    """Covariance (3, 3) of a position or velocity in ITRF, or in axes east, north, up if `is_local`."""

    covariance: Array
    is_local: bool = False

    @classmethod
    def of(cls, sigma: Sequence[float], *, is_local: bool = False) -> "Spread":
        """Return the spread of three standard deviations; those that are not finite and positive count as unknown."""
        known = np.array(sigma, dtype=float)
        known[~(np.isfinite(known) & (known > 0.0))] = 0.0
        return cls(np.diag(known**2), is_local)

    def sigma(self, ecef_from_local: Array) -> Array:
        """Return the standard deviations in ITRF, shape (3,); 0 if unknown."""
        covariance = self.covariance
        if self.is_local:
            covariance = ecef_from_local @ covariance @ ecef_from_local.T
        variances: Array = np.maximum(np.diagonal(covariance), 0.0)
        return np.sqrt(variances)


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


class TimeScale(NamedTuple):
    """Periods in which a receiver counts its time, and the GPS time in ms of a period and a time in it."""

    period_ms: int
    gps_ms: Callable[[int, int], int | None]


GPS_WEEKS: Final = TimeScale(MS_PER_WEEK, gps_ms_from_week)
UTC_DAYS: Final = TimeScale(_MS_PER_DAY, lambda day, key_ms: gps_ms_from_unix_ms(day * _MS_PER_DAY + key_ms))


class Epochs:
    """Epochs of one receiver: messages with one time form a fix.

    Of several positions or velocities of an epoch, the first message in the order of `preferred` counts.

    Args:
        protocol: Name of the protocol, which begins the `kind` of each fix.
        scale: Time scale of the messages.
        preferred: Names of messages, the most complete first.
    """

    def __init__(self, protocol: str, scale: TimeScale, preferred: Sequence[str]) -> None:
        self._protocol = protocol
        self._scale = scale
        self._rank = {name: rank for rank, name in enumerate(preferred)}
        self._parts: dict[str, tuple[Frame, Part]] = {}
        self._period: int | None = None
        self._last_key_ms = 0
        self._t_spacecraft_ms = 0

    def add(self, frame: Frame, part: Part) -> GnssFix | None:
        """Add a message; return the fix of the epoch that it ends."""
        is_new = any(part.key_ms != other.key_ms for _, other in self._parts.values())
        ended = self.end() if is_new or frame.kind in self._parts else None
        self._parts[frame.kind] = (frame, part)
        return ended

    def end(self) -> GnssFix | None:
        """End the epoch and return its fix; None without a position."""
        ordered = sorted(self._parts.items(), key=lambda item: self._rank.get(item[0], len(self._rank)))
        self._parts = {}
        if not ordered:
            return None
        frames, parts = [frame for _, (frame, _) in ordered], [part for _, (_, part) in ordered]
        gps_ms = self._gps_ms(parts)
        # Placed by the time of the receiver, because nothing else dates these records.
        self._t_spacecraft_ms = self._t_spacecraft_ms if gps_ms is None else gps_ms
        in_file = sorted(frames, key=lambda frame: frame.start)
        return fix_of(
            parts,
            gps_ms,
            self._t_spacecraft_ms,
            kind=f"{self._protocol} {frames[0].kind}",
            offset=in_file[0].start,
            raw=b"".join(frame.raw for frame in in_file),
        )

    def _gps_ms(self, parts: list[Part]) -> int | None:
        """Return the time of an epoch; a period that no message states follows from the epochs before."""
        key_ms, period = parts[0].key_ms, next((part.period for part in parts if part.period is not None), None)
        if period is None and self._period is not None:
            period = self._period + (self._last_key_ms - key_ms > self._scale.period_ms // 2)
        if period is not None:
            self._period, self._last_key_ms = period, key_ms
        return None if period is None else self._scale.gps_ms(period, key_ms)


def fix_of(
    parts: Sequence[Part], gps_ms: int | None, t_spacecraft_ms: int, *, kind: str, offset: int, raw: bytes
) -> GnssFix | None:
    """Return the fix of the messages of an epoch, the most complete first; None without a position.

    Args:
        parts: Content of the messages.
        gps_ms: Time that they state; None if it is unknown.
        t_spacecraft_ms: Spacecraft time of the fix.
        kind: Kind of the fix.
        offset: Offset in the file.
        raw: The messages as received.
    """
    position = next((part.position for part in parts if part.position is not None), None)
    if position is None:
        return None
    moving = next((part.velocity for part in parts if part.velocity is not None), None)
    ecef_from_local = east_north_up(position.ecef_m) if any(map(_has_local_axes, parts)) else np.eye(3)
    velocity_mps, velocity_sigma = np.zeros(3), np.zeros(3)
    if moving is not None:
        velocity_mps = ecef_from_local @ moving.mps if moving.is_local else moving.mps
        velocity_sigma = _sigma([part.velocity_spread for part in parts], moving.spread, ecef_from_local)
    late_s = next((part.late_s for part in parts if part.late_s), 0.0)
    time_sigma_s = next((part.time_sigma_s for part in parts if part.time_sigma_s is not None), None)
    is_moving = moving is not None and moving.solution == COMPUTED
    # The time of a fix is in whole milliseconds; the position is moved along the velocity by the rest.
    late_ms = round(1000.0 * late_s)
    rest_s = late_s - 1e-3 * late_ms
    if rest_s and not is_moving:
        time_sigma_s = max(abs(rest_s), time_sigma_s or 0.0)
    tracked, used = next((part.satellites for part in parts if part.satellites is not None), _NOT_STATED)
    return GnssFix(
        seq=0,
        source="",
        offset=offset,
        kind=kind,
        t_spacecraft_s=t_spacecraft_ms // 1000,
        gps_ms=None if gps_ms is None else gps_ms + late_ms,
        time_sigma_s=time_sigma_s,
        position_solution=position.solution if np.isfinite(position.ecef_m).all() else "invalid",
        position_ecef_m=vector3(position.ecef_m - rest_s * velocity_mps if is_moving else position.ecef_m),
        position_sigma_m=vector3(_sigma([part.position_spread for part in parts], position.spread, ecef_from_local)),
        velocity_solution="none" if moving is None else moving.solution,
        velocity_ecef_mps=vector3(velocity_mps),
        velocity_sigma_mps=vector3(velocity_sigma),
        velocity_latency_s=0.0 if moving is None else moving.latency_s,
        differential_age_s=max(part.differential_age_s for part in parts),
        solution_age_s=max(part.solution_age_s for part in parts),
        satellites_tracked=tracked,
        satellites_used=used,
        raw=raw,
        t_spacecraft_ms=t_spacecraft_ms % 1000,
    )


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


def ecef_from_geodetic(latitude_deg: float, longitude_deg: float, height_m: float) -> Array:
    """Return the position in ITRF, m, of a place on WGS 84; NaN for an impossible place."""
    if not (abs(latitude_deg) <= 90.0 and math.isfinite(longitude_deg) and math.isfinite(height_m)):
        return np.full(3, math.nan)
    position_m: Array = erfa.gd2gc(_WGS84, math.radians(longitude_deg), math.radians(latitude_deg), height_m)
    return position_m


def east_north_up(position_ecef_m: Array) -> Array:
    """Return the rotation (3, 3) to ITRF from the axes east, north, up of WGS 84 at a position."""
    if not (np.isfinite(position_ecef_m).all() and position_ecef_m.any()):
        return np.full((3, 3), math.nan)
    longitude, latitude, _ = erfa.gc2gd(_WGS84, position_ecef_m)
    (sin_lat, cos_lat), (sin_lon, cos_lon) = ((math.sin(angle), math.cos(angle)) for angle in (latitude, longitude))
    return np.array(
        [
            [-sin_lon, -sin_lat * cos_lon, cos_lat * cos_lon],
            [cos_lon, -sin_lat * sin_lon, cos_lat * sin_lon],
            [0.0, cos_lat, sin_lat],
        ]
    )
