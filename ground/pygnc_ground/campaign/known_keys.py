"""Unknown keys of settings: each is named with the nearest known key."""

import dataclasses
import difflib
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec

Kind: TypeAlias = Any
"""Type of a field, as annotations contain it."""


def require_known(table: Mapping[str, Any], kind: Kind, source: str, prefix: str = "") -> None:
    """Check the keys of a table, and of the tables in it, against a type.

    Args:
        table: Table as read from TOML.
        kind: Structure or dataclass into which the table will be converted.
        source: Name of the file for error messages.
        prefix: Name of the table with a final dot; empty for the file itself.

    Raises:
        ValueError: A key is unknown; the message names it and the nearest known key.
    """
    known = known_keys(kind)
    for key, value in table.items():
        if key not in known:
            raise ValueError(unknown_key(source, prefix + key, [prefix + name for name in known]))
        for below, name in _tables(value, f"{prefix}{key}"):
            if known_keys(known[key]):
                require_known(below, known[key], source, f"{name}.")


def require_known_name(name: str, kind: Kind, source: str, prefix: str) -> None:
    """Check the dotted name of one value, which `prefix` begins, against a type.

    The name of a list of tables is followed by `*`, which stands for all of them.

    Raises:
        ValueError: A part of the name is unknown, or the name is that of a table instead of a value.
    """
    for part in name.removeprefix(prefix).split("."):
        if is_list_of_tables(kind):
            if part != "*":
                raise ValueError(unknown_key(source, prefix + part, [f"{prefix}*.{key}" for key in known_keys(kind)]))
            kind, prefix = typing.get_args(kind)[0], f"{prefix}*."
            continue
        known = known_keys(kind)
        if part not in known:
            raise ValueError(unknown_key(source, prefix + part, [prefix + key for key in known]))
        kind, prefix = known[part], f"{prefix}{part}."
    if known_keys(kind) and not is_list_of_tables(kind):
        raise ValueError(f"{source}: {name} is a table; name one of its keys: {', '.join(known_keys(kind))}")


def unknown_key(source: str, key: str, known: Iterable[str]) -> str:
    """Return the message about an unknown key, with the nearest known one."""
    (nearest, *_) = [*difflib.get_close_matches(key, list(known), 1, 0.0), ""]
    return f"{source}: unknown key {key}" + (f"; the nearest known key is {nearest}" if nearest else "; remove it")


def known_keys(kind: Kind) -> dict[str, Any]:
    """Return the types of the fields of a structure or dataclass by name; none for other types.

    A list of structures has the fields of one of them.
    """
    origins: tuple[object, ...] = (typing.Annotated, tuple, list)
    while typing.get_origin(kind) in origins:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        types = typing.get_type_hints(kind)
        return {field.name: types[field.name] for field in dataclasses.fields(kind)}
    return {}


def is_list_of_tables(kind: Kind) -> bool:
    """Return True for the type of a list of structures."""
    origins: tuple[object, ...] = (tuple, list)
    return typing.get_origin(kind) in origins and bool(known_keys(kind))


def _tables(value: object, name: str) -> list[tuple[Mapping[str, Any], str]]:
    if isinstance(value, dict):
        return [(value, name)]
    if isinstance(value, list):
        return [(each, f"{name}[{number}]") for number, each in enumerate(value) if isinstance(each, dict)]
    return []
