"""Markdown tables, options and common figures of the benchmarks."""

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Part = TypeVar("Part")


class Row(NamedTuple):
    """Row of a table of figures with limits; `holds` is None for a figure without a limit."""

    what: str
    measured: str
    limit: str = ""
    holds: bool | None = None


def print_rows(rows: Iterable[Row]) -> int:
    """Print a table of figures with limits; return 1 if a limit is exceeded, else 0."""
    results = set()

    def cells() -> Iterator[Sequence[str]]:
        for row in rows:
            results.add(row.holds)
            yield row.what, row.measured, row.limit, {True: "yes", False: "NO", None: "-"}[row.holds]

    print_table(("what", "measured", "limit", "holds"), cells())
    return int(False in results)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a Markdown table row by row."""
    for row in chain((header, ["---"] * len(header)), rows):
        print(f"| {' | '.join(row)} |", flush=True)


def select_parts(
    parser: argparse.ArgumentParser, parts: Mapping[str, Part]
) -> tuple[argparse.Namespace, Iterator[Part]]:
    """Add the option --part; return the parsed options and the selected parts."""
    parser.add_argument("--part", choices=list(parts), help="Run only this part (default: all parts).")
    options = parser.parse_args()
    return options, (part for name, part in parts.items() if options.part in {None, name})


def timed(work: Callable[[], object], runs: int) -> float:
    """Return the median duration of `work` in s, after one run that is not counted."""
    seconds = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def rms(values: ArrayLike) -> float:
    """Return the root mean square of all values."""
    return float(np.sqrt(np.mean(np.square(values))))


def mean_and_range(values: NDArray[np.float64]) -> str:
    """Return the mean of values with the lowest and the highest."""
    return f"{values.mean():.2f} ({values.min():.2f} to {values.max():.2f})"
