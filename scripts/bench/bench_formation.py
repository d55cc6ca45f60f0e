"""Measure what docs/benchmarks.md shows of the formation: errors beside bounds, false certainty, a peer, speed.

Usage: python scripts/bench/bench_formation.py [--seeds N] [--draws N] [--part NAME], with the NAMEs in `PARTS`

Every seed is a formation of its own: epoch, orbit from 400 to 600 km, relative states, drag of all and of each. The
truth is the scenario generator's, with forces that no estimator here has. Each seed is measured several times, with
other noise, biases and differences of drag. Errors are those of relative positions, 3-D, RMS over 64 minutes. For
consistency there are six times as many seeds, measured once, for certainty ten times as many. Prints Markdown tables;
repeated, they are the same numbers, speed aside.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # of a program that is started by its path

from scripts.bench.formation.accuracy import print_accuracy, print_bounds, print_certainty
from scripts.bench.formation.comparison import print_comparison, print_speed
from scripts.bench.formation.consistency import print_consistency

PARTS: Final[dict[str, Callable[[int, int, ProcessPoolExecutor], None]]] = {
    "bound": print_bounds,
    "accuracy": print_accuracy,
    "consistency": print_consistency,
    "certainty": print_certainty,
    "peer": print_comparison,
    "speed": print_speed,
}


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--draws", type=int, default=12)
    parser.add_argument("--part", choices=list(PARTS))
    arguments = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        for name, part in PARTS.items():
            if arguments.part in {None, name}:
                part(arguments.seeds, arguments.draws, pool)
    return 0


if __name__ == "__main__":
    sys.exit(main())
