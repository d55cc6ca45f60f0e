"""The start scripts: choice of the version, stops during the start, and what needs no run."""

import gc
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import main
from pygnc import __main__ as package
from pygnc.common.constants import HARD_EXIT_AT_S
from pygnc.launch.arguments import help_text, version_text

START = ["main.py", "10", "5"]
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Signals, timers and the collection of garbage as before; the scripts end their processes and leave them."""
    handlers = {number: signal.getsignal(number) for number in (*STOPS, signal.SIGALRM)}
    yield
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.enable()


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of two versions; `new` starts, and `old` is the previous one."""
    versions = tmp_path / "pygnc_versions"
    for name in ("new", "old"):
        (versions / name).mkdir(parents=True)
        (versions / name / "main.py").touch()
    (versions / "previous").symlink_to("old")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(main.FAULT_VARIABLE, "removed at the end of the test")
    del os.environ[main.FAULT_VARIABLE]
    monkeypatch.setattr(main, "__file__", str(versions / "new" / "main.py"))
    monkeypatch.setattr(sys, "argv", START)
    return versions


def give_up(versions: Path) -> None:
    (versions / "new" / "trial").write_text("2\n")


def test_a_version_without_fault_runs(versions: Path) -> None:
    (versions / "new" / "trial").write_text("0\n")
    assert main.find_other_version() == ""
    assert (versions / "new" / "trial").read_text() == "1\n"
    assert main.FAULT_VARIABLE not in os.environ


def test_the_previous_version_runs_instead_of_one_that_is_given_up(versions: Path) -> None:
    give_up(versions)
    assert main.find_other_version() == str(versions / "old")
    assert os.environ[main.FAULT_VARIABLE].startswith("new: 2 starts failed")
    assert main.find_other_version() == "", "the other version does not choose again"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_version_that_is_given_up_runs_if_the_previous_one_is_damaged(versions: Path, *, is_there: bool) -> None:
    give_up(versions)
    if is_there:
        (versions / "old" / "complete").write_text("damaged")
    else:
        (versions / "previous").unlink()
        (versions / "previous").symlink_to("new")
    assert main.find_other_version() == ""
    assert os.environ[main.FAULT_VARIABLE].endswith("it still runs")


def test_the_previous_version_runs_if_the_choice_itself_fails(versions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> str:
        raise RuntimeError("damaged")

    monkeypatch.setattr("pygnc_system.version_trial.find_fault", fail)
    assert main.find_other_version() == str(versions / "old")
    assert os.environ[main.FAULT_VARIABLE].startswith("RuntimeError: damaged")


@pytest.mark.parametrize("arguments", [["main.py"], ["main.py", "--version"]])
def test_only_a_run_is_a_start(versions: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    give_up(versions)
    monkeypatch.setattr(sys, "argv", arguments)
    assert main.find_other_version() == ""


def test_a_version_elsewhere_always_runs(versions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in (versions.parent / "main.py", None):  # None: nothing is known about the place
        monkeypatch.setattr(main, "__file__", place)
        assert main.find_other_version() == ""
    assert main.FAULT_VARIABLE not in os.environ


@pytest.mark.parametrize("has_own", [True, False])
def test_another_version_replaces_the_process_by_its_own_python_if_it_has_one(
    versions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, has_own: bool
) -> None:
    own = versions / "old" / ".venv" / "bin" / "python"
    if has_own:
        own.parent.mkdir(parents=True)
        own.touch()
    replaced: list[object] = []

    def replace(*command: object) -> None:
        replaced.extend(command)
        raise OSError(8, "Exec format error")

    monkeypatch.setattr(os, "execv", replace)
    main.run_version(str(versions / "old"))
    python = str(own) if has_own else sys.executable
    assert replaced == [python, [python, str(versions / "old" / "main.py"), "10", "5"]]
    assert "Exec format error" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["", "old"])
def test_stops_during_the_start_are_noted_and_blocked_for_another_version(
    monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    noted: list[list[float]] = []
    blocked: list[object] = []
    monkeypatch.setattr(main, "find_other_version", lambda: other)
    monkeypatch.setattr(main, "run_version", lambda _: blocked.append(signal.pthread_sigmask(signal.SIG_BLOCK, ())))

    def fly(_: list[str], *, stops_s: list[float]) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.kill(os.getpid(), signal.SIGTERM)
        noted.append(stops_s)

    monkeypatch.setattr(package, "fly", fly)
    main.start()
    assert [len(stops_s) for stops_s in noted] == [1]
    assert blocked == ([set(STOPS)] if other else [])


def test_an_import_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main, "start", sys.exit)
    assert runpy.run_path(str(Path(main.__file__).with_name("pygnc_main.py")))["start"] is sys.exit


def test_a_damaged_package_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "pygnc_system", None)
    runpy.run_path(main.__file__)
    assert "pygnc_system" in capsys.readouterr().err


def test_the_hard_exit_counts_from_the_first_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    armed: list[float] = []

    def stop_twice(_: list[str], stops_s: list[float]) -> int:
        for _number in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        return len(stops_s)

    monkeypatch.setattr(package, "_run", stop_twice)
    monkeypatch.setattr(signal, "setitimer", lambda _, seconds: armed.append(seconds))
    monkeypatch.setattr(os, "_exit", sys.exit)
    for earlier in ([], [1.0]):
        with pytest.raises(SystemExit) as ended:
            package.fly([], stops_s=[*earlier])
        assert ended.value.code == len(earlier) + 2
    assert armed == [HARD_EXIT_AT_S] * 2


def test_version_and_help_need_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--version"], ["--help"], ["-h"]):
        assert package._run(words, []) == 0
    assert capsys.readouterr().out == f"{version_text()}\n{help_text()}{help_text()}"


def test_the_service_is_managed_without_the_handlers_of_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert package._run(["--uninstall", "--root", str(tmp_path)], []) in {0, 1}
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    capsys.readouterr()


def test_the_package_can_be_started() -> None:
    command = [sys.executable, "-m", "pygnc", "--version"]
    environment = os.environ | {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{version_text()}\n"
