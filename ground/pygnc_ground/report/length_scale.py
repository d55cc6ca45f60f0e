"""The scale of a panel that shows lengths."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from pygnc_ground.orbit.solution import FloatArray

_WIDE: Final = 8.0
"""A greatest value so many times the median does not go with a linear scale."""
_FEW_DECADES: Final = 30.0


def length_scale(axes: Axes, values: Sequence[FloatArray]) -> None:
    """From zero on, or logarithmic where values differ widely; with room around all of them."""
    every = np.concatenate([one.ravel() for one in values])
    every = every[np.isfinite(every) & (every > 0.0)]
    if not len(every):
        return
    low, high = float(every.min()), float(every.max())
    if high <= _WIDE * float(np.median(every)):
        axes.set_ylim(0.0, 1.25 * high)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        return
    axes.set_yscale("log")
    axes.set_ylim(0.6 * low, 1.7 * high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < _FEW_DECADES * low else (1.0,)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
