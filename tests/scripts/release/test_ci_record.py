"""`.ci/run` records the commit that passed, and only if its files were not changed."""

import shutil
import subprocess
from pathlib import Path

import pytest

from scripts.release.checks import CI_RECORD, check_ci
from tests.scripts.release.scratch import ENVIRONMENT, ROOT, Scratch, new_repository

STUBS = {
    "make": 'case "$*" in *python*) echo python3 ;; "${FAILING:-none}"*) exit 2 ;; test-all*) eval "$DURING" ;; esac\n',
    "apt-get": "",
    "npm": "",
    "node": "",
}


@pytest.fixture
def repository(tmp_path: Path) -> Scratch:
    repository = new_repository(tmp_path / "tree")
    (repository.path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", repository.path / ".ci")
    (repository.path / ".gitignore").write_text("/build/\n")
    repository.commit()
    return repository


def run_ci(repository: Scratch, *options: str, failing: str = "", during: str = "") -> int:
    """Run .ci/run with programs in place of make and the package manager that do nothing."""
    programs = repository.path.parent / "programs"
    programs.mkdir(exist_ok=True)
    for name, script in STUBS.items():
        (programs / name).write_text(f"#!/usr/bin/env bash\n{script}")
        (programs / name).chmod(0o755)
    environment = ENVIRONMENT | {"PATH": f"{programs}:{ENVIRONMENT['PATH']}", "FAILING": failing, "DURING": during}
    command = [repository.path / ".ci/run", *(options or ["--all"])]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


def test_a_commit_that_passes_is_recorded(repository: Scratch) -> None:
    assert run_ci(repository) == 0
    check_ci(repository.path, repository.path / CI_RECORD)


@pytest.mark.parametrize("failing", ["--jobs=2 --output-sync=target lint docs", "test-all"])
def test_a_failure_removes_the_record_of_before(repository: Scratch, failing: str) -> None:
    assert run_ci(repository) == 0
    assert run_ci(repository, failing=failing) == 2
    assert not (repository.path / CI_RECORD).exists()


@pytest.mark.parametrize("during", ["touch new.txt", "git commit -q --allow-empty -m later"])
def test_a_tree_that_changes_meanwhile_is_not_recorded(repository: Scratch, during: str) -> None:
    assert run_ci(repository, during=during) == 0
    assert not (repository.path / CI_RECORD).exists()


def test_a_changed_tree_is_not_recorded(repository: Scratch) -> None:
    (repository.path / ".gitignore").write_text("/build/\n/other/\n")
    assert run_ci(repository, during="git checkout -q .gitignore") == 0
    assert not (repository.path / CI_RECORD).exists()


def test_a_tree_without_git_is_not_recorded(repository: Scratch) -> None:
    shutil.rmtree(repository.path / ".git")
    assert run_ci(repository) == 0
    assert not (repository.path / CI_RECORD).exists()


def test_half_of_the_slow_tests_are_no_record(repository: Scratch) -> None:
    assert run_ci(repository) == 0
    assert run_ci(repository, "") == 0
    assert not (repository.path / CI_RECORD).exists()
