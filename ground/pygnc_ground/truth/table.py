"""Truth tables of scenarios: `truth.parquet`, or `truth.csv.gz` of older scenarios; and dated tables.

Dated tables have no header: date (27/7/2010), time of GPS, position in km and velocity in dm/s in ITRF, as the program
LEOGPS keeps precise orbits.
"""

import io
import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from pygnc.common.clock import MS_PER_WEEK
from pygnc_ground.tables.declaration import quantities
from pygnc_ground.truth.ephemeris import HERMITE_WINDOW, NS_PER_MS, Arc, Ephemeris
from pygnc_ground.truth.epochs import calendar_date, gps_ns
from pygnc_ground.truth.frames import Frame
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

_TIME = ("gps_week", "gps_tow_ms")
QUANTITIES: Final = {
    "position_ecef_m": "position",
    "velocity_ecef_mps": "velocity",
    "position_gcrf_m": "position in GCRF",
    "velocity_gcrf_mps": "velocity in GCRF",
    "quaternion_gcrf_from_body": "attitude",
    "rate_body_rad_s": "body rate",
    "gyro_bias_imu_rad_s": "gyro bias",
    "mag_bias_imu_ut": "magnetometer bias",
}
"""Names in the declaration of the tables of each vector."""
_DECLARED: Final = {quantity.name: quantity.columns for quantity in quantities("truth")}
COLUMNS: Final = {vector: [*_DECLARED[name]] for vector, name in QUANTITIES.items()}
"""Names of the columns of each vector."""
_WEEKS = 15_000
"""End of the supported GPS weeks; nanoseconds of GPS time fit in 64 bits until week 15 250."""


def parquet_table(content: bytes) -> pl.DataFrame:
    """Return all columns of a Parquet table.

    Raises:
        ValueError: The table is truncated or damaged.
    """
    if not content.endswith(b"PAR1"):
        raise ValueError("the Parquet file is truncated (its end mark is missing); copy it again")
    try:
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"the Parquet file is damaged: {_first_line(error)}; copy it again") from error


def csv_table(content: bytes) -> pl.DataFrame:
    """Return all columns of a CSV table with one header line.

    Raises:
        ValueError: The table is damaged.
    """
    try:
        return pl.read_csv(content, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"the CSV table is damaged: {_first_line(error)}; copy it again") from error


def checked_rows(table: pl.DataFrame, columns: Sequence[str]) -> tuple[IntArray, FloatArray]:
    """Return the times of n rows in ms since the GPS epoch, ascending, and finite values of m columns, shape (n, m).

    Raises:
        ValueError: A column or a value is missing, a value is not a number, or times do not ascend.
    """
    missing = [name for name in (*_TIME, *columns) if name not in table.columns]
    if missing:
        raise ValueError(
            f"the table has no column {', '.join(missing)}, so it is not the truth table of a scenario;"
            " name truth.parquet"
        )
    try:
        numbers = table.select(pl.col(_TIME).cast(pl.Int64), pl.col(columns).cast(pl.Float64))
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"a column of the table contains text that is not a number ({_first_line(error)}); generate the scenario"
            " again"
        ) from error
    if numbers.is_empty():
        raise ValueError("the truth table has no rows; generate the scenario again")
    if gaps := [name for name in numbers.columns if numbers[name].null_count()]:
        row = int(np.flatnonzero(numbers[gaps[0]].is_null())[0]) + 1
        raise ValueError(f"row {row} of the truth table: no value in column {gaps[0]}; generate the scenario again")
    week, tow_ms = (numbers[name].to_numpy() for name in _TIME)
    values = numbers.select(columns).to_numpy()
    gps_ms = week * MS_PER_WEEK + tow_ms
    known = (week > 0) & (week < _WEEKS) & (tow_ms >= 0) & (tow_ms < MS_PER_WEEK) & np.isfinite(values).all(axis=1)
    wrong = np.flatnonzero(~known | (np.diff(gps_ms, prepend=0) <= 0))
    if wrong.size:
        row = int(wrong[0])
        raise ValueError(
            f"row {row + 1} of the truth table: the time (week {week[row]}, {tow_ms[row]} ms) is out of range or"
            " not later than in the row before, or a value is not finite; generate the scenario again"
        )
    return gps_ms, values


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


def ephemeris_from_table(table: pl.DataFrame) -> Ephemeris:
    """Return the orbit in a truth table.

    Raises:
        ValueError: A column or a value is missing, a value is not a number, or times do not ascend.
    """
    gps_ms, state = checked_rows(table, [*COLUMNS["position_ecef_m"], *COLUMNS["velocity_ecef_mps"]])
    time_ns = gps_ms * NS_PER_MS
    arc = Arc(
        gps_ns=time_ns,
        position_m=state[:, :3],
        velocity_mps=state[:, 3:],
        frame=Frame.ITRF,
        window=HERMITE_WINDOW,
        usable_ns=(int(time_ns[0]), int(time_ns[-1])),
    )
    return Ephemeris([arc], "truth table of a scenario")


DATED_ROW: Final = re.compile(rb"(\d{1,2})/(\d{1,2})/(\d{4}),(\d\d):(\d\d):(\d\d),")
"""Beginning of a row of a dated table."""
_M_PER_KM: Final = 1e3
_MPS_PER_DMPS: Final = 0.1


def ephemeris_from_dated_table(content: bytes) -> Ephemeris:
    """Return the orbit in a dated table.

    Raises:
        ValueError: A row is damaged, or times do not ascend; the message names the line.
    """
    times_ns, states = list[int](), list[list[float]]()
    for number, line in enumerate(content.splitlines(), start=1):
        match = DATED_ROW.match(line)
        try:
            if match is None:
                raise ValueError("it does not begin with a date and a time")  # noqa: TRY301
            day, month, year, hour, minute, second = (int(part) for part in match.groups())
            states.append([float(part) for part in line[match.end() :].split(b",")])
            if len(states[-1]) != 6:
                raise ValueError(f"it has {len(states[-1])} components in place of 6")  # noqa: TRY301
            times_ns.append(gps_ns(calendar_date(year, month, day), hour, minute, second * 1_000_000_000, "GPS"))
        except ValueError as error:
            raise ValueError(f"line {number}: {line[:30]!r} is no row of a table of states: {error}") from error
    time_ns = np.array(times_ns, dtype=np.int64)
    if (np.diff(time_ns) <= 0).any():
        number = int(np.flatnonzero(np.diff(time_ns) <= 0)[0]) + 2
        raise ValueError(f"line {number}: the time is not later than in the line before; sort the rows")
    state = np.array(states)
    arc = Arc(
        gps_ns=time_ns,
        position_m=_M_PER_KM * state[:, :3],
        velocity_mps=_MPS_PER_DMPS * state[:, 3:],
        frame=Frame.ITRF,
        window=HERMITE_WINDOW,
        usable_ns=(int(time_ns[0]), int(time_ns[-1])),
    )
    return Ephemeris([arc], "table of dated states")
