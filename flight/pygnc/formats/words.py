"""Arrays of wire words: filling them safely, reading them at the speed of the cache."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BLOCK_RECORDS: Final = 2048


def store_words(packets: NDArray[np.void], name: str, values: NDArray[Any]) -> None:
    """Assign `values` to the field `name`, refusing what its word cannot hold.

    Raises:
        ValueError: a value for an integer word is out of range or not a number, or the shape is not the field's.
    """
    if np.shape(values) != packets[name].shape:
        raise ValueError(f"{name} must have the shape {packets[name].shape}, not {np.shape(values)}")
    word = packets.dtype[name].base
    if word.kind in "iu" and np.size(values):
        limits = np.iinfo(word)
        if not (np.min(values) >= limits.min and np.max(values) <= limits.max):
            raise ValueError(f"{name} must be in {limits.min} .. {limits.max}")
    packets[name] = values


def cache_blocks(count: int) -> Iterator[slice]:
    """Slices that cover `count` records in blocks small enough for the cache; several passes then read memory once."""
    return (slice(start, start + _BLOCK_RECORDS) for start in range(0, count, _BLOCK_RECORDS))
