"""The shell script of docs/gate.md for CI, run on a repository of two commits."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pygnc.formats.sense import SenseLayout
from pygnc_ground.gate.corpus import add_run
from pygnc_ground.replay.files import RecordedFiles

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "data" / "demo"
RECORDS = 24
IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false")
CONSTANT = "_WEIGHT: Final = 1.0 / 50.0"


def script() -> str:
    (found,) = re.findall(r"```sh\n(set -eu\n.*?)```", (ROOT / "docs" / "gate.md").read_text(), re.DOTALL)
    return str(found)


def git(repository: Path, *words: str) -> str:
    command = ["git", *IDENTITY, *words]
    return subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Repository of what an installation needs, with a corpus of one run without results."""
    folder = tmp_path / "repository"
    for name in ("flight", "ground", "data", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    (folder / ".gitignore").write_text("__pycache__/\n.venv/\n/base/\n/corpus/\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "Base")
    sense = tmp_path / "sense.bin"
    sense.write_bytes((DEMO / "sense.bin").read_bytes()[: RECORDS * SenseLayout().size])
    add_run(folder / "corpus", "few", RecordedFiles(sense=(sense,), truth=DEMO / "truth.parquet"))
    return folder


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_script_reports_a_changed_constant(repository: Path) -> None:
    base = git(repository, "rev-parse", "HEAD")
    module = repository / "flight" / "pygnc" / "estimators" / "attitude" / "measurement_model.py"
    source = module.read_text()
    assert CONSTANT in source
    module.write_text(source.replace(CONSTANT, CONSTANT.replace("50.0", "40.0")))
    git(repository, "commit", "--quiet", "--all", "--message", "Change a weight")

    # The new environments see the libraries of this one, so that pip has nothing to download.
    environment = os.environ | {
        "BASE_COMMIT": base,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": sysconfig.get_path("purelib"),
        "PIP_NO_INDEX": "1",
    }
    done = subprocess.run(
        ["/bin/sh", "-c", script()], cwd=repository, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "estimates changed: look at gate.json" in done.stdout
    (run,) = json.loads((repository / "gate.json").read_text())["runs"]
    assert run["verdict"] == "changed"
    assert [change["before"] for change in run["constants"]] == [["50.0"]]
    assert {change["table"] for change in run["changes"]} == {"attitude", "attitude_smoothed"}
