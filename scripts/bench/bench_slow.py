"""Benchmark of the flight on a slow computer: batches with an eighth and a sixteenth of a core and 512 MB.

It needs the right to make control groups. A row takes at most eleven minutes.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pygnc.formats.status import Phase
from scripts.bench.table import Row, print_rows
from tests.e2e.conftest import Flight
from tests.fakes.cgroup import group_of

LIMIT_S: Final = 600.0
STOP_S: Final = 9.0
QUOTAS: Final = {"an eighth": 12_500, "a sixteenth": 6_250}
MEMORY: Final = 512 << 20


def main() -> int:
    """Generate the files, run every batch and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=3, help="Length of the batches in hours (default: 3).")
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "hours.toml")
        settings.write_text(f"duration_s = {3600 * hours}\n")
        pygnc = str(Path(sys.executable).with_name("pygnc"))
        words = ["scenario", "make", "--preset", "formation4", "--config", str(settings), "--out", f"{folder}/files"]
        subprocess.run([pygnc, *words], check=True, stdout=subprocess.DEVNULL)
        files = min(path for path in Path(folder, "files").iterdir() if path.is_dir())
        return print_rows(rows(files, Path(folder), hours))


def rows(files: Path, folder: Path, hours: int) -> Iterator[Row]:
    """Run the batch with each share of a core, without and with partners."""
    for share, quota_us in QUOTAS.items():
        for partners in (0, 3):
            home = folder / f"home-{quota_us}-{partners}"
            home.mkdir()
            shutil.copy(files / "sense.bin", home)
            if partners:
                shutil.copytree(files / "range", home / "range")
            yield from batch(home, quota_us, f"{hours} h, {partners} partners, {share} of a core")


def batch(home: Path, quota_us: int, what: str) -> Iterator[Row]:
    """Run a batch until it is done, or until the limit, and stop it."""
    newest_s = int.from_bytes((home / "sense.bin").read_bytes()[-101:-97], "big")
    with group_of("cpu") as cpu, group_of("memory") as memory:
        cpu.limit(quota_us)
        memory.limit(MEMORY)
        flight = Flight(home, (*cpu.prefix, *memory.prefix))
        try:
            began = time.monotonic()
            flight.start("60", str(newest_s + 60))
            flight.until((home / "pygnc_status.bin").exists)
            while not is_done(flight) and time.monotonic() < began + LIMIT_S:
                time.sleep(0.5)
            duration_s, found, done = time.monotonic() - began, flight.status(), is_done(flight)
            progress = "done" if done else f"{int(found['samples_received'])} samples so far"
            yield Row(what, f"{duration_s:.0f} s, {progress}", f"{LIMIT_S:.0f} s", done)
            began = time.monotonic()
            flight.signal(signal.SIGINT)
            code = flight.wait()
            stop_s = time.monotonic() - began
            yield Row(f"{what}, stop", f"{stop_s:.1f} s, exit code {code}", f"{STOP_S:.0f} s", stop_s < STOP_S)
            restarts = sum(event.name in {"silent", "restart", "killed"} for event in flight.events())
            yield Row(f"{what}, restarts", str(restarts), "0", restarts == 0)
        finally:
            flight.stop_hard()


def is_done(flight: Flight) -> bool:
    """Return True once the batch is processed and, with ranges, the partners are known."""
    found = flight.status()
    return found["phase"] == Phase.IDLE and (bool(found["partner2_id"]) or not (flight.home / "range").exists())


if __name__ == "__main__":
    sys.exit(main())
