"""When the satellite is in the Earth's shadow, and how figures show it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from pygnc_ground.attitude.accuracy import LIT
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.attitude_result import SampleRecords
from pygnc_ground.report.palette import SHADE
from pygnc_ground.report.spans import spans
from pygnc_ground.report.time_axis import TimeAxis


def eclipses(samples: SampleRecords, time: TimeAxis) -> FloatArray:
    """First and last hour of each eclipse, shape (k, 2): by the orbit, and where that is unknown, by the light."""
    by_orbit = np.isfinite(samples.sunlit_fraction)
    return spans(np.where(by_orbit, samples.sunlit_fraction <= LIT, ~samples.in_sun), time)


def shade(panels: Sequence[Axes], dark_h: FloatArray) -> None:
    """Shade these spans, shape (k, 2)."""
    for axes in panels:
        for begin, end in dark_h.tolist():
            axes.axvspan(begin, end, color=SHADE, linewidth=0.0, zorder=0.5)
