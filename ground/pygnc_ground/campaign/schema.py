"""Columns of the results of a campaign: one row per run in `runs.parquet`, one per time bin in `bins.parquet`."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import polars as pl

from pygnc_ground.campaign.definition import Campaign


class Column(NamedTuple):
    """Column of a table of results."""

    name: str
    dtype: Any
    unit: str
    meaning: str


ORBIT_ESTIMATORS: Final = ("filter", "smoother", "batch")
ATTITUDE_ESTIMATORS: Final = ("filter", "smoother")
FORMATION_ESTIMATORS: Final = ("batch", "filter")
FAILED: Final = "failed"
DONE: Final = "done"

_KEYS: Final = (
    Column("run", pl.Int64, "1", "number of the run, from 0; repetitions vary fastest, then the grid, then cases"),
    Column("case", pl.String, "", "name of the case; empty without cases"),
    Column("point", pl.Int64, "1", "number of the point of the grid"),
    Column("repetition", pl.Int64, "1", "number of the repetition; equal repetitions have equal seeds"),
    Column("seed", pl.Int64, "1", "seed of scenario, draws and sensor faults"),
    Column("status", pl.String, "", "`done` or `failed`"),
    Column("error", pl.String, "", "reason of a failure, empty if done"),
    Column("traceback", pl.String, "", "traceback of a failure, empty if done"),
)


def _orbit(estimator: str) -> Iterator[Column]:
    name, late = f"orbit_{estimator}", "after the settling time"
    yield Column(f"{name}_error_m", pl.Float64, "m", f"position error, 3-D RMS {late}")
    yield Column(f"{name}_sigma_m", pl.Float64, "m", f"formal standard deviation of the position, 3-D RMS {late}")
    yield Column(f"{name}_bound_m", pl.Float64, "m", f"Cramér-Rao bound with the flight's process noise, RMS {late}")
    yield Column(f"{name}_crb_m", pl.Float64, "m", f"Cramér-Rao bound for state and drag without process noise, {late}")
    yield Column(f"{name}_nees", pl.Float64, "1", f"normalised error squared per degree of freedom, mean {late}")
    yield Column(f"{name}_nis", pl.Float64, "1", "normalised innovation (smoother, batch: residual) squared per degree")
    yield Column(f"{name}_peak_m", pl.Float64, "m", "largest position error, settling time included")
    yield Column(f"{name}_outside_s", pl.Float64, "s", "time with an error of more than five formal 3-D sigmas")
    gap = "at the end of the longest time without fixes above ten minutes" + ", predicted" * (estimator == "filter")
    yield Column(f"{name}_outage_m", pl.Float64, "m", f"position error {gap}")
    yield Column(f"{name}_outage_sigma_m", pl.Float64, "m", f"formal standard deviation of the position {gap}")
    if estimator != "filter":
        yield Column(f"{name}_delta_v_mps", pl.Float64, "m/s", "error of the sum of all changes of the velocity")
        yield Column(f"{name}_delta_v_sigmas", pl.Float64, "1", "largest component of that error over its sigma")


def _attitude(estimator: str) -> Iterator[Column]:
    name, late = f"attitude_{estimator}", "after the settling time"
    for place in ("sun", "shadow"):
        yield Column(f"{name}_{place}_deg", pl.Float64, "deg", f"three-axis RMS error in {place} {late}")
        yield Column(f"{name}_{place}_sigma_deg", pl.Float64, "deg", f"formal three-axis sigma in {place}, RMS {late}")
    yield Column(f"{name}_error_deg", pl.Float64, "deg", f"three-axis RMS error {late}")
    yield Column(f"{name}_sigma_deg", pl.Float64, "deg", f"formal three-axis sigma, RMS {late}")
    yield Column(f"{name}_bound_deg", pl.Float64, "deg", f"Cramér-Rao bound of the three-axis error, RMS {late}")
    yield Column(f"{name}_nees", pl.Float64, "1", f"normalised error squared per degree of freedom, mean {late}")
    yield Column(f"{name}_nees_orbit", pl.Float64, "1", "the same from 5700 s on, after about an orbit")


def _formation(estimator: str) -> Iterator[Column]:
    name, is_batch = f"formation_{estimator}", estimator == "batch"
    orbit = "of the hypothesis nearest to the truth" if is_batch else "of estimates that are not reported as ambiguous"
    yield Column(
        f"{name}_error_m", pl.Float64, "m", f"relative position error, 3-D RMS over partners and time, {orbit}"
    )
    yield Column(
        f"{name}_sigma_m", pl.Float64, "m", f"formal standard deviation of the relative position, RMS, {orbit}"
    )
    yield Column(f"{name}_nees", pl.Float64, "1", "normalised error squared per relative element, mean (batch: amid)")
    yield Column(f"{name}_worst_m", pl.Float64, "m", "as error_m, of the partner with the largest error")
    yield Column(f"{name}_partners", pl.Float64, "1", "number of partners")
    yield Column(f"{name}_ambiguous", pl.Float64, "1", "partners reported as ambiguous at the end")
    yield Column(f"{name}_unsolved", pl.Float64, "1", "partners reported as unsolved at the end")
    yield Column(f"{name}_silent", pl.Float64, "1", "partners with a certain orbit that is not within ten sigmas")
    yield Column(
        f"{name}_bound_m", pl.Float64, "m", "Cramér-Rao bound of the relative position, RMS; of the batch only"
    )
    yield Column(f"{name}_nis", pl.Float64, "1", "normalised residual squared of the used ranges; of the batch only")
    if is_batch:
        yield Column(f"{name}_best_m", pl.Float64, "m", "as error_m, of the hypothesis that is ranked first")
        yield Column(f"{name}_missing", pl.Float64, "1", "partners without a hypothesis within ten sigmas of the truth")
        yield Column(f"{name}_wrong", pl.Float64, "1", "partners whose first hypothesis is not within ten sigmas")


METRICS: Final = (
    *(column for estimator in ORBIT_ESTIMATORS for column in _orbit(estimator)),
    Column("orbit_manoeuvres", pl.Float64, "1", "changes of the motion that the filter has reported"),
    *(column for estimator in ATTITUDE_ESTIMATORS for column in _attitude(estimator)),
    Column("attitude_nis", pl.Float64, "1", "normalised innovation squared per degree of freedom after settling"),
    Column("attitude_found_s", pl.Float64, "s", "time in sunlight until the error is below 5 degrees"),
    Column("attitude_known_after_s", pl.Float64, "s", "time of the first attitude"),
    Column("attitude_wrong_s", pl.Float64, "s", "longest uninterrupted time with an error above 20 degrees"),
    Column("attitude_admitted_s", pl.Float64, "s", "time with an error above 20 degrees, but within three sigmas"),
    Column("attitude_silent_s", pl.Float64, "s", "time with an error above 20 degrees and above three sigmas"),
    Column("attitude_unknown", pl.Float64, "1", "fraction of the samples after settling without an attitude"),
    Column("attitude_mag_bias_ut", pl.Float64, "uT", "error of the magnetometer bias, 5400 s after the start"),
    Column("attitude_faces_flagged", pl.Float64, "1", "faces that the filter treats as faulty at the end"),
    Column("attitude_axes_flagged", pl.Float64, "1", "gyro axes that the filter treats as stuck at the end"),
    *(column for estimator in FORMATION_ESTIMATORS for column in _formation(estimator)),
)
"""Figures of a run; null if there is none."""

BINS: Final = (
    Column("run", pl.Int64, "1", "number of the run"),
    Column("estimator", pl.String, "", "`orbit filter`, `attitude smoother`, `formation batch` and so on"),
    Column("begin_s", pl.Float64, "s", "beginning of the bin after the start of the scenario"),
    Column("epochs", pl.Int64, "1", "epochs with an estimate"),
    Column("error", pl.Float64, "m, deg", "RMS error, 3-D or about three axes; m for orbits and formations"),
    Column("sigma", pl.Float64, "m, deg", "RMS formal standard deviation"),
    Column("bound", pl.Float64, "m, deg", "RMS Cramér-Rao bound with process noise; null if not computed"),
    Column("nees", pl.Float64, "1", "mean normalised error squared per degree of freedom"),
    Column(
        "nis",
        pl.Float64,
        "1",
        "mean normalised innovation squared per degree of freedom, of filters; residual of formations",
    ),
)
EFFORT: Final = (
    Column("run", pl.Int64, "1", "number of the run"),
    Column("seconds", pl.Float64, "s", "processor time of the run"),
    Column("worker", pl.String, "", "address of the worker"),
    Column("peak_mb", pl.Float64, "MB", "largest memory of the worker's process until the end of the run"),
)
"""Columns of `effort.parquet`, the only table that differs between repetitions of a campaign."""


def parameter_columns(campaign: Campaign) -> Mapping[str, Any]:
    """Return the types of the columns of the varied settings by name: numbers as such, everything else as JSON."""
    grids = {name: all(_is_number(value) for value in values) for name, values in campaign.grid.items()}
    drawn = [*campaign.random.items(), *(item for case in campaign.cases for item in case.random.items())]
    for name, draw in drawn:
        values = (*(draw.choice or ()), *(draw.cycle or ()))
        single = (
            "*" not in name and draw.count is None and draw.direction is None and not draw.attitude and draw.day is None
        )
        number = single and all(map(_is_number, values)) and len(draw.sign or (0.0,)) == 1
        grids[name] = grids.get(name, True) and number
    return {name: pl.Float64 if is_number else pl.String for name, is_number in grids.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def runs_schema(campaign: Campaign) -> dict[str, Any]:
    """Return names and types of the columns of `runs.parquet`."""
    return {
        **{column.name: column.dtype for column in _KEYS},
        **parameter_columns(campaign),
        **{column.name: column.dtype for column in METRICS},
    }


def schema_of(columns: tuple[Column, ...]) -> dict[str, Any]:
    """Return names and types of the columns of `BINS` or `EFFORT`."""
    return {column.name: column.dtype for column in columns}


def run_columns() -> tuple[Column, ...]:
    """Return the columns of `runs.parquet` except those of varied settings."""
    return *_KEYS, *METRICS
