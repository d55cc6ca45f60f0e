"""Helpers: `pygnc device` in this process."""

import json
import os
import subprocess
import sys
from typing import Any

from typer.testing import CliRunner, Result

from pygnc_instruments.device.command import app

UCB = ("--family", "ucb", "--baud", "115200")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def run_json(*arguments: object) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(run(*arguments, "--json").stdout)


def peak_kb(*arguments: object) -> int:
    """Return the largest memory of `pygnc device` in a process of its own, kB."""
    code = "from pygnc_instruments.device.command import app; app()"
    watch = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", watch, sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
