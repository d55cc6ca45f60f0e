"""Rows of the benchmark table, and timing."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One row of the table."""

    what: str
    measured: str
    limit: str
    holds: bool | None


def timed(work: Callable[[], object], runs: int) -> float:
    """Return the median duration of `work` in s, after one run that is not counted."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])
