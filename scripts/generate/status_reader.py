"""Generate the tables in scripts/read_status.py from the declaration of the status record."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from textwrap import wrap
from typing import Final

from pygnc.formats import status
from pygnc.formats.layout import Field

READER: Final = Path(__file__).resolve().parents[1] / "read_status.py"
BEGIN: Final = "# Tables: made by scripts/generate/docs.py.\n"
END: Final = "# End of the tables.\n"
LINE_MAX: Final = 110
_PREFIX: Final = re.compile(rf"(partner\d|task_(?:{'|'.join(status.TASK_NAMES)}))_")
_TASK_PREFIXES: Final = tuple(f"task_{name}_" for name in status.TASK_NAMES)
_AXES: Final = ("_w _x _y _z", "_x _y _z")


def reader() -> str:
    """Return the required content of scripts/read_status.py."""
    return with_tables(READER, tables())


def with_tables(path: Path, tables: str) -> str:
    """Return the content of a module with the tables between their markers replaced."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tables + END + after


def tables() -> str:
    """Return the tables as source text."""
    missing = {
        version: sum(field.since > version for field in status.FIELDS)
        for version in range(status.OLDEST_VERSION, status.VERSION)
    }
    layout = "".join(f'    ({_prefixes(names)}, """\n{rows}\n"""),\n' for names, rows in _blocks(status.FIELDS))
    words = "".join(
        f"    {field.name!r}: {tuple(word for _, word in field.words)!r},\n"
        for field in status.FIELDS
        if field.words and not field.name.startswith("task_")
    )
    states = tuple(state.name.lower() for state in status.TaskState)
    text = (
        f"# fmt: off\nVERSION = {status.VERSION}\nMISSING = {missing!r}\nTASKS = {tuple(status.TASK_NAMES)!r}\n"
        f"STATES = {states!r}\nWORDS = {{\n{words}}}\nLAYOUT = (\n{layout})\n# fmt: on\n"
    )
    return text.replace("'", '"')


def _prefixes(prefixes: tuple[str, ...]) -> str:
    return '["task_" + name + "_" for name in TASKS]' if prefixes == _TASK_PREFIXES else repr(prefixes)


def _blocks(fields: Sequence[Field]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield consecutive fields with the same prefix as rows; equal rows are yielded once, with all their prefixes."""
    found: list[tuple[list[str], str]] = []
    for prefix, group in groupby(fields, lambda field: ((match := _PREFIX.match(field.name)) and match[0]) or ""):
        rows = _rows([field._replace(name=field.name.removeprefix(prefix)) for field in group])
        if found and found[-1][1] == rows:
            found[-1][0].append(prefix)
        else:
            found.append(([prefix], rows))
    return ((tuple(prefixes), rows) for prefixes, rows in found)


def _rows(fields: Sequence[Field]) -> str:
    """Return the rows: a struct code, then the names of consecutive fields that have it."""
    rows: list[str] = []
    for code, group in groupby(fields, lambda field: field.code):
        names = " ".join(field.name for field in group)
        for axes in _AXES:
            pattern = r"(\w+)" + axes.replace(" ", r" \1")
            names = re.sub(pattern, rf"\1_{axes.replace('_', '').replace(' ', '')}", names)
        rows += [f"{code} {row}" for row in wrap(names, LINE_MAX)]
    return "\n".join(rows)
