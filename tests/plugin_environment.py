"""Environment of its own with PyGNC's distributions and packages of other authors, all installed from built wheels.

Their libraries are those of the environment that runs the tests, so that no package index is needed.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class PluginEnvironment(NamedTuple):
    """Environment in a folder."""

    folder: Path

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in its folder."""
        command = [str(self.folder / "env/bin" / program), *words]
        return subprocess.run(command, cwd=self.folder, env=self.variables, capture_output=True, text=True, check=False)

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables without those that select packages of the checkout."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return kept | {"HOME": str(self.folder), "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "error"}

    def pip(self, *words: str) -> None:
        """Run pip for the environment, without a package index."""
        python = str(self.folder / "env/bin/python")
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, *words]
        subprocess.run(command, env=self.variables | {"PYTHONWARNINGS": "ignore"}, check=True, capture_output=True)


def create(folder: Path, projects: Sequence[Path]) -> PluginEnvironment:
    """Build all distributions and the projects, and install them into a new environment."""
    wheels = folder / "wheels"
    build = [sys.executable, "-m", "scripts.build_distributions", "--out", str(wheels)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    for project in projects:
        tree = shutil.copytree(project, folder / "projects" / project.name)
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "--directory", str(wheels)]
        subprocess.run(command, cwd=tree, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    made = PluginEnvironment(folder)
    made.pip("install", "--no-index", "--no-deps", *map(str, sorted(wheels.glob("*.whl"))))
    (packages,) = (folder / "env/lib").glob("python*/site-packages")
    # Folders that a .pth file names come last, and their own .pth files (such as that of the checkout) are not read.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return made
