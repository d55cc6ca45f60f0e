"""Table that a benchmark prints: measurements against limits."""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple


class Row(NamedTuple):
    """One row of the table; `holds` is None for a figure without a limit."""

    what: str
    measured: str
    limit: str = ""
    holds: bool | None = None


def print_rows(rows: Iterable[Row]) -> int:
    """Print a Markdown table row by row; return 1 if a limit is exceeded, else 0."""
    print("| what | measured | limit | holds |\n|---|---|---|---|")
    failed = False
    for row in rows:
        word = {True: "yes", False: "NO", None: "-"}[row.holds]
        failed |= row.holds is False
        print(f"| {row.what} | {row.measured} | {row.limit} | {word} |", flush=True)
    return int(failed)


def timed(work: Callable[[], object], runs: int) -> float:
    """Return the median duration of `work` in s, after one run that is not counted."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])
