"""Fault injection: damage to the bytes of a file, drawn from a seed, with a record of every injected fault."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from pygnc_ground.scenario.seeds import noise_generator
from pygnc_ground.scenario.settings import Damage

_LONGEST_RUN = 16
"""Maximum number of lost or inserted bytes."""


@dataclass(frozen=True, slots=True)
class InjectedFaults:
    """Faults injected into one file: record numbers in the undamaged file, counted from 0, ascending."""

    flipped_bit: tuple[int, ...]
    lost_bytes: tuple[int, ...]
    inserted_bytes: tuple[int, ...]
    duplicated: tuple[int, ...]
    swapped: tuple[int, ...]
    """Each of these records changed places with its successor"""
    cut_tail: tuple[int, ...]
    """Number of the last record in the file, if it was truncated"""

    @property
    def altered(self) -> frozenset[int]:
        """Records with changed bytes; if such a record is also duplicated, one undamaged copy may be in the file."""
        return frozenset({*self.flipped_bit, *self.lost_bytes, *self.inserted_bytes, *self.cut_tail})

    def as_tables(self) -> dict[str, dict[str, object]]:
        """Return count and record numbers of each kind of fault, as written to faults.json."""
        records = {field.name: getattr(self, field.name) for field in fields(self)}
        return {kind: {"count": len(numbers), "records": list(numbers)} for kind, numbers in records.items()}


def inject(records: Sequence[bytes], damage: Damage, *, seed: int, file: str) -> tuple[bytes, InjectedFaults]:
    """Return a file made of `records` with injected faults, and the list of these faults.

    `file` selects the random streams: faults in one file do not depend on those in another file, and one kind of fault
    does not depend on the rate of another kind.
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
        # Bytes inserted at either end would leave the record itself intact.
        place = rng.integers(1, max(2, len(piece)))
        piece[place:place] = rng.bytes(int(rng.integers(1, _LONGEST_RUN, endpoint=True)))


def _apart(numbers: npt.NDArray[np.int64], count: int) -> list[int]:
    """Return the records that have a successor and are not part of the previous swap."""
    chosen: list[int] = []
    for number in numbers.tolist():
        if number + 1 < count and (not chosen or number > chosen[-1] + 1):
            chosen.append(number)
    return chosen
