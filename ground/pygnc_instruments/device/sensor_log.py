"""Readings of inertial sensors and magnetometers from a log file: CSV, MCAP, or a recording of the received bytes."""

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from mcap.exceptions import McapError
from mcap.reader import McapReader, make_reader
from numpy.typing import NDArray

from pygnc_devices.reading import NS_PER_S
from pygnc_devices.units import ACCELERATION, MAGNETIC, RATE, TEMPERATURE, Unit
from pygnc_instruments.device.allan import MIN_READINGS
from pygnc_instruments.device.columns import BLOCK, ROWS, Column, FloatArray, Numbers, Part, Table, blocks, usual_step
from pygnc_instruments.device.connection import DeviceSelection, connect
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.mcap_log import DEVICE_METADATA
from pygnc_instruments.device.terminal import print_note

SENSORS: Final = (RATE, ACCELERATION, MAGNETIC)
_READ: Final = (*SENSORS, TEMPERATURE)
_UNIT_OF_COLUMN: Final = {unit.column: unit for unit in _READ}
_UNIT_OF_VALUE: Final = {unit.name: unit for unit in _READ}
_DERIVED: Final = re.compile("bias|stabilized|steering", re.IGNORECASE)
"""Names of values that are not readings of a sensor."""
_FOREIGN_COLUMN: Final = re.compile("[xyz](Rate|Accel|Mag)(Corrected|Scaled)?")
_FOREIGN_UNITS: Final = {"Rate": RATE, "Accel": ACCELERATION, "Mag": MAGNETIC}
"""Units of files without a line of units, such as those of python-imu380."""
_MISSING_STEP: Final = 1.5
"""Time between rows, relative to the median, that marks a missing row in a file without a count of missing rows."""
_RATE_PARTS: Final = 16
_RATE_TOLERANCE: Final = 0.05
_TRIPLE: Final = re.compile("(?P<before>.*?_)?[xyz](?P<after>[A-Z_].*)")
_LARGEST_READING: Final = 1e6
_LARGEST_TEMPERATURE: Final = 1e3
"""Rates, rad/s, and specific forces, m/s², and temperatures, °C, from which on a reading is damaged."""
_ROWS: Final = 1 << 13
"""Rows of a CSV file that are read at once."""
_NOT_MEASURED: Final = re.compile("linear|ecef", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Axis:
    """Readings of a sensor along an axis.

    Attributes:
        name: name of the value or column in the log.
        unit: unit of the readings.
        readings: readings, (n,).
    """

    name: str
    unit: Unit
    readings: Numbers


@dataclass(frozen=True, slots=True)
class SensorLog:
    """Longest part of a log without a missing reading.

    Attributes:
        packet: kind of the packets.
        axes: axes, all with the same number of readings.
        interval_s: time between readings, s.
        first: index of the first reading in the log.
        total: number of readings in the log.
    """

    packet: str
    axes: list[Axis]
    interval_s: float
    first: int
    total: int


@dataclass(frozen=True, slots=True)
class MotionLog:
    """All readings of gyros and accelerometers in a log, those around gaps included.

    Attributes:
        name: name of the file.
        head: description of the unit, {} if the log has none.
        times_s: time of each reading, s, (n,).
        rate: angular rates, rad/s, (n, 3); None without gyros.
        force: specific forces, m/s², (n, 3); None without accelerometers.
        temperatures: temperatures, °C, (n,), by name.
    """

    name: str
    head: Mapping[str, str]
    times_s: Numbers
    rate: Numbers | None
    force: Numbers | None
    temperatures: Mapping[str, Numbers]


@dataclass(slots=True)
class _Table:
    """Columns of a log.

    Attributes:
        units: units of the columns with readings and temperatures, by name.
        columns: readings in these units, by name; NaN: no value.
        times_s: time of each reading, s; NaN: unknown.
        lost: number of readings missing before each reading; 0 if the log does not contain it.
        counts_lost: True if the log contains `lost`.
        head: description of the unit.
    """

    packet: str
    units: dict[str, Unit]
    columns: dict[str, Column]
    times_s: Column = field(default_factory=Column)
    lost: Column = field(default_factory=Column)
    counts_lost: bool = True
    head: Mapping[str, str] = field(default_factory=dict)

    def append(self, values: Mapping[str, Any], time_s: float, lost: float) -> None:
        """Append a reading."""
        for name, column in self.columns.items():
            value = values.get(name)
            column.append(value if isinstance(value, int | float) else np.nan)
        self.times_s.append(time_s)
        self.lost.append(lost)


def read_sensor_log(path: Path, selection: DeviceSelection, *, packet: str = "", rate_hz: float = 0.0) -> SensorLog:
    """Read a log.

    Args:
        path: CSV or MCAP file of `pygnc device log`, CSV file of python-imu380, or recording.
        selection: family and packets of a recording.
        packet: kind of packet; "" for the most frequent kind with sensors.
        rate_hz: rate of the readings, Hz; 0 to take it from the log's time.

    Raises:
        LogError: the log cannot be read, has no sensor, no known or no steady rate, or too few readings in a row.
    """
    return _longest_part(path, _read_table(path, selection, packet), rate_hz)


def read_motion_log(path: Path, selection: DeviceSelection, *, packet: str = "", rate_hz: float = 0.0) -> MotionLog:
    """Read the gyros, accelerometers and temperatures of a log; the arguments are those of `read_sensor_log`.

    Raises:
        LogError: the log cannot be read, has an axis without the others, or no known rate.
    """
    table = _read_table(path, selection, packet)
    units = {name: table.units[name] for name, column in table.columns.items() if _has_number(column)}
    triples = [_triple(path, [name for name in units if units[name] is unit]) for unit in SENSORS[:2]]
    if not any(triples):
        raise LogError(f"{path}: contains neither angular rates nor specific forces about x, y and z; see --packet")
    newest_degc = {
        name: known[0]
        for name, unit in units.items()
        if unit is TEMPERATURE and len(known := _first_known(table.columns[name]))
    }
    times_s, temperatures = Column(), {name: Column() for name in newest_degc}
    rate, force = (Table([Column() for _ in triple]) if triple else None for triple in triples)
    names = [name for triple in triples for name in triple]
    for start in range(0, len(table.times_s), ROWS):
        part = slice(start, min(start + ROWS, len(table.times_s)))
        block_s = np.arange(part.start, part.stop) / rate_hz if rate_hz else table.times_s[part]
        columns = {name: table.columns[name][part] for name in {*names, *temperatures}}
        usable = np.isfinite(block_s) & np.all([np.abs(columns[name]) < _LARGEST_READING for name in names], axis=0)
        times_s.extend(block_s[usable])
        for readings, triple in zip((rate, force), triples, strict=True):
            if readings is not None:
                readings.extend(np.column_stack([columns[name][usable] for name in triple]))
        for name, column in temperatures.items():
            filled = _filled(columns[name], newest_degc[name])
            newest_degc[name] = filled[-1]
            column.extend(filled[usable])
    if len(times_s) < len(table.times_s):
        left_out = len(table.times_s) - len(times_s)
        print_note(f"{path}: {left_out} of {len(table.times_s)} rows lack a time or a reading, and are left out")
    if len(times_s) < 2 or not 0.0 < usual_step(times_s) < math.inf:
        raise LogError(f"{path}: the times of its readings are unknown; state their rate: --rate 100")
    return MotionLog(path.name, table.head, times_s, rate, force, temperatures)


def _triple(path: Path, names: list[str]) -> list[str]:
    """Return the names of three axes, preferably without corrections by the unit's filter; [] without the sensor."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        if (match := _TRIPLE.fullmatch(name)) and not _NOT_MEASURED.search(name):
            groups.setdefault((match["before"] or "", match["after"]), []).append(name)
    complete = [group for group in groups.values() if len(group) == len("xyz")]
    if groups and not complete:
        raise LogError(f"{path}: contains only {', '.join(next(iter(groups.values())))}; three axes are needed")
    return min(complete, key=lambda group: "raw" not in group[0].lower(), default=[])


def _first_known(column: Column) -> FloatArray:
    """Return the temperatures of the first block that has some."""
    return next(
        (known for block in blocks(column) if len(known := block[np.abs(block) < _LARGEST_TEMPERATURE])), np.empty(0)
    )


def _filled(column: FloatArray, before: float) -> FloatArray:
    """Interpolate the temperatures that are missing because the sensor is read less often, or damaged.

    Args:
        column: temperatures, (n,).
        before: last temperature before them.
    """
    known = np.flatnonzero(np.abs(column) < _LARGEST_TEMPERATURE)
    return np.asarray(np.interp(np.arange(len(column)), [-1, *known], [before, *column[known]]))


def _read_table(path: Path, selection: DeviceSelection, packet: str) -> _Table:
    match path.suffix:
        case ".csv":
            return _read_csv(path)
        case ".mcap":
            return _read_mcap(path, packet)
        case _:
            return _read_recording(selection, packet)


def _sensors(units: Iterable[tuple[str, Unit | None]]) -> dict[str, Unit]:
    """Return the units of readings of sensors and of temperatures by name; {} without a sensor."""
    found = {name: unit for name, unit in units if unit in _READ and not _DERIVED.search(name)}
    return found if any(unit in SENSORS for unit in found.values()) else {}


def _read_csv(path: Path) -> _Table:
    head: dict[str, str] = {}
    names: list[str] = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for line in file:
                if not line.startswith("#"):
                    names = next(csv.reader([line]))
                    break
                key, _, value = line[1:].partition(":")
                head[key.strip()] = value.strip()
        units = _csv_units(names, head.get("units", ""))
        if not units:
            raise LogError(f"{path}: contains no angular rate, specific force or magnetic field")
        return _read_rows(path, names, units, head)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise LogError(f"{path}: not a readable CSV log: {reason}") from None


def _read_rows(path: Path, names: list[str], units: dict[str, Unit], head: Mapping[str, str]) -> _Table:
    """Read the rows of a CSV file; ValueError: a field that is no number, or a row with too few."""
    table = _Table(head.get("packet", ""), units, {name: Column() for name in units}, head=head)
    table.counts_lost = "lost_before" in names
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(line for line in file if not line.startswith("#"))
        next(rows)  # the names
        while some := list(islice(rows, _ROWS)):
            texts = dict(zip(names, zip(*some, strict=True), strict=True))
            found = {name: _numbers(texts[name]) for name in texts if name in {*units, "time", "lost_before", "gap"}}
            for name, unit in units.items():
                table.columns[name].extend(found[name] / unit.column_per_unit)
            table.times_s.extend(found.get("time", np.full(len(some), np.nan)))
            table.lost.extend(found.get("lost_before", np.zeros(len(some))) + (found.get("gap", np.zeros(1)) > 0.0))
    return table


def _numbers(texts: Iterable[str]) -> FloatArray:
    """Return the numbers of a column; NaN: an empty field."""
    return np.array([float(text or "nan") for text in texts])


def _csv_units(names: list[str], text: str) -> dict[str, Unit]:
    if not text:
        found = {name: match for name in names if (match := _FOREIGN_COLUMN.fullmatch(name))}
        return {name: _FOREIGN_UNITS[match[1]] for name, match in found.items()}
    return _sensors(zip(names, map(_UNIT_OF_COLUMN.get, text.split(",")), strict=False))


def _read_mcap(path: Path, packet: str) -> _Table:
    try:
        with path.open("rb") as file:
            return _read_topic(path, make_reader(file, validate_crcs=True), packet)
    except (OSError, McapError, ValueError) as error:
        reason = f"not a complete MCAP file: {error or 'its end is missing'}; `mcap recover` completes it"
        raise LogError(f"{path}: {reason}") from None


def _read_topic(path: Path, reader: McapReader, packet: str) -> _Table:
    summary = reader.get_summary()
    counts: Mapping[int, int] = {}
    tables: dict[int, _Table] = {}
    if summary is not None and summary.statistics is not None:
        counts = summary.statistics.channel_message_counts
        for number, channel in summary.channels.items():
            schema = summary.schemas.get(channel.schema_id)
            properties = {} if schema is None else msgspec.json.decode(schema.data).get("properties", {})
            units = _sensors((name, _UNIT_OF_VALUE.get(entry.get("unit"))) for name, entry in properties.items())
            kind = channel.topic.rpartition("/")[2]
            if units and packet in {"", kind}:
                tables[number] = _Table(kind, units, {name: Column() for name in units})
    if not tables:
        raise LogError(f"{path}: {_no_packet(packet)}")
    chosen = max(tables, key=lambda number: counts.get(number, 0))
    table = tables[chosen]
    table.head = next((entry.metadata for entry in reader.iter_metadata() if entry.name == DEVICE_METADATA), {})
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    start_ns: int | None = None
    for _, channel, message in reader.iter_messages(log_time_order=False):
        if channel.id == chosen:
            values = decode(message.data)
            start_ns = message.publish_time if start_ns is None else start_ns
            lost = values.get("lost_before", 0) + (values.get("gap_s", 0.0) > 0.0)
            table.append(values, (message.publish_time - start_ns) / NS_PER_S, lost)
    return table


def _read_recording(selection: DeviceSelection, packet: str) -> _Table:
    tables: dict[str, _Table] = {}
    with connect(selection) as connected:
        if not connected.device.engine.is_recording:
            raise LogError(f"{selection.port}: not a file; log the device first: pygnc device log {selection.port}")
        for reading in connected.recorded():
            kind = reading.packet.name
            if packet not in {"", kind}:
                continue
            if kind not in tables:
                units = _sensors((entry.name, entry.unit) for entry in reading.packet.fields)
                tables[kind] = _Table(kind, units, {name: Column() for name in units})
            time_s = np.nan if reading.t_device_ns is None else reading.t_device_ns / NS_PER_S
            tables[kind].append(reading.values, time_s, reading.lost_before)
    with_sensors = [table for table in tables.values() if table.units]
    if not with_sensors:
        raise LogError(f"{selection.port}: {_no_packet(packet)}")
    return max(with_sensors, key=lambda table: len(table.times_s))


def _no_packet(packet: str) -> str:
    return f"contains no packet {packet} with sensors; see --packet" if packet else "contains no packet with sensors"


def _longest_part(path: Path, table: _Table, rate_hz: float) -> SensorLog:
    # A magnetometer that the unit does not have is no reason to refuse the other sensors.
    columns = {
        name: column for name, column in table.columns.items() if table.units[name] in SENSORS and _has_number(column)
    }
    total = len(table.times_s)
    first, stop, interruptions = _uninterrupted(table, [*columns.values()])
    if stop - first < MIN_READINGS:
        raise LogError(
            f"{path}: the longest part without a missing reading has {max(0, stop - first)} of {total} readings "
            f"({interruptions} interruptions); {MIN_READINGS} are needed, hours are better"
        )
    interval_s = _interval_s(path, Part(table.times_s, first, stop), rate_hz)
    axes = [Axis(name, table.units[name], Part(column, first, stop)) for name, column in columns.items()]
    return SensorLog(table.packet, axes, interval_s, first, total)


def _has_number(column: Column) -> bool:
    return any(np.isfinite(block).any() for block in blocks(column))


def _uninterrupted(table: _Table, columns: list[Column]) -> tuple[int, int, int]:
    """Return begin and end of the longest part without a missing reading, and the number of interruptions."""
    first = stop = begin = interruptions = 0
    longest_step_s = math.inf if table.counts_lost else _MISSING_STEP * usual_step(table.times_s)
    total = len(table.times_s)
    for start in range(0, total, BLOCK):
        end = min(start + BLOCK, total)
        absent = np.any([~np.isfinite(column[start:end]) for column in columns], axis=0)
        breaks = absent | (table.lost[start:end] > 0.0)
        if longest_step_s < math.inf:
            steps_s = np.diff(table.times_s[max(start - 1, 0) : end])
            breaks[len(breaks) - len(steps_s) :] |= ~(steps_s < longest_step_s)
        numbers = np.flatnonzero(breaks)
        interruptions += len(numbers)
        # A part begins with the reading before which others are missing, or after one without a value.
        begins = np.concatenate(([begin], start + numbers + absent[numbers]))
        ends = np.concatenate((start + numbers, [end]))
        longest = int(np.argmax(ends - begins))
        if ends[longest] - begins[longest] > stop - first:
            first, stop = int(begins[longest]), int(ends[longest])
        begin = int(begins[-1])
    return first, stop, interruptions


def _finite(numbers: FloatArray) -> FloatArray:
    return numbers[np.isfinite(numbers)]


def _interval_s(path: Path, times_s: Numbers, rate_hz: float) -> float:
    """Return the time between readings; check that it is steady."""
    # The first readings of a recording have no time: its clock is not identified yet.
    marks, marks_s = _marks(times_s)
    if not len(marks) or marks_s[-1] <= marks_s[0]:
        if rate_hz:
            return 1.0 / rate_hz
        raise LogError(f"{path}: the rate of its readings is unknown; state it: --rate 100")
    mean_s = float((marks_s[-1] - marks_s[0]) / (marks[-1] - marks[0]))
    part_s = np.diff(marks_s) / np.diff(marks)
    odd = np.flatnonzero(np.abs(part_s / mean_s - 1.0) > _RATE_TOLERANCE)
    if len(odd):
        raise LogError(
            f"{path}: the rate is not steady: one reading in {1e3 * mean_s:.4g} ms on average, in "
            f"{1e3 * part_s[odd[0]]:.4g} ms near reading {marks[odd[0]]} of the part in use; "
            "log at one rate, or cut the file where the rate changes"
        )
    if rate_hz and abs(mean_s * rate_hz - 1.0) > _RATE_TOLERANCE:
        raise LogError(f"{path}: its times give {1.0 / mean_s:.4g} Hz, not the {rate_hz:g} Hz of --rate; omit --rate")
    return 1.0 / rate_hz if rate_hz else mean_s


def _marks(times_s: Numbers) -> tuple[NDArray[np.int64], FloatArray]:
    """Return equally spaced readings among those with a time, and their times, s; empty if they are too few."""
    counts = np.cumsum([0, *(np.isfinite(block).sum() for block in blocks(times_s))])
    if counts[-1] < MIN_READINGS // 2:
        return np.empty(0, np.int64), np.empty(0)
    marks, marks_s = [], []
    for number in np.linspace(0, counts[-1] - 1, _RATE_PARTS + 1).astype(int):
        block = int(np.searchsorted(counts, number, side="right")) - 1
        found_s = times_s[block * BLOCK : (block + 1) * BLOCK]
        at = int(np.flatnonzero(np.isfinite(found_s))[number - counts[block]])
        marks.append(block * BLOCK + at)
        marks_s.append(found_s[at])
    return np.array(marks, np.int64), np.array(marks_s)
