"""The main controller's clock as it stamps packets, and its samples' delays."""

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import SPACECRAFT_RESTART_S
from pygnc_ground.scenario.clock_settings import SpacecraftClock
from pygnc_ground.scenario.seeds import noise_generator


def readings_s(clock: SpacecraftClock, t_s: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Whole seconds the clock shows `t_s` true seconds after the start, in the shape of `t_s`."""
    true_s = np.asarray(t_s, dtype=np.float64)
    boots_s = np.array([-clock.boot_before_start_s, *sorted(clock.reboots_s)])
    boot_s = boots_s[np.searchsorted(boots_s, true_s, side="right") - 1]
    since_boot_s = (true_s - boot_s) * (1.0 + 1e-6 * clock.drift_ppm)
    for at_s, by_s in clock.jumps_s:
        since_boot_s = since_boot_s + np.where((true_s >= at_s) & (boot_s <= at_s), by_s, 0.0)
    readings: npt.NDArray[np.int64] = SPACECRAFT_RESTART_S + np.floor(since_boot_s).astype(np.int64)
    return readings


def lateness_s(clock: SpacecraftClock, count: int, seed: int) -> npt.NDArray[np.int64]:
    """By how many whole seconds each of `count` samples is taken after its turn, shape (count,)."""
    if clock.jitter_s == 0:
        return np.zeros(count, np.int64)
    is_late = noise_generator(seed, "late samples").random(count) < clock.jitter_rate
    delay_s = noise_generator(seed, "lateness").integers(1, clock.jitter_s, count, endpoint=True)
    return np.where(is_late, delay_s, 0)
