"""The workflows of a public CI do what this project's own CI and releases do."""

import tomllib
from pathlib import Path

import yaml

from scripts.check_resolution import PYTHONS

ROOT = Path(__file__).resolve().parents[2]
JOBS = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text())["jobs"]


def commands(job: str) -> list[str]:
    return [step["run"] for step in JOBS[job]["steps"] if "run" in step]


def test_all_checks_are_those_of_the_script() -> None:
    assert "bash .ci/run --all" in commands("all")


def test_distributions_are_installed_with_each_python() -> None:
    assert JOBS["installations"]["strategy"]["matrix"]["python"] == [*PYTHONS]
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert {f"Programming Language :: Python :: {python}" for python in PYTHONS} <= set(classifiers)
    assert "python -m scripts.check_installation --python ${{ matrix.python }}" in commands("installations")
