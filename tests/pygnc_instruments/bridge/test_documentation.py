"""docs/bridge.md agrees with the bridge."""

import re
import subprocess
import sys
from pathlib import Path

from pygnc_instruments.bridge.messages import COMMANDS, ErrorCode
from pygnc_instruments.bridge.protocols import V2_ACTIONS
from tests.pygnc_instruments.bridge.running import ROOT, RunningBridge, environment

TEXT = (ROOT / "docs/bridge.md").read_text()


def test_the_documented_program_runs(bridge: RunningBridge, tmp_path: Path) -> None:
    program = TEXT.partition("```python\n")[2].partition("```")[0].replace("8000", str(bridge.port))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "SF [[1, 2]] None" in done.stdout


def test_every_error_code_action_and_command_is_documented() -> None:
    named = set(re.findall(r"`(\w+)`", TEXT))
    assert {str(code) for code in ErrorCode} <= named
    assert set(V2_ACTIONS) <= named
    assert set(COMMANDS) <= named


def test_every_option_is_documented(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pygnc_instruments.bridge", "serve", "--help"],
        env=environment(tmp_path, COLUMNS="200", NO_COLOR="1"),
        capture_output=True,
        text=True,
        check=True,
    )
    options = set(re.findall(r"(--[a-z-]+)", done.stdout)) - {"--help"}
    assert options
    assert {option for option in options if option not in TEXT} == set()
