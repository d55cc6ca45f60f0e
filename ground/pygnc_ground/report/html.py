"""The report of a replay: one HTML file that needs nothing beside it."""

import dataclasses
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

import pygnc
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report import damage, wording
from pygnc_ground.report.clock_segments import ClockRecords, clock_records
from pygnc_ground.report.comparison import Estimate, estimates, filter_minus_smoother, smoother_minus_batch
from pygnc_ground.report.drawing import Chart, report_style
from pygnc_ground.report.figures_clock import clock
from pygnc_ground.report.figures_consistency import normalised_squares
from pygnc_ground.report.figures_errors import errors, smoothing
from pygnc_ground.report.figures_innovations import innovations
from pygnc_ground.report.figures_map import ground_track
from pygnc_ground.report.figures_rejections import rejections
from pygnc_ground.report.figures_sigmas import sigmas
from pygnc_ground.report.glance import findings
from pygnc_ground.report.palette import PALETTE
from pygnc_ground.report.rejections import books_by_cause, meaning, rejected_records, rejected_rows
from pygnc_ground.report.statistics import difference_figures, estimate_figures, last_estimate
from pygnc_ground.report.time_axis import TimeAxis, time_axis

_ROWS_MAX: Final = 100
"""Of each table of records."""
_FILES_MAX: Final = 6
"""Named in the head; the table of the input has all."""
_LIBRARIES: Final = ("numpy", "scipy", "pyerfa", "satkit", "matplotlib", "jinja2")


def write_report(result: ReplayResult, path: Path) -> None:
    """Write the report. Equal results give equal bytes with the same versions of the libraries.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_text(render_report(result), encoding="utf-8", newline="\n")


def render_report(result: ReplayResult) -> str:
    """The report as text."""
    time = time_axis(result)
    found = estimates(result)
    smoothed = filter_minus_smoother(result)
    crossed = smoother_minus_batch(result)
    cross_check = difference_figures(crossed) if crossed else None
    figures = [estimate_figures(one) for one in found]
    of_clock = clock_records(result.fixes)
    return _template().render(
        result=result,
        span=time.span_gps_ms,
        hidden=time.hidden,
        findings=findings(result, figures, cross_check, of_clock),
        figures=figures,
        smoothed=difference_figures(smoothed) if smoothed else None,
        cross_check=cross_check,
        last=last_estimate(result.solution),
        charts=_charts(result, time, found, of_clock),
        clock=of_clock,
        books=books_by_cause(result),
        rejected=rejected_records(result, _ROWS_MAX),
        rejected_total=len(rejected_rows(result)),
        untimed=result.untimed[:_ROWS_MAX],
        rows_max=_ROWS_MAX,
        files_max=_FILES_MAX,
        settings=list(_flat(result.settings)),
        versions={"pygnc": pygnc.__version__, "Python": platform.python_version()}
        | {library: version(library) for library in _LIBRARIES},
        palette=PALETTE,
    )


def _charts(
    result: ReplayResult, time: TimeAxis, found: tuple[Estimate, ...], of_clock: ClockRecords
) -> dict[str, list[Chart]]:
    """The figures by section of the page."""
    with report_style():
        if result.truth is None:
            orbit = [sigmas(found, time), smoothing(result, filter_minus_smoother(result), time)]
        else:
            orbit = [errors(result, found, time)]
        return {
            "orbit": [ground_track(result, time), *orbit],
            "measurements": [innovations(result, time), normalised_squares(found, time)],
            "clock": [clock(of_clock, time)],
            "rejections": [rejections(books_by_cause(result), time)],
        }


def _flat(settings: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings by their full names, as pygnc.toml has them."""
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            yield from _flat(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name, str(value)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("pygnc_ground", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {name: getattr(wording, name) for name in wording.__all__ if name != "NONE"}
    environment.filters |= {"meaning": meaning, "strip": damage.strip}
    environment.tests["balanced"] = damage.balanced
    return environment.get_template("template.html.j2")
