"""Parser under test, and checks that several targets share."""

import atexit
import math
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pygnc.formats.damage import Damage
from tests.fuzz.mutations import Mutate

Check = Callable[[bytes], None]


class Target(NamedTuple):
    """A parser under test; `size_max` limits the inputs, in bytes."""

    check: Check
    mutate: Mutate
    seeds: Sequence[bytes]
    size_max: int = 4096


def finite(values: Iterable[Any]) -> bool:
    return all(math.isfinite(value) for value in values)


def cut_of(data: bytes) -> int:
    """A place to divide an input, which depends on its content."""
    return zlib.crc32(data) % (len(data) + 1)


def tiles(start: int, stop: int, pieces: Iterable[tuple[int, int]], damage: Sequence[Damage]) -> None:
    """Check that packets and damage cover the input without gap and overlap."""
    place = start
    for begin, end in sorted([*pieces, *((entry.start, entry.stop) for entry in damage)]):
        assert begin == place < end
        place = end
    assert place == stop


@cache
def folder() -> Path:
    """A folder in memory for the parsers that read files."""
    path = Path(tempfile.mkdtemp(prefix="pygnc-fuzz-", dir="/dev/shm"))
    atexit.register(shutil.rmtree, path)
    return path


def sealing(mutate: Mutate, seal: Callable[[bytes], bytes]) -> Mutate:
    """A mutator that corrects check sums in nine of ten cases."""
    return lambda data, dice: seal(mutate(data, dice)) if dice.randrange(10) else mutate(data, dice)
