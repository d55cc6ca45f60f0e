"""Flags of samples as stretches of time."""

from typing import Final

import numpy as np

from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.report.time_axis import TimeAxis

_APART: Final = 1.0 / 400.0
"""Stretches closer than this share of the axis are drawn as one."""


def spans(flags: BoolArray, time: TimeAxis) -> FloatArray:
    """First and last hour, shape (k, 2), of each run of flagged samples; flags (n,), whose samples are the axis's.

    A run lasts until the next sample without a flag, and ends at gaps.
    """
    hours, raised = time.hours[time.order], flags[time.order]
    if not raised.any():
        return np.empty((0, 2))
    after_gap = time.starts_after_gap(hours)
    begins = raised & (np.concatenate(([True], ~raised[:-1])) | after_gap)
    ends = raised & (np.concatenate((~raised[1:], [True])) | np.concatenate((after_gap[1:], [True])))
    begin, last = np.flatnonzero(begins), np.flatnonzero(ends)
    following = np.minimum(last + 1, len(hours) - 1)
    end_h = np.where(after_gap[following], hours[last], hours[following])
    first_h, last_h = time.limits
    apart = hours[begin][1:] - end_h[:-1] > _APART * (last_h - first_h)
    return np.column_stack((hours[begin][np.append(True, apart)], end_h[np.append(apart, True)]))
