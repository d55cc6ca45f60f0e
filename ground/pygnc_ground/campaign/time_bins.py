"""Errors over the time of a flight, and their means in bins of equal length."""

import math
from typing import NamedTuple

import msgspec
import numpy as np

from pygnc_ground.orbit.consistency import mean_of
from pygnc_ground.orbit.solution import BoolArray, FloatArray


class Trace(NamedTuple):
    """Errors of n estimates in order of time, each of shape (n,); NaN where unknown."""

    t_s: FloatArray
    """Time after the start of the scenario."""
    error: FloatArray
    """Length of the error, in m or degrees."""
    sigma: FloatArray
    """Formal standard deviation of the same quantity."""
    bound: FloatArray
    """Cramér-Rao bound of the same quantity."""
    nees: FloatArray
    """Normalised error squared per degree of freedom."""
    nis: FloatArray
    """Normalised innovation squared per degree of freedom."""

    def where(self, rows: BoolArray) -> "Trace":
        """Return the selected rows."""
        return Trace(*(values[rows] for values in self))


class Score(NamedTuple):
    """Figures of an estimator in a flight, and its errors over time."""

    estimator: str
    """Name such as `orbit filter`; only `orbit` or `attitude` for figures that have no estimator in their name."""
    figures: dict[str, float]
    """Figures by the name of their column without that of the estimator."""
    trace: Trace | None = None


class BinRow(msgspec.Struct, frozen=True, gc=False):
    """Row of the table of time bins without the number of the run; `pygnc_ground.tables` declares it.

    The garbage collector leaves such rows out: it took half the time of a campaign of a million runs.
    """

    estimator: str
    begin_s: float
    epochs: int
    error_rms: float
    sigma_rms: float
    bound_rms: float
    nees_per_dof: float
    nis_per_dof: float


def bin_rows(estimator: str, trace: Trace, bin_s: float) -> list[BinRow]:
    """Return a row for each bin in which there is an estimate."""
    known = trace.where(np.isfinite(trace.error))
    number = np.floor(known.t_s / bin_s).astype(np.int64)
    rows = []
    for each in np.unique(number).tolist():
        inside = known.where(number == each)
        sizes = map(rms_of, (inside.error, inside.sigma, inside.bound))
        ratios = map(mean_of, (inside.nees, inside.nis))
        rows.append(BinRow(estimator, each * bin_s, len(inside.t_s), *sizes, *ratios))
    return rows


def rms_of(values: FloatArray) -> float:
    """Return the root mean square of the finite values (n,); NaN if there are none."""
    return math.sqrt(mean_of(values**2))
