"""When the receiver has a fix: cold start, outages, duty cycle."""

from enum import IntEnum, unique
from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc.common.constants import GpsTimeStatus
from pygnc_ground.scenario.gps_settings import Gps
from pygnc_ground.scenario.seeds import noise_generator

_FINE_TIME_S: Final = 60.0
"""So long after the first fix of a cold start the receiver's clock is still being steered."""


@unique
class Reception(IntEnum):
    """What the receiver knows."""

    NOTHING = 0
    """Neither time nor position."""
    TIME = 1
    """The time, from its first satellites."""
    INTERRUPTED = 2
    """The time, kept since an earlier fix."""
    FIX = 3


def receptions(receiver: Gps, t_s: npt.NDArray[np.int64], record_s: int, seed: int) -> npt.NDArray[np.int64]:
    """`Reception` at `t_s` whole seconds after the start, shape (n,); `record_s` is from one record to the next."""
    off = t_s // record_s % receiver.fix_every_records != 0
    for begin_s, duration_s in [*receiver.outages_s, *_random_outages_s(receiver, int(t_s.max(initial=0)), seed)]:
        off |= (t_s >= begin_s) & (t_s < begin_s + duration_s)
    found = np.where(off, Reception.INTERRUPTED, Reception.FIX)
    found[t_s < receiver.cold_start_s] = Reception.TIME
    found[t_s < receiver.time_unknown_fraction * receiver.cold_start_s] = Reception.NOTHING
    return found


def time_statuses(receiver: Gps, t_s: npt.NDArray[np.int64], reception: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """NovAtel's words for what the receiver knows of the time, shape (n,).

    Those before the first fix are the recorded ones; a receiver that lost its satellites runs freely (OEM7 manual, GPS
    reference time status).
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
    """Begin and duration; one may begin at any second, so that a longer scenario begins with the same ones."""
    if receiver.outage_rate_per_h == 0.0:
        return []
    begins = noise_generator(seed, "gps.outages").random(last_s + 1) < receiver.outage_rate_per_h / 3600.0
    begin_s = np.flatnonzero(begins)
    duration_s = noise_generator(seed, "gps.outage durations").exponential(receiver.outage_mean_s, len(begin_s))
    return list(zip(begin_s.tolist(), duration_s.tolist(), strict=True))
