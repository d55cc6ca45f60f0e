"""Consistency of covariances: NEES and NIS against chi-square bands.

Source: Bar-Shalom, Li & Kirubarajan, Estimation with Applications to Tracking and Navigation (2001), section 5.4. If
the filter is consistent, each value is chi-square distributed, and so is a sum of independent values:

- Innovations of a consistent filter are independent from fix to fix, so one run suffices: NIS, averaged over time.
- Errors are correlated over many fixes, so the time average of the NEES is expected to be its degrees of freedom, but
  has no known band.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc_ground.orbit.solution import FloatArray, IntArray

_QUANTILES: Final = ((1.0 - 0.95) / 2.0, (1.0 + 0.95) / 2.0)
"""Probabilities below the ends of the bands."""


class Band(NamedTuple):
    """A closed interval."""

    low: float
    high: float


def band(dof: int, count: int) -> Band:
    """Return the two-sided 95 % band of the mean of `count` chi-square values with `dof` degrees of freedom each."""
    low, high = _chi_square_interval(dof * count)
    return Band(float(low) / count, float(high) / count)


def _chi_square_interval(dof: IntArray | int) -> tuple[FloatArray, FloatArray]:
    """Return the ends of the 95 % bands of chi-square values; importing scipy.stats takes half a second."""
    from scipy.special import gammaincinv  # noqa: PLC0415 - takes a third of the time of a command's help

    low, high = (2.0 * gammaincinv(dof / 2.0, probability) for probability in _QUANTILES)
    return low, high


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
        fraction_inside=fraction_inside(nis, *_chi_square_interval(dof)),
    )


def mean_of(values: FloatArray) -> float:
    """Return the mean of the finite values (n,); NaN if there are none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")
