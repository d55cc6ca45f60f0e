"""Canonical form of real objects: copied by pickle, with times relative to now, compared as nested tuples.

Values that cannot change the behaviour are normalised: times that have passed, statistics, and the numbering of tickets
and transmissions. Times are rounded to a millisecond.
"""

import io
import pickle
from collections import deque
from collections.abc import Callable, Hashable
from enum import Enum
from math import inf
from typing import Any, ClassVar, Final, TypeAlias

Frozen: TypeAlias = Hashable
_LEFT_OUT: Final = frozenset({"_link", "_read", "_storage", "_events", "_software", "_capabilities"})
"""Attributes that never change, or refer to an object that is frozen elsewhere."""


def shifted(at_s: float, by_s: float, earliest_s: float = 0.0) -> float:
    """Return a time relative to now + `by_s`; times before `earliest_s` are equivalent to it."""
    return max(round(at_s - by_s, 3), earliest_s) if at_s > -inf else earliest_s


def freeze(value: object) -> Frozen:
    """Return the value as nested tuples of numbers, texts and bytes."""
    return _FREEZERS.get(type(value), _freeze_other)(value)


def _freeze_other(value: Any) -> Frozen:  # noqa: ANN401 - any object
    if isinstance(value, Enum):
        freezer: Callable[[Any], Frozen] = _freeze_enumeration
    elif isinstance(value, tuple):
        freezer = _freeze_sequence
    elif hasattr(value, "__slots__") and not hasattr(value, "__dict__"):
        freezer = _freeze_slots
    else:
        freezer = _freeze_attributes
    _FREEZERS[type(value)] = freezer
    return freezer(value)


def _same(value: Any) -> Frozen:  # noqa: ANN401 - hashable by the table
    frozen: Frozen = value
    return frozen


def _freeze_enumeration(value: Enum) -> Frozen:
    return value.name


def _freeze_sequence(value: Any) -> Frozen:  # noqa: ANN401 - list, tuple or deque
    return tuple([freeze(item) for item in value])


def _freeze_mapping(value: dict[Any, Any]) -> Frozen:
    return tuple([(key, freeze(item)) for key, item in value.items()])


def _freeze_set(value: set[Any]) -> Frozen:
    return tuple(sorted(freeze(item) for item in value))  # type: ignore[type-var]


def _freeze_slots(value: Any) -> Frozen:  # noqa: ANN401 - any object with slots
    return tuple([freeze(getattr(value, name)) for name in value.__slots__])


def _freeze_attributes(value: Any) -> Frozen:  # noqa: ANN401 - any object
    return tuple([freeze(item) for name, item in vars(value).items() if name not in _LEFT_OUT])


_FREEZERS: Final[dict[type, Callable[[Any], Frozen]]] = {
    **dict.fromkeys((int, bool, str, bytes, float, type(None)), _same),
    bytearray: bytes,
    **dict.fromkeys((list, tuple, deque), _freeze_sequence),
    dict: _freeze_mapping,
    set: _freeze_set,
}


def declare(kind: type, parts: Callable[[Any], object], rebuild: Callable[..., object] | None = None) -> None:
    """Freeze the objects of a type as `parts` of them; copies are rebuilt from these parts if `rebuild` is given."""
    _FREEZERS[kind] = lambda value: freeze(parts(value))
    if rebuild is not None:
        _Packer.dispatch_table[kind] = lambda value: (rebuild, parts(value))


class _Packer(pickle.Pickler):
    """Pickler with the declared types; a table of all picklers would change the supervisor's own copies."""

    dispatch_table: ClassVar[dict[type, Any]] = {}  # type: ignore[misc]


def packed(value: object) -> bytes:
    """Return the value as bytes, from which `pickle.loads` makes a copy."""
    content = io.BytesIO()
    _Packer(content, pickle.HIGHEST_PROTOCOL).dump(value)
    return content.getvalue()
