"""The start of a run, in a process of its own."""

import subprocess
import sys
from pathlib import Path

from pygnc.supervisor.process import ExitCode

STUCK = """
import os, signal, sys, time
from pygnc.launch import run

def wait_for_a_card_that_blocks(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30.0)

run.HARD_EXIT_AT_S = 0.1
run.load_settings = wait_for_a_card_that_blocks
sys.exit(run.main(["10", "1000"]))
"""


def test_a_start_that_is_stuck_in_a_file_ends_with_the_hard_exit(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", STUCK],
        env={"HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        timeout=20,
        check=False,
    )
    assert result.returncode == ExitCode.FORCED
