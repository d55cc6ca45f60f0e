"""The true attitude, in the mode that the settings choose."""

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario.attitude_kinematics import AttitudeStates
from pygnc_ground.scenario.attitude_path import Path
from pygnc_ground.scenario.attitude_pointing import nadir_states, sun_states
from pygnc_ground.scenario.attitude_rigid import rigid_states
from pygnc_ground.scenario.attitude_tumble import tumble_states
from pygnc_ground.scenario.sensor_settings import Attitude


def attitude_states(attitude: Attitude, path: Path, start_gps_ms: int, t_s: npt.ArrayLike) -> AttitudeStates:
    """Attitude and body rate `t_s` seconds, none negative, after the start, shape (n,).

    Args:
        attitude: Mode and its settings.
        path: The orbit, asked in all modes but tumble.
        start_gps_ms: GPS time of the start in milliseconds, for the place of the Sun.
        t_s: Times in ascending order.
    """
    times_s = np.asarray(t_s, dtype=np.float64)
    match attitude.mode:
        case "tumble":
            return tumble_states(attitude, times_s)
        case "rigid":
            return rigid_states(attitude, path, times_s)
        case "nadir":
            return nadir_states(attitude, path, times_s)
        case "sun":
            return sun_states(attitude, path, start_gps_ms, times_s)
