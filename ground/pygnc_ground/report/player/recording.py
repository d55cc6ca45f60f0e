"""Content of the player: tables with the estimates of a replay, and the declaration of the plots.

Values come from the tables that `pygnc replay` writes, as far as they have them, and otherwise from the result.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from pygnc.common.clock import unix_ms_from_gps_ms
from pygnc_cli.text import printable
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.replay.result import Innovations, ReplayResult
from pygnc_ground.report.attitude_figures import face_names
from pygnc_ground.report.axes import TimeAxis, eclipses, formation_axis, sample_axis, time_axis
from pygnc_ground.report.comparison import (
    attitude_filter_minus_smoother,
    compared_attitudes,
    compared_orbits,
    filter_minus_smoother,
)
from pygnc_ground.report.player.events import Events, causes_of
from pygnc_ground.report.player.packing import PLACED_BITS, Column, numbers, stacked, texts, thinned, times
from pygnc_ground.report.player.plots import Plots
from pygnc_ground.tables.declaration import quantities
from pygnc_ground.wording import meaning

Tables = Mapping[str, Path]
"""Parquet files of the tables of a replay by name"""

ROWS_MAX: Final = 20_000
"""Most rows of a table in the page; of longer tables every k-th row is included."""
_XYZ: Final = "xyz"
_RTN: Final = "rtn"


class Recording(NamedTuple):
    """Packed tables by name, and what else the page shows."""

    tables: dict[str, dict[str, Column]]
    about: dict[str, Any]

    def columns(self) -> Iterator[tuple[str, str, Column]]:
        """Return each column with the names of its table and its own."""
        return ((table, name, column) for table, columns in self.tables.items() for name, column in columns.items())


def make_recording(result: ReplayResult, tables: Tables) -> Recording:
    """Return what the player shows of a replay."""
    time = time_axis(result)
    if result.formation is not None and len(time.order):
        time = formation_axis(time, result.formation)
    span = time.span_gps_ms
    recording = Recording({}, {"span": None, "plots": [], "events": [], "eclipses": [], "partners": [], "thinned": []})
    if span is None:
        return recording
    plots, events = Plots(), Events()
    add = _Adder(recording, time)
    _add_orbit(add, result, tables, plots)
    _add_attitude(add, result, tables, plots)
    _add_formation(add, result, tables, plots)
    for what, name in add.unused.items():
        plots.add("Run", what[0].upper() + what[1:], "1", name, {"since the beginning": "unused"})
    events.of_fixes(result.fixes)
    events.of_samples(result.attitude.samples, face_names(result.settings.attitude.mounting))
    if "formation" in tables:
        events.of_partners(pl.read_parquet(tables["formation"]))
    about = recording.about
    about["span"] = [unix_ms_from_gps_ms(ms) for ms in span]
    about["plots"] = plots.groups
    about["events"] = events.within(span)
    about["eclipses"] = [
        [unix_ms_from_gps_ms(time.zero_gps_ms + round(3.6e6 * hour)) for hour in pair]
        for pair in eclipses(result.attitude.samples, sample_axis(time, result.attitude.samples.gps_ms)).tolist()
    ]
    about["counters"] = {name.replace("_", " "): count for name, count in result.counts.items()}
    about["truth"] = result.truth is not None
    damaged = [one for one in result.sources if one.damaged_bytes or one.fault]
    about["damaged"] = [printable(one.name) for one in damaged]
    return recording


class _Adder:
    """Adds tables to a recording: the rows within its time span in order of time, thinned if there are too many."""

    def __init__(self, recording: Recording, time: TimeAxis) -> None:
        self.recording, self.time = recording, time
        self.unused: dict[str, str] = {}
        """Tables with the column `unused`, by what it counts."""

    def rows(self, name: str, gps_ms: IntArray) -> IntArray:
        """Begin a table with the time of its rows; return the indices of the rows."""
        order = sample_axis(self.time, gps_ms).order
        some = thinned(len(order), ROWS_MAX)
        if some.step > 1:
            self.recording.about["thinned"].append([name, len(order), some.step])
        rows = order[some]
        if len(rows):
            unix_ms = gps_ms[rows] + (unix_ms_from_gps_ms(int(gps_ms[rows[0]])) - int(gps_ms[rows[0]]))
            self.recording.tables[name] = {"time": times(unix_ms.astype(np.float64))}
        return rows

    def columns(self, name: str, columns: Mapping[str, Column]) -> None:
        """Add columns to a table."""
        self.recording.tables[name].update(columns)

    def losses(self, name: str, what: str, gps_ms: IntArray, causes: Sequence[str], rows: IntArray) -> None:
        """Add how many records until the time of each row were not used, of all records with their causes."""
        unused_ms = np.sort(gps_ms[np.array([bool(cause) for cause in causes], dtype=np.bool_)])
        count = np.searchsorted(unused_ms, gps_ms[rows], side="right").astype(np.float64)
        self.columns(name, {"unused": numbers(count, PLACED_BITS)})
        self.unused[f"{what} not used"] = name


def _add_orbit(add: _Adder, result: ReplayResult, tables: Tables, plots: Plots) -> None:
    rows = add.rows("orbit", result.fixes.gps_ms)
    if not len(rows):
        return
    table, fixes = tables["orbit"], tables["fixes"]
    add.columns("orbit", stacked(_XYZ, _vectors("orbit", table, "position in GCRF")[rows], PLACED_BITS))
    add.columns("orbit", {"sigma": numbers(np.linalg.norm(_vectors("orbit", table, "position sigma"), axis=1)[rows])})
    causes = causes_of(result.fixes)
    add.columns("orbit", {"cause": texts([meaning(causes[row]) if causes[row] else "" for row in rows.tolist()])})
    add.losses("orbit", "GPS records", result.fixes.gps_ms, causes, rows)
    known = {one.name: one.errors for one in compared_orbits(result) if one.errors is not None and len(one.errors)}
    what = "error" if known else "filter minus smoother"
    if not known and (difference := filter_minus_smoother(result)) is not None and len(difference):
        known = {"filter": difference}
    for name, errors in known.items():
        if name == "batch":
            continue
        add.columns("orbit", stacked([f"{name}_{axis}" for axis in _RTN], _at(rows, errors.row, errors.position_rtn_m)))
        if name == "filter":
            sigma = _at(rows, errors.row, errors.position_sigma_rtn_m)
            add.columns("orbit", stacked([f"filter_sigma_{axis}" for axis in _RTN], sigma))
    if known:
        for axis, word in zip(_RTN, ("radial", "transverse", "normal"), strict=True):
            title = f"Position, {word}: {what}"
            lines = {name: f"{name}_{axis}" for name in known if name != "batch"}
            plots.add("Orbit", title, "m", "orbit", lines, band=f"filter_sigma_{axis}")
    plots.add("Orbit", "Position sigma, 3-D", "m", "orbit", {"filter": "sigma"}, logarithmic=True)
    _add_fixes(add, rows, fixes, result.settings.orbit.measurement.gate, plots)


def _add_fixes(add: _Adder, rows: IntArray, fixes: Path, gate: float, plots: Plots) -> None:
    for what, unit, scale in (("position", "m", 1.0), ("velocity", "mm/s", 1e3)):
        values = scale * _vectors("fixes", fixes, f"{what} innovation")[rows]
        sigmas = scale * _vectors("fixes", fixes, f"sigma of the {what} innovation")[rows]
        chi_square = _vectors("fixes", fixes, f"chi_square_{what}")[rows, 0]
        add.columns("orbit", stacked([f"{what}_{axis}" for axis in _XYZ], values))
        add.columns("orbit", {f"{what}_sigma": numbers(sigmas.max(axis=1)), f"{what}_chi": numbers(chi_square)})
        lines = {axis: f"{what}_{axis}" for axis in _XYZ}
        plots.add("Fixes", f"Innovation of the {what}, ITRF", unit, "orbit", lines, band=f"{what}_sigma")
        title = f"Innovation of the {what}, χ² and gate"
        plots.add("Fixes", title, "1", "orbit", {"χ²": f"{what}_chi"}, limit=gate, logarithmic=True)
    clock_ms = _vectors("fixes", fixes, "spacecraft_to_gps_ms")[rows, 0]
    add.columns(
        "orbit", {"clock": numbers(clock_ms - np.nanmedian(clock_ms) if np.isfinite(clock_ms).any() else clock_ms)}
    )
    plots.add("Fixes", "Clock map, GPS minus spacecraft time, from its median", "ms", "orbit", {"offset": "clock"})


def _add_attitude(add: _Adder, result: ReplayResult, tables: Tables, plots: Plots) -> None:
    attitude = result.attitude
    rows = add.rows("attitude", attitude.samples.gps_ms)
    if not len(rows):
        return
    table = tables["attitude"]
    quaternion = _vectors("attitude", table, "attitude")[rows]
    add.columns("attitude", stacked(["qw", "qx", "qy", "qz"], quaternion, PLACED_BITS))
    if attitude.truth is not None:
        known = np.where(attitude.truth.known, attitude.samples.gps_ms, -1)
        true_rows = add.rows("truth", known)
        if len(true_rows):
            add.columns("truth", stacked(["qw", "qx", "qy", "qz"], attitude.truth.quaternion[true_rows], PLACED_BITS))
    modes = attitude.samples.mode
    add.columns("attitude", {"mode": texts([modes[row] for row in rows.tolist()])})
    add.losses("attitude", "sensor samples", attitude.samples.gps_ms, attitude.samples.cause, rows)
    _add_attitude_errors(add, result, rows, plots)
    for name, title, unit, scale in (
        ("body rate", "Body rate", "deg/s", 180.0 / np.pi),
        ("gyro bias", "Gyro bias", "deg/s", 180.0 / np.pi),
        ("magnetometer bias", "Magnetometer bias", "µT", 1.0),
    ):
        key = name.replace(" ", "_")
        add.columns("attitude", stacked(_named(key), scale * _vectors("attitude", table, name)[rows]))
        plots.add("Attitude", title, unit, "attitude", {axis: f"{key}_{axis}" for axis in _XYZ})
    for name, of in attitude.samples.innovations.items():
        _add_innovations(add, rows, name, of, plots)
    _add_readings(add, result, rows, plots)


def _add_attitude_errors(add: _Adder, result: ReplayResult, rows: IntArray, plots: Plots) -> None:
    compared = compared_attitudes(result.attitude)[0]
    if len(compared.errors):
        what, row, turn = "error", compared.errors.row, compared.errors.turn_rad
        sigma = compared.solution.sigma_rad[row]
    else:
        what = "filter minus smoother"
        row, turn, sigma = attitude_filter_minus_smoother(result.attitude)
    if not len(row):
        return
    add.columns("attitude", stacked(_named("turn"), _at(rows, row, np.degrees(turn))))
    add.columns("attitude", stacked(_named("turn_sigma"), _at(rows, row, np.degrees(sigma))))
    for axis in _XYZ:
        lines = {"filter": f"turn_{axis}"}
        plots.add(
            "Attitude",
            f"Attitude about {axis}: {what}",
            "deg",
            "attitude",
            lines,
            band=f"turn_sigma_{axis}",
            to=f"turn_{axis}",
        )


def _add_innovations(add: _Adder, rows: IntArray, name: str, of: Innovations, plots: Plots) -> None:
    """Add the innovations of a sensor in sigmas, in one plot."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = of.values[rows] / of.sigmas[rows]
    components = _XYZ[: scaled.shape[1]]
    add.columns("attitude", stacked([f"{name}_{axis}" for axis in components], scaled))
    title = f"Innovation of the {name.replace('_', ' ')}, in sigmas"
    plots.add(
        "Sensors", title, "1", "attitude", {axis: f"{name}_{axis}" for axis in components}, limit=3.0, mirrored=True
    )


def _add_readings(add: _Adder, result: ReplayResult, rows: IntArray, plots: Plots) -> None:
    light = result.attitude.light.measured[rows]
    faces = face_names(result.settings.attitude.mounting)[: light.shape[1]]
    add.columns("attitude", stacked([f"light{number}" for number in range(len(faces))], light, 10))
    samples = result.attitude.samples
    gyro, field, model = (of[rows] for of in (samples.gyro_imu_rad_s, samples.mag_imu_ut, samples.field_gcrf_ut))
    bias = result.attitude.solution.mag_bias_imu_ut[rows]
    body = (field - bias) @ np.array(result.settings.attitude.mounting.magnetometer)
    add.columns("attitude", stacked(_named("gyro"), np.degrees(gyro)) | stacked(_named("field"), field))
    add.columns("attitude", stacked(_named("body"), body, 10) | stacked(_named("model"), model, 10))
    plots.add("Sensors", "Gyro, raw, sensor axes", "deg/s", "attitude", {axis: f"gyro_{axis}" for axis in _XYZ})
    plots.add("Sensors", "Magnetometer, raw, sensor axes", "µT", "attitude", {axis: f"field_{axis}" for axis in _XYZ})
    lines = {face: f"light{number}" for number, face in enumerate(faces)}
    plots.add("Sensors", "Light on the faces, share of full sunlight", "1", "attitude", lines)


def _add_formation(add: _Adder, result: ReplayResult, tables: Tables, plots: Plots) -> None:
    if result.formation is None or "formation" not in tables:
        return
    table = pl.read_parquet(tables["formation"])
    ranges = pl.read_parquet(tables["ranges"]) if "ranges" in tables else None
    for partner in result.formation.partners:
        name, title = f"partner {partner.partner}", f"Partner {partner.partner}"
        own = table.filter((pl.col("partner_id") == partner.partner) & pl.col("utc").is_not_null())
        rows = add.rows(name, _gps_ms(own))
        of = {"id": partner.partner, "table": name, "cause": partner.cause, "ranges": None}
        add.recording.about["partners"].append(of)
        if not len(rows):
            continue
        add.columns(name, stacked(_RTN, _vectors("formation", own, "relative position")[rows]))
        add.columns(name, stacked(_named("sigma", _RTN), _vectors("formation", own, "relative position sigma")[rows]))
        triangle = _vectors("formation", own, "relative position covariance")[rows]
        add.columns(name, stacked(["rr", "tr", "tt", "nr", "nt", "nn"], triangle))
        flags = own["ambiguous"].fill_null(value=False).to_list()
        add.columns(name, {"state": texts(["ambiguous" if flags[row] else "certain" for row in rows.tolist()])})
        at = {int(ms): place for place, ms in enumerate(partner.states.gps_ms)}
        places = np.array([at.get(int(ms), -1) for ms in _gps_ms(own)[rows]], dtype=np.int64)
        for prefix, values in (("mirror", partner.states.mirror_rtn_m), ("true", partner.states.true_rtn[:, :3])):
            found = np.where((places >= 0)[:, None], values[places], np.nan) if len(values) else np.empty((0, 3))
            if np.isfinite(found).any():
                add.columns(name, stacked(_named(prefix, _RTN), found))
        for axis, word in zip(_RTN, ("radial", "transverse", "normal"), strict=True):
            lines = {"filter": axis}
            for prefix, label in (("true", "truth"), ("mirror", "mirror")):
                if f"{prefix}_{axis}" in add.recording.tables[name]:
                    lines[label] = f"{prefix}_{axis}"
            plots.add(title, f"Relative position, {word}", "m", name, lines, band=f"sigma_{axis}", to=axis)
        if ranges is not None:
            of["ranges"] = _add_ranges(add, ranges, partner.partner, plots)


def _add_ranges(add: _Adder, ranges: pl.DataFrame, partner: int, plots: Plots) -> str | None:
    """Add the ranges to a partner; return the name of their table, or None if there is no range with a time."""
    name = f"ranges {partner}"
    own = ranges.filter((pl.col("partner_id") == partner) & pl.col("utc").is_not_null())
    rows = add.rows(name, _gps_ms(own))
    if not len(rows):
        return None
    causes = own["cause"].fill_null("").to_list()
    for key in ("range_m", "residual_m"):
        add.columns(name, {key: numbers(own[key].fill_null(np.nan).to_numpy()[rows])})
    add.columns(name, {"cause": texts([causes[row] for row in rows.tolist()])})
    add.losses(name, f"ranges of partner {partner}", _gps_ms(own), causes, rows)
    plots.add(f"Partner {partner}", "Measured range with the delay bias", "m", name, {"range": "range_m"}, dots=True)
    plots.add(f"Partner {partner}", "Residual of the range", "m", name, {"residual": "residual_m"}, dots=True)
    return name


def _named(prefix: str, axes: str = _XYZ) -> list[str]:
    return [f"{prefix}_{axis}" for axis in axes]


def _vectors(table: str, source: Path | pl.DataFrame, quantity: str) -> FloatArray:
    """Return a quantity of a table, shape (n, k), NaN where it is unknown; of a file, only its columns are read."""
    (columns,) = (one.columns for one in quantities(table) if one.name == quantity)
    rows = source if isinstance(source, pl.DataFrame) else pl.read_parquet(source, columns=list(columns))
    return np.column_stack([rows[column].fill_null(np.nan).to_numpy() for column in columns])


def _gps_ms(table: pl.DataFrame) -> IntArray:
    week, tow_ms = (table[name].to_numpy().astype(np.int64) for name in ("gps_week", "gps_tow_ms"))
    return np.asarray(week * 604_800_000 + tow_ms)


def _at(rows: IntArray, of: IntArray, values: FloatArray) -> FloatArray:
    """Return values of the rows `of` (k,) at other rows (n,); NaN where there is none."""
    place = np.minimum(np.searchsorted(of, rows), len(of) - 1)
    known: BoolArray = np.asarray(of[place] == rows)
    return np.where(known[:, None], values[place], np.nan)
