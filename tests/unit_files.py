"""Unit files judged by systemd's own tools."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.programs import find_program


def complaints(files: Sequence[Path]) -> list[str]:
    """Return what `systemd-analyze verify` finds wrong in unit files."""
    done = subprocess.run(
        [find_program("systemd-analyze") or "", "verify", *files], capture_output=True, text=True, check=False
    )
    return [line for line in done.stderr.splitlines() if any(file.name in line for file in files)]


def exposure(file: Path) -> float:
    """Return the exposure of a service as `systemd-analyze security` rates it: 0 is closed, 10 is open."""
    command = [find_program("systemd-analyze") or "", "security", "--offline=yes", "--no-pager", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level.*?: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    return float(found[1])
