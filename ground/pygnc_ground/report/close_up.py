"""A stretch of time in which single turns of the body can be seen."""

from typing import Final

import numpy as np

from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report.time_axis import TimeAxis

_TURNS: Final = 4.0
_LENGTH_H: Final = (1.0 / 12.0, 0.5)
"""Least and greatest."""


def close_up(result: AttitudeResult, time: TimeAxis) -> TimeAxis | None:
    """The axis of the stretch with most samples in full sunlight whose light the model knows; None without any.

    Of equal ones the last, when the filter has had its time.
    """
    known = np.isfinite(result.light.expected[:, 0]) & (result.samples.sunlit_fraction == 1.0)
    rows = time.order[known[time.order]]
    if not len(rows):
        return None
    hours = time.hours[rows]
    rate_rad_s = float(np.median(np.linalg.norm(result.smoothed.rate_body_rad_s[rows], axis=1)))
    length_h = float(np.clip(_TURNS * 2.0 * np.pi / max(rate_rad_s, 1e-6) / 3600.0, *_LENGTH_H))
    count = np.searchsorted(hours, hours + length_h, side="right") - np.arange(len(hours))
    first = len(count) - 1 - int(np.argmax(count[::-1]))
    begin, end = float(hours[first]), float(hours[first]) + length_h
    within = time.order[(time.hours[time.order] >= begin) & (time.hours[time.order] <= end)]
    return TimeAxis(time.hours, within, time.zero_gps_ms, time.gap_h, (begin, end))
