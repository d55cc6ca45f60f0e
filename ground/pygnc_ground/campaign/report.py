"""HTML report of a campaign, and its comparison with another one: one file without external resources."""

import math
import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from pygnc_ground import wording
from pygnc_ground.campaign import figures
from pygnc_ground.campaign.definition import Campaign, count_runs
from pygnc_ground.campaign.folder import folder_of
from pygnc_ground.campaign.schema import ESTIMATOR_NAMES, FAILED, parameter_columns
from pygnc_ground.campaign.statistics import (
    ESTIMATORS,
    Containment,
    Difference,
    Estimator,
    Group,
    Sensitivity,
    accuracy,
    bin_series,
    containments,
    differences,
    estimators_of,
    group_figures,
    group_name,
    groups,
    sensitivities,
    worst_runs,
)
from pygnc_ground.campaign.store import load_campaign, partitions_of
from pygnc_ground.report.html import page_environment, versions
from pygnc_ground.report.style import Chart, chart, report_style
from pygnc_ground.report.summary import Finding

_CAPTIONS: Final = Path(__file__).with_name("captions.toml")
_REPORT: Final = "report.html"
_WORST: Final = 6
_FAILURES: Final = 20
_ROWS_MAX: Final = 200
_GROUPS_MAX: Final = 200
"""Groups with statistics of their own; findings are about all groups."""
_FIGURES: Final = (
    *(each.column(name) for each in ESTIMATORS for name in ("error", "sigma", "bound", "nees", "nis")),
    *("attitude_nis", "attitude_silent_s", "formation_batch_missing"),
    *(
        f"formation_{name}_{what}"
        for name in ESTIMATOR_NAMES["formation"]
        for what in ("partners", "silent", "beyond_s")
    ),
)
"""Columns of `runs` with figures that the report needs, as far as they exist."""
_NEES_GOOD: Final = (0.5, 2.0)
_BEYOND_MAX_S: Final = 600.0
"""Time for which a certain orbit may be beyond five sigmas: the shortest interval between two solutions."""
_BOUND_GOOD: Final = 1.3
_CONTAINED_GOOD: Final = (0.93, 0.97)
_LIBRARIES: Final = ("numpy", "scipy", "polars", "matplotlib", "jinja2")


class _Results(NamedTuple):
    """Results of one campaign, as far as the report needs them."""

    folder: str
    campaign: Campaign
    runs: pl.DataFrame
    """Columns of `runs` that the report needs; those without a value have the type Null."""
    groups: list[Group]
    """The first groups."""

    @classmethod
    def of(cls, folder: Path | str) -> "_Results":
        campaign = load_campaign(folder)
        runs = _runs(folder, campaign)
        return cls(str(folder), campaign, runs, groups(campaign, runs, _GROUPS_MAX))

    @property
    def title(self) -> str:
        return self.campaign.title or self.folder.rstrip("/").rpartition("/")[2]

    @property
    def groups_total(self) -> int:
        return (self.runs["run"] // self.campaign.repetitions).n_unique()


def _runs(folder: Path | str, campaign: Campaign) -> pl.DataFrame:
    columns = ["run", "case", "point", "seed", "status", *parameter_columns(campaign), *_FIGURES]
    empty = pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))
    pieces = [empty]
    for piece in partitions_of(folder, "runs", columns):
        # Without this, figures that no run has would take most of the memory.
        unknown = [name for name, count in piece.null_count().row(0, named=True).items() if count == piece.height]
        pieces.append(piece.with_columns(pl.lit(None, pl.Null).alias(name) for name in unknown))
    runs = pl.concat(pieces, how="diagonal_relaxed")
    if runs.is_empty():
        raise ValueError(f"{folder}: no run is finished; start the campaign first")
    return runs


def write_report(folder: Path | str, path: Path | None = None, against: Path | str | None = None) -> tuple[str, int]:
    """Write the report of a campaign, by default into its folder; return its place and size in bytes.

    With `against`, compare the campaign with another one.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: A folder contains no campaign or no finished run.
    """
    reference = None if against is None else _Results.of(against)
    files, name = (folder_of(folder), _REPORT) if path is None else (folder_of(path.parent), path.name)
    files.write(name, _render(_Results.of(folder), reference).encode())
    return files.place(name), files.size(name)


def _render(results: _Results, reference: _Results | None) -> str:
    runs, campaign = results.runs, results.campaign
    estimators = estimators_of(runs)
    shown = [(group, each) for group in results.groups for each in estimators][:_ROWS_MAX]
    found = sensitivities(campaign, runs)
    compared = [] if reference is None else differences(results.groups, reference.groups)
    contained = containments(campaign, results.groups, partitions_of(results.folder, "bins"))
    effort = partitions_of(results.folder, "effort", ("run", "cpu_s", "peak_mb"))
    seconds, peak_mb = zip(*((piece["cpu_s"].sum(), piece["peak_mb"].max()) for piece in effort), strict=True)
    other = None
    if reference is not None:
        other = reference.folder if reference.title == results.title else reference.title
    return (
        page_environment("campaign", "report")
        .get_template("campaign.html.j2")
        .render(
            title=results.title,
            reference=other,
            campaign=campaign,
            total=count_runs(campaign),
            finished=runs.height,
            failed=int((runs["status"] == FAILED).sum()),
            processor_ms=round(1e3 * math.fsum(seconds)),
            peak_mb=max(peak_mb),
            findings=[*_findings(results, estimators, compared), *_of_predictions(contained)],
            rows=[accuracy(group, each) for group, each in shown],
            rows_total=results.groups_total * len(estimators),
            contained=contained,
            sensitivities=[one for one in found if one.estimator.is_of_flight],
            worst=worst_runs(campaign, runs, _WORST),
            failures=_failures(results.folder),
            command=f"pygnc campaign rerun {shlex.quote(results.folder)}",
            compared=compared,
            charts=_charts(results, estimators, found, None if reference is None else compared),
            versions=versions(_LIBRARIES),
        )
    )


def _failures(folder: str) -> list[dict[str, Any]]:
    pieces = partitions_of(folder, "runs", ("run", "seed", "status", "error"))
    rows = (row for piece in pieces for row in piece.filter(pl.col("status") == FAILED).iter_rows(named=True))
    return list(islice(rows, _FAILURES))


def _charts(
    results: _Results,
    estimators: Sequence[Estimator],
    found: Sequence[Sensitivity],
    compared: Sequence[Difference] | None,
) -> dict[str, Chart]:
    of = bin_series(partitions_of(results.folder, "bins"), results.campaign.bin_s)
    series = [(each, of[each.label]) for each in estimators if each.label in of]
    with report_style():
        drawings = {
            "errors": figures.distributions(results.groups, estimators),
            "bounds": figures.distributions(results.groups, estimators, over_bound=True),
            "time": figures.over_time(series),
            "consistency": figures.consistency_over_time(series),
            "sensitivity": figures.sensitivity(found),
        }
        if compared is not None:
            drawings["comparison"] = figures.comparison(compared)
        return {name: chart(name, drawing, captions=_CAPTIONS) for name, drawing in drawings.items()}


def _findings(results: _Results, estimators: Sequence[Estimator], compared: Sequence[Difference]) -> list[Finding]:
    runs, total = results.runs, count_runs(results.campaign)
    failed = int((runs["status"] == FAILED).sum())
    found = [
        Finding(f"{wording.whole(runs.height)} of {wording.plural(total, 'run')} finished.", good=runs.height == total),
        Finding(f"{wording.plural(failed, 'run')} failed.", good=not failed),
    ]
    for estimator in estimators:
        found += _of_estimator(results.campaign, runs, estimator)
    found += _of_formation(runs)
    silent = runs["attitude_silent_s"].drop_nulls()
    if len(silent):
        wrong = int((silent > 0.0).sum())
        found.append(
            Finding(
                f"In {wording.plural(wrong, 'run')} an attitude was wrong by more than 20° and by more than three"
                " formal sigmas (good: none).",
                good=not wrong,
            )
        )
    different = [one for one in compared if one.verdict != "not distinguishable"]
    found += [
        Finding(
            f"{one.group}, {one.estimator.label}: {one.verdict} by {wording.percent(abs(one.ratio - 1.0))} than the"
            f" other campaign (95 % interval of the ratio: {wording.number(one.ratio_band.low)} to"
            f" {wording.number(one.ratio_band.high)}).",
            good=one.verdict == "better",
        )
        for one in different
    ]
    if compared and not different:
        found.append(Finding("No estimator differs from the other campaign at 95 % confidence.", good=True))
    return found


def _of_predictions(contained: Sequence[Containment]) -> list[Finding]:
    """Return the finding about the predictions with the farthest part from 95 % within their stated errors."""
    if not contained:
        return []
    low, high = _CONTAINED_GOOD
    worst = max(contained, key=lambda one: abs(one.along - 0.95))
    text = (
        f"{wording.percent(worst.along)} of the predictions over {worst.hours:g} h are within 1.96 formal sigmas along"
        f" the orbit where that is farthest from 95 % ({worst.group}; good: {wording.percent(low)} to"
        f" {wording.percent(high)})."
    )
    return [Finding(text, good=low <= worst.along <= high)]


def _of_formation(runs: pl.DataFrame) -> list[Finding]:
    found = []
    for name in ESTIMATOR_NAMES["formation"]:
        judged = runs.select(f"formation_{name}_partners", f"formation_{name}_silent").drop_nulls()
        if judged.height:
            partners, silent = (int(column.sum()) for column in judged.get_columns())
            text = (
                f"The formation {name} gave {wording.whole(silent)} of {wording.plural(partners, 'partner')} a wrong"
                " orbit that was not reported as ambiguous (good: none)."
            )
            found.append(Finding(text, good=not silent))
        beyond_s = runs[f"formation_{name}_beyond_s"].drop_nulls()
        if len(beyond_s):
            lies = int((beyond_s > _BEYOND_MAX_S).sum())
            text = (
                f"In {wording.plural(lies, 'run')} an orbit of the formation {name} that was reported as certain was"
                " not within five sigmas for more than 10 min (good: none)."
            )
            found.append(Finding(text, good=not lies))
    missing = int(runs["formation_batch_missing"].cast(pl.Float64).sum())
    if missing:
        text = f"For {wording.plural(missing, 'partner')} no hypothesis of the formation batch agrees with the truth."
        found.append(Finding(text, good=False))
    return found


def _of_estimator(campaign: Campaign, runs: pl.DataFrame, estimator: Estimator) -> list[Finding]:
    """Return the findings about one estimator: the groups with the worst consistency and efficiency."""
    label, found = estimator.label, []
    of = group_figures(campaign, runs, estimator)

    def name(row: dict[str, Any]) -> str:
        return f" ({group_name(campaign, row)})" if of.height > 1 else ""

    low, high = _NEES_GOOD
    known = of.filter(pl.col("nees") > 0.0).sort(pl.col("nees").log().abs(), descending=True, maintain_order=True)
    if known.height:
        worst = known.row(0, named=True)
        text = (
            f"The NEES of the {label} is {wording.number(worst['nees'])} per degree of freedom where it is"
            f" farthest from 1{name(worst)} (good: {low:g} to {high:g})."
        )
        found.append(Finding(text, good=low <= worst["nees"] <= high))
    ratio = pl.col("error") / pl.col("bound")
    bounded = of.drop_nulls(["error", "bound"]).sort(ratio, descending=True, maintain_order=True)
    if bounded.height:
        worst = bounded.row(0, named=True)
        times = worst["error"] / worst["bound"]
        text = (
            f"The error of the {label} is at most {wording.number(times)} times the Cramér-Rao bound{name(worst)}"
            f" (good: up to {_BOUND_GOOD:g})."
        )
        found.append(Finding(text, good=times <= _BOUND_GOOD))
    return found
