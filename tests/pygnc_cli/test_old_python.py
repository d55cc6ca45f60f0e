"""Versions of Python that are too old get one line, however the programs are started."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = {
    "pygnc": ["-c", "from pygnc_cli.__main__ import main; main()"],
    "main.py": [str(ROOT / "flight/main.py"), "60", "0"],
    "python -m pygnc": ["-m", "pygnc", "60", "0"],
    "a library": ["-c", "import pygnc_devices.family"],
}


def interpreter(version: str) -> str:
    """Return an old Python that is on this machine."""
    versions = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    for path in (shutil.which(f"python{version}"), *map(str, versions.glob(f"{version}.*/bin/python{version}"))):
        if path and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"no Python {version} on this machine")


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("version", ["2.7", "3.6", "3.8", "3.10"])
def test_an_old_python_is_named(version: str, program: str) -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [interpreter(version), *PROGRAMS[program]], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"PyGNC needs Python 3.11 or newer; this is Python {version} (")
    assert done.stderr.count("\n") == 1
