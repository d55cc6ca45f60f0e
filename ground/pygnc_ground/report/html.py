"""HTML page of the report: one file without external resources."""

import dataclasses
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

import pygnc
from pygnc_ground.replay.result import FormationResult, LinkResult, ReplayResult
from pygnc_ground.report import wording
from pygnc_ground.report.attitude_figures import attitude_errors, attitude_smoothing, biases, conditions, states
from pygnc_ground.report.axes import FormationAxis, TimeAxis, sample_axis, time_axis
from pygnc_ground.report.clock import ClockRecords, clock, clock_records
from pygnc_ground.report.comparison import (
    ComparedAttitude,
    ComparedOrbit,
    ComparedPartner,
    any_truth,
    compared_attitudes,
    compared_orbits,
    compared_partners,
    filter_minus_smoother,
    smoother_minus_batch,
)
from pygnc_ground.report.formation_figures import (
    approaches,
    hypotheses,
    planes,
    ranges,
    relative_errors,
    relative_states,
)
from pygnc_ground.report.map_figure import ground_track
from pygnc_ground.report.orbit_figures import errors, innovations, normalised_squares, sigmas, smoothing
from pygnc_ground.report.rejections import (
    balanced,
    counts_by_cause,
    meaning,
    rejected_records,
    rejected_rows,
    rejections,
    strip,
)
from pygnc_ground.report.sensor_figures import attitude_consistency, field_residuals, light
from pygnc_ground.report.statistics import (
    Row,
    attitude_rows,
    difference_figures,
    estimate_figures,
    formation_rows,
    innovations_of,
    last_attitude,
    last_estimate,
)
from pygnc_ground.report.style import (
    PALETTE,
    Chart,
    report_style,
)
from pygnc_ground.report.summary import Finding, attitude_findings, findings, formation_findings

_ROWS_MAX: Final = 100
"""Maximum rows of each table of records."""
_FILES_MAX: Final = 6
"""Maximum number of files in the summary; the input table lists all."""
_LIBRARIES: Final = ("numpy", "scipy", "pyerfa", "satkit", "matplotlib", "jinja2")


def write_report(result: ReplayResult, path: Path) -> None:
    """Write the report; equal results give equal bytes with the same library versions.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_text(render_report(result), encoding="utf-8", newline="\n")


def render_report(result: ReplayResult) -> str:
    """Return the report as HTML text."""
    time = time_axis(result)
    found = compared_orbits(result)
    smoothed = filter_minus_smoother(result)
    crossed = smoother_minus_batch(result)
    cross_check = difference_figures(crossed) if crossed else None
    figures = [estimate_figures(one) for one in found]
    attitudes = compared_attitudes(result.attitude)
    attitude_nis = innovations_of(result.attitude)
    of_clock = clock_records(result.fixes)
    formation = formation_section(result.formation, time)
    return _template().render(
        result=result,
        span=time.span_gps_ms,
        hidden=time.hidden,
        findings=[
            *findings(result, figures, cross_check, of_clock),
            *attitude_findings(result.attitude, attitudes, attitude_nis, result.settings.attitude.mounting),
            *(formation.findings if formation else []),
        ],
        formation=formation,
        figures=figures,
        smoothed=difference_figures(smoothed) if smoothed else None,
        cross_check=cross_check,
        last=last_estimate(result.solution),
        attitudes=attitudes,
        attitude_rows=attitude_rows(attitudes, attitude_nis, with_truth=result.attitude.truth is not None),
        last_attitude=last_attitude(result.attitude.solution),
        charts=_charts(result, time, found, of_clock) | _attitude_charts(result, time, attitudes),
        clock=of_clock,
        causes=counts_by_cause(result),
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


@dataclass(frozen=True, slots=True)
class FormationSection:
    """Formation section of the page."""

    own_id: int
    partners: tuple[ComparedPartner, ...]
    findings: list[Finding]
    rows: list[Row]
    links: tuple[LinkResult, ...]
    charts: list[Chart]


def formation_section(result: FormationResult | None, time: TimeAxis) -> FormationSection | None:
    """Return the section with figures on the report's time axis, or None without partners."""
    if result is None:
        return None
    partners = compared_partners(result)
    axis = FormationAxis(time, result)
    with report_style():
        charts = [planes(partners), relative_states(partners, axis)]
        if any_truth(partners):
            charts.append(relative_errors(partners, axis, result.track_gps_ms))
        charts += [ranges(result.links, axis), hypotheses(result, partners)]
        if result.approaches:
            charts.append(approaches(result, partners))
    return FormationSection(
        own_id=result.own_id,
        partners=partners,
        findings=formation_findings(result, partners),
        rows=formation_rows(result, partners),
        links=result.links,
        charts=charts,
    )


def _charts(
    result: ReplayResult, time: TimeAxis, found: tuple[ComparedOrbit, ...], of_clock: ClockRecords
) -> dict[str, list[Chart]]:
    """Return the figures of each section."""
    with report_style():
        if result.truth is None:
            orbit = [sigmas(found, time), smoothing(result, filter_minus_smoother(result), time)]
        else:
            orbit = [errors(result, found, time)]
        return {
            "orbit": [ground_track(result, time), *orbit],
            "measurements": [innovations(result, time), normalised_squares(found, time)],
            "clock": [clock(of_clock, time)],
            "rejections": [rejections(counts_by_cause(result), time)],
        }


def _attitude_charts(
    result: ReplayResult, of_records: TimeAxis, found: tuple[ComparedAttitude, ...]
) -> dict[str, list[Chart]]:
    """Return the figures of the attitude sections."""
    attitude, settings = result.attitude, result.settings.attitude
    time = sample_axis(of_records, attitude.samples.gps_ms)
    against = attitude_smoothing if attitude.truth is None else attitude_errors
    with report_style():
        return {
            "attitude": [
                states(attitude, conditions(attitude.samples, settings.mounting), time),
                against(attitude, found, time),
                biases(attitude, found, time),
            ],
            "sensors": [
                light(attitude, settings, time),
                field_residuals(attitude, settings.magnetometer, time),
                attitude_consistency(attitude, found, time),
            ],
        }


def _flat(settings: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield settings with their full names as in pygnc.toml."""
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
    environment.filters |= {"meaning": meaning, "strip": strip}
    environment.tests["balanced"] = balanced
    return environment.get_template("template.html.j2")
