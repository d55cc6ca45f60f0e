"""Consistency of covariances: NEES and NIS against chi-square bands.

Source: Bar-Shalom, Li & Kirubarajan, Estimation with Applications to Tracking and Navigation (2001), section 5.4. If
the filter is consistent, each value is chi-square distributed, and so is a sum of independent values:

- Innovations of a consistent filter are independent from fix to fix, so one run suffices: NIS, averaged over time.
- Errors are correlated over many fixes, and their time average has no known distribution. NEES is therefore averaged
  over runs with independent noise, epoch by epoch; 95 % of these averages lie inside their 95 % band. Neighbouring
  averages are correlated, too: the fraction is expected to be 0.95, but scatters more than that of independent epochs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from pygnc_ground.orbit.solution import FloatArray, IntArray


class Band(NamedTuple):
    """A closed interval."""

    low: float
    high: float


def band(dof: int, count: int, probability: float = 0.95) -> Band:
    """Return the two-sided band of the mean of `count` independent chi-square values with `dof` degrees of freedom."""
    low, high = _band_of_sum(np.array(dof * count), probability)
    return Band(float(low) / count, float(high) / count)


def fraction_inside(values: FloatArray, low: FloatArray | float, high: FloatArray | float) -> float:
    """Return the fraction of the values (n,) from `low` to `high`, each a number or shape (n,); NaN for no values."""
    return float(((values >= low) & (values <= high)).mean()) if len(values) else float("nan")


@dataclass(frozen=True, slots=True)
class NisConsistency:
    """Consistency of the innovations of one run."""

    count: int
    """Number of fixes with a used innovation."""
    mean_per_dof: float
    """1 on average if the filter is consistent; NaN without fixes."""
    band_per_dof: Band
    """95 % band of the mean."""
    fraction_inside: float
    """Fraction of the single values within their own 95 % bands; NaN without fixes."""


def nis_consistency(nis: FloatArray, dof: IntArray) -> NisConsistency:
    """Return the consistency of normalised innovations squared (n,) with degrees of freedom (n,), 0 for none.

    A filter that adapts its noise to the innovations, such as the flight filter, keeps the mean near 1 by design.
    """
    used = dof > 0
    nis, dof = nis[used], dof[used]
    total = int(dof.sum())
    if not total:
        nan = float("nan")
        return NisConsistency(0, nan, Band(nan, nan), nan)
    limits = band(total, 1)
    return NisConsistency(
        count=len(nis),
        mean_per_dof=float(nis.sum()) / total,
        band_per_dof=Band(limits.low / total, limits.high / total),
        fraction_inside=fraction_inside(nis, *_band_of_sum(dof)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class NeesConsistency:
    """Consistency of the errors of several runs over the same epochs."""

    average: FloatArray
    """Average at each epoch over the runs with a state, shape (epochs,); NaN if no run has a state."""
    runs: IntArray
    """Number of runs with a state at each epoch, shape (epochs,)."""
    mean_per_dof: float
    """Mean over all runs and epochs, 1 if consistent on average; the mean has no band (see the head of the module)."""
    fraction_inside: float
    """Fraction of the averages within their 95 % bands; NaN without epochs."""


def nees_consistency(nees: FloatArray, dof: int = 6) -> NeesConsistency:
    """Return the consistency of normalised errors squared, shape (runs, epochs), NaN where a run has no state.

    Args:
        nees: Values of runs that are independent in noise and initialisation; a single run is one row.
        dof: Degrees of freedom of each value.
    """
    known = np.isfinite(nees)
    runs = known.sum(axis=0)
    average = np.full(len(runs), np.nan)
    np.divide(np.where(known, nees, 0.0).sum(axis=0), runs, out=average, where=runs > 0)
    compared = runs > 0
    low, high = _band_of_sum(dof * runs[compared])
    return NeesConsistency(
        average=average,
        runs=runs,
        mean_per_dof=float(nees[known].mean()) / dof if known.any() else float("nan"),
        fraction_inside=fraction_inside(average[compared], low / runs[compared], high / runs[compared]),
    )


def _band_of_sum(dof: IntArray, probability: float = 0.95) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the two-sided bands of chi-square values with `dof` degrees of freedom, of the same shape."""
    tail = 0.5 * (1.0 - probability)
    return np.asarray(chi2.ppf(tail, dof)), np.asarray(chi2.isf(tail, dof))
