"""Make those parts of the documentation that follow from the code: the drawing of the tasks, the tables.

Usage: python -m scripts.generate.docs

A test fails when what stands in docs/ is not what this program makes.

Tables of settings for people, from the classes that hold them: names, defaults, and the docstrings behind them.
"""

import ast
import dataclasses
import inspect
import json
import struct
import sys
from collections.abc import Iterator
from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

import msgspec

from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.formats import status
from pygnc.supervisor.process import TaskSpec
from pygnc.tasks.table import TASKS
from pygnc_ground.scenario.settings import Partner
from pygnc_ground.scenario.settings import Settings as ScenarioSettings
from scripts.generate.sentence_tables import sentence_examples, sentence_table

HEAD: Final = "| setting | default | meaning |\n|---|---|---|\n"


def settings_tables(settings: object, name: str = "") -> str:
    """Return a table per section, the sections below it behind it; `settings` holds the defaults."""
    defaults = {field: getattr(settings, field) for field in field_names(settings)}
    sections = {field: value for field, value in defaults.items() if is_section(value)}
    texts = docstrings(type(settings))
    rows = [
        f"| `{field}` | {shown(value)} | {texts.get(field, '')} |\n"
        for field, value in defaults.items()
        if field not in sections
    ]
    about = (inspect.getdoc(type(settings)) or "").partition("\n\n")[0].replace("\n", " ")
    table = f"\n`[{name}]`: {about}\n\n{HEAD}{''.join(rows)}" if name else HEAD + "".join(rows)
    below = (settings_tables(value, f"{name}.{field}".lstrip(".")) for field, value in sections.items())
    return (table if rows else "") + "".join(below)


def field_names(settings: object) -> Iterator[str]:
    """Yield the names of the fields, in order."""
    if isinstance(settings, msgspec.Struct):
        yield from (field.name for field in msgspec.structs.fields(type(settings)))
    elif dataclasses.is_dataclass(settings):
        yield from (field.name for field in dataclasses.fields(settings))


def is_section(value: object) -> bool:
    """Tell a table of settings from a value."""
    return isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(value)


def shown(value: Any) -> str:  # noqa: ANN401 - whatever a setting may be
    """Return a default as it would stand in TOML."""
    return "-" if value is None else f"`{json.dumps(value)}`"


def docstrings(kind: type) -> dict[str, str]:
    """Return what stands behind each field of a class, in one line."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(kind) or kind))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found: dict[str, str] = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
BEGIN: Final = "<!-- {} table: made by scripts/generate/docs.py -->\n"
END: Final = "<!-- end of {} table -->\n"

BOX_W, BOX_H, GAP_X, GAP_Y, MARGIN = 176, 44, 46, 26, 20
STYLE: Final = """<style>
text { font: 13px sans-serif; text-anchor: middle; dominant-baseline: central; fill: #111 }
.task { fill: #dbe9ff; stroke: #24508f; stroke-width: 1.5 } .optional { stroke-dasharray: 5 3 }
.stream { fill: #fff3cd; stroke: #8a6d1a } .file { fill: #f2f2f2; stroke: #777 }
.flow { stroke: #444; fill: none; marker-end: url(#head) }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" fill="#444"/></marker></defs>
"""


def main() -> int:
    """Bring the documentation up to date."""
    for path, content in documents().items():
        path.write_text(content)
    return 0


def documents() -> dict[Path, str]:
    """Return what each made or partly made file must hold."""
    return {
        DOCS / "architecture.svg": drawing(TASKS),
        DOCS / "architecture.md": with_tables(DOCS / "architecture.md", {"task": task_table(TASKS)}),
        DOCS / "interface.md": with_tables(
            DOCS / "interface.md",
            {
                "status": status_table(),
                "sentence": sentence_table(),
                "sentence example": sentence_examples(),
                "settings": settings_tables(FlightSettings()),
            },
        ),
        DOCS / "scenario.md": with_tables(
            DOCS / "scenario.md", {"settings": settings_tables(ScenarioSettings()) + partner_table()}
        ),
    }


def with_tables(path: Path, tables: dict[str, str]) -> str:
    """Return the text of `path` with the tables between their marks replaced."""
    text = path.read_text()
    for name, table in tables.items():
        before, _, rest = text.partition(BEGIN.format(name))
        _, _, after = rest.partition(END.format(name))
        text = before + BEGIN.format(name) + table + END.format(name) + after
    return text


def partner_table() -> str:
    """Return the settings of a partner, of which a scenario has none by default."""
    return settings_tables(Partner(id=0x4B, position_rtn_m=(0.0, 1000.0, 0.0)), "[partners]")


def status_table() -> str:
    """Return the layout of the status record; alike fields in a row share a line."""
    rows = ["| byte | type | field | unit | meaning |", "|---|---|---|---|---|"]
    offset = 0
    for _, group in groupby(status.FIELDS, lambda f: (f.name.rsplit("_", 1)[0], f.code, f.meaning.rsplit(",", 1)[0])):
        fields = list(group)
        names = ", ".join(f"`{f.name}`" for f in fields)
        meaning = fields[0].meaning if len(fields) == 1 else fields[0].meaning.rsplit(",", 1)[0]
        rows.append(f"| {offset} | `{fields[0].code}` | {names} | {fields[0].unit} | {meaning} |")
        offset += sum(struct.calcsize(f"<{f.code}") for f in fields)
    return "\n".join(rows) + "\n"


def task_table(tasks: tuple[TaskSpec, ...]) -> str:
    """Return the task table for people."""
    rows = [
        "| task | what it does | reads | writes | without it | stops | silence limit |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in tasks:
        reads, writes = (", ".join(f"`{name}`" for name in names) for names in (task.reads, task.writes))
        fate = "the run ends" if task.critical else "the rest goes on"
        limit = f"{task.silence_limit_s:g} s"
        rows.append(
            f"| {task.name} | {task.purpose} | {reads} | {writes} | {fate} | {task.stop_stage + 1}. | {limit} |"
        )
    return "\n".join(rows) + "\n"


def drawing(tasks: tuple[TaskSpec, ...]) -> str:
    """Return the drawing of tasks, streams and files: what flows to the right."""
    columns = place(tasks)
    width = max(column for column, _ in columns.values()) * (BOX_W + GAP_X) + BOX_W + 2 * MARGIN
    height = (max(row for _, row in columns.values()) + 1) * (BOX_H + GAP_Y) + 2 * MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">\n{STYLE}']
    parts += [arrow(columns[before], columns[after]) for before, after in flows(tasks)]
    by_name = {task.name: task for task in tasks}
    parts += [box(name, at, kind(name, by_name)) for name, at in columns.items()]
    return "\n".join(parts) + "\n</svg>\n"


def flows(tasks: tuple[TaskSpec, ...]) -> list[tuple[str, str]]:
    """Return what flows into what. A stream may have the name of its task, so it is called by its kind as well."""

    def called(name: str) -> str:
        return name if name.startswith("~") else f"stream {name}"

    reads = [(called(name), task.name) for task in tasks for name in task.reads]
    return reads + [(task.name, called(name)) for task in tasks for name in task.writes]


def place(tasks: tuple[TaskSpec, ...]) -> dict[str, tuple[int, int]]:
    """Return column and row of every task, stream and file; whatever reads stands right of what it reads."""
    edges = flows(tasks)
    column = dict.fromkeys((name for edge in edges for name in edge), 0)
    for _ in column:
        for before, after in edges:
            column[after] = max(column[after], column[before] + 1)
    rows: dict[int, int] = {}
    placed = {}
    for name, at in column.items():
        placed[name] = (at, rows.setdefault(at, 0))
        rows[at] += 1
    return placed


def kind(name: str, tasks: dict[str, TaskSpec]) -> str:
    """Return the style of a box."""
    if name in tasks:
        return "task" if tasks[name].critical else "task optional"
    return "file" if name.startswith("~") else "stream"


def box(text: str, at: tuple[int, int], style: str) -> str:
    """Draw one box."""
    x, y = corner(at)
    shape = (
        f'<rect class="{style}" x="{x}" y="{y}" width="{BOX_W}" height="{BOX_H}" rx="{6 if "task" in style else 0}"/>'
    )
    return f'{shape}\n<text x="{x + BOX_W / 2:g}" y="{y + BOX_H / 2:g}">{escape(text)}</text>'


def arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """Draw one flow."""
    (x1, y1), (x2, y2) = corner(start), corner(end)
    x1, y1, y2 = x1 + BOX_W, y1 + BOX_H // 2, y2 + BOX_H // 2
    bend = (x1 + x2) // 2
    return f'<path class="flow" d="M{x1} {y1} C{bend} {y1} {bend} {y2} {x2 - 2} {y2}"/>'


def corner(at: tuple[int, int]) -> tuple[int, int]:
    """Return the upper left corner of a box."""
    return MARGIN + at[0] * (BOX_W + GAP_X), MARGIN + at[1] * (BOX_H + GAP_Y)


if __name__ == "__main__":
    sys.exit(main())
