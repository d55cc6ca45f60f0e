"""The hard exit, in a process of its own."""

import subprocess
import sys

from pygnc.supervisor.process import ExitCode

PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, "flight")
from pygnc.supervisor.process import arm_hard_exit

if (task := os.fork()) == 0:
    os._exit(0)
os.waitpid(task, 0)
arm_hard_exit(0.05, lambda: os.write(1, b"terminal restored"))
while True:
    time.sleep(1.0)
"""


def test_a_hard_exit_needs_no_running_task() -> None:
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=30, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (ExitCode.FORCED, b"terminal restored", b"")


def test_a_hard_exit_during_the_interpreters_shutdown_has_its_exit_code() -> None:
    program = PROGRAM.replace("while True:\n    time.sleep(1.0)", "import atexit; atexit.register(time.sleep, 10.0)")
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30, check=False)
    assert (result.returncode, result.stderr) == (ExitCode.FORCED, b"")
