"""What a bridge tells its clients without being asked, whatever dialect they speak."""

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from pygnc_devices.declaration import Value
from pygnc_devices.reading import Reading

Scalar: TypeAlias = int | float | str | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something has happened.

    Attributes:
        word: `device`, `log` or `upgrade_progress`.
        data: what.
    """

    word: str
    data: dict[str, Any]


def output_of(reading: Reading) -> dict[str, Scalar]:
    """Return a reading by the names and in the units of CSV columns."""
    names = (name for name, _ in reading.packet.columns())
    values = reading.packet.row(reading.values)
    return {name: _scalar(value) for name, value in zip(names, values, strict=True)}


def _scalar(value: Value | None) -> Scalar:
    """Return what JSON has a form for."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.decode("latin-1") if isinstance(value, bytes) else value
