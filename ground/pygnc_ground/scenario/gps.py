"""GPS receiver: availability of fixes, their errors, and the status words of a NovAtel receiver."""

import math
from dataclasses import dataclass
from enum import IntEnum, unique
from itertools import accumulate
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import MS_PER_WEEK
from pygnc.common.constants import GpsTimeStatus, SolutionStatus
from pygnc.formats.gps_packet import GpsFixes
from pygnc_ground.scenario.earth import FloatArray
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import Gps, Settings
from pygnc_ground.scenario.trajectory import SatellitePath


@dataclass(frozen=True, slots=True)
class FixErrors:
    """Error model of one vector of the fixes, in m or m/s: white noise, Gauss-Markov noise, outliers."""

    vector: str
    """Name of the vector, which selects the random streams"""
    white: float
    coloured: float
    coloured_time_s: float
    outlier_rate: float
    outlier_size: float

    @classmethod
    def of_position(cls, receiver: Gps) -> Self:
        """Return the error model of the position in m."""
        return cls(
            "position",
            receiver.position_noise_m,
            receiver.coloured_position_noise_m,
            receiver.coloured_noise_time_s,
            receiver.position_outlier_rate,
            receiver.position_outlier_m,
        )

    @classmethod
    def of_velocity(cls, receiver: Gps) -> Self:
        """Return the error model of the velocity in m/s."""
        return cls(
            "velocity",
            receiver.velocity_noise_mps,
            receiver.coloured_velocity_noise_mps,
            receiver.coloured_noise_time_s,
            receiver.velocity_outlier_rate,
            receiver.velocity_outlier_mps,
        )

    @property
    def sigma(self) -> float:
        """True standard deviation per axis without outliers."""
        return math.hypot(self.white, self.coloured)

    def draw(self, t_s: npt.NDArray[np.int64], seed: int, log: str) -> FloatArray:
        """Return errors at `t_s` whole seconds after the start, shape (n, 3).

        `log` selects the streams of white noise and outliers; the coloured noise belongs to the receiver and is common
        to its logs.
        """
        count, name = len(t_s), f"{log}.{self.vector}"
        errors: FloatArray = self.white * noise_generator(seed, name).standard_normal((count, 3))
        if self.coloured > 0.0:
            errors += self.coloured * self._gauss_markov(int(t_s.max(initial=0)), seed)[t_s]
        if self.outlier_rate > 0.0:
            is_outlier = noise_generator(seed, f"{name} outliers").random(count) < self.outlier_rate
            direction = noise_generator(seed, f"{name} outlier directions").standard_normal((count, 3))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            errors += self.outlier_size * is_outlier[:, np.newaxis] * direction
        return errors

    def _gauss_markov(self, last_s: int, seed: int) -> FloatArray:
        """Return a stationary process of unit variance at every second from 0 to `last_s`, shape (last_s + 1, 3)."""
        kept = math.exp(-1.0 / self.coloured_time_s)
        steps = noise_generator(seed, f"gps.coloured {self.vector}").standard_normal((last_s + 1, 3))
        steps[1:] *= math.sqrt(1.0 - kept**2)
        axes = [list(accumulate(axis, lambda before, step: kept * before + step)) for axis in steps.T.tolist()]
        return np.array(axes).T


_FINE_TIME_S: Final = 60.0
"""The receiver's clock is still being steered for this long after the first fix of a cold start."""


@unique
class Reception(IntEnum):
    """Knowledge of the receiver without a fix, or with one."""

    NOTHING = 0
    """Neither time nor position is known."""
    TIME = 1
    """The time is known from the first satellites."""
    INTERRUPTED = 2
    """The time is known from an earlier fix."""
    FIX = 3


def receptions(receiver: Gps, t_s: npt.NDArray[np.int64], record_s: int, seed: int) -> npt.NDArray[np.int64]:
    """Return `Reception` at `t_s` whole seconds after the start, shape (n,); records are `record_s` apart."""
    off = t_s // record_s % receiver.fix_every_records != 0
    for begin_s, duration_s in [*receiver.outages_s, *_random_outages_s(receiver, int(t_s.max(initial=0)), seed)]:
        off |= (t_s >= begin_s) & (t_s < begin_s + duration_s)
    found = np.where(off, Reception.INTERRUPTED, Reception.FIX)
    found[t_s < receiver.cold_start_s] = Reception.TIME
    found[t_s < receiver.time_unknown_fraction * receiver.cold_start_s] = Reception.NOTHING
    return found


def time_statuses(receiver: Gps, t_s: npt.NDArray[np.int64], reception: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return NovAtel's GPS reference time status words, shape (n,).

    The words before the first fix were seen in recordings. A receiver that has lost its satellites reports FREEWHEELING
    (OEM7 manual, GPS reference time status).
    """
    of_reception = {
        Reception.NOTHING: GpsTimeStatus.UNKNOWN,
        Reception.TIME: GpsTimeStatus.COARSE_STEERING,
        Reception.INTERRUPTED: GpsTimeStatus.FREE_WHEELING,
        Reception.FIX: receiver.time_status,
    }
    statuses = np.array([of_reception[kind] for kind in Reception])[reception]
    settling = (reception == Reception.FIX) & (receiver.cold_start_s > 0.0)
    settling &= t_s < receiver.cold_start_s + _FINE_TIME_S
    return np.where(settling, GpsTimeStatus.FINE, statuses)


def _random_outages_s(receiver: Gps, last_s: int, seed: int) -> list[tuple[float, float]]:
    """Return begin and duration of the random outages; a longer scenario begins with the same outages."""
    if receiver.outage_rate_per_h == 0.0:
        return []
    begins = noise_generator(seed, "gps.outages").random(last_s + 1) < receiver.outage_rate_per_h / 3600.0
    begin_s = np.flatnonzero(begins)
    duration_s = noise_generator(seed, "gps.outage durations").exponential(receiver.outage_mean_s, len(begin_s))
    return list(zip(begin_s.tolist(), duration_s.tolist(), strict=True))


_UPTIME_AT_START_S = 15
"""A receiver without GPS time counts milliseconds since its own start instead."""
_FEWEST, _MOST = (8, 0), (12, 2)
"""Satellites tracked, and tracked but not used, with a fix."""
_MOST_WITHOUT_FIX = 2


def make_fixes(settings: Settings, trajectory: SatellitePath, t_s: npt.NDArray[np.int64], log: str) -> GpsFixes:
    """Return fixes at `t_s` whole seconds after the start, shape (n,), without spacecraft time.

    Positions and velocities are in ITRF. The position is valid at the time of the fix, the velocity
    `velocity_latency_s` earlier. `log` selects the noise: fixes of the sense file and of a range file have different
    noise even at the same time. Without a fix, the position, the velocity and all quality fields are zero.
    """
    receiver, seed, count = settings.gps, settings.seed, len(t_s)
    reception = receptions(receiver, t_s, settings.record_s, seed)
    has_fix = reception == Reception.FIX
    missing = noise_generator(seed, f"{log}.missing velocities").random(count) < receiver.velocity_missing_rate
    has_velocity = has_fix & ~missing
    of_position, of_velocity = FixErrors.of_position(receiver), FixErrors.of_velocity(receiver)
    position_m = trajectory.states_itrf(t_s)[:, :3] + of_position.draw(t_s, seed, log)
    velocity_mps = trajectory.states_itrf(t_s - receiver.velocity_latency_s)[:, 3:] + of_velocity.draw(t_s, seed, log)

    week, tow_ms = np.divmod(settings.start_gps_ms + 1000 * t_s, MS_PER_WEEK)
    has_time = reception != Reception.NOTHING
    tracked, used = _satellites(reception, seed, log)
    return GpsFixes(
        t_spacecraft_s=None,
        time_status=time_statuses(receiver, t_s, reception),
        gps_week=np.where(has_time, week, 0),
        gps_tow_ms=np.where(has_time, tow_ms, 1000 * (t_s + _UPTIME_AT_START_S)),
        position_status=_statuses(has_fix),
        position_ecef_m=_vectors(has_fix, position_m),
        position_sigma_m=_vectors(has_fix, receiver.reported_sigma_factor * of_position.sigma),
        velocity_status=_statuses(has_velocity),
        velocity_ecef_mps=_vectors(has_velocity, velocity_mps),
        velocity_sigma_mps=_vectors(has_velocity, receiver.reported_sigma_factor * of_velocity.sigma),
        velocity_latency_s=np.where(has_velocity, receiver.velocity_latency_s, 0.0),
        differential_age_s=np.zeros(count),
        solution_age_s=np.zeros(count),
        satellites_tracked=tracked,
        satellites_used=used,
    )


def _statuses(is_solved: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    return np.where(is_solved, SolutionStatus.COMPUTED, SolutionStatus.INSUFFICIENT_OBSERVATIONS)


def _vectors(is_solved: npt.NDArray[np.bool_], values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return three components per fix; they are zero without a solution."""
    return np.where(is_solved[:, np.newaxis], np.broadcast_to(values, (len(is_solved), 3)), 0.0)


def _satellites(
    reception: npt.NDArray[np.int64], seed: int, log: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the numbers of satellites tracked and used, each of shape (n,)."""
    count, has_fix = len(reception), reception == Reception.FIX
    sky = noise_generator(seed, f"{log}.satellites")
    tracked, unused = sky.integers(_FEWEST, _MOST, (count, 2), endpoint=True).T
    few = noise_generator(seed, f"{log}.few satellites").integers(0, _MOST_WITHOUT_FIX, count, endpoint=True)
    without_fix = np.where(reception == Reception.NOTHING, 0, few)
    return np.where(has_fix, tracked, without_fix), np.where(has_fix, tracked - unused, 0)
