"""Fault injection: damage to the bytes of a file, drawn from a seed, with a record of every injected fault."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from pygnc_ground.scenario.settings import Damage, noise_generator

_LONGEST_RUN = 16
"""Maximum number of lost or inserted bytes."""

InjectedFaults: TypeAlias = dict[str, list[int]]
"""Record numbers in the undamaged file by kind of fault, counted from 0, ascending.

Each record in `swapped` changed places with its successor; `cut_tail` is the last record of the file, if truncated.
"""


def inject(records: Sequence[bytes], damage: Damage, *, seed: int, file: str) -> tuple[bytes, InjectedFaults]:
    """Return a file made of `records` with injected faults, and the list of these faults.

    `file` selects the random streams: faults in one file do not depend on those in another file, and one kind of fault
    does not depend on the rate of another kind.
    """

    def generator(purpose: str) -> np.random.Generator:
        return noise_generator(seed, f"{file}.{purpose}")

    rates = {
        "flipped_bit": damage.flipped_bit_rate,
        "lost_bytes": damage.lost_bytes_rate,
        "inserted_bytes": damage.inserted_bytes_rate,
        "duplicated": damage.duplicated_rate,
        "swapped": damage.swapped_rate,
    }
    faults: InjectedFaults = {
        kind: np.flatnonzero(generator(kind.replace("_", " ")).random(len(records)) < rate).tolist()
        for kind, rate in rates.items()
    }
    pieces = [bytearray(record) for record in records]
    rng = generator("which bit")
    for piece in (pieces[number] for number in faults["flipped_bit"]):
        piece[rng.integers(len(piece))] ^= 1 << rng.integers(8)
    rng = generator("which bytes")
    for piece in (pieces[number] for number in faults["lost_bytes"]):
        length = rng.integers(1, min(_LONGEST_RUN, len(piece) - 1), endpoint=True)
        start = rng.integers(len(piece) - length, endpoint=True)
        del piece[start : start + length]
    rng = generator("new bytes")
    for piece in (pieces[number] for number in faults["inserted_bytes"]):
        # Bytes inserted at either end would leave the record itself intact.
        place = rng.integers(1, max(2, len(piece)))
        piece[place:place] = rng.bytes(int(rng.integers(1, _LONGEST_RUN, endpoint=True)))
    for number in faults["duplicated"]:
        pieces[number] += records[number]

    order = list(range(len(records)))
    swapped: list[int] = []
    for number in faults["swapped"]:
        # A record is swapped if it has a successor and is not part of the previous swap.
        if number + 1 < len(records) and (not swapped or number > swapped[-1] + 1):
            swapped.append(number)
            order[number : number + 2] = number + 1, number
    faults |= {"swapped": swapped, "cut_tail": order[-1:] if damage.cut_tail else []}
    stream = b"".join(pieces[number] for number in order)
    for number in faults["cut_tail"]:
        stream = stream[: -generator("cut tail").integers(1, max(2, len(pieces[number])))]
    return stream, faults
