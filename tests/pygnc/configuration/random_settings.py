"""Settings drawn from their declared ranges."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec import inspect

from pygnc.configuration.load import ConfigurationError, settings_from_table
from pygnc.configuration.settings import Settings

Number = inspect.IntType | inspect.FloatType
Array = inspect.TupleType | inspect.VarTupleType | inspect.ListType


def declarations(section: inspect.Type | None = None, prefix: str = "") -> dict[str, inspect.Type]:
    """The declared type of every setting by its dotted name."""
    section = section or inspect.type_info(Settings)
    assert isinstance(section, inspect.DataclassType)
    found: dict[str, inspect.Type] = {}
    for field in section.fields:
        name = prefix + field.name
        is_section = isinstance(field.type, inspect.DataclassType)
        found |= declarations(field.type, f"{name}.") if is_section else {name: field.type}
    return found


def parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """A declared type and all types within it."""
    yield kind
    match kind:
        case inspect.UnionType(types=below) | inspect.TupleType(item_types=below):
            pass
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            below = (item,)
        case inspect.DictType():
            below = (kind.key_type, kind.value_type)
        case inspect.DataclassType(fields=fields):
            below = tuple(field.type for field in fields)
        case _:
            below = ()
    for item in below:
        yield from parts(item)


def value_of(kind: inspect.Type, dice: random.Random) -> object:
    """A value of a declared type, at or between the ends of its range; None for text and sections."""
    match kind:
        case inspect.IntType(ge=int(low), le=int(high)):
            value: object = dice.choice([low, high, dice.randint(low, high)])
        case inspect.FloatType(ge=float(low), le=float(high)):
            inside = low * (high / low) ** dice.random() if low > 0.0 else dice.uniform(low, high)
            value = dice.choice([low, high, min(max(inside, low), high)])
        case inspect.UnionType(types=types):
            value = value_of(next(item for item in types if not isinstance(item, inspect.NoneType)), dice)
        case inspect.TupleType(item_types=items):
            value = [value_of(item, dice) for item in items]
        case inspect.VarTupleType(item_type=item, min_length=least, max_length=int(most)):
            value = [value_of(item, dice) for _ in range(dice.choice([least or 0, most]))]
        case inspect.BoolType():
            value = dice.random() < 0.5
        case inspect.LiteralType(values=values):
            value = dice.choice(values)
        case _:
            value = None
    return value


def table(values: dict[str, object]) -> dict[str, Any]:
    """Values by dotted names as a table of sections."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        *sections, last = name.split(".")
        below = result
        for section in sections:
            below = below.setdefault(section, {})
        below[last] = value
    return result


def settings_of(values: dict[str, object]) -> Settings:
    """Settings with some values by dotted names, and the defaults of all others."""
    return settings_from_table(table(values), Path("drawn"))


def random_settings(seed: int, share: float) -> Settings:
    """Settings of which about a share is drawn; values that contradict those drawn before are left out.

    Limits of a plausible fix are drawn only with even seeds, because most reject all fixes.
    """
    dice = random.Random(seed)  # noqa: S311 - no secrets
    values: dict[str, object] = {}
    settings = Settings()
    for name, kind in declarations().items():
        if name.startswith("orbit.screening.") and seed % 2:
            continue
        if dice.random() < share and (value := value_of(kind, dice)) is not None:
            try:
                settings = settings_of(values | {name: value})
            except ConfigurationError:
                continue
            values[name] = value
    return settings
