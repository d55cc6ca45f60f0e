"""Tables of settings for people, from the classes that hold them: names, defaults, and the docstrings behind them."""

import ast
import dataclasses
import inspect
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import msgspec

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
