"""Observations of an arc: measured positions and velocities, their residuals, noise, and robust weights.

The residual of an observation is a vector: its squared length in standard deviations is chi-square with three degrees
of freedom. While the orbit still moves, Huber's weights are used (1964), which never exclude anything for good.
Afterwards the weights of Yang's IGG III scheme (J. Geodesy 73, 1999) are one, decreasing to zero at the gate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pygnc.common.arrays import cross_matrix
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import MeasurementSettings, ScreeningSettings
from pygnc_ground.orbit.batch.first_orbit import oblate_earth
from pygnc_ground.orbit.batch.trajectory import LinearMotion
from pygnc_ground.orbit.batch.whitening import Whitening
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """n measured vectors of one kind, positions or velocities."""

    fix: IntArray
    """Index of the fix of each observation, shape (n,)."""
    gps_ms: IntArray
    """Time of the fix in milliseconds since the GPS epoch, shape (n,)."""
    offset_s: FloatArray
    """Time of validity minus time of the fix, shape (n,)."""
    measured: FloatArray
    """Measured vectors in ITRF, m or m/s, shape (n, 3)."""
    sigma: FloatArray
    """Standard deviations by the receiver, unknown and optimistic values replaced, m or m/s, shape (n, 3)."""
    count: FloatArray
    """Number of fixes whose mean each observation is, shape (n,)."""
    from_gcrf: FloatArray
    """Matrices from the GCRF state at the time of validity to the measurement, shape (n, 3, 6)."""

    def __len__(self) -> int:
        return len(self.fix)


def usable(fixes: Sequence[Fix], limits: ScreeningSettings) -> list[Fix]:
    """Return the fixes in order of time, without duplicates and without impossible positions and velocities."""
    possible = (_possible(fix, limits) for fix in fixes)
    single = {(fix.gps_ms, fix.position_ecef_m.tobytes()): fix for fix in possible if fix is not None}
    return sorted(single.values(), key=lambda fix: fix.gps_ms)


def observe(
    fixes: Sequence[Fix], frames: EarthFrames, settings: MeasurementSettings
) -> tuple[Observations, Observations]:
    """Return the positions of fixes, and the velocities of those that have one.

    A velocity is valid earlier than the fix by its latency.
    """
    everything = range(len(fixes))
    moving = [row for row in everything if fixes[row].velocity_ecef_mps is not None]
    times_ms = np.array([fix.gps_ms for fix in fixes], dtype=np.int64)
    latency_s = np.array([fixes[row].velocity_latency_s for row in moving])
    positions = np.zeros((len(fixes), 3, 6))
    positions[:, :, :3] = frames.at_each(times_ms, np.zeros(len(fixes))).ecef_from_gcrf
    earlier = frames.at_each(times_ms[moving], -latency_s)
    turned = -earlier.ecef_from_gcrf @ cross_matrix(earlier.rotation_gcrf_rad_s)
    velocities = np.concatenate((turned, earlier.ecef_from_gcrf), axis=2)

    def observed(
        rows: Sequence[int], kind: str, unit: str, offset_s: FloatArray, from_gcrf: FloatArray
    ) -> Observations:
        default, floor = (getattr(settings, f"{kind}_sigma_{value}_{unit}") for value in ("default", "floor"))
        measured, reported = (
            np.array([getattr(fixes[row], name) for row in rows], dtype=np.float64).reshape(-1, 3)
            for name in (f"{kind}_ecef_{unit}", f"{kind}_sigma_{unit}")
        )
        sigma = np.maximum(np.where(reported > 0.0, reported, default), floor)
        count = np.array([float(getattr(fixes[row], "count", 1)) for row in rows])
        of_fix = np.array(rows, dtype=np.int64)
        return Observations(of_fix, times_ms[of_fix], offset_s, measured, sigma, count, from_gcrf)

    return (
        observed(everything, "position", "m", np.zeros(len(fixes)), positions),
        observed(moving, "velocity", "mps", -latency_s, velocities),
    )


def inertial(positions: Observations, velocities: Observations, pole: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return positions in m and velocities in m/s of n fixes in GCRF at the times of the fixes, both of shape (n, 3).

    Velocities are NaN where a fix has none. `pole` is the unit vector of the Earth's axis, shape (3,).
    """
    rotation = positions.from_gcrf[:, :, :3]
    position_m = np.einsum("nji,nj->ni", rotation, positions.measured)
    velocity_mps = np.full_like(position_m, np.nan)
    if len(velocities):
        turned, rotation = np.split(velocities.from_gcrf, 2, axis=2)
        earlier_s = velocities.offset_s[:, None]
        then_m = position_m[velocities.fix]
        rough_mps = np.einsum("nji,nj->ni", rotation, velocities.measured)
        then_m = then_m + earlier_s * rough_mps
        relative = velocities.measured - np.einsum("nij,nj->ni", turned, then_m)
        then_mps = np.einsum("nji,nj->ni", rotation, relative)
        velocity_mps[velocities.fix] = then_mps - earlier_s * oblate_earth(then_m, pole)
    return position_m, velocity_mps


def _possible(fix: Fix, limits: ScreeningSettings) -> Fix | None:
    """Return the fix, without its velocity if that is impossible; None if the position is."""
    if not limits.radius_min_m <= math.hypot(*fix.position_ecef_m) <= limits.radius_max_m:
        return None
    if not np.isfinite(fix.position_sigma_m).all():
        return None
    possible = False
    if fix.velocity_ecef_mps is not None and fix.velocity_sigma_mps is not None:
        slowest_mps, fastest_mps = limits.speed_limits_mps
        possible = slowest_mps <= math.hypot(*fix.velocity_ecef_mps) <= fastest_mps
        possible &= 0.0 <= fix.velocity_latency_s <= limits.velocity_latency_max_s
        possible &= bool(np.isfinite(fix.velocity_sigma_mps).all())
    return fix if possible else replace(fix, velocity_ecef_mps=None, velocity_sigma_mps=None, velocity_latency_s=0.0)


_HUBER_LIMIT: Final = 2.5
"""Residual length up to which the weight is one; nine in ten vectors of three normal components are shorter."""
_FULL_WEIGHT: Final = 0.75
"""Fraction of the gate's length up to which a residual has full weight."""
_MEDIAN_OF_CHI_SQUARE: Final = 2.366
"""Median of chi-square with three degrees of freedom."""
_FITTED_MAX: Final = 0.8
_CLAIM: Final = 20.0
"""The receiver's own standard deviations count as much as this many residuals."""


def huber(length: FloatArray) -> FloatArray:
    """Return Huber's weights, 0 to 1, shape (n,), of residuals with a `length` in standard deviations."""
    return _HUBER_LIMIT / np.maximum(length, _HUBER_LIMIT)


def redescending(length: FloatArray, gate: float) -> FloatArray:
    """Return IGG III weights, shape (n,), as in `huber`, but zero from the chi-square limit `gate` on."""
    last = np.sqrt(gate)
    full = _FULL_WEIGHT * last
    falling = full / np.maximum(length, full) * (np.clip(last - length, 0.0, last - full) / (last - full)) ** 2
    return np.where(length <= full, 1.0, falling)


def noise_scale(chi_square: FloatArray, fitted: float, gate: float, scale_min: float) -> float:
    """Return the factor on the receiver's standard deviations, by the median of squared residuals (n,) within the gate.

    The residuals are in the receiver's standard deviations. `fitted` is the fraction of the measurements that the fit
    absorbs, which reduces the residuals, 0 to 1.
    """
    if not len(chi_square):
        return 1.0
    passing = chi_square[chi_square <= gate * max(_variance(chi_square), scale_min**2)]
    variance = _variance(passing) / (1.0 - min(fitted, _FITTED_MAX))
    return max(math.sqrt((len(passing) * variance + _CLAIM) / (len(passing) + _CLAIM)), scale_min)


def _variance(chi_square: FloatArray) -> float:
    """Return the variance of one component, in the receiver's variances, from the median of the squared lengths."""
    return float(np.median(chi_square)) / _MEDIAN_OF_CHI_SQUARE


_ACCEPTED_WEIGHT: Final = 0.1
_BLOCK: Final = 512
"""Number of observations whose derivatives are in memory at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Residuals:
    """Residuals of one kind of observations against an orbit."""

    observations: Observations
    normalised: FloatArray
    """Measured minus computed over the receiver's standard deviations of a single fix, shape (n, 3)."""
    scale: float
    """Estimated factor on the receiver's standard deviations."""
    weight: FloatArray
    """Robust weights, 0 to 1, shape (n,)."""
    whitening: Whitening
    """Operation that makes the errors independent."""

    @classmethod
    def of(
        cls,
        observations: Observations,
        motion: LinearMotion,
        limits: MeasurementSettings,
        fitted: float,
        *,
        settled: bool,
    ) -> "Residuals":
        """Return the residuals of the observations with white errors against a motion.

        `fitted` is the fraction of the measurements that the fit absorbs, 0 to 1. `settled` is true if the orbit is
        accurate enough to exclude observations by their residuals.
        """
        states = motion.states(observations.gps_ms, observations.offset_s)
        computed = np.einsum("nij,nj->ni", observations.from_gcrf, states)
        normalised = (observations.measured - computed) / observations.sigma
        length = np.linalg.norm(normalised, axis=1) * np.sqrt(observations.count)
        scale = noise_scale(length**2, fitted, limits.gate, limits.noise_scale_min)
        weight = redescending(length / scale, limits.gate) if settled else huber(length / scale)
        whitening = Whitening(observations.gps_ms, weight * observations.count, 0.0, 1.0)
        return cls(observations, normalised, scale, weight, whitening)

    def correlated(self, limits: MeasurementSettings, fitted: float, share: float, time_s: float) -> "Residuals":
        """Return white residuals as residuals with a `share` of the variance that is correlated over `time_s`."""
        if share == 0.0:
            return self
        whitening = Whitening(self.observations.gps_ms, self.weight * self.observations.count, share, time_s)
        white = whitening.apply(self.normalised, 0, np.zeros(3))
        scale = noise_scale((white**2).sum(axis=1), fitted, limits.gate, limits.noise_scale_min)
        return replace(self, scale=scale, whitening=whitening)

    def rescaled(
        self, motion: LinearMotion, correction: FloatArray, limits: MeasurementSettings, fitted: float
    ) -> "Residuals":
        """Return the residuals with the noise scale that they have after a correction (p,) of the parameters."""
        seen = self.observations
        moved = motion.changes(seen.gps_ms, seen.offset_s, correction)
        after = self.normalised - np.einsum("nij,nj->ni", seen.from_gcrf, moved) / seen.sigma
        white = self.whitening.apply(after, 0, np.zeros(3))
        scale = noise_scale((white**2).sum(axis=1), fitted, limits.gate, limits.noise_scale_min)
        return replace(self, scale=scale)

    @property
    def log_likelihood(self) -> float:
        """Logarithm of the likelihood of the residuals, except for a constant."""
        white = self.whitening.apply(self.normalised, 0, np.zeros(3)) / self.scale
        used = int((self.weight > 0.0).sum())
        log_determinant = 3.0 * (self.whitening.log_determinant + 2.0 * used * math.log(self.scale))
        return -0.5 * (float((white**2).sum()) + log_determinant)

    @property
    def chi_square(self) -> FloatArray:
        """Squared residuals over their variances, 3 degrees of freedom, shape (n,)."""
        chi_square: FloatArray = (self.normalised**2).sum(axis=1) * self.observations.count / self.scale**2
        return chi_square

    @property
    def accepted(self) -> BoolArray:
        """Flags of observations with sufficient weight, shape (n,)."""
        return self.weight >= _ACCEPTED_WEIGHT

    def add_to(self, matrix: FloatArray, right: FloatArray, motion: LinearMotion) -> None:
        """Add the whitened and weighted observations to normal equations for corrections of the p parameters.

        Both `matrix`, shape (p, p), and `right`, shape (p,), are changed.
        """
        seen = self.observations
        residual = self.whitening.apply(self.normalised / self.scale, 0, np.zeros(3))
        carried = np.zeros((3, len(right)))
        for first in range(0, len(seen), _BLOCK):
            block = slice(first, first + _BLOCK)
            partials = seen.from_gcrf[block] / (self.scale * seen.sigma[block])[:, :, None]
            scaled = motion.derivatives(seen.gps_ms[block], seen.offset_s[block], partials)
            # The later parameters act after all observations of the block.
            acting = scaled.shape[2]
            rows = self.whitening.apply(scaled, first, carried[:, :acting]).reshape(-1, acting)
            matrix[:acting, :acting] += rows.T @ rows
            right[:acting] += rows.T @ residual[block].ravel()
