"""Output of sections: as text for a terminal, and as JSON lines for programs.

Each JSON object names its file. Raw bytes become hexadecimal text and unknown values null.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias, TypeGuard

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pygnc_cli.text import printable
from pygnc_ground.inspection.sections import TEXTS, Entry, Facts, Listing, Note, Section, Value, flattened

_HEX_SHOWN_BYTES: Final = 8


def render(section: Section) -> RenderableType:
    """Return a section ready to print; file contents cannot act as markup or terminal control codes."""
    match section:
        case Facts():
            table = _facts(section)
        case Listing():
            table = _listing(section)
        case Entry():
            table = _entry(section)
        case Note(text, fault):
            note = Text(f"! {printable(text)}", style="bold red" if fault else "yellow")
            return Padding(note, (0, 0, 0, 2), expand=False)
    return Padding(table, (1, 0, 0, 0), expand=False)


def _facts(facts: Facts) -> Table:
    table = _table(facts.title, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.values.items():
        table.add_row(Text(label(name)), Text(format_value(name, value)))
    return table


def _listing(listing: Listing) -> Table:
    table = _table(listing.title, show_header=True)
    for k, name in enumerate(listing.columns):
        # Numbers and names of columns are never wrapped: their columns have the minimum width.
        is_numeric = all(isinstance(row[k], int | float) for row in listing.rows)
        header, whole = Text(label(name).replace(" [", "\n[")), is_numeric or name == "column"
        table.add_column(header, justify="right" if is_numeric else "left", no_wrap=whole, overflow="fold")
    for row in listing.rows:
        table.add_row(*(Text(format_value(name, value)) for name, value in zip(listing.columns, row, strict=True)))
    return table


def _table(title: str, *, show_header: bool) -> Table:
    return Table(
        title=Text(printable(title)),
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD if show_header else box.SIMPLE,
        show_header=show_header,
        header_style="dim",
        show_edge=False,
        pad_edge=True,
    )


def _entry(entry: Entry) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    fields = Text()
    for name, value in flattened(entry.fields):
        fields.append(f"{printable(name)} ", style="dim")
        fields.append(format_value(name, value).replace(" ", "\u00a0") + "  ")
    table.add_row(Text(printable(entry.kind)), fields)
    return table


def label(name: str) -> str:
    """Return a name without underscores and with its unit in brackets; names of settings stay as in pygnc.toml."""
    if "." in name:
        return printable(name)
    words = printable(name).split("_")
    for length in (2, 1):
        unit = TEXTS["units"].get("_".join(words[-length:]))
        if unit and len(words) > length:
            return f"{' '.join(words[:-length])} [{unit}]"
    return " ".join(words)


def format_value(name: str, value: Value) -> str:
    """Return a value as text; `name` decides whether it is a number of bytes."""
    if isinstance(value, Mapping):
        pairs = (f"{printable(str(key))} {format_value(str(key), item)}" for key, item in value.items())
        return "{" + ", ".join(pairs) + "}"
    if _is_row(value):
        items = (f"({format_value(name, item)})" if _is_row(item) else format_value(name, item) for item in value)
        return " ".join(items) if value else "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number_in_words(name, value)
    if isinstance(value, bytes):
        return value[:_HEX_SHOWN_BYTES].hex() + (f"… ({len(value)} B)" if len(value) > _HEX_SHOWN_BYTES else "")
    return "–" if value is None else printable(str(value))


def _is_row(value: Value) -> TypeGuard[Sequence[Value]]:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _number_in_words(name: str, value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ") if name.endswith("bytes") else str(value)
    if math.isnan(value):
        return "unknown"
    if not 1e3 <= abs(value) < 1e12:
        return f"{value:.6g}"
    # Position to the millimetre.
    return f"{value:.0f}" if value.is_integer() else f"{value:.3f}"


Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def to_json_lines(path: Path, section: Section) -> Iterator[str]:
    """Yield one line for facts, an entry or a note, and one line per row of a listing."""
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
    """Return the value as JSON types."""
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
