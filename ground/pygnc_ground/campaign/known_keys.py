"""Unknown keys of settings: each is named with the nearest known key."""

import dataclasses
import difflib
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

Kind: TypeAlias = Any
"""Type of a field, as annotations contain it."""
_LISTS: Final[tuple[object, ...]] = (tuple, list)


def require_known(table: Mapping[str, Any], kind: Kind, source: str, prefix: str = "") -> None:
    """Check the keys of a table of the file `source`, and of the tables in it, against a structure or dataclass.

    `prefix` is the name of the table with a final dot; it is empty for the file itself.

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


def value_names(kind: Kind, prefix: str) -> Iterator[str]:
    """Yield the dotted names of all values of a type after `prefix`; `*` stands for each table of a list of tables."""
    for key, below in known_keys(kind).items():
        is_list = typing.get_origin(below) in _LISTS
        if is_list or not known_keys(below):
            yield prefix + key
        yield from value_names(below, f"{prefix}{key}.*." if is_list else f"{prefix}{key}.")


def unknown_key(source: str, key: str, known: Sequence[str]) -> str:
    """Return the message about an unknown key, with the nearest known one."""
    (nearest,) = difflib.get_close_matches(key, known, 1, 0.0)
    return f"{source}: unknown key {key}; the nearest known key is {nearest}"


def known_keys(kind: Kind) -> dict[str, Any]:
    """Return the types of the fields of a structure or dataclass by name; none for other types.

    A list of structures has the fields of one of them.
    """
    while typing.get_origin(kind) in {typing.Annotated, *_LISTS}:
        kind = typing.get_args(kind)[0]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        types = typing.get_type_hints(kind)
        return {field.name: types[field.name] for field in dataclasses.fields(kind)}
    return {}


def _tables(value: object, name: str) -> list[tuple[Mapping[str, Any], str]]:
    if isinstance(value, dict):
        return [(value, name)]
    if isinstance(value, list):
        return [(each, f"{name}[{number}]") for number, each in enumerate(value) if isinstance(each, dict)]
    return []
