"""What a viewer says about a file, before anyone decides how it looks.

Names of values end in their unit where they have one (`size_bytes`, `position_ecef_m`), so that the terminal can show
it and JSON carries it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Value: TypeAlias = "bool | int | float | str | bytes | Sequence[Value] | Mapping[str, Value] | None"
"""A number, a text, raw bytes, or a composition of these; None: there is none; NaN: not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Single values by name."""

    title: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of equal columns."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One message or record of the file."""

    kind: str
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that the reader must not miss. A fault means that the file could not be shown as it should."""

    text: str
    fault: bool = False


Section: TypeAlias = Facts | Listing | Entry | Note
