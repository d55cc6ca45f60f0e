"""The GPS receiver: noisy fixes with the status words a NovAtel receiver gives."""

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import MS_PER_WEEK
from pygnc.common.constants import SolutionStatus
from pygnc.formats.gps_packet import GpsFixes
from pygnc_ground.scenario.gps_errors import FixErrors
from pygnc_ground.scenario.gps_reception import Reception, receptions, time_statuses
from pygnc_ground.scenario.path import SatellitePath
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import Settings

_UPTIME_AT_START_S = 15
"""A receiver without GPS time counts milliseconds since its own start instead."""
_FEWEST, _MOST = (8, 0), (12, 2)
"""Satellites tracked, and tracked but not used, with a fix."""
_MOST_WITHOUT_FIX = 2


def make_fixes(settings: Settings, trajectory: SatellitePath, t_s: npt.NDArray[np.int64], log: str) -> GpsFixes:
    """Fixes at `t_s` whole seconds after the start, shape (n,), as one of the receiver's logs, without spacecraft time.

    The position is valid at the time of the fix, the velocity at that time less the latency, both in ITRF. `log` names
    the noise: a fix of the sense file and one of a range file do not share theirs, even at the same time. Without a fix
    both are zero, as are all that says how good they are.
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
    """Three components per fix, all zero without a solution."""
    return np.where(is_solved[:, np.newaxis], np.broadcast_to(values, (len(is_solved), 3)), 0.0)


def _satellites(
    reception: npt.NDArray[np.int64], seed: int, log: str
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """How many satellites are tracked, and used, each of shape (n,)."""
    count, has_fix = len(reception), reception == Reception.FIX
    sky = noise_generator(seed, f"{log}.satellites")
    tracked, unused = sky.integers(_FEWEST, _MOST, (count, 2), endpoint=True).T
    few = noise_generator(seed, f"{log}.few satellites").integers(0, _MOST_WITHOUT_FIX, count, endpoint=True)
    without_fix = np.where(reception == Reception.NOTHING, 0, few)
    return np.where(has_fix, tracked, without_fix), np.where(has_fix, tracked - unused, 0)
