"""Statistics of the runs of a campaign: groups of equal settings, estimators, confidence intervals, comparison."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from pygnc_ground.campaign.definition import Campaign
from pygnc_ground.campaign.schema import DONE, ESTIMATOR_NAMES, parameter_columns
from pygnc_ground.campaign.time_bins import rms_of
from pygnc_ground.orbit.consistency import Band, band, mean_of
from pygnc_ground.orbit.solution import FloatArray, IntArray

_RESAMPLES: Final = 2000
_BLOCKS: Final = 10_000
"""Blocks of runs that a bootstrap draws from if there are more runs."""
_CONFIDENCE: Final = (2.5, 97.5)
_SIGMAS_95: Final = 1.960
_CHI_SQUARE_95: Final = 7.815
"""Square of a normalised error in three dimensions that 95 % of the cases are within."""


class Estimator(NamedTuple):
    """Estimator whose errors a campaign has."""

    kind: str
    """`orbit`, `attitude` or `formation`"""
    name: str
    """`filter`, `smoother`, `batch` or `prediction`"""

    @property
    def label(self) -> str:
        """Name as in the table of bins, such as `orbit filter`."""
        return f"{self.kind} {self.name}"

    @property
    def unit(self) -> str:
        """Unit of its errors."""
        return "deg" if self.kind == "attitude" else "m"

    @property
    def dof(self) -> int:
        """Degrees of freedom of its errors."""
        return 3 if self.kind == "attitude" or self.name == "prediction" else 6

    @property
    def is_of_flight(self) -> bool:
        """True for the estimators of the flight software."""
        return self.name == "filter" or self.kind == "formation"

    def column(self, quantity: str) -> str:
        """Return the name of the column of `error`, `sigma`, `bound` (with their unit), or of `nees`."""
        ending = f"_{self.unit}" if quantity in {"error", "sigma", "bound"} else ""
        return f"{self.kind}_{self.name}_{quantity}{ending}"


ESTIMATORS: Final = tuple(Estimator(kind, name) for kind, names in ESTIMATOR_NAMES.items() for name in names)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Finished runs of one case at one point of the grid."""

    name: str
    """Case and values of the grid"""
    rows: pl.DataFrame
    failed: int
    """Number of failed runs"""

    def values(self, column: str) -> FloatArray:
        """Return the figures of the finished runs, shape (n,); NaN where a run has none."""
        return self.rows[column].cast(pl.Float64).fill_null(math.nan).to_numpy()


def groups(campaign: Campaign, runs: pl.DataFrame, most: int | None = None) -> list[Group]:
    """Return the groups of a campaign, or `most` of them, in the order of their runs, which `runs` has."""
    number = runs["run"].to_numpy() // campaign.repetitions
    first = np.flatnonzero(np.diff(number, prepend=-1)).tolist()
    found = []
    for begin, end in islice(pairwise([*first, runs.height]), most):
        rows = runs[begin:end]
        done = rows.filter(pl.col("status") == DONE)
        found.append(Group(group_name(campaign, rows.row(0, named=True)), done, rows.height - done.height))
    return found


def group_name(campaign: Campaign, row: Mapping[str, Any]) -> str:
    """Return case and values of the grid of the group that has this row."""
    grid = [f"{name.rpartition('.')[2]} = {_text(row[name])}" for name in campaign.grid]
    return ", ".join([*([row["case"]] if row["case"] else []), *grid]) or "all runs"


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def estimators_of(runs: pl.DataFrame) -> list[Estimator]:
    """Return the estimators of which any run has an error."""
    return [each for each in ESTIMATORS if runs[each.column("error")].is_not_null().any()]


class Accuracy(NamedTuple):
    """Figures of one estimator over n runs of a group; RMS values over all runs, NaN if unknown."""

    group: str
    estimator: Estimator
    runs: int
    error: float
    error_band: Band
    """95 % confidence interval of the error, by bootstrap over the runs"""
    sigma: float
    bound: float
    nees: float
    """Mean per degree of freedom"""
    nees_band: Band
    """95 % band of the mean if each run were one independent error: errors within a run are correlated"""
    nis: float


def accuracy(group: Group, estimator: Estimator) -> Accuracy:
    """Return the accuracy of an estimator in a group of runs."""
    error = group.values(estimator.column("error"))
    known = error[np.isfinite(error)]
    squares = _blocks(known**2)
    nan = Band(math.nan, math.nan)
    limits = band(estimator.dof, len(known)) if len(known) else nan
    nis = "attitude_nis" if estimator == Estimator("attitude", "filter") else estimator.column("nis")
    return Accuracy(
        group=group.name,
        estimator=estimator,
        runs=len(known),
        error=rms_of(error),
        error_band=_interval(np.sqrt([squares[rows].mean() for rows in _resamples(len(squares))]))
        if len(known)
        else nan,
        sigma=rms_of(group.values(estimator.column("sigma"))),
        bound=rms_of(group.values(estimator.column("bound"))),
        nees=mean_of(group.values(estimator.column("nees"))),
        nees_band=Band(limits.low / estimator.dof, limits.high / estimator.dof),
        nis=mean_of(group.values(nis)) if nis in group.rows.columns else math.nan,
    )


def _blocks(values: FloatArray) -> FloatArray:
    """Return at most `_BLOCKS` values with the mean of all (but the last ones): means of blocks of equal length."""
    if len(values) <= _BLOCKS:
        return values
    length = len(values) // _BLOCKS
    return np.asarray(values[: length * _BLOCKS].reshape(_BLOCKS, length).mean(axis=1))


def _resamples(count: int) -> Iterator[IntArray]:
    rng = np.random.default_rng(1)
    for _ in range(_RESAMPLES):
        yield rng.integers(0, count, count)


def _interval(values: FloatArray) -> Band:
    finite = values[np.isfinite(values)]
    return Band(*np.percentile(finite, _CONFIDENCE).tolist()) if len(finite) else Band(math.nan, math.nan)


class Sensitivity(NamedTuple):
    """Dependence of an estimator's error on a varied setting."""

    parameter: str
    estimator: Estimator
    values: FloatArray
    """Values of the setting, shape (n,)"""
    errors: FloatArray
    """Errors of the runs, shape (n,)"""
    correlation: float
    """Spearman's rank correlation"""
    p_value: float
    """Probability of at least this correlation if there were none"""


_FEWEST: Final = 5


def sensitivities(campaign: Campaign, runs: pl.DataFrame) -> list[Sensitivity]:
    """Return the dependence of each estimator's error on each varied number, the strongest first."""
    from scipy.stats import spearmanr  # noqa: PLC0415 - takes half a second, which only reports need

    done = runs.filter(pl.col("status") == DONE)
    found = []
    for name, dtype in parameter_columns(campaign).items():
        if dtype != pl.Float64 or name not in done.columns:
            continue
        for estimator in estimators_of(runs):
            table = done.select(name, estimator.column("error")).drop_nulls()
            values, errors = (table[column].to_numpy() for column in table.columns)
            if len(values) >= _FEWEST and len(np.unique(values)) > 1 and len(np.unique(errors)) > 1:
                rank = spearmanr(values, errors)
                found.append(Sensitivity(name, estimator, values, errors, float(rank.statistic), float(rank.pvalue)))
    return sorted(found, key=lambda one: -abs(one.correlation))


class Difference(NamedTuple):
    """Comparison of an estimator's figure in two campaigns."""

    group: str
    estimator: Estimator
    runs: int
    """Number of runs of this campaign"""
    paired: bool
    """True if runs with equal seeds were compared pair by pair"""
    error: float
    reference: float
    """Error of the other campaign"""
    ratio: float
    """Error over that of the other campaign"""
    ratio_band: Band
    """95 % confidence interval of the ratio, by bootstrap"""

    @property
    def verdict(self) -> str:
        """Return better, worse, or not distinguishable."""
        if self.ratio_band.low > 1.0:
            return "worse"
        return "better" if self.ratio_band.high < 1.0 else "not distinguishable"


def differences(ours: Sequence[Group], theirs: Sequence[Group]) -> list[Difference]:
    """Return the comparison of groups with equal names, or of the only groups, for all estimators of both."""
    by_name: Mapping[str, Group] = {group.name: group for group in theirs}
    if len(ours) == len(theirs) == 1:
        by_name = {ours[0].name: theirs[0]}
    return [
        _difference(group, by_name[group.name], estimator)
        for group in ours
        if group.name in by_name
        for estimator in ESTIMATORS
        if all(np.isfinite(each.values(estimator.column("error"))).any() for each in (group, by_name[group.name]))
    ]


def _difference(group: Group, other: Group, estimator: Estimator) -> Difference:
    column = estimator.column("error")
    both = group.rows.select("seed", column).join(other.rows.select("seed", column), on="seed", suffix=" reference")
    pairs = both.drop_nulls()
    paired = pairs.height == group.rows.height == other.rows.height
    if paired:
        error, reference = (pairs[name].to_numpy() for name in (column, f"{column} reference"))
        squares = [_blocks(values**2) for values in (error, reference)]
        means = [[of[rows].mean() for of in squares] for rows in _resamples(len(squares[0]))]
    else:
        error, reference = (values[np.isfinite(values)] for values in (group.values(column), other.values(column)))
        squares = [_blocks(values**2) for values in (error, reference)]
        rng = np.random.default_rng(1)
        means = [[rng.choice(of, len(of)).mean() for of in squares] for _ in range(_RESAMPLES)]
    return Difference(
        group=group.name,
        estimator=estimator,
        runs=len(error),
        paired=paired,
        error=rms_of(error),
        reference=rms_of(reference),
        ratio=rms_of(error) / rms_of(reference),
        ratio_band=_interval(np.sqrt([mean / other for mean, other in means])),
    )


_SQUARED: Final = ("error", "sigma", "bound")
_MEAN: Final = ("nees", "nis")


def bin_series(bins: Iterable[pl.DataFrame], bin_s: float) -> dict[str, pl.DataFrame]:
    """Return RMS and mean figures over all runs in time bins, by the middles of the bins in `hours`.

    The tables are by the label of the estimator. `bins` are pieces of the table of bins, of different runs each.
    """
    keys = ["estimator", "begin_s"]
    figures = {name: pl.col(f"{name}_rms").pow(2) for name in _SQUARED}
    figures |= {name: pl.col(f"{name}_per_dof") for name in _MEAN}
    sums = [of.sum().alias(name) for name, of in figures.items()]
    counts = [of.count().cast(pl.Int64).alias(f"{name} count") for name, of in figures.items()]
    runs = pl.col("run").n_unique().cast(pl.Int64).alias("runs")
    pieces = [piece.group_by(keys, maintain_order=True).agg(runs, *sums, *counts) for piece in bins]
    if not pieces:
        return {}
    total = pl.concat(pieces).group_by(keys, maintain_order=True).agg(pl.all().sum())
    means = {
        name: pl.when(pl.col(f"{name} count") > 0).then(pl.col(name) / pl.col(f"{name} count")) for name in figures
    }
    table = total.select(
        "estimator",
        ((pl.col("begin_s") + 0.5 * bin_s) / 3600.0).alias("hours"),
        "runs",
        *(means[name].sqrt().alias(name) for name in _SQUARED),
        *(means[name].alias(name) for name in _MEAN),
    ).sort("hours", maintain_order=True)
    return {str(label): of.drop("estimator") for (label,), of in table.group_by("estimator", maintain_order=True)}


def group_figures(campaign: Campaign, runs: pl.DataFrame, estimator: Estimator) -> pl.DataFrame:
    """Return RMS error and bound and the mean NEES of an estimator, a row per group; null if unknown.

    The other columns are those of the first run of the group.
    """
    values = {
        name: pl.col(estimator.column(name)).cast(pl.Float64).filter(pl.col("status") == DONE)
        for name in ("error", "bound", "nees")
    }
    return runs.group_by(pl.col("run") // campaign.repetitions, maintain_order=True).agg(
        *(pl.col(name).first() for name in ("case", *campaign.grid)),
        *(values[name].pow(2).mean().sqrt().alias(name) for name in ("error", "bound")),
        values["nees"].mean().alias("nees"),
    )


class Containment(NamedTuple):
    """Predictions of a group over equal times, and how many of them have their error within the stated one."""

    group: str
    hours: float
    """Time from the newest estimate to the predicted one."""
    runs: int
    along: float
    """Part with an error along the orbit of at most 1.96 sigmas"""
    ellipsoid: float
    """Part within the ellipsoid in three dimensions that should contain 95 %"""
    sigmas_m: tuple[float, float, float]
    """10, 50 and 90 % quantiles of the standard deviation along the orbit"""


def containments(campaign: Campaign, found: Sequence[Group], bins: Iterable[pl.DataFrame]) -> list[Containment]:
    """Return how many predictions of each group are within their stated errors; `bins` are pieces of that table."""
    rows = [piece.filter(pl.col("estimator") == "orbit prediction") for piece in bins]
    within = pl.col("error_rms") < _SIGMAS_95 * pl.col("sigma_rms")
    inside = 3.0 * pl.col("nees_per_dof") < _CHI_SQUARE_95
    parts = []
    for group in found:
        of_group = [piece.filter(pl.col("run").is_in(group.rows["run"].implode())) for piece in rows]
        for each in campaign.estimators.predictions_h:
            begin_s = 3600.0 * each // campaign.bin_s * campaign.bin_s
            of = pl.concat([piece.filter(pl.col("begin_s") == begin_s) for piece in of_group])
            if of.height:
                along, ellipsoid = (float(of.select(part.mean()).item()) for part in (within, inside))
                sigmas = tuple(np.quantile(of["sigma_rms"].to_numpy(), (0.1, 0.5, 0.9)).tolist())
                parts.append(Containment(group.name, each, of.height, along, ellipsoid, sigmas))
    return parts


class WorstRun(NamedTuple):
    """Run with a large error."""

    run: int
    group: str
    estimator: Estimator
    error: float
    over_sigma: float
    """Error over the formal standard deviation"""


def worst_runs(campaign: Campaign, runs: pl.DataFrame, count: int) -> list[WorstRun]:
    """Return the `count` runs with the largest error over the RMS error of their group, of each flight estimator."""
    found = []
    done = runs.filter(pl.col("status") == DONE)
    for estimator in (each for each in ESTIMATORS if each.is_of_flight):
        error, sigma = (pl.col(estimator.column(name)).cast(pl.Float64) for name in ("error", "sigma"))
        usual = error.pow(2).mean().sqrt().over(pl.col("run") // campaign.repetitions)
        worst = (
            done.select("run", "case", *campaign.grid, error=error, sigma=sigma.fill_null(math.nan), over=error / usual)
            .drop_nulls("error")
            .sort("over", descending=True, maintain_order=True)
            .head(count)
        )
        for row in worst.iter_rows(named=True):
            over_sigma = row["error"] / row["sigma"]
            found.append(WorstRun(row["run"], group_name(campaign, row), estimator, row["error"], over_sigma))
    return found
