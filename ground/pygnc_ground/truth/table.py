"""The truth of a scenario: its table `truth.parquet`, or `truth.csv.gz` as older scenarios have it."""

import io

import numpy as np
import polars as pl

from pygnc.common.clock import MS_PER_WEEK
from pygnc_ground.truth.arc import HERMITE_WINDOW, Arc
from pygnc_ground.truth.ephemeris import NS_PER_MS, Ephemeris
from pygnc_ground.truth.inertial import Frame

_TIME = ("gps_week", "gps_tow_ms")
_POSITION = ("x_ecef_m", "y_ecef_m", "z_ecef_m")
_VELOCITY = ("vx_ecef_mps", "vy_ecef_mps", "vz_ecef_mps")
_WEEKS = 15_000
"""Nanoseconds of GPS time fit into 64 bits until week 15 250."""


def read_parquet(content: bytes) -> Ephemeris:
    """The orbit in a table of truth.

    Raises:
        ValueError: The table is cut short or damaged, lacks a column, or its times do not ascend.
    """
    if not content.endswith(b"PAR1"):
        raise ValueError("the Parquet file is cut short: its end mark is missing; copy it again")
    try:
        table = pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"the Parquet file is damaged: {_first_line(error)}") from error
    return _ephemeris(table)


def read_csv(content: bytes) -> Ephemeris:
    """The orbit in a table of truth, as text with one header line.

    Raises:
        ValueError: As for `read_parquet`.
    """
    try:
        table = pl.read_csv(content, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"the CSV table is damaged: {_first_line(error)}") from error
    return _ephemeris(table)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def _ephemeris(table: pl.DataFrame) -> Ephemeris:
    missing = [name for name in (*_TIME, *_POSITION, *_VELOCITY) if name not in table.columns]
    if missing:
        raise ValueError(f"the table has no column {', '.join(missing)}, so it is no scenario's table of truth")
    try:
        numbers = table.select(pl.col(_TIME).cast(pl.Int64), pl.col(*_POSITION, *_VELOCITY).cast(pl.Float64))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"a column of the table is not all numbers: {_first_line(error)}") from error
    if numbers.is_empty():
        raise ValueError("the table of truth has no rows")
    if sum(numbers.null_count().row(0)):
        raise ValueError("a value is missing in the table of truth; make the scenario again")
    week, tow_ms = (numbers[name].to_numpy() for name in _TIME)
    state = numbers.select(*_POSITION, *_VELOCITY).to_numpy()
    time_ns = (week * MS_PER_WEEK + tow_ms) * NS_PER_MS
    known = (week > 0) & (week < _WEEKS) & (tow_ms >= 0) & (tow_ms < MS_PER_WEEK) & np.isfinite(state).all(axis=1)
    wrong = np.flatnonzero(~known | (np.diff(time_ns, prepend=0) <= 0))
    if wrong.size:
        raise ValueError(f"row {wrong[0] + 1} of the table of truth: its time is none or not later, or a value is NaN")
    arc = Arc(
        gps_ns=time_ns,
        position_m=state[:, :3],
        velocity_mps=state[:, 3:],
        frame=Frame.ITRF,
        window=HERMITE_WINDOW,
        usable_ns=(int(time_ns[0]), int(time_ns[-1])),
    )
    return Ephemeris([arc], "scenario's table of truth")
