"""Reader of CSV and Parquet tables with fixes or sensor readings, whose columns the settings name.

A section `[columns.NAME]` of the settings applies to each table that has all of its columns.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pygnc.bus.messages import SensorSample, Vector3
from pygnc.common.clock import MS_PER_WEEK, gps_ms_from_unix_ms
from pygnc.configuration.settings import INERTIAL_FRAMES, ColumnSettings
from pygnc.formats.damage import Damage, DamageReason
from pygnc.inputs.receivers.parts import (
    COMPUTED,
    Part,
    Place,
    Position,
    Spread,
    Velocity,
    ecef_from_geodetic,
    fix_of,
)
from pygnc_ground.inspection.log_reader import LogReader, LogRecord
from pygnc_ground.tables.declaration import quantities
from pygnc_ground.truth.epochs import gps_ns_from_ccsds
from pygnc_ground.truth.frames import Frame, InertialFrame, earth_orientation, itrf_states

_MAGIC: Final = b"PAR1"
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_DELIMITERS: Final = (",", ";", "\t", "|", None)
"""Delimiters of CSV files; None is white space."""
_LONGEST_LINE: Final = 1 << 16
_LINES_BEFORE_HEADER: Final = 50
_ROWS_A_READ: Final = 10_000
_NO_VALUES: Final = frozenset({"", "nan", "null", "none"})
_FACTORS: Final = {
    "m": 1.0,
    "km": 1e3,
    "cm": 1e-2,
    "m/s": 1.0,
    "km/s": 1e3,
    "cm/s": 1e-2,
    "uT": 1.0,
    "nT": 1e-3,
    "T": 1e6,
    "G": 100.0,
    "mG": 0.1,
    "rad/s": 1.0,
    "mrad/s": 1e-3,
    "deg/s": math.radians(1.0),
    "mdeg/s": math.radians(1e-3),
}
"""Factors of units to m, m/s, uT and rad/s."""
_FRAMES: Final[dict[str, InertialFrame]] = {"gcrf": Frame.GCRF, "eme2000": Frame.EME2000, "teme": Frame.TEME}
_NO_READING_LUX: Final = -1.0
_WEEKS_MAX: Final = 15_000
_COLUMN_SETTINGS: Final = (
    *("time", "position", "position_sigma", "velocity", "velocity_sigma", "status", "satellites"),
    *("magnetometer", "gyro", "illuminance", "sun_direction"),
)


def _own_table() -> tuple[ColumnSettings, ...]:
    """Return the columns of orbits in tables of replays and scenarios, with and without standard deviations."""
    declared = {one.name: one for one in quantities("orbit")}
    position, velocity = declared["position"], declared["velocity"]
    without = ColumnSettings(
        time=("gps_week", "gps_tow_ms"), time_scale="gps_week_ms", position=position.columns, velocity=velocity.columns
    )
    with_sigma = ColumnSettings(
        time=without.time,
        time_scale=without.time_scale,
        position=without.position,
        velocity=without.velocity,
        position_sigma=position.sigma,
        velocity_sigma=velocity.sigma,
    )
    return with_sigma, without


class Layout(NamedTuple):
    """Header of a table: line of the first row, delimiter, and names of columns; no names if there is no header."""

    first_line: int
    delimiter: str | None
    names: tuple[str, ...]

    def place(self, column: str) -> int | None:
        """Return the index of a column by its name, or by its number from 1 without a header; None if it is missing."""
        if self.names:
            return self.names.index(column) if column in self.names else None
        return int(column) - 1 if column.isdecimal() and column != "0" else None


def named_columns(settings: ColumnSettings) -> dict[str, tuple[str, ...]]:
    """Return the columns of a section by the name of the setting, without those that are empty."""
    values = ((name, getattr(settings, name)) for name in _COLUMN_SETTINGS)
    return {name: (value,) if isinstance(value, str) else value for name, value in values if value}


def table_reader(path: Path, head: bytes, sections: Mapping[str, ColumnSettings]) -> LogReader | None:
    """Return the reader of a table that a section describes, or that PyGNC wrote; None for another file.

    Args:
        path: The file.
        head: Its beginning.
        sections: The settings `[columns.NAME]`.
    """
    known = [*sections.items(), *(("orbit", own) for own in _own_table())]
    layouts = [*layouts_of(path, head)]
    for name, settings in known:
        wanted = {column for found in named_columns(settings).values() for column in found}
        for layout in layouts:
            if all(layout.place(column) is not None for column in wanted):
                read = _parquet_records if head.startswith(_MAGIC) else _csv_records
                records = partial(read, _Columns(name, settings, layout))
                return LogReader(f"table {name}", lambda _: True, records, has_gps_clock=True)
    return None


def layouts_of(path: Path, head: bytes) -> Iterator[Layout]:
    """Yield the possible headers of a table; of a text, each line before lines with as many cells, and finally none."""
    if head.startswith(_MAGIC):
        yield Layout(1, None, tuple(_parquet_schema(path)))
        return
    lines = map(_text, head.removeprefix(_UTF8_MARK).split(b"\n")[:_LINES_BEFORE_HEADER])
    full = [(number, line.lstrip("# ")) for number, line in enumerate(lines, 1) if line.strip("# ")]
    for place, (number, line) in enumerate(full):
        for delimiter in _DELIMITERS:
            names = tuple(name.strip() for name in _cells(line, delimiter))
            is_named = line.replace("\t", " ").isprintable() and "" not in names[:-1]
            # The first row may be damaged.
            widths = (len(_cells(following, delimiter)) for _, following in full[place + 1 : place + 4])
            if is_named and 1 < len(names) <= max(widths, default=0):
                yield Layout(number + 1, delimiter, names)
    for delimiter in _DELIMITERS:
        if full and len(_cells(full[0][1], delimiter)) > 1:
            yield Layout(full[0][0], delimiter, ())


def _text(raw: bytes) -> str:
    try:
        return raw.strip(b"\r\n").decode()
    except UnicodeDecodeError:
        return raw.strip(b"\r\n").decode("latin-1")


def _cells(line: str, delimiter: str | None) -> list[str]:
    """Return the cells of a line; none if it is not one of CSV, as with a carriage return in its midst."""
    if delimiter is None:
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []


# --- Rows -----------------------------------------------------------------------------------------------------------


class _BadCellError(ValueError):
    """A cell, or a row, that cannot be used."""


class _Row(NamedTuple):
    """Cells of a row, its place in the file, and its bytes if it has its own."""

    cells: Sequence[Any]
    offset: int
    raw: bytes = b""


class _Columns:
    """Converter of the rows of one table."""

    def __init__(self, name: str, settings: ColumnSettings, layout: Layout) -> None:
        self.name = name
        self.layout = layout
        self.settings = settings
        self._kind = f"table {name}"
        self._places = {
            name: [layout.place(column) or 0 for column in found] for name, found in named_columns(settings).items()
        }
        self.width = 1 + max(place for places in self._places.values() for place in places)
        self._no_values = _NO_VALUES | {text.lower() for text in settings.missing}
        self._no_numbers = frozenset(filter(math.isfinite, map(_float_or_nan, settings.missing)))
        self._time = _TIMES[settings.time_scale]
        self._last_ms = 0

    def records(self, row: _Row) -> Iterator[LogRecord]:
        """Yield the fix and the sample of a row.

        Raises:
            _BadCellError: A cell is not a number or not a time, or a sample has no time.
        """
        settings = self.settings
        gps_ms, late_s = self._gps_time(row)
        part, sample = self._part(row, gps_ms, late_s), self._sample(row, gps_ms)
        self._last_ms = self._last_ms if gps_ms is None else gps_ms
        if part is not None and part.position is None:
            # Without a position, a row of fixes reports that the receiver had none; a row of readings has no fix.
            part = None if settings.gyro else part._replace(position=Position("none", np.zeros(3)))
        if part is not None:
            seconds, milliseconds = divmod(self._last_ms, 1000)
            fix = fix_of([part], gps_ms, Place(0, "", row.offset, self._kind, seconds, row.raw, milliseconds))
            if fix is not None:
                yield fix
        if sample is not None:
            yield sample

    def _gps_time(self, row: _Row) -> tuple[int | None, float]:
        """Return the time in whole ms, None if it is missing or before 1980, and what remains of it in s."""
        cells = self._of(row, "time")
        if any(self._is_missing(cell) for cell in cells):
            return None, 0.0
        try:
            gps_ms, late_s = self._time(*cells)
        except (ValueError, OverflowError):
            text, scale = " ".join(map(str, cells)), self.settings.time_scale
            raise _BadCellError(f"{', '.join(self.settings.time)}: {text!r} is not a time ({scale})") from None
        if gps_ms >= _WEEKS_MAX * MS_PER_WEEK:
            raise _BadCellError(f"{', '.join(self.settings.time)}: {cells[0]!r} is too late; check time_scale")
        return (gps_ms, late_s) if gps_ms > 0 else (None, 0.0)

    def _part(self, row: _Row, gps_ms: int | None, late_s: float) -> Part | None:
        settings = self.settings
        if not settings.position:
            return None
        solution, satellites = COMPUTED, self._numbers(row, "satellites")
        if settings.status:
            (status,) = (str(cell).strip() for cell in self._of(row, "status"))
            solution = COMPUTED if status in settings.status_computed else status or "none"
        count = None if math.isnan(satellites.sum()) or not satellites.size else (int(satellites[0]),) * 2
        part = Part(0, late_s=late_s, time_sigma_s=settings.time_sigma_s, satellites=count)
        position, velocity = self._position(row, solution), self._velocity(row, solution)
        if settings.position_frame in INERTIAL_FRAMES and position is not None and gps_ms is not None:
            gps_ns = 1_000_000 * gps_ms + round(1e9 * late_s)
            position, velocity = _earth_fixed(_FRAMES[settings.position_frame], gps_ns, position, velocity)
        return part._replace(position=position, velocity=velocity)

    def _position(self, row: _Row, solution: str) -> Position | None:
        values, factor = self._numbers(row, "position"), _FACTORS[self.settings.position_unit]
        if np.isnan(values).all():
            return None
        sigma = factor * self._numbers(row, "position_sigma")
        if self.settings.position_frame != "geodetic":
            return Position(solution, factor * values, _spread(sigma, is_local=False))
        place = ecef_from_geodetic(math.radians(values[0]), math.radians(values[1]), factor * values[2])
        east_north_up = sigma if sigma.size < 3 else sigma[[1, 0, 2]]
        return Position(solution, place, _spread(east_north_up, is_local=True))

    def _velocity(self, row: _Row, solution: str) -> Velocity | None:
        values, factor = self._numbers(row, "velocity"), _FACTORS[self.settings.velocity_unit]
        if not values.size or np.isnan(values).all():
            return None
        sigma, is_local = factor * self._numbers(row, "velocity_sigma"), self.settings.velocity_frame in {"enu", "ned"}
        if self.settings.velocity_frame == "ned":
            values = values[[1, 0, 2]] * (1.0, 1.0, -1.0)
            sigma = sigma if sigma.size < 3 else sigma[[1, 0, 2]]
        spread, latency_s = _spread(sigma, is_local=is_local), self.settings.velocity_latency_s
        return Velocity(solution, factor * values, spread, latency_s, is_local=is_local)

    def _sample(self, row: _Row, gps_ms: int | None) -> SensorSample | None:
        settings = self.settings
        field, rate = self._numbers(row, "magnetometer"), self._numbers(row, "gyro")
        if not settings.gyro or np.isnan((field, rate)).all():
            return None
        if gps_ms is None:
            raise _BadCellError(f"{', '.join(settings.time)}: no time")
        sun = self._numbers(row, "sun_direction")
        lux = self._numbers(row, "illuminance")
        return SensorSample(
            seq=0,
            source="",
            offset=row.offset,
            kind=self._kind,
            t_spacecraft_s=gps_ms // 1000,
            t_spacecraft_ms=gps_ms % 1000,
            time_sigma_s=settings.time_sigma_s,
            mag_imu_ut=_vector(_FACTORS[settings.magnetometer_unit] * field),
            gyro_imu_rad_s=_vector(_FACTORS[settings.gyro_unit] * rate),
            lux=tuple(np.where(np.isnan(lux), _NO_READING_LUX, lux).tolist()) or (_NO_READING_LUX,) * 6,
            raw=row.raw,
            readings={"sun_direction": tuple(sun.tolist())} if sun.size and np.isfinite(sun).all() else {},
        )

    def _of(self, row: _Row, name: str) -> list[Any]:
        return [row.cells[place] for place in self._places.get(name, ())]

    def _numbers(self, row: _Row, name: str) -> np.ndarray:
        """Return the numbers of a setting's columns, NaN where there is none."""
        return np.array([self._number(cell, name, k) for k, cell in enumerate(self._of(row, name))], dtype=float)

    def _is_missing(self, cell: object) -> bool:
        return cell is None or (isinstance(cell, str) and cell.strip().lower() in self._no_values)

    def _number(self, cell: Any, name: str, place: int) -> float:  # noqa: ANN401 - text, or of any type of Polars
        if self._is_missing(cell):
            return math.nan
        value = _float_or_nan(cell)
        if value in self._no_numbers or (isinstance(cell, float) and math.isnan(value)):
            return math.nan
        if not math.isfinite(value):
            raise _BadCellError(f"{named_columns(self.settings)[name][place]}: {cell!r} is not a number")
        return value


def _float_or_nan(cell: Any) -> float:  # noqa: ANN401 - see above
    try:
        return float(cell)
    except (TypeError, ValueError):
        return math.nan


def _spread(sigma: np.ndarray, *, is_local: bool) -> Spread | None:
    return Spread.of(np.broadcast_to(sigma, 3).tolist(), is_local=is_local) if sigma.size else None


def _earth_fixed(
    frame: InertialFrame, gps_ns: int, position: Position, velocity: Velocity | None
) -> tuple[Position, Velocity | None]:
    """Return an inertial position and velocity, with their covariances, in ITRF."""
    states = np.zeros((4, 6))
    states[0, :3], states[1:, :3] = position.ecef_m, np.eye(3)
    if velocity is not None:
        states[0, 3:] = velocity.mps
    orientation = earth_orientation(gps_ns // 1_000_000)
    found = itrf_states(frame, np.full(len(states), gps_ns), states, orientation)
    turn = found[1:, :3].T

    def turned(spread: Spread | None) -> Spread | None:
        return None if spread is None else Spread(turn @ spread.covariance @ turn.T)

    position = position._replace(ecef_m=found[0, :3], spread=turned(position.spread))
    if velocity is not None:
        velocity = velocity._replace(mps=found[0, 3:], spread=turned(velocity.spread))
    return position, velocity


def _vector(values: np.ndarray) -> Vector3:
    x, y, z = values.tolist()
    return x, y, z


# --- Times ----------------------------------------------------------------------------------------------------------


def _rounded(ms: float) -> tuple[int, float]:
    whole = round(ms)
    return whole, 1e-3 * (ms - whole)


def _from_utc(cell: Any) -> tuple[int, float]:  # noqa: ANN401 - text or a time of Polars
    if isinstance(cell, datetime):
        return _from_unix_ms(1e3 * (cell if cell.tzinfo else cell.replace(tzinfo=UTC)).timestamp())
    text = str(cell).strip().replace(" ", "T", 1).removesuffix("+00:00")
    if text[:4].isdecimal() and int(text[:4]) < 1980:
        return 0, 0.0
    return _rounded(1e-6 * gps_ns_from_ccsds(text, "UTC"))


def _from_unix_ms(ms: float) -> tuple[int, float]:
    whole, late_s = _rounded(ms)
    return gps_ms_from_unix_ms(whole), late_s


def _from_week(week: Any, ms: float) -> tuple[int, float]:  # noqa: ANN401 - see above
    number = float(week)
    if not (number.is_integer() and 0.0 <= ms < MS_PER_WEEK):
        raise ValueError("not a week and a time in it")
    of_week, late_s = _rounded(ms)
    return (int(number) * MS_PER_WEEK + of_week if number else 0), late_s


_TIMES: Final[dict[str, Callable[..., tuple[int, float]]]] = {
    "utc": _from_utc,
    "unix_s": lambda cell: _from_unix_ms(1e3 * float(cell)),
    "unix_ms": lambda cell: _from_unix_ms(float(cell)),
    "gps_s": lambda cell: _rounded(1e3 * float(cell)),
    "gps_week_s": lambda week, cell: _from_week(week, 1e3 * float(cell)),
    "gps_week_ms": lambda week, cell: _from_week(week, float(cell)),
}
"""Functions that return whole GPS milliseconds and the rest in s, by the scale of the time; 0 ms are no time."""


# --- Files ----------------------------------------------------------------------------------------------------------


def _csv_records(table: _Columns, path: Path) -> Iterator[LogRecord | Damage]:
    for number, line in enumerate(_lines(path), 1):
        try:
            is_row = line.is_too_long or (line.raw.strip() and not line.raw.startswith(b"#"))
            if is_row and number >= table.layout.first_line:
                yield from table.records(_Row(_row_cells(line, table), line.start, line.raw))
        except _BadCellError as error:
            reason = DamageReason.CONTENT if line.raw.endswith(b"\n") else DamageReason.CUT_TAIL
            yield Damage(line.start, line.stop, reason, f"line {number}, {error}")


class _Line(NamedTuple):
    """Line of a file; of one that is too long, the last piece."""

    start: int
    stop: int
    raw: bytes
    is_too_long: bool


def _lines(path: Path) -> Iterator[_Line]:
    with path.open("rb") as file:
        start = stop = 0
        while piece := file.readline(_LONGEST_LINE):
            stop += len(piece)
            if piece.endswith(b"\n") or len(piece) < _LONGEST_LINE:
                yield _Line(start, stop, piece, stop - start > len(piece))
                start = stop
        if stop > start:
            yield _Line(start, stop, b"", is_too_long=True)


def _row_cells(line: _Line, table: _Columns) -> list[str]:
    if line.is_too_long:
        raise _BadCellError(f"longer than {_LONGEST_LINE} bytes")
    cells = _cells(_text(line.raw), table.layout.delimiter)
    wanted = len(table.layout.names) or table.width
    if len(cells) < wanted or any(cell.strip() for cell in cells[wanted:] if table.layout.names):
        raise _BadCellError(f"{len(cells)} cells instead of {wanted}")
    return cells


def _parquet_schema(path: Path) -> list[str]:
    import polars as pl  # noqa: PLC0415 - takes a quarter of a second

    try:
        return list(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return []


def _parquet_records(table: _Columns, path: Path) -> Iterator[LogRecord]:
    import polars as pl  # noqa: PLC0415 - see above

    wanted = {column for found in named_columns(table.settings).values() for column in found}
    names = [name for name in table.layout.names if name in wanted]
    inner = _Columns(table.name, table.settings, Layout(1, None, tuple(names)))
    scan, begin = pl.scan_parquet(path, glob=False).select(names), 0
    while True:
        try:
            rows = scan.slice(begin, _ROWS_A_READ).collect().rows()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
            raise ValueError(f"{path}: the Parquet file is damaged: {_first_line(error)}; copy it again") from error
        for number, cells in enumerate(rows, begin):
            try:
                yield from inner.records(_Row(cells, number))
            except _BadCellError as error:
                remedy = "correct the row, or the section [columns.NAME] of the settings"
                raise ValueError(f"{path}: row {number + 1}, {error}; {remedy}") from None
        if len(rows) < _ROWS_A_READ:
            return
        begin += len(rows)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
