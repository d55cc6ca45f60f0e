"""The main controller's clock as it stamps packets."""

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import SPACECRAFT_RESTART_S
from pygnc_ground.scenario.settings import SpacecraftClock


def readings_s(clock: SpacecraftClock, t_s: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Whole seconds the clock shows `t_s` true seconds after the start, in the shape of `t_s`."""
    since_boot_s = (np.asarray(t_s, dtype=np.float64) + clock.boot_before_start_s) * (1.0 + 1e-6 * clock.drift_ppm)
    return SPACECRAFT_RESTART_S + np.floor(since_boot_s).astype(np.int64)
