"""The GPS receiver: noisy fixes with the status words a NovAtel receiver gives."""

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import MS_PER_WEEK
from pygnc.common.constants import GpsTimeStatus, SolutionStatus
from pygnc.formats.gps_packet import GpsFixes
from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import Gps
from pygnc_ground.scenario.truth import Trajectory

_UPTIME_AT_START_S = 15
"""A receiver without GPS time counts milliseconds since its own start instead."""
_FEWEST, _MOST = (8, 0), (12, 2)
"""Satellites tracked, and tracked but not used."""


def make_fixes(
    receiver: Gps, trajectory: Trajectory, start_gps_ms: int, t_s: npt.NDArray[np.int64], *, seed: int, log: str
) -> GpsFixes:
    """Fixes at `t_s` whole seconds after the start, shape (n,), as one of the receiver's logs, without spacecraft time.

    The position is valid at the time of the fix, the velocity at that time less the latency, both in ITRF. `log` names
    the noise: a fix of the sense file and one of a range file do not share theirs, even at the same time.
    """
    count = len(t_s)
    position_m = trajectory.states_itrf(t_s)[:, :3]
    velocity_mps = trajectory.states_itrf(t_s - receiver.velocity_latency_s)[:, 3:]
    position_noise = noise_generator(seed, f"{log}.position").standard_normal((count, 3))
    velocity_noise = noise_generator(seed, f"{log}.velocity").standard_normal((count, 3))
    sky = noise_generator(seed, f"{log}.satellites")
    tracked, unused = sky.integers(_FEWEST, _MOST, (count, 2), endpoint=True).T

    has_fix = t_s >= receiver.cold_start_s
    week, tow_ms = np.divmod(start_gps_ms + 1000 * t_s, MS_PER_WEEK)
    status = np.where(has_fix, SolutionStatus.COMPUTED, SolutionStatus.INSUFFICIENT_OBSERVATIONS)

    def where_fix(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Three components per fix, all zero without one."""
        return np.where(has_fix[:, np.newaxis], np.broadcast_to(values, (count, 3)), 0.0)

    return GpsFixes(
        t_spacecraft_s=None,
        time_status=np.where(has_fix, receiver.time_status, GpsTimeStatus.UNKNOWN),
        gps_week=np.where(has_fix, week, 0),
        gps_tow_ms=np.where(has_fix, tow_ms, 1000 * (t_s + _UPTIME_AT_START_S)),
        position_status=status,
        position_ecef_m=where_fix(position_m + receiver.position_noise_m * position_noise),
        position_sigma_m=where_fix(receiver.position_noise_m),
        velocity_status=status,
        velocity_ecef_mps=where_fix(velocity_mps + receiver.velocity_noise_mps * velocity_noise),
        velocity_sigma_mps=where_fix(receiver.velocity_noise_mps),
        velocity_latency_s=np.where(has_fix, receiver.velocity_latency_s, 0.0),
        differential_age_s=np.zeros(count),
        solution_age_s=np.zeros(count),
        satellites_tracked=np.where(has_fix, tracked, 0),
        satellites_used=np.where(has_fix, tracked - unused, 0),
    )
