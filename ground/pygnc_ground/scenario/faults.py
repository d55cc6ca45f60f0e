"""Damage to the bytes of a file, drawn by rate from a seed, and the book of what was done."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import Damage

_LONGEST_RUN = 16
"""Of lost and of inserted bytes."""


@dataclass(frozen=True, slots=True)
class InjectedFaults:
    """What was done to one file: numbers, from 0, of the undamaged file's records, in ascending order."""

    flipped_bit: tuple[int, ...]
    lost_bytes: tuple[int, ...]
    inserted_bytes: tuple[int, ...]
    duplicated: tuple[int, ...]
    swapped: tuple[int, ...]
    """Each changed places with the next one"""
    cut_tail: tuple[int, ...]
    """The last record in the file"""

    @property
    def altered(self) -> frozenset[int]:
        """Records that are not, or not only, in the file as they were made; those duplicated may be there once so."""
        return frozenset({*self.flipped_bit, *self.lost_bytes, *self.inserted_bytes, *self.cut_tail})

    def as_tables(self) -> dict[str, dict[str, object]]:
        """Count and records of each kind, for the summary."""
        records = {field.name: getattr(self, field.name) for field in fields(self)}
        return {kind: {"count": len(numbers), "records": list(numbers)} for kind, numbers in records.items()}


def inject(records: Sequence[bytes], damage: Damage, *, seed: int, file: str) -> tuple[bytes, InjectedFaults]:
    """A file made of `records`, damaged, and what was done to it.

    `file` names the draws: the damage to one file does not depend on that to another, nor one kind on another's rate.
    """
    count = len(records)

    def struck(kind: str, rate: float) -> npt.NDArray[np.int64]:
        return np.flatnonzero(noise_generator(seed, f"{file}.{kind}").random(count) < rate)

    pieces = [bytearray(record) for record in records]
    flipped = struck("flipped bit", damage.flipped_bit_rate)
    lost = struck("lost bytes", damage.lost_bytes_rate)
    inserted = struck("inserted bytes", damage.inserted_bytes_rate)
    _flip_bits(pieces, flipped, noise_generator(seed, f"{file}.which bit"))
    _lose_bytes(pieces, lost, noise_generator(seed, f"{file}.which bytes"))
    _insert_bytes(pieces, inserted, noise_generator(seed, f"{file}.new bytes"))

    duplicated = struck("duplicated", damage.duplicated_rate)
    for number in duplicated:
        pieces[number] += records[number]
    swapped = _apart(struck("swapped", damage.swapped_rate), count)
    order = np.arange(count)
    for number in swapped:
        order[[number, number + 1]] = number + 1, number

    stream, cut = b"".join(pieces[number] for number in order), []
    if damage.cut_tail and count:
        last = int(order[-1])
        cut = [last]
        missing = noise_generator(seed, f"{file}.cut tail").integers(1, max(2, len(pieces[last])))
        stream = stream[:-missing]
    done = (flipped, lost, inserted, duplicated, swapped, cut)
    return stream, InjectedFaults(*(tuple(int(number) for number in numbers) for numbers in done))


def _flip_bits(pieces: list[bytearray], numbers: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
    for number in numbers:
        piece = pieces[number]
        piece[rng.integers(len(piece))] ^= 1 << rng.integers(8)


def _lose_bytes(pieces: list[bytearray], numbers: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
    for number in numbers:
        piece = pieces[number]
        length = rng.integers(1, min(_LONGEST_RUN, len(piece) - 1), endpoint=True)
        start = rng.integers(len(piece) - length, endpoint=True)
        del piece[start : start + length]


def _insert_bytes(pieces: list[bytearray], numbers: npt.NDArray[np.int64], rng: np.random.Generator) -> None:
    for number in numbers:
        piece = pieces[number]
        # Not at an end: there the record itself would stay whole.
        place = rng.integers(1, max(2, len(piece)))
        piece[place:place] = rng.bytes(int(rng.integers(1, _LONGEST_RUN, endpoint=True)))


def _apart(numbers: npt.NDArray[np.int64], count: int) -> list[int]:
    """Those whose next record exists and is not swapped already."""
    chosen: list[int] = []
    for number in numbers.tolist():
        if number + 1 < count and (not chosen or number > chosen[-1] + 1):
            chosen.append(number)
    return chosen
