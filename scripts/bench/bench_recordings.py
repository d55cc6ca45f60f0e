"""Read recordings with wrong values of all families of devices (`make fuzz-recordings`), or measure the speed.

Usage: PYTHONPATH=. python scripts/bench/bench_recordings.py [FAMILY ...] [--runs 1000] [--seed 1]
       PYTHONPATH=. python scripts/bench/bench_recordings.py [FAMILY ...] --speed 2
"""

import argparse
import random
import resource
import sys
import tempfile
import time
import traceback
from pathlib import Path

from pygnc_devices.family import family
from pygnc_devices.framing import scan_to_end
from pygnc_instruments.device.connection import DeviceSelection, connect
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.recording import summarise
from tests.pygnc_instruments.device.mutated_recordings import MAKERS, mutated_recording, read

_KINDS = 8
_FRAMES = 400


def main() -> int:
    """Print how many of the recordings of each family raise an error, or the speed of each family."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="Families of devices (default: all).")
    parser.add_argument("--runs", type=int, default=1000, help="Recordings of each family.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of the first recording; the next has the next seed.")
    parser.add_argument("--speed", type=float, metavar="MB", help="Size of the recordings whose reading is measured.")
    chosen = parser.parse_args()
    if chosen.speed:
        measure(chosen.families or list(MAKERS), chosen.speed)
        return 0
    failed = 0
    print("| family | recordings | failures | first seeds |\n|---|---|---|---|", flush=True)
    for name in chosen.families or MAKERS:
        seeds = [seed for seed in range(chosen.seed, chosen.seed + chosen.runs) if not is_read(name, seed)]
        failed += len(seeds)
        print(f"| {name} | {chosen.runs} | {len(seeds)} | {' '.join(map(str, seeds[:8]))} |", flush=True)
    return int(failed > 0)


def measure(names: list[str], megabytes: float) -> None:
    """Print processor time per GB and per frame for scanner, `info` and `log`, and the memory of this process."""
    columns = ("family", "bytes per frame", "scan, s/GB", "info, s/GB", "log, s/GB", "info, µs per frame", "MB")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for name in names:
        kind, dice = family(name), random.Random(1)  # noqa: S311 - repeatable
        makers = [MAKERS[name](dice) for _ in range(_KINDS)]
        octets = b"".join(make(number, mutates=False) for make in makers for number in range(_FRAMES))
        octets *= max(1, round(megabytes * 1e6 / len(octets)))
        frames = len(scan_to_end(kind.scanner, octets[: 1 << 17]).frames) * len(octets) / min(len(octets), 1 << 17)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.raw")
            path.write_bytes(octets)
            times_s = [-time.process_time()]
            scan_to_end(kind.scanner, octets)
            times_s += [time.process_time()]
            summarise(path, [kind])
            times_s += [time.process_time()]
            with connect(DeviceSelection(str(path), name)) as connected:
                log = CsvLog(Path(folder))
                for reading in connected.device:
                    log.write(reading)
                log.close()
            times_s += [time.process_time()]
        spent_s = [times_s[1] + times_s[0], times_s[2] - times_s[1], times_s[3] - times_s[2]]
        cells = [name, f"{len(octets) / frames:.0f}", *(f"{1e9 * spent / len(octets):.0f}" for spent in spent_s)]
        memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {' | '.join(cells)} | {1e6 * spent_s[1] / frames:.1f} | {memory_mb:.0f} |", flush=True)


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
