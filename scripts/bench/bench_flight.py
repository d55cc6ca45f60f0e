"""Benchmarks of the flight software in docs/benchmarks.md, against limits and alternatives in the same run.

Usage: python scripts/bench/bench_flight.py [--runs N]

Prints a Markdown table. Each figure is the median of N runs.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # of a program that is started by its path

from scripts.bench.flight.decoding import decode_clean, decode_damaged
from scripts.bench.flight.faults import no_fix, outlier
from scripts.bench.flight.memory import formation, idle
from scripts.bench.flight.rows import Row
from scripts.bench.flight.times import first_status, one_hour, stop_busy, stop_idle, three_hours

MEASURES: Final[list[Callable[[int], Iterator[Row]]]] = [
    decode_clean,
    decode_damaged,
    first_status,
    one_hour,
    three_hours,
    idle,
    formation,
    stop_idle,
    stop_busy,
    outlier,
    no_fix,
]


def main() -> int:
    """Run every measurement and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print("| what | measured | limit | holds |\n|---|---|---|---|")
    failed = 0
    for measure in MEASURES:
        for row in measure(runs):
            word = {True: "yes", False: "NO", None: "-"}[row.holds]
            failed += row.holds is False
            print(f"| {row.what} | {row.measured} | {row.limit} | {word} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
