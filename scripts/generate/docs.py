"""Generate what follows from the code: the drawing of the tasks, tables of the documentation, tables for controllers.

Usage: python -m scripts.generate.docs

A test fails if these files differ from what this program generates.
"""

import ast
import dataclasses
import inspect
import json
import sys
from html import escape
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import mean
from typing import Final

import msgspec
import msgspec.inspect

from pygnc.configuration.load import range_text
from pygnc.configuration.settings import ColumnSettings
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.supervisor.process import TaskSpec
from pygnc.tasks.table import TASKS
from pygnc_ground.campaign.definition import Campaign, Case
from pygnc_ground.campaign.draws import Draw
from pygnc_ground.campaign.sensor_faults import SensorFault
from pygnc_ground.description import markdown
from pygnc_ground.scenario.sensor_settings import Section
from pygnc_ground.scenario.settings import Impulse, Partner, Thrust
from pygnc_ground.scenario.settings import Settings as ScenarioSettings
from pygnc_ground.tables import declaration
from scripts.documentation.short_lines import short_lines
from scripts.generate.controller_tables import CONTROLLER, controller
from scripts.generate.mip_tables import commands_list, data_lists, settings_list
from scripts.generate.sentence_tables import sentence_examples
from scripts.generate.status_reader import READER, reader

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
BEGIN: Final = "<!-- {} table: made by scripts/generate/docs.py -->\n"
END: Final = "<!-- end of {} table -->\n"
SCENARIO_LISTS: Final[dict[str, Section]] = {
    "[impulses]": Impulse(at_s=5000.0, delta_v_rtn_mps=(0.0, 0.05, 0.0)),
    "[thrusts]": Thrust(begin_s=5000.0, duration_s=1800.0, acceleration_rtn_mps2=(0.0, 6e-5, 0.0)),
    "[partners]": Partner(id=0x4B, position_rtn_m=(0.0, 1000.0, 0.0)),
}
"""Examples for the tables of their settings; all these lists are empty by default."""


def main() -> int:
    """Update the files."""
    for path, content in documents().items():
        path.write_text(content)
    return 0


def documents() -> dict[Path, str]:
    """Return the required content of each generated or partly generated file."""
    tables = {
        "architecture.md": {"task": task_table(TASKS)},
        "interface.md": {
            **{name: markdown.record_table(fields) for name, fields in (markdown.RECORDS | markdown.PACKETS).items()},
            "journal message": markdown.messages_lists(),
            "sentence": markdown.sentence_table(),
            "sentence example": sentence_examples(),
        },
        "settings.md": {
            "settings": settings_tables(FlightSettings()),
            "columns": settings_tables(ColumnSettings(time=("utc",), time_scale="utc"), "columns.NAME"),
        },
        "scenario.md": {
            "settings": settings_tables(ScenarioSettings())
            + "".join(settings_tables(example, name) for name, example in SCENARIO_LISTS.items())
        },
    }
    tables["campaign.md"] = campaign_tables()
    tables["devices.md"] = {"MIP data": data_lists(), "MIP settings": settings_list(), "MIP command": commands_list()}
    tables["identify.md"] = {"identification": columns_table("identification")}
    tables["passes.md"] = {"passes": columns_table("passes")}
    tables["replay.md"] = {"files": files_table(), "columns": quantities_lists()}
    files = {DOCS / "architecture.svg": drawing(TASKS), READER: reader(), CONTROLLER: controller()}
    return files | {DOCS / name: with_tables(DOCS / name, content) for name, content in tables.items()}


def campaign_tables() -> dict[str, str]:
    """Return the tables of the settings and results of campaigns."""
    examples: dict[str, Section] = {
        "[cases]": Case(name="fast"),
        "[sensor_faults]": SensorFault(kind="dead face"),
        "random.NAME": Draw(uniform=(0.0, 1.0)),
    }
    settings = settings_tables(Campaign()) + "".join(settings_tables(each, name) for name, each in examples.items())
    return {"campaign": settings} | {name: columns_table(name) for name in declaration.tables_of("campaign")}


def columns_table(table: str) -> str:
    """Return the table of the columns of a table whose quantities have one column each."""
    rows = [f"| `{one.columns[0]}` | {one.unit} | {one.meaning} |" for one in declaration.quantities(table)]
    return "\n".join(["| column | unit | meaning |", "|---|---|---|", *rows]) + "\n"


def files_table() -> str:
    """Return the table of the tables that a replay writes."""
    declared = declaration.tables_of("replay").items()
    rows = [f"| `{name}` | {table.rows} | {table.content} |" for name, table in declared]
    return "\n".join(["| table | a row for | content |", "|---|---|---|", *rows]) + "\n"


def quantities_lists() -> str:
    """Return a list of the columns of each group of quantities, with the tables that have it, and one of the frames."""
    tables = declaration.tables_of("replay") | declaration.tables_of("scenario")
    parts: list[str] = []
    for group, quantities in declaration.GROUPS.items():
        owners = ", ".join(f"`{name}`" for name, table in tables.items() if group in table.groups)
        items = [f"- {_columns_of(one)}: {one.meaning}" for one in quantities]
        if owners:
            parts.append("\n".join([f"In {owners}:\n", *items]))
    frames = [f"- **{name}**: {meaning}" for name, meaning in declaration.FRAMES.items()]
    return "\n\n".join([*parts, "\n".join(["Frames:\n", *frames])]) + "\n"


def _columns_of(quantity: declaration.Quantity) -> str:
    columns = ", ".join(f"`{column}`" for column in quantity.columns)
    not_in_csv = "" if quantity.in_csv else "not in CSV"
    details = ", ".join(filter(None, (quantity.unit or quantity.kind, quantity.frame, not_in_csv)))
    return f"**{columns}** ({details})"


def with_tables(path: Path, tables: dict[str, str]) -> str:
    """Return the text of `path` with the tables between their markers replaced."""
    text = path.read_text()
    for name, table in tables.items():
        before, _, rest = text.partition(BEGIN.format(name))
        _, _, after = rest.partition(END.format(name))
        text = before + BEGIN.format(name) + short_lines(table) + END.format(name) + after
    return text


# Settings


def settings_tables(settings: object, name: str = "") -> str:
    """Return a table for each section of settings; `settings` holds the defaults, its docstrings the meanings."""
    defaults = {field: getattr(settings, field) for field in inspect.signature(type(settings)).parameters}
    texts = field_docstrings(type(settings))
    kind = msgspec.inspect.type_info(type(settings))
    assert isinstance(kind, msgspec.inspect.DataclassType | msgspec.inspect.StructType)  # noqa: S101 - narrows the type
    ranges = {field.name: range_text(field.type) for field in kind.fields}
    rows = below = ""
    for field, value in defaults.items():
        if isinstance(value, msgspec.Struct) or dataclasses.is_dataclass(value):
            below += settings_tables(value, f"{name}.{field}".lstrip("."))
        else:
            default = "-" if value is None else f"`{json.dumps(value)}`"
            rows += f"| `{field}` | {default} | {ranges[field]} | {texts.get(field, '')} |\n"
    about = (inspect.getdoc(type(settings)) or "").partition("\n\n")[0].replace("\n", " ")
    head = f"\n`[{name}]`: {about}\n\n" if name else ""
    return (f"{head}| setting | default | range | meaning |\n|---|---|---|---|\n{rows}" if rows else "") + below


def field_docstrings(kind: type) -> dict[str, str]:
    """Return the docstring after each field of a class, in one line."""
    tree = ast.parse(inspect.getsource(inspect.getmodule(kind) or kind))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found: dict[str, str] = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


# Tasks

CHARACTER_W, BOX_H, GAP_X, ROW_H, MARGIN = 8, 40, 56, 58, 20
"""Sizes in pixels: average width of a character, height of a box, gap between columns, height of a row, margin."""
PASSING: Final = ">"
"""Prefix of the places at which data passes a column without a box."""
STYLE: Final = """<style>
text { font: 13px sans-serif; text-anchor: middle; dominant-baseline: central; fill: #111 }
.task { fill: #dbe9ff; stroke: #24508f; stroke-width: 1.5 } .optional { stroke-dasharray: 5 3 }
.stream { fill: #fff3cd; stroke: #8a6d1a } .file { fill: #f2f2f2; stroke: #777 }
.flow { stroke: #444; fill: none; marker-end: url(#head) }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 L8 4 L0 8 z" fill="#444"/></marker></defs>
"""


def task_table(tasks: tuple[TaskSpec, ...]) -> str:
    """Return the table of the tasks."""
    rows = [
        "| task | purpose | reads | writes | if it fails | stop order | watchdog limit |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in tasks:
        reads, writes = (", ".join(f"`{name}`" for name in names) for names in (task.reads, task.writes))
        consequence = "the run ends" if task.critical else "the run continues"
        limit = f"{task.silence_limit_s:g} s"
        rows.append(
            f"| {task.name} | {task.purpose} | {reads} | {writes} | {consequence} | {task.stop_stage + 1}. | {limit} |"
        )
    return "\n".join(rows) + "\n"


def drawing(tasks: tuple[TaskSpec, ...]) -> str:
    """Return the drawing of tasks, streams and files; data flows to the right."""
    edges = flows(tasks)
    grid = place(edges)
    styles = {task.name: "task" if task.critical else "task optional" for task in tasks}
    widths = [CHARACTER_W * max(map(len, names)) + 20 for names in grid]
    lefts = list(accumulate((width + GAP_X for width in widths), initial=MARGIN))
    height = ROW_H * max(map(len, grid)) + 2 * MARGIN
    centres: dict[tuple[int, str], int] = {}
    boxes = []
    for column, names in enumerate(grid):
        for row, name in enumerate(names):
            y = (height - ROW_H * len(names)) // 2 + ROW_H * row + ROW_H // 2
            centres[column, name] = y
            if not name.startswith(PASSING):
                style = styles.get(name, "file" if name.startswith("~") else "stream")
                boxes.append(box(name, style, lefts[column], y - BOX_H // 2, widths[column]))
    column_of = {name: column for column, name in centres}
    arrows = []
    for before, after in edges:
        column = column_of[before]
        x, y = lefts[column] + widths[column], centres[column, before]
        path = f"M{x} {y}"
        while column < column_of[after]:
            column += 1
            name = after if column == column_of[after] else PASSING + before
            bend, left, next_y = x + GAP_X // 2, lefts[column], centres[column, name]
            path += f" C{bend} {y} {bend} {next_y} {left} {next_y}"
            x, y = left + widths[column], next_y
            path += f" H{x}" if name.startswith(PASSING) else ""
        arrows.append(f'<path class="flow" d="{path}"/>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {lefts[-1] - GAP_X + MARGIN} {height}">\n{STYLE}'
    return "\n".join([head, *arrows, *boxes]) + "\n</svg>\n"


def flows(tasks: tuple[TaskSpec, ...]) -> list[tuple[str, str]]:
    """Return the data flows as pairs of names; streams are marked because they may have the name of a task."""

    def label(name: str) -> str:
        return name if name.startswith("~") else f"stream {name}"

    reads = [(label(name), task.name) for task in tasks for name in task.reads]
    return reads + [(task.name, label(name)) for task in tasks for name in task.writes]


def place(edges: list[tuple[str, str]]) -> list[list[str]]:
    """Return the names of tasks, streams and files in columns; a reader is to the right of what it reads.

    Data that passes a column has a place of its own there, so that no arrow meets a box.
    """
    column = dict.fromkeys((name for edge in edges for name in edge), 0)
    for _ in column:
        for before, after in edges:
            column[after] = max(column[after], column[before] + 1)
    readers = {name: [after for before, after in edges if before == name] for name in column}
    writers = {name: [before for before, after in edges if after == name] for name in column}
    for name, own in writers.items():
        if not own:
            # An input stands immediately before its first reader.
            column[name] = min(column[after] for after in readers[name]) - 1
    last = {name: max((column[after] for after in own), default=0) for name, own in readers.items()}
    grid: list[list[str]] = []
    for number in range(max(column.values()) + 1):
        names = [PASSING + name for name, at in column.items() if at < number < last[name]]
        names += [name for name, at in column.items() if at == number]
        rows = {name.removeprefix(PASSING): row for row, name in enumerate(grid[-1] if grid else ())}

        def mean_row(name: str, rows: dict[str, int] = rows) -> float:
            own = [name.removeprefix(PASSING)] if name.startswith(PASSING) else writers[name]
            return mean(rows[writer] for writer in own) if own else len(rows)

        grid.append(sorted(names, key=mean_row))
    return grid


def box(text: str, style: str, x: int, y: int, width: int) -> str:
    """Draw one box with its upper left corner at x and y."""
    rounding = 6 if "task" in style else 0
    shape = f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{BOX_H}" rx="{rounding}"/>'
    return f'{shape}\n<text x="{x + width / 2:g}" y="{y + BOX_H / 2:g}">{escape(text)}</text>'


if __name__ == "__main__":
    sys.exit(main())
