"""Benchmark the formation estimator: errors over bounds, consistency, wrong claims, a baseline method and speed.

Usage: python scripts/bench/bench_formation.py [--seeds N] [--draws N] [--part NAME]

Every seed is a formation of its own: epoch, orbit from 400 to 600 km, relative states, drag factors. The truth comes
from the scenario generator, with forces that no estimator here has. Each seed is measured several times, with other
noise, biases and differences of drag. Errors are those of relative positions, 3-D, RMS over 64 minutes. The part
`consistency` uses six times as many seeds, measured once, and `certainty` ten times as many. Prints Markdown tables.
Repeated runs print the same numbers, except for processor times.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

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
    """Run the selected parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="number of geometries of each kind")
    parser.add_argument("--draws", type=int, default=12, help="measurements of each geometry with GPS on all")
    parser.add_argument("--part", choices=list(PARTS), help="Run only this part.")
    arguments = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        for name, part in PARTS.items():
            if arguments.part in {None, name}:
                part(arguments.seeds, arguments.draws, pool)
    return 0


if __name__ == "__main__":
    sys.exit(main())
