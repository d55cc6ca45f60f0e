"""Lines of the table, and how long something takes."""

import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Row(NamedTuple):
    """One line of the table."""

    what: str
    measured: str
    limit: str
    holds: bool | None


def timed(work: Callable[[], object], runs: int) -> float:
    """Return the median of the seconds that `work` takes, after a run that is not counted."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])
