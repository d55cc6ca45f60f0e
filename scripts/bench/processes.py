"""Processes that the benchmarks start, and their load."""

import mmap
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

ROOT: Final = Path(__file__).resolve().parents[2]


@contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run a process, and terminate it at the end."""
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=stdout, stderr=stderr, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def cpu_s(*pids: int) -> float:
    """Return the processor time that processes have used, s."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mb(kind: str, *pids: int) -> float:
    """Return the memory of processes, MB; `kind` is Rss, or Pss for a proportional part of shared pages."""
    lines = [line for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) / 1e3


def resident_mb(*pids: int) -> float:
    """Return the memory of processes, MB: each page counts once, even if other programs have mapped it too.

    Without the right to see physical addresses, it is the proportional memory (Pss), which other programs reduce.
    """
    pages: set[int] = set()
    for pid in pids:
        with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                begin, end = (int(word, 16) // mmap.PAGESIZE for word in line.split()[0].split("-"))
                if not line.endswith("[vsyscall]"):
                    pagemap.seek(8 * begin)
                    entries = np.frombuffer(pagemap.read(8 * (end - begin)), np.uint64)
                    is_present = entries >> np.uint64(63) == 1
                    pages.update((entries[is_present] & np.uint64((1 << 55) - 1)).tolist())
    return len(pages) * mmap.PAGESIZE / 1e6 if len(pages) > 1 else memory_mb("Pss", *pids)
