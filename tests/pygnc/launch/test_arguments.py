import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pygnc
from pygnc.launch import arguments
from pygnc.launch.arguments import SECONDS_MAX, Arguments, UsageError, parse, version_text
from pygnc.launch.options import OPTIONS


def test_two_whole_numbers_suffice() -> None:
    assert parse(["10", "1606694391"]) == Arguments(10, 1606694391)


def test_options_follow_in_any_order() -> None:
    assert parse(["0", "0", "--strict"]) == Arguments(0, 0, strict=True)
    expected = Arguments(0, 0, Path("a.toml"), exit_when_done=True)
    assert parse(["0", "0", "--config", "a.toml", "--exit-when-done"]) == expected
    assert parse(["0", "0", "--exit-when-done", "--config", "a.toml"]) == expected


def test_accepts_from_last_run() -> None:
    assert parse(["0", "0", "--from-last-run"]) == Arguments(0, 0, from_last_run=True)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["10"],
        ["ten", "0"],
        ["10", "1.5"],
        ["-1", "0"],
        ["10", "-5"],
        ["10", ""],
        ["10", "٣"],
        ["10", str(SECONDS_MAX + 1)],
        ["10", "9" * 5000],
        ["10", "0", "0"],
        ["10", "0", "--config"],
        ["10", "0", "--verbose"],
        ["--exit-when-done", "10", "0"],
    ],
)
def test_rejects_anything_else(words: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(words)


@given(st.lists(st.text(), max_size=5))
def test_any_words_are_accepted_or_rejected(words: list[str]) -> None:
    with contextlib.suppress(UsageError):
        parse(words)


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_lists_every_option(option: str) -> None:
    main = Path(pygnc.__file__).parents[1] / "main.py"
    printed = subprocess.run([sys.executable, "-S", main, option], env={}, capture_output=True, check=True)
    assert not [name for name in OPTIONS if name not in printed.stdout.decode()]


def test_the_version_needs_neither_home_nor_libraries() -> None:
    main = Path(pygnc.__file__).parents[1] / "main.py"
    printed = subprocess.run([sys.executable, "-S", main, "--version"], env={}, capture_output=True, check=True)
    assert printed.stdout.decode().split()[:2] == ["PyGNC", pygnc.__version__]


def test_a_package_states_its_date_and_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pygnc, "__file__", str(tmp_path / "pygnc" / "__init__.py"))
    assert version_text() == f"PyGNC {pygnc.__version__}"
    (tmp_path / arguments._PACKAGE_INFO).write_text("2026-11-25 abc123 9.9\n")
    assert version_text() == "PyGNC 9.9 2026-11-25 abc123"
