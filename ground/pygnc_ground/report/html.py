"""HTML page of the report: one file without external resources."""

import platform
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

import pygnc
from pygnc.host.settings_slots import named_values
from pygnc_cli.text import printable
from pygnc_cli.web_page import page_style
from pygnc_ground import wording
from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG
from pygnc_ground.inspection.times import format_gps_time
from pygnc_ground.replay.result import FormationResult, ReplayResult, orbit_name
from pygnc_ground.report import attitude_figures, formation_figures, orbit_figures, sensor_figures
from pygnc_ground.report.axes import TimeAxis, formation_axis, sample_axis, time_axis
from pygnc_ground.report.clock import clock, clock_records
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
from pygnc_ground.report.map_figure import ground_track
from pygnc_ground.report.player.page import PlayerPage
from pygnc_ground.report.rejections import balanced, counts_by_cause, rejected_rows, rejections, strip
from pygnc_ground.report.statistics import difference_figures, geodetic, innovations_of, latest
from pygnc_ground.report.style import Chart, chart, report_style
from pygnc_ground.report.summary import attitude_findings, findings, formation_findings

_STYLE: Final = Path(__file__).with_name("report.css")
_ROWS_MAX: Final = 100
"""Maximum rows of each table of records."""
_FILES_MAX: Final = 6
"""Maximum number of files in the summary; the input table lists all."""
_LIBRARIES: Final = ("numpy", "scipy", "pyerfa", "satkit", "matplotlib", "jinja2")


def write_report(result: ReplayResult, path: Path, player: PlayerPage | None = None) -> None:
    """Write the report, below a player if there is one; equal results give equal bytes with the same library versions.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_text(render_report(result, player), encoding="utf-8", newline="\n")


def render_report(result: ReplayResult, player: PlayerPage | None = None) -> str:
    """Return the report as HTML text."""
    time = time_axis(result)
    found, smoothed, crossed = compared_orbits(result), filter_minus_smoother(result), smoother_minus_batch(result)
    cross_check = None if crossed is None else difference_figures(crossed)
    attitude, mounting = result.attitude, result.settings.attitude.mounting
    attitudes, attitude_nis = compared_attitudes(attitude), innovations_of(attitude.samples)
    of_clock = clock_records(result.fixes)
    formation, partners = result.formation, compared_partners(result.formation)
    with report_style():
        charts = {
            "orbit": _orbit_charts(result, found, time),
            "measurements": [
                chart("innovations", orbit_figures.innovations(result, time)),
                chart("consistency", orbit_figures.normalised_squares(found, time)),
            ],
            "attitude": _attitude_charts(result, attitudes, time),
            "sensors": _sensor_charts(result, attitudes, time),
            "clock": [chart("clock", clock(of_clock, time))],
            "rejections": [chart("rejections", rejections(counts_by_cause(result), time))],
            "formation": [] if formation is None else formation_charts(formation, partners, time),
        }
    return (
        report_environment()
        .get_template("template.html.j2")
        .render(
            result=result,
            player=player,
            span=time.span_gps_ms,
            hidden=time.hidden,
            findings=[
                *findings(result, found, cross_check, of_clock),
                *attitude_findings(attitude, attitudes, attitude_nis, mounting),
                *formation_findings(result.ranges, formation, partners, result.settings.formation.arc_max_s),
            ],
            partners=partners,
            orbits=found,
            smoothed=None if smoothed is None else difference_figures(smoothed),
            cross_check=cross_check,
            last=latest(result.solution),
            attitudes=attitudes,
            attitude_nis=attitude_nis,
            last_attitude=latest(attitude.solution),
            charts=charts,
            clock=of_clock,
            rejected=rejected_rows(result),
            untimed=result.untimed[:_ROWS_MAX],
            rows_max=_ROWS_MAX,
            files_max=_FILES_MAX,
            settings={**named_values(result.settings), "devices": result.settings.devices},
            versions=versions(_LIBRARIES),
        )
    )


def _orbit_charts(result: ReplayResult, found: Sequence[ComparedOrbit], time: TimeAxis) -> list[Chart]:
    charts = [chart("map", ground_track(result, time))]
    if result.truth is not None:
        return [*charts, chart("errors", orbit_figures.errors(result, found, time))]
    smoothing = orbit_figures.smoothing(result, filter_minus_smoother(result), time)
    return [*charts, chart("sigmas", orbit_figures.sigmas(found, time)), chart("smoothing", smoothing)]


def _attitude_charts(result: ReplayResult, attitudes: Sequence[ComparedAttitude], time: TimeAxis) -> list[Chart]:
    attitude, axis = result.attitude, sample_axis(time, result.attitude.samples.gps_ms)
    conditions = attitude_figures.conditions(attitude.samples, result.settings.attitude.mounting)
    if attitude.truth is None:
        smoothing = attitude_figures.attitude_smoothing(attitude, attitudes, axis)
        compared = chart("attitude-smoothing", smoothing)
    else:
        compared = chart("attitude-errors", attitude_figures.attitude_errors(attitude, attitudes, axis))
    return [
        chart("attitude-states", attitude_figures.states(attitude, conditions, axis)),
        compared,
        chart("biases", attitude_figures.biases(attitude, attitudes, axis)),
    ]


def _sensor_charts(result: ReplayResult, attitudes: Sequence[ComparedAttitude], time: TimeAxis) -> list[Chart]:
    attitude, settings = result.attitude, result.settings.attitude
    axis = sample_axis(time, attitude.samples.gps_ms)
    squares = sensor_figures.attitude_consistency(attitude, attitudes, axis)
    return [
        chart("light", sensor_figures.light(attitude, settings, axis)),
        *(
            chart(name, sensor_figures.sensor_residuals(attitude, name, settings, axis))
            for name in attitude.samples.innovations
        ),
        chart("attitude-consistency", squares, texts="consistency"),
    ]


def formation_charts(result: FormationResult, partners: Sequence[ComparedPartner], time: TimeAxis) -> list[Chart]:
    """Return the figures of the formation, to be called in `report_style`, on the report's time axis."""
    axis = formation_axis(time, result)
    charts = [
        chart("formation-planes", formation_figures.planes(partners)),
        chart("formation-states", formation_figures.relative_states(partners, axis)),
    ]
    if any_truth(partners):
        errors = formation_figures.relative_errors(partners, axis, result.track_gps_ms)
        charts.append(chart("formation-errors", errors))
    charts.append(chart("formation-ranges", formation_figures.ranges(result.links, axis)))
    charts.append(chart("formation-hypotheses", formation_figures.hypotheses(result, partners)))
    if result.conjunctions:
        charts.append(chart("formation-approach", formation_figures.approaches(result, partners)))
    return charts


def page_environment(*folders: str) -> Environment:
    """Return the environment of pages whose templates are in these folders of the package."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("pygnc_ground", folder) for folder in folders]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    formatters = (
        wording.duration,
        wording.fixed,
        wording.number,
        wording.percent,
        wording.plural,
        wording.whole,
    )
    environment.filters |= {function.__name__: function for function in (*formatters, printable)}
    environment.globals["page_style"] = page_style(_STYLE)
    return environment


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of PyGNC, Python and libraries by name."""
    own = {"pygnc": pygnc.__version__, "Python": platform.python_version()}
    return own | {library: version(library) for library in libraries}


@cache
def report_environment() -> Environment:
    """Return the environment of the report, with the filters, tests and globals of its templates."""
    environment = page_environment("report")
    filters = (wording.utc, wording.meaning, wording.probability, format_gps_time, geodetic, orbit_name, strip)
    environment.filters |= {function.__name__: function for function in filters}
    environment.filters |= {"degrees": np.degrees, "length_3d": np.linalg.norm}
    environment.tests["balanced"] = balanced
    environment.globals |= {"any_truth": any_truth, "RIGHT_DEG": RIGHT_DEG, "WRONG_DEG": WRONG_DEG}
    return environment
