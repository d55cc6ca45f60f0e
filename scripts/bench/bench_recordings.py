"""Read recordings with wrong values of all families of devices: `make fuzz-recordings`.

Usage: PYTHONPATH=. python scripts/bench/bench_recordings.py [FAMILY ...] [--runs 1000] [--seed 1]
"""

import argparse
import random
import sys
import tempfile
import traceback
from pathlib import Path

from tests.pygnc_instruments.device.mutated_recordings import MAKERS, mutated_recording, read


def main() -> int:
    """Print how many of the recordings of each family raise an error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="Families of devices (default: all).")
    parser.add_argument("--runs", type=int, default=1000, help="Recordings of each family.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the first recording; the next has the next seed.")
    chosen = parser.parse_args()
    failed = 0
    print("| family | recordings | failures | first seeds |\n|---|---|---|---|", flush=True)
    for name in chosen.families or MAKERS:
        seeds = [seed for seed in range(chosen.seed, chosen.seed + chosen.runs) if not is_read(name, seed)]
        failed += len(seeds)
        print(f"| {name} | {chosen.runs} | {len(seeds)} | {' '.join(map(str, seeds[:8]))} |", flush=True)
    return int(failed > 0)


def is_read(name: str, seed: int) -> bool:
    """Return True if no command fails at a recording; else print the error."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.raw")
        path.write_bytes(mutated_recording(name, random.Random(seed)))  # noqa: S311 - repeatable
        try:
            read(name, path, Path(folder))
        except Exception:  # noqa: BLE001 - what the recordings are to find
            traceback.print_exc()
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
