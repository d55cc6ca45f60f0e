"""Viewers of the files that a run writes for the host: status, mean elements, and info text."""

import math
import re
from collections.abc import Iterator
from enum import IntEnum
from itertools import groupby
from pathlib import Path
from typing import Final

from pygnc.common.clock import gps_ms_from_week, utc_iso_from_gps_ms
from pygnc.formats import omm_record, status
from pygnc.formats.status import FIELDS, AttitudeMode, OrbitMode, Phase, StatusError, TaskState
from pygnc_ground.inspection.sections import TEXTS, Facts, Listing, Note, Section, Value, Viewer, name_of

_SLOT: Final = re.compile(r"task_|partner\d")
_WORDS: Final[dict[str, type[IntEnum]]] = {
    "phase": Phase,
    "orbit_mode": OrbitMode,
    "attitude_mode": AttitudeMode,
}


def _status_summary(path: Path) -> Iterator[Section]:
    """Yield the state of the run and its tasks, then all other known fields."""
    with path.open("rb") as file:
        record = file.read(status.SIZE + 1)
    try:
        values = status.decode(record)
    except StatusError as error:
        yield Note(f"{error}; it has {path.stat().st_size} bytes", fault=True)
        return
    run: dict[str, Value] = {name: name_of(kind, int(values[name]), "unknown ({})") for name, kind in _WORDS.items()}
    run["time_utc"] = _utc(values, "gps_week", "gps_tow_ms")
    run["orbit_valid_at_utc"] = _utc(values, "orbit_gps_week", "orbit_gps_tow_ms")
    run |= {name: values[name] for name in ("fixes_received", "fixes_accepted")}
    yield Facts("run", run)
    yield from _tasks(values)
    for k in range(status.PARTNERS):
        prefix = f"partner{k}_"
        if values[f"{prefix}id"]:
            fields = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
            yield Facts(f"partner {k}", fields)
    yield Listing("all known fields", ("field", "value", "unit", "meaning"), _rows(values))


def _tasks(values: dict[str, status.Value]) -> Iterator[Section]:
    rows: list[tuple[Value, ...]] = []
    for name in status.TASK_NAMES:
        state, restarts, through = (values[f"task_{name}_{what}"] for what in ("state", "restarts", "through"))
        if state != TaskState.NONE:
            rows.append((name, name_of(TaskState, int(state), "unknown ({})"), restarts, through))
    if rows:
        yield Listing("tasks", ("task", "state", "restarts", "through_input"), rows)


def _rows(values: dict[str, status.Value]) -> list[tuple[Value, ...]]:
    """Return one row per quantity, with the components of a vector side by side."""
    rows: list[tuple[Value, ...]] = []
    single = (field for field in FIELDS if field.name not in {"magic", *_WORDS} and not _SLOT.match(field.name))
    for name, group in groupby(single, key=lambda field: re.sub(r"_[wxyz]$", "", field.name)):
        parts = list(group)
        numbers = [values[part.name] for part in parts]
        if all(isinstance(number, float) and math.isnan(number) for number in numbers):
            continue
        meaning = parts[0].meaning if len(parts) == 1 else parts[0].meaning.rpartition(", ")[0]
        rows.append((name, numbers[0] if len(parts) == 1 else tuple(numbers), parts[0].unit, meaning))
    return rows


def _utc(values: dict[str, status.Value], week: str, tow_ms: str) -> str | None:
    gps_ms = gps_ms_from_week(int(values[week]), int(values[tow_ms]))
    return None if gps_ms is None else utc_iso_from_gps_ms(gps_ms)


def _omm_summary(path: Path) -> Iterator[Section]:
    """Yield the epoch, then all fields."""
    with path.open("rb") as file:
        record = file.read(omm_record.SIZE + 1)
    try:
        elements, values = omm_record.decode(record)
    except omm_record.OmmRecordError as error:
        yield Note(f"{error}; it has {path.stat().st_size} bytes", fault=True)
        return
    yield Facts("elements", {"epoch_utc": utc_iso_from_gps_ms(elements.epoch_gps_ms)})
    rows = [(field.name, values[field.name], field.unit, field.meaning) for field in omm_record.FIELDS[1:]]
    yield Listing("all fields", ("field", "value", "unit", "meaning"), rows)


_SHOWN_BYTES: Final = 4096
_OURS: Final = re.compile(rb"PyGNC run \d+ [A-Z_]+ SC \d+\n")
_OLD: Final = re.compile(rb"\s*(T:[^\n]*\n\s*)?OE:\[")


def _info_summary(path: Path) -> Iterator[Section]:
    """Yield the text and the meaning of its abbreviations."""
    with path.open("rb") as file:
        text = file.read(_SHOWN_BYTES).decode("ascii", "backslashreplace")
    lines = [line for line in text.splitlines() if line.strip()]
    yield Listing("text", ("line",), [(line,) for line in lines])
    yield Facts("legend", TEXTS["original_info" if any(line.startswith("OE:") for line in lines) else "info"])


STATUS_FILES: Final = Viewer("status file", lambda head: head.startswith(status.MAGIC), _status_summary)
"""Viewer of `pygnc_status.bin`, a single record with fixed fields."""
OMM_RECORDS: Final = Viewer("mean elements", lambda head: head.startswith(omm_record.MAGIC), _omm_summary)
"""Viewer of `pygnc_omm.bin`, a single record with fixed fields."""
INFO_TEXTS: Final = Viewer("info text", lambda head: bool(_OURS.match(head) or _OLD.match(head)), _info_summary)
"""Viewer of `pygnc_info.txt`, of PyGNC and of the original PyGNC."""
