"""Values of single cells, put together from sentences of up to eight, by string and number and not by order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pygnc_devices.declaration import Value
from pygnc_devices.emus.sentences import SENTENCES

Cell: TypeAlias = tuple[int, int]
"""String and number within it, both from 0."""
_GROUP_FIELDS: Final = 3


@dataclass(frozen=True, slots=True)
class CellData:
    """What is known of all cells.

    Attributes:
        name: of the sentence.
        values: in the sentence's unit, by string and number, in that order.
        expected: cells that the unit says it has; None if it does not say.
        is_complete: whether every cell is there.
        is_valid: whether the unit's own status says that such values are right; None if it says nothing.
        has_communication: whether the unit reaches its cells.
    """

    name: str
    values: Mapping[Cell, float]
    expected: int | None
    is_complete: bool
    is_valid: bool | None = None
    has_communication: bool = True

    @property
    def lowest(self) -> Cell | None:
        """The cell with the lowest value."""
        return min(self.values, key=self.values.__getitem__, default=None)

    @property
    def highest(self) -> Cell | None:
        """The cell with the highest value."""
        return max(self.values, key=self.values.__getitem__, default=None)

    @property
    def spread(self) -> float | None:
        """Highest less lowest value."""
        return round(max(self.values.values()) - min(self.values.values()), 6) if self.values else None

    @property
    def missing(self) -> tuple[Cell, ...]:
        """Cells that did not come: below the highest number of their string, or of one string below `expected`."""
        last: dict[int, int] = {}
        for string, number in self.values:
            last[string] = max(last.get(string, 0), number)
        if set(last) <= {0} and self.expected is not None:
            last = {0: self.expected - 1}
        return tuple(
            (string, number)
            for string, end in sorted(last.items())
            for number in range(end + 1)
            if (string, number) not in self.values
        )


class CellTable:
    """Takes sentences about cells as they come.

    Args:
        name: of the sentence.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_communication = True
        self._fields = [field.name for field in SENTENCES[name].fields[_GROUP_FIELDS:]]
        self._values: dict[Cell, float] = {}

    def take(self, values: Mapping[str, Value | None], *, begins_anew: bool = False) -> None:
        """Take a sentence; with `begins_anew` the first cell of the first string begins a new round."""
        string, first = values["string"], values["first_cell"]
        self.has_communication = isinstance(string, int) and isinstance(first, int)
        if not isinstance(string, int) or not isinstance(first, int):
            return
        if begins_anew and (string, first) == (0, 0):
            self._values.clear()
        for number, name in enumerate(self._fields, first):
            value = values[name]
            if isinstance(value, int | float):
                self._values[string, number] = float(value)

    def is_complete(self, expected: int | None) -> bool:
        """Tell whether all cells have come.

        With one string those are the numbers from 0 to expected - 1. With several it is not public whether the unit
        counts the cells of one or of all: both are complete, and gaps are not.
        """
        if not expected:
            return False
        numbers: dict[int, set[int]] = {}
        for string, number in self._values:
            numbers.setdefault(string, set()).add(number)
        if any(len(found) != max(found) + 1 for found in numbers.values()):
            return False
        counts = [len(found) for found in numbers.values()]
        return sum(counts) == expected or (len(counts) > 1 and all(count == expected for count in counts))

    def data(self, expected: int | None, *, is_valid: bool | None = None) -> CellData:
        """Return what has come so far."""
        return CellData(
            self.name,
            dict(sorted(self._values.items())),
            expected,
            self.is_complete(expected),
            is_valid,
            self.has_communication,
        )


def size_fits(values: Mapping[str, Value | None]) -> bool:
    """Tell whether a sentence has as many values as it says."""
    elements = [value for name, value in values.items() if name not in {"string", "first_cell", "size"}]
    return values["size"] in (None, sum(value is not None for value in elements))
