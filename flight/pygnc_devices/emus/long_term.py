"""Long-term statistics (SS1): what each number counts or remembers, and in which unit."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pygnc_devices.declaration import Value


@dataclass(frozen=True, slots=True)
class Kind:
    """A statistic: value = word * scale + offset."""

    name: str
    unit: str = ""
    scale: float = 1
    offset: float = 0


@dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic that a unit has told.

    Attributes:
        number: of the statistic.
        name: what it is; its number if no table has it.
        value: in `unit`.
        unit: "" for counts.
        cells: numbers of the cells it is about.
        t_local_s: when it was set, by the unit's own clock since 1970, without a zone.
    """

    number: int
    name: str
    value: float | None
    unit: str
    cells: tuple[int, ...]
    t_local_s: int | None


STATISTICS: Final[Mapping[int, Kind]] = {
    0: Kind("total discharge", "Ah"), 1: Kind("total charge", "Ah"),
    2: Kind("total discharge energy", "Wh"), 3: Kind("total charge energy", "Wh"),
    4: Kind("total discharge time", "s"), 5: Kind("total charge time", "s"),
    6: Kind("total distance", "pulses"), 7: Kind("times the statistics were cleared"),
    8: Kind("largest discharge current", "A", 0.1), 9: Kind("largest charge current", "A", 0.1),
    10: Kind("lowest cell voltage", "V", 0.01, 2.0), 11: Kind("highest cell voltage", "V", 0.01, 2.0),
    12: Kind("largest cell voltage difference", "V", 0.01),
    13: Kind("lowest pack voltage", "V", 0.01), 14: Kind("highest pack voltage", "V", 0.01),
    15: Kind("lowest module temperature", "°C", 1, -100), 16: Kind("highest module temperature", "°C", 1, -100),
    17: Kind("largest module temperature difference", "°C"),
    18: Kind("BMS starts"), 19: Kind("under-voltage protections"), 20: Kind("over-voltage protections"),
    21: Kind("discharge over-current protections"), 22: Kind("charge over-current protections"),
    23: Kind("module overheat protections"), 24: Kind("leakage protections"),
    25: Kind("protections for lack of cell communication"), 26: Kind("low-voltage power reductions"),
    27: Kind("high-current power reductions"), 28: Kind("module-temperature power reductions"),
    29: Kind("charger connects"), 30: Kind("charger disconnects"), 31: Kind("pre-heating stages"),
    32: Kind("pre-charging stages"), 33: Kind("main charging stages"), 34: Kind("balancing stages"),
    35: Kind("charges finished"), 36: Kind("charging errors"), 37: Kind("charging retries"), 38: Kind("trips"),
    39: Kind("charging restarts"), 45: Kind("cell overheat protections"),
    46: Kind("cell-temperature power reductions"),
    47: Kind("lowest cell temperature", "°C", 1, -100), 48: Kind("highest cell temperature", "°C", 1, -100),
    49: Kind("largest cell temperature difference", "°C"),
}  # fmt: skip
"""13 and 14: sources differ by a factor of ten; this is the scale of the same quantity in BV1 and CV1."""

_OF_A_CELL: Final = {10, 11, 15, 16, 47, 48}


def statistic(values: Mapping[str, Value | None]) -> Statistic:
    """Return what the values of a sentence SS1 mean."""
    number, word, info, t_local_s = (_whole(values[name]) for name in ("number", "word", "info", "t_local_s"))
    kind = STATISTICS.get(-1 if number is None else number, Kind(f"statistic {number}"))
    value = None if word is None else round(word * kind.scale + kind.offset, 2)
    cells = (info,) if number in _OF_A_CELL and info is not None else ()
    return Statistic(-1 if number is None else number, kind.name, value, kind.unit, cells, t_local_s)


def _whole(value: Value | None) -> int | None:
    return value if isinstance(value, int) else None
