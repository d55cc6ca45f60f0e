"""GPS receiver: availability of fixes, their errors, and the status words of a NovAtel receiver."""

import math
from enum import IntEnum, unique
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import MS_PER_WEEK
from pygnc.common.constants import GpsTimeStatus, SolutionStatus
from pygnc.environment.frames import EARTH_ROTATION_RAD_S
from pygnc.formats.gps_packet import GpsFixes
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.sensor_settings import Gps, Vector3
from pygnc_ground.scenario.settings import Settings, gauss_markov_process, noise_generator
from pygnc_ground.scenario.trajectory import SatellitePath


class CommonNoise(NamedTuple):
    """Part of the coloured noise that the receivers of several satellites have in common."""

    fraction: float = 0.0
    """Fraction of the variance."""
    seed: int = 0
    """Seed of the scenario."""


UNSHARED: Final = CommonNoise()


class FixErrors(NamedTuple):
    """Error model of position or velocity of the fixes, in m or m/s: white noise, Gauss-Markov noise, outliers."""

    vector: str
    """Name of the vector, `position` or `velocity`; it selects the random streams."""
    white: float
    coloured: float
    """Standard deviations per axis."""
    coloured_time_s: float
    outlier_rate: float
    """Fraction of fixes with an error of `outlier_size`."""
    outlier_size: float

    @property
    def sigma(self) -> float:
        """Standard deviation per axis without outliers, in m or m/s."""
        return math.hypot(self.white, self.coloured)

    def reported_sigma(self, receiver: Gps) -> float:
        """Return the standard deviation per axis that the receiver reports, in m or m/s."""
        return receiver.reported_sigma_factor * (self.white if receiver.reported_errors == "white" else self.sigma)

    def draw(self, t_s: npt.NDArray[np.int64], seed: int, log: str, common: CommonNoise = UNSHARED) -> FloatArray:
        """Return errors along the ITRF axes in m or m/s, `t_s` whole seconds after the start, shape (n, 3).

        `log` selects the streams of white noise and outliers; the coloured noise belongs to the receiver and is common
        to its logs.
        """
        count, name = len(t_s), f"{log}.{self.vector}"
        errors: FloatArray = self.white * noise_generator(seed, name).standard_normal((count, 3))
        if self.coloured > 0.0:
            own = noise_generator(seed, f"gps.coloured {self.vector}")
            errors += self.coloured * math.sqrt(1.0 - common.fraction) * self._process(own, t_s)
            if common.fraction > 0.0:
                shared = noise_generator(common.seed, f"gps.common coloured {self.vector}")
                errors += self.coloured * math.sqrt(common.fraction) * self._process(shared, t_s)
        if self.outlier_rate > 0.0:
            is_outlier = noise_generator(seed, f"{name} outliers").random(count) < self.outlier_rate
            direction = noise_generator(seed, f"{name} outlier directions").standard_normal((count, 3))
            direction /= np.linalg.norm(direction, axis=1, keepdims=True)
            errors += self.outlier_size * is_outlier[:, np.newaxis] * direction
        return errors

    def _process(self, rng: np.random.Generator, t_s: npt.NDArray[np.int64]) -> FloatArray:
        """Return a stationary process of unit variance that is drawn at every second, shape (n, 3)."""
        kept = math.exp(-1.0 / self.coloured_time_s)
        return gauss_markov_process(rng, kept, int(t_s.max(initial=0)) + 1)[t_s]


def position_errors(receiver: Gps) -> FixErrors:
    """Return the error model of the position in m."""
    noise_m = (receiver.position_noise_m, receiver.coloured_position_noise_m)
    outliers = (receiver.position_outlier_rate, receiver.position_outlier_m)
    return FixErrors("position", *noise_m, receiver.coloured_noise_time_s, *outliers)


def velocity_errors(receiver: Gps) -> FixErrors:
    """Return the error model of the velocity in m/s."""
    noise_mps = (receiver.velocity_noise_mps, receiver.coloured_velocity_noise_mps)
    outliers = (receiver.velocity_outlier_rate, receiver.velocity_outlier_mps)
    return FixErrors("velocity", *noise_mps, receiver.coloured_noise_time_s, *outliers)


def slow_velocity_errors(receiver: Gps, t_s: npt.NDArray[np.int64], seed: int) -> FloatArray:
    """Return the slow errors of the velocity along the ITRF axes in m/s, `t_s` whole seconds after the start, (n, 3).

    They belong to the receiver and are common to its logs.
    """
    interval, share = np.divmod(t_s / receiver.slow_velocity_error_s, 1.0)
    row = interval.astype(np.int64)
    draws = noise_generator(seed, "gps.slow velocity error").standard_normal((int(row.max(initial=0)) + 2, 3))
    if receiver.slow_velocity_error_shape == "steps":
        share = np.zeros(len(t_s))
    errors: FloatArray = draws[row] + share[:, np.newaxis] * (draws[row + 1] - draws[row])
    return receiver.slow_velocity_error_mps * errors


def time_tag_errors_s(receiver: Gps, t_s: npt.NDArray[np.int64]) -> FloatArray:
    """Return the errors of the times of fixes in s, stated minus true, `t_s` seconds after the start, shape (n,)."""
    drifted_ms = np.mod(1e-3 * receiver.time_tag_drift_ppm * t_s, 1.0)
    return np.asarray(1e-3 * (receiver.time_tag_error_ms + drifted_ms))


def time_steps_ms(receiver: Gps, t_s: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the sum of the steps of the stated time until `t_s` seconds after the start, in ms, shape (n,)."""
    steps = [round(1e3 * step_s) * (t_s >= at_s) for at_s, step_s in receiver.time_steps_s]
    return np.sum(steps, axis=0, dtype=np.int64) if steps else np.zeros(len(t_s), np.int64)


def ionosphere_errors_itrf_m(receiver: Gps, states_itrf: FloatArray, sun_itrf: FloatArray) -> FloatArray:
    """Return the errors of the position by the ionosphere along the ITRF axes in m, shape (n, 3).

    `states_itrf` are as in `bias_itrf`, `sun_itrf` are directions to the Sun, of any length, shape (n, 3).
    """
    up = states_itrf[:, :3] / np.linalg.norm(states_itrf[:, :3], axis=1, keepdims=True)
    to_sun = sun_itrf / np.linalg.norm(sun_itrf, axis=1, keepdims=True)
    sine = np.einsum("ni,ni->n", up, to_sun)[:, np.newaxis]
    return np.asarray(receiver.ionosphere_m * np.maximum(sine, 0.0) * up)


def constellation_errors_itrf_m(receiver: Gps, t_s: npt.NDArray[np.int64], seed: int) -> FloatArray:
    """Return the errors of the position by the satellites used along the ITRF axes in m, shape (n, 3).

    `t_s` are whole seconds after the start. The errors belong to the receiver and are common to its logs.
    """
    shortest_s, longest_s = receiver.constellation_change_s
    count = int(t_s.max(initial=0) / shortest_s) + 1
    ends_s = np.cumsum(noise_generator(seed, "gps.constellation changes").uniform(shortest_s, longest_s, count))
    directions = noise_generator(seed, "gps.constellation directions").standard_normal((count + 1, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # Two independent vectors of this length differ by a step on average.
    length_m = receiver.constellation_step_m / math.sqrt(2.0)
    return np.asarray(length_m * directions[np.searchsorted(ends_s, t_s, side="right")])


def bias_itrf(states_itrf: FloatArray, bias_rtn: Vector3) -> FloatArray:
    """Return a constant error along radial, transverse and normal of the inertial motion in ITRF axes, shape (n, 3).

    `states_itrf` are the positions in m and the velocities in m/s at the times of validity, shape (n, 6).
    """
    position_m, velocity_mps = states_itrf[:, :3], states_itrf[:, 3:]
    inertial_mps = velocity_mps + np.cross((0.0, 0.0, EARTH_ROTATION_RAD_S), position_m)
    radial = position_m / np.linalg.norm(position_m, axis=1, keepdims=True)
    normal = np.cross(position_m, inertial_mps)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    axes = np.stack((radial, np.cross(normal, radial), normal), axis=2)
    return np.asarray(axes @ np.array(bias_rtn))


@unique
class Reception(IntEnum):
    """State of the receiver: whether it knows time and position."""

    NOTHING = 0
    """Neither time nor position is known."""
    TIME = 1
    """The time is known from the first satellites."""
    INTERRUPTED = 2
    """The time is known from an earlier fix."""
    FIX = 3
    """Time and position are known."""


def receptions(receiver: Gps, t_s: npt.NDArray[np.int64], record_s: int, seed: int) -> npt.NDArray[np.int64]:
    """Return `Reception` at `t_s` whole seconds after the start, shape (n,); records are `record_s` apart."""
    off = t_s // record_s % receiver.fix_every_records != 0
    outages_s = list(receiver.outages_s)
    if receiver.outage_rate_per_h > 0.0:
        # Drawn for every second, so that a longer scenario begins with the same outages.
        draws = noise_generator(seed, "gps.outages").random(int(t_s.max(initial=0)) + 1)
        begin_s = np.flatnonzero(draws < receiver.outage_rate_per_h / 3600.0)
        rng = noise_generator(seed, "gps.outage durations")
        durations_s = rng.exponential(receiver.outage_mean_s, len(begin_s))
        outages_s += zip(begin_s.tolist(), durations_s.tolist(), strict=True)
    for first_s, duration_s in outages_s:
        off |= (t_s >= first_s) & (t_s < first_s + duration_s)
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
    # The receiver's clock is still being steered for a minute after the first fix of a cold start.
    settling = (reception == Reception.FIX) & (receiver.cold_start_s > 0.0) & (t_s < receiver.cold_start_s + 60.0)
    return np.where(settling, GpsTimeStatus.FINE, statuses)


def make_fixes(
    settings: Settings,
    trajectory: SatellitePath,
    t_s: npt.NDArray[np.int64],
    log: str,
    common: CommonNoise = UNSHARED,
) -> GpsFixes:
    """Return fixes at `t_s` whole seconds after the start, shape (n,), without spacecraft time.

    Positions and velocities are in ITRF. The position is valid at the time of the fix, except for the errors of that
    time, the velocity `velocity_latency_s` earlier. `log` selects the noise: fixes of the sense file and of a range
    file have different noise even at the same time. Without a fix, the position, the velocity and all
    quality fields are zero.
    """
    receiver, seed, count = settings.gps, settings.seed, len(t_s)
    reception = receptions(receiver, t_s, settings.record_s, seed)
    has_fix = reception == Reception.FIX
    missing = noise_generator(seed, f"{log}.missing velocities").random(count) < receiver.velocity_missing_rate
    has_velocity = has_fix & ~missing
    of_position, of_velocity = position_errors(receiver), velocity_errors(receiver)
    true_s = t_s - time_tag_errors_s(receiver, t_s)
    now, earlier = trajectory.states_itrf(true_s), trajectory.states_itrf(true_s - receiver.velocity_latency_s)
    position_m = now[:, :3] + of_position.draw(t_s, seed, log, common) + bias_itrf(now, receiver.position_bias_rtn_m)
    if receiver.ionosphere_m > 0.0:
        sun_m = environment.sun_position_itrf_m(settings.start_gps_ms, true_s)
        position_m += ionosphere_errors_itrf_m(receiver, now, sun_m)
    if receiver.constellation_step_m > 0.0:
        position_m += constellation_errors_itrf_m(receiver, t_s, seed)
    velocity_mps = earlier[:, 3:] + of_velocity.draw(t_s, seed, log, common)
    velocity_mps += bias_itrf(earlier, receiver.velocity_bias_rtn_mps) + slow_velocity_errors(receiver, t_s, seed)

    stated_ms = settings.start_gps_ms + 1000 * t_s + time_steps_ms(receiver, t_s)
    week, tow_ms = np.divmod(stated_ms, MS_PER_WEEK)
    has_time = reception != Reception.NOTHING
    tracked, unused = noise_generator(seed, f"{log}.satellites").integers((8, 0), (12, 2), (count, 2), endpoint=True).T
    # With a fix 8 to 12 satellites are tracked, of which at most 2 are not used; without a fix at most 2 are tracked.
    few = noise_generator(seed, f"{log}.few satellites").integers(0, 2, count, endpoint=True)

    def status(is_solved: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.where(is_solved, SolutionStatus.COMPUTED, SolutionStatus.INSUFFICIENT_OBSERVATIONS)

    def vector(is_solved: npt.NDArray[np.bool_], values: npt.ArrayLike) -> FloatArray:
        return np.where(is_solved[:, np.newaxis], np.broadcast_to(values, (count, 3)), 0.0)

    return GpsFixes(
        t_spacecraft_s=None,
        time_status=time_statuses(receiver, t_s, reception),
        gps_week=np.where(has_time, week, 0),
        # Without GPS time the receiver counts milliseconds since its own start, 15 s before that of the scenario.
        gps_tow_ms=np.where(has_time, tow_ms, 1000 * (t_s + 15)),
        position_status=status(has_fix),
        position_ecef_m=vector(has_fix, position_m),
        position_sigma_m=vector(has_fix, of_position.reported_sigma(receiver)),
        velocity_status=status(has_velocity),
        velocity_ecef_mps=vector(has_velocity, velocity_mps),
        velocity_sigma_mps=vector(has_velocity, of_velocity.reported_sigma(receiver)),
        velocity_latency_s=np.where(has_velocity, receiver.velocity_latency_s, 0.0),
        differential_age_s=np.zeros(count),
        solution_age_s=np.zeros(count),
        satellites_tracked=np.where(has_fix, tracked, np.where(has_time, few, 0)),
        satellites_used=np.where(has_fix, tracked - unused, 0),
    )
