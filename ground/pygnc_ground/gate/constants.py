"""Record of every number in the source of the estimators; the gate compares records to name changed constants.

Replays detect a changed constant only if it changes an estimate. A threshold that is one unit in the last place higher
usually changes none, nor does a limit that no run reaches. The record does not depend on runs.

Numbers are the literals in the source. Inside functions, integers up to 2 and integers in subscripts are omitted: they
are indices, powers and dimensions.
"""

import ast
import importlib.util
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import numpy as np

PACKAGES: Final = (
    "pygnc.common",
    "pygnc.configuration.data_files",
    "pygnc.environment",
    "pygnc.estimators",
    "pygnc.formats",
    "pygnc.inputs",
    "pygnc.navigation",
    "pygnc_ground.attitude",
    "pygnc_ground.formation",
    "pygnc_ground.orbit",
    "pygnc_ground.replay",
)
"""Packages with the estimators and models of a replay, and with the decoders of its inputs"""
_INDEX_MAX: Final = 2
_UNITS_NAMED_MAX: Final = 1000

Record: TypeAlias = dict[str, dict[str, list[str]]]
"""Numbers as text by module and by place in the module: a name, a class attribute, or a function"""


class ConstantChange(msgspec.Struct, frozen=True):
    """Numbers that differ at one place of the source.

    Attributes:
        place: Module and name.
        before: Numbers then; empty if there were none.
        after: Numbers now.
        units: Difference in units in the last place, if one floating-point number differs by a few.
    """

    place: str
    before: list[str]
    after: list[str]
    units: int | None = None


def record() -> Record:
    """Return the numbers in the installed packages."""
    return {
        module: places
        for package in PACKAGES
        for module, file in modules_of(package)
        if (places := numbers_in(ast.parse(file.read_text(encoding="utf-8"))))
    }


def modules_of(package: str) -> Iterator[tuple[str, Path]]:
    """Yield name and source file of each module of an installed package or module, which is not imported.

    Raises:
        ModuleNotFoundError: The package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"package {package} is not installed", name=package)
    if not spec.submodule_search_locations:
        yield package, Path(spec.origin)
        return
    root = Path(spec.submodule_search_locations[0])
    for file in sorted(root.rglob("*.py")):
        parts = [part for part in file.relative_to(root).with_suffix("").parts if part != "__init__"]
        yield ".".join((package, *parts)), file


def numbers_in(tree: ast.Module) -> dict[str, list[str]]:
    """Return the numbers in a parsed module by place, in their order."""
    places: dict[str, list[str]] = {}
    for place, node in located_numbers(tree):
        places.setdefault(place, []).append(repr(node.value))
    return places


def located_numbers(tree: ast.Module) -> Iterator[tuple[str, ast.Constant]]:
    """Yield the place and the node of each number, in their order."""
    yield from _located(tree, (), _Where.OUTSIDE)


class _Where(Enum):
    """Position in the source, by which integers and flags count or not."""

    OUTSIDE = 0
    ASSIGNMENT = 1
    FUNCTION = 2


def _located(node: ast.AST, scope: tuple[str, ...], where: _Where) -> Iterator[tuple[str, ast.Constant]]:
    if isinstance(node, ast.Constant):
        if _counts(node.value, where):
            yield ".".join(scope) or "<module>", node
        return
    if isinstance(node, ast.FunctionDef):
        scope, where = (*scope, node.name), _Where.FUNCTION
    elif isinstance(node, ast.ClassDef):
        scope += (node.name,)
    elif where is _Where.OUTSIDE and isinstance(node, ast.Assign | ast.AnnAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        scope, where = (*scope, ast.unparse(target)), _Where.ASSIGNMENT
    for child in ast.iter_child_nodes(node):
        is_index = where is _Where.FUNCTION and isinstance(node, ast.Subscript) and child is node.slice
        is_annotation = isinstance(node, ast.AnnAssign) and child is node.annotation
        if not (is_index or is_annotation):
            yield from _located(child, scope, where)


def _counts(value: object, where: _Where) -> bool:
    if isinstance(value, bool):
        return where is _Where.ASSIGNMENT  # others are options of dataclasses and functions
    if isinstance(value, int):
        return where is not _Where.FUNCTION or abs(value) > _INDEX_MAX
    return isinstance(value, float | complex)


def changes(before: Record, after: Record) -> list[ConstantChange]:
    """Return the places whose numbers differ."""
    old, new = _flat(before), _flat(after)
    found = []
    for place in sorted(old.keys() | new.keys()):
        then, now = old.get(place, []), new.get(place, [])
        if then == now:
            continue
        if len(then) == len(now):
            pairs = [(one, other) for one, other in zip(then, now, strict=True) if one != other]
            then, now = [one for one, _ in pairs], [other for _, other in pairs]
        units = units_in_last_place(then[0], now[0]) if len(then) == len(now) == 1 else None
        found.append(ConstantChange(place, then, now, units))
    return found


def only_moved(found: list[ConstantChange]) -> bool:
    """Return True if numbers only moved from one place to another."""
    before = Counter(number for change in found for number in change.before)
    return before == Counter(number for change in found for number in change.after)


def _flat(found: Mapping[str, Mapping[str, list[str]]]) -> dict[str, list[str]]:
    return {f"{module} {place}": numbers for module, places in found.items() for place, numbers in places.items()}


def units_in_last_place(before: str, after: str) -> int | None:
    """Return how many floating-point numbers lie between two, given as text; None for others and for many."""
    try:
        one, other = float(before), float(after)
    except ValueError:
        return None
    if not ("." in before or "e" in before) or not (math.isfinite(one) and math.isfinite(other)):
        return None
    units = _ordinal(other) - _ordinal(one)
    return units if abs(units) <= _UNITS_NAMED_MAX else None


def _ordinal(value: float) -> int:
    """Return the position of a number among all floating-point numbers, 0 for zero."""
    bits = int(np.float64(abs(value)).view(np.int64))
    return -bits if value < 0.0 else bits
