"""Runs of main.py in temporary homes, with the demonstration batch or parts of it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pygnc.formats import status
from pygnc.formats.sense import SenseLayout
from pygnc.formats.status import Value

ROOT: Final = Path(__file__).resolve().parents[3]
DEMO: Final = ROOT / "data" / "demo" / "sense.bin"
LAYOUT: Final = SenseLayout()
HOUR_RECORDS: Final = 144
_ENVIRONMENT: Final = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Compiled modules are cached, as on the satellite after the first run."""


class Run:
    """One main.py in a temporary home."""

    def __init__(self, home: Path, *options: str, records: bytes) -> None:
        self.home = home
        (home / "sense.bin").write_bytes(records)
        last = int.from_bytes(records[-101:-97], "big") if records else 0
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "flight/main.py", "10", str(last + 60), *options],
            cwd=ROOT,
            env=_ENVIRONMENT | {"HOME": str(home)},
            stderr=subprocess.DEVNULL,
        )

    def status(self) -> dict[str, Value] | None:
        """Return the decoded status, or None before the first one."""
        with contextlib.suppress(FileNotFoundError):
            return status.decode((self.home / "pygnc_status.bin").read_bytes())
        return None

    def until(self, condition: Callable[[dict[str, Value]], bool]) -> float:
        """Return the time from the start until the status fulfils a condition, s."""
        while time.perf_counter() - self.began < 60:
            found = self.status()
            if found and condition(found):
                return time.perf_counter() - self.began
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.001)
        raise TimeoutError("the run did not get there in 60 s")

    def processes(self) -> list[int]:
        """Return the process ids of main and its tasks."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def stop(self) -> float:
        """Send SIGINT; return the time until the end, s."""
        began = time.perf_counter()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        return time.perf_counter() - began


@contextlib.contextmanager
def flight(*options: str, records: bytes, ranges: Path | None = None) -> Iterator[Run]:
    """Start a run and remove its home afterwards."""
    home = Path(tempfile.mkdtemp(prefix="pygnc-bench-"))
    if ranges is not None:
        shutil.copytree(ranges, home / "range")
    run = Run(home, *options, records=records)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.wait()
        shutil.rmtree(home)


def hours(count: int) -> bytes:
    """Return the first hours of the demonstration batch."""
    return DEMO.read_bytes()[: count * HOUR_RECORDS * LAYOUT.size]
