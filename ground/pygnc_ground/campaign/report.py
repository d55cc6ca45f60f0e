"""HTML report of a campaign, and its comparison with another one: one file without external resources."""

import math
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from pygnc_ground.campaign import figures
from pygnc_ground.campaign.definition import Campaign, count_runs
from pygnc_ground.campaign.schema import ESTIMATOR_NAMES, FAILED
from pygnc_ground.campaign.statistics import (
    Accuracy,
    Difference,
    Estimator,
    Group,
    Sensitivity,
    accuracy,
    bin_series,
    differences,
    estimators_of,
    groups,
    sensitivities,
    worst_runs,
)
from pygnc_ground.campaign.store import load_campaign, load_tables
from pygnc_ground.report import wording
from pygnc_ground.report.html import page_environment, versions
from pygnc_ground.report.style import PALETTE, Chart, chart, report_style
from pygnc_ground.report.summary import Finding

_CAPTIONS: Final = Path(__file__).with_name("captions.toml")
_WORST: Final = 6
_FAILURES: Final = 20
_ROWS_MAX: Final = 200
_NEES_GOOD: Final = (0.5, 2.0)
_BEYOND_MAX_S: Final = 600.0
"""Time for which a certain orbit may be beyond five sigmas: the shortest interval between two solutions."""
_BOUND_GOOD: Final = 1.3
_LIBRARIES: Final = ("numpy", "scipy", "polars", "matplotlib", "jinja2")


class _Results(NamedTuple):
    """Results of one campaign."""

    folder: Path
    campaign: Campaign
    tables: Mapping[str, pl.DataFrame]
    groups: list[Group]

    @classmethod
    def of(cls, folder: Path) -> "_Results":
        campaign, tables = load_campaign(folder), load_tables(folder)
        return cls(folder, campaign, tables, groups(campaign, tables["runs"]))

    @property
    def title(self) -> str:
        return self.campaign.title or self.folder.name


def write_report(folder: Path, path: Path, against: Path | None = None) -> None:
    """Write the report of a campaign; with `against`, compare it with another one.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: A folder contains no campaign or no finished run.
    """
    reference = None if against is None else _Results.of(against)
    path.write_text(_render(_Results.of(folder), reference), encoding="utf-8", newline="\n")


def _render(results: _Results, reference: _Results | None) -> str:
    runs, campaign = results.tables["runs"], results.campaign
    estimators = estimators_of(runs)
    rows = [accuracy(group, each) for group in results.groups for each in estimators]
    found = sensitivities(campaign, runs)
    compared = [] if reference is None else differences(results.groups, reference.groups)
    failed = runs.filter(pl.col("status") == FAILED)
    other = None
    if reference is not None:
        other = str(reference.folder) if reference.title == results.title else reference.title
    return (
        page_environment("campaign", "report")
        .get_template("campaign.html.j2")
        .render(
            title=results.title,
            reference=other,
            campaign=campaign,
            total=count_runs(campaign),
            finished=runs.height,
            failed=failed.height,
            processor_ms=round(1e3 * float(results.tables["effort"]["seconds"].to_numpy().sum())),
            peak_mb=results.tables["effort"]["peak_mb"].max(),
            findings=_findings(results, rows, compared),
            rows=rows[:_ROWS_MAX],
            rows_total=len(rows),
            sensitivities=[one for one in found if one.estimator.is_of_flight],
            worst=worst_runs(results.groups, _WORST),
            failures=failed.head(_FAILURES).to_dicts(),
            command=f"pygnc campaign rerun {shlex.quote(str(results.folder))}",
            compared=compared,
            charts=_charts(results, estimators, found, None if reference is None else compared),
            versions=versions(_LIBRARIES),
            palette=PALETTE,
        )
    )


def _charts(
    results: _Results,
    estimators: Sequence[Estimator],
    found: Sequence[Sensitivity],
    compared: Sequence[Difference] | None,
) -> dict[str, Chart]:
    series = [(each, bin_series(results.tables["bins"], each, results.campaign.bin_s)) for each in estimators]
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


def _findings(results: _Results, rows: Sequence[Accuracy], compared: Sequence[Difference]) -> list[Finding]:
    runs, total = results.tables["runs"], count_runs(results.campaign)
    failed = int((runs["status"] == FAILED).sum())
    found = [
        Finding(f"{wording.whole(runs.height)} of {wording.plural(total, 'run')} finished.", good=runs.height == total),
        Finding(f"{wording.plural(failed, 'run')} failed.", good=not failed),
    ]
    for estimator in dict.fromkeys(row.estimator for row in rows):
        found += _of_estimator([row for row in rows if row.estimator == estimator])
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
    missing = int(runs["formation_batch_missing"].sum())
    if missing:
        text = f"For {wording.plural(missing, 'partner')} no hypothesis of the formation batch agrees with the truth."
        found.append(Finding(text, good=False))
    return found


def _of_estimator(rows: Sequence[Accuracy]) -> list[Finding]:
    """Return the findings about one estimator: the groups with the worst consistency and efficiency."""
    label, found = rows[0].estimator.label, []
    low, high = _NEES_GOOD
    known = [row for row in rows if math.isfinite(row.nees) and row.nees > 0.0]
    if known:
        worst = max(known, key=lambda row: abs(math.log(row.nees)))
        where = f" ({worst.group})" if len(known) > 1 else ""
        text = (
            f"The NEES of the {label} is {wording.number(worst.nees)} per degree of freedom where it is"
            f" farthest from 1{where} (good: {low:g} to {high:g})."
        )
        found.append(Finding(text, good=low <= worst.nees <= high))
    bounded = [row for row in rows if math.isfinite(row.bound)]
    if bounded:
        worst = max(bounded, key=lambda row: row.error / row.bound)
        ratio = worst.error / worst.bound
        where = f" ({worst.group})" if len(bounded) > 1 else ""
        text = (
            f"The error of the {label} is at most {wording.number(ratio)} times the Cramér-Rao bound{where} (good: up"
            f" to {_BOUND_GOOD:g})."
        )
        found.append(Finding(text, good=ratio <= _BOUND_GOOD))
    return found
