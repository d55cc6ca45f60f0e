"""Read recordings with wrong values of all families of devices (`make fuzz-recordings`), or measure the speed.

Usage: PYTHONPATH=. python scripts/bench/bench_recordings.py [FAMILY ...] [--runs 1000] [--seed 1]
       PYTHONPATH=. python scripts/bench/bench_recordings.py [FAMILY ...] --speed 2
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from pygnc_devices.family import family
from pygnc_devices.framing import scan_to_end
from pygnc_instruments.device.connection import DeviceSelection, connect
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.recording import summarise
from tests.pygnc_instruments.device.mutated_recordings import MAKERS, mutated_recording, read

_KINDS = 8
_FRAMES = 400
_FORMS = {"vectornav": (False, True), "novatel": (False, True)}
"""Families with binary frames and lines of text."""
_TEXT_BEGINS = b"$#"


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
    """Print processor time per GB for scanner, `info` and `log`, and per frame for `info`.

    Scanner and log are measured with the first megabyte.
    """
    columns = ("family", "bytes per frame", "scan, s/GB", "info, s/GB", "log, s/GB", "info, µs per frame")
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    for name in names:
        for is_text in _FORMS.get(name, (False,)):
            print(_measured(name, megabytes, is_text=is_text), flush=True)


def _measured(name: str, megabytes: float, *, is_text: bool) -> str:
    """Return a line of the table."""
    kind = family(name)
    octets = _steady_frames(name, is_text=is_text)
    start = octets * max(1, round(1e6 / len(octets)))
    frames = scan_to_end(kind.scanner, octets).frames
    octets *= max(1, round(megabytes * 1e6 / len(octets)))
    length = sum(len(frame.raw) for frame in frames) / len(frames)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.raw")
        path.write_bytes(octets)
        info_s = _spent_s(lambda: summarise(path, [kind]))
        path.write_bytes(start)
        scan_s = _spent_s(lambda: scan_to_end(kind.scanner, start))
        log_s = _spent_s(lambda: _log(path, name))
    per_gb = scan_s / len(start), info_s / len(octets), log_s / len(start)
    cells = [f"{name}, text" if is_text else name, f"{length:.0f}", *(f"{1e9 * spent:.0f}" for spent in per_gb)]
    return f"| {' | '.join(cells)} | {1e6 * per_gb[1] * length:.1f} |"


def _steady_frames(name: str, *, is_text: bool) -> bytes:
    """Return intact frames of eight kinds, of each many in succession."""
    dice, octets, number = random.Random(1), b"", 0  # noqa: S311 - repeatable
    while number < _KINDS:
        make = MAKERS[name](dice)
        frames = [make(k, mutates=False) for k in range(_FRAMES)]
        if (frames[0][:1] in _TEXT_BEGINS) == is_text and not scan_to_end(family(name).scanner, frames[0]).damage:
            octets += b"".join(frames)
            number += 1
    return octets


def _spent_s(function: Callable[[], object]) -> float:
    start_s = time.process_time()
    function()
    return time.process_time() - start_s


def _log(path: Path, name: str) -> None:
    with connect(DeviceSelection(str(path), name)) as connected:
        log = CsvLog(path.parent)
        for reading in connected.device:
            log.write(reading)
        log.close()


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
