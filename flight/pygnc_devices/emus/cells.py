"""Values of single cells, assembled from sentences of up to eight cells by string and number, in any order."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, TypeAlias

from pygnc_devices.declaration import Value
from pygnc_devices.emus.sentences import SENTENCES
from pygnc_devices.text_declaration import Sentence

Cell: TypeAlias = tuple[int, int]
"""Number of the string, and number of the cell within it, both from 0."""
GROUP_FIELDS: Final = 3
_CELL_NAME: Final = re.compile(r"(?:string_(\d+)_)?cell_(\d+)_")


@dataclass(frozen=True, slots=True)
class CellData:
    """Values of all cells.

    Attributes:
        name: name of the sentence.
        values: values in the unit of the sentence, sorted by string and number.
        expected: number of cells that the unit reports; None: unknown.
        is_complete: True if the values of all cells are known.
        is_valid: True if the unit's status declares the values valid; None: unknown.
        has_communication: True if the unit communicates with its cells.
    """

    name: str
    values: Mapping[Cell, float]
    expected: int | None
    is_complete: bool
    is_valid: bool | None = None
    has_communication: bool = True

    @property
    def lowest(self) -> Cell | None:
        """Cell with the lowest value."""
        return min(self.values, key=self.values.__getitem__, default=None)

    @property
    def highest(self) -> Cell | None:
        """Cell with the highest value."""
        return max(self.values, key=self.values.__getitem__, default=None)

    @property
    def spread(self) -> float | None:
        """Highest minus lowest value, in the unit of the sentence."""
        return round(max(self.values.values()) - min(self.values.values()), 6) if self.values else None

    @property
    def missing(self) -> tuple[Cell, ...]:
        """Cells without a value, up to the highest number of each string, or to `expected` if there is one string."""
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
    """Values of cells collected from sentences; `name` is the name of the sentences."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_communication = True
        self._fields = [field.name for field in SENTENCES[name].fields[GROUP_FIELDS:]]
        self._values: dict[Cell, float] = {}

    def add(self, values: Mapping[str, Value | None], *, clear_at_first: bool = False) -> None:
        """Add a sentence; with `clear_at_first` the first cell of the first string discards all earlier values."""
        for cell, value in self._cells(values):
            if clear_at_first and cell == (0, 0):
                self._values.clear()
            if isinstance(value, int | float):
                self._values[cell] = float(value)

    def _cells(self, values: Mapping[str, Value | None]) -> Iterator[tuple[Cell, Value | None]]:
        """Yield the cells of a declared sentence, or of a sentence of `sentence_of`."""
        if "first_cell" not in values:
            named = ((_CELL_NAME.match(name), value) for name, value in values.items())
            yield from (((int(found[1] or 0), int(found[2])), value) for found, value in named if found is not None)
            return
        string, first = values["string"], values["first_cell"]
        self.has_communication = isinstance(string, int) and isinstance(first, int)
        if isinstance(string, int) and isinstance(first, int):
            yield from (((string, number), values[name]) for number, name in enumerate(self._fields, first))

    def is_complete(self, expected: int | None) -> bool:
        """Return True if the values of all cells are known.

        One string has the cells 0 to expected - 1. For several strings it is not documented whether the unit reports
        the number of cells of one string or of all strings: either number is complete if no cell between is missing.
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
        """Return the values collected so far."""
        return CellData(
            self.name,
            dict(sorted(self._values.items())),
            expected,
            self.is_complete(expected),
            is_valid,
            self.has_communication,
        )


@lru_cache(maxsize=1024)
def sentence_of(name: str, string: int, first: int) -> Sentence:
    """Return the declaration of the values of up to eight cells whose names contain the cell's number.

    The names are `cell_8_voltage_v`, and `string_1_cell_8_voltage_v` in strings other than the first, numbered from 0.

    Args:
        name: name of the sentence: BV2, BT2, BT4 or BB2.
        string: number of the string.
        first: number of the first cell.
    """
    declared = SENTENCES[name]
    place = f"string {string} " if string else ""
    fields = tuple(
        replace(
            field,
            # "voltage_1_v" names the first cell of the sentence, whichever that is.
            name=f"{place}cell {number} ".replace(" ", "_") + field.name.replace(f"_{rank}_", "_"),
            meaning=f"{field.meaning.split(',')[0]} of {place}cell {number}",
        )
        for rank, (number, field) in enumerate(enumerate(declared.fields[GROUP_FIELDS:], first), 1)
    )
    title = f"{name} {place}cells {first}-{first + len(fields) - 1}"
    return replace(declared, name=title, fields=fields)


def size_fits(values: Mapping[str, Value | None]) -> bool:
    """Return True if a sentence has as many values as its size field states."""
    elements = [value for name, value in values.items() if name not in {"string", "first_cell", "size"}]
    return values["size"] in (None, sum(value is not None for value in elements))
