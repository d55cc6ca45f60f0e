"""`pygnc fly --install`: a unit that systemd accepts and that fits the exit codes and deadlines of a run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pygnc.launch.service import NAME, main, unit_text
from pygnc.supervisor.process import ExitCode
from tests.programs import needs
from tests.unit_files import complaints, exposure

ROOT = Path(__file__).resolve().parents[3]
HIGHEST_EXPOSURE = 3.0


def write_unit(folder: Path, home: Path, terminal: Path | None) -> Path:
    file = folder / NAME
    file.write_text(unit_text('60 0 --config "a b.toml" 5%', "root", home, terminal))
    return file


@needs("systemd-analyze")
@pytest.mark.parametrize("terminal", [None, Path("/dev/ttyAMA0")])
def test_systemd_accepts_the_unit_and_rates_it_as_closed(tmp_path: Path, terminal: Path | None) -> None:
    home = tmp_path / "the \"5 %n home's"
    home.mkdir()
    file = write_unit(tmp_path, home, terminal)
    assert complaints([file]) == []
    assert exposure(file) <= HIGHEST_EXPOSURE


def test_tasks_may_set_the_scheduling_of_their_threads() -> None:
    # ZeroMQ does this and ends the process if it is refused.
    assert "@resources" not in unit_text("60 0", "pi", Path("/home/pi"), None)


def test_each_exit_code_is_a_success_a_refusal_or_a_reason_to_restart() -> None:
    text = unit_text("60 0", "pi", Path("/home/pi"), None)
    lists = {
        key: {int(word) for word in text.partition(f"\n{key}=")[2].partition("\n")[0].split()}
        for key in ("SuccessExitStatus", "RestartPreventExitStatus")
    }
    restarted = {ExitCode.TASK_FAILED, ExitCode.OUT_OF_MEMORY}
    assert set(ExitCode) == {ExitCode.OK, *lists["SuccessExitStatus"], *lists["RestartPreventExitStatus"]} | restarted
    assert not lists["SuccessExitStatus"] & lists["RestartPreventExitStatus"]


@needs("systemctl")
@pytest.mark.parametrize(("has_environment", "has_launcher"), [(False, False), (True, False), (True, True)])
def test_main_py_installs_itself_by_the_path_that_an_update_replaces(
    tmp_path: Path, *, has_environment: bool, has_launcher: bool
) -> None:
    version, current, root = tmp_path / "version", tmp_path / "pygnc", tmp_path / "card"
    launcher = tmp_path / "pygnc_versions" / "start.sh"
    if has_launcher:
        launcher.parent.mkdir()
        launcher.touch()
    version.mkdir()
    for path in (ROOT / "flight").iterdir():
        (version / path.name).symlink_to(path)
    if has_environment:
        (version / ".venv").symlink_to(sys.prefix)
    current.symlink_to(version)
    options = ["--root", str(root), "--user", "root", "--home", str(tmp_path)]
    command = [sys.executable, "main.py", "--install", *options]
    environment = os.environ | {"PWD": str(current)}
    done = subprocess.run(command, cwd=current, env=environment, capture_output=True, text=True, check=True)
    assert "systemctl start --no-block pygnc-fly" in done.stdout
    file = root / "etc/systemd/system" / NAME
    script = launcher if has_launcher else current / "start.sh"
    program = f"/bin/sh {script}" if has_environment else f"{sys.executable} {current}/main.py"
    assert f"ExecStart={program} $PYGNC_ARGUMENTS\n" in file.read_text()
    assert main(["--uninstall", "--root", str(root)]) == 0
    assert not file.exists()
    assert main(["--uninstall", "--root", str(root)]) == 1


def test_an_unknown_user_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--install", "--user", "nobody-such"]) == 1
    assert "no user 'nobody-such'" in capsys.readouterr().err
