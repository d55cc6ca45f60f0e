"""Sections as JSON, one object a line, for programs.

Every object names its file. Raw bytes are hexadecimal text; what is not known is null.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pygnc_ground.inspection.sections import Entry, Facts, Listing, Note, Section, Value

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def to_json_lines(path: Path, section: Section) -> Iterator[str]:
    """Yield one line for facts, an entry or a note, one per row of a listing."""
    for row in _rows(section):
        yield json.dumps(to_json({"file": str(path), **row}), allow_nan=False)


def _rows(section: Section) -> Iterator[dict[str, Value]]:
    match section:
        case Facts(title, values):
            yield {"section": title, **values}
        case Listing(title, columns, cells):
            for row in cells:
                yield {"section": title, **dict(zip(columns, row, strict=True))}
        case Entry(kind, fields):
            yield {"section": "entry", "kind": kind, "fields": fields}
        case Note(text, fault):
            yield {"section": "note", "text": text, "fault": fault}


def to_json(value: Value) -> Json:
    """Give the value as the types that JSON has."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [to_json(item) for item in value]
    return str(value)
