"""Helpers: `pygnc device` in this process."""

import json
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
