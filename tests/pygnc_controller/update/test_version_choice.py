"""Choice of the version at a start: damaged versions, and new ones that fail, give way to the one that flew."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pygnc_system import installer
from pygnc_system.version_trial import find_damage
from tests.pygnc_controller.update.conftest import PYTHON, Package, install

pytestmark = pytest.mark.slow

FLIGHT = Path(__file__).resolve().parents[3] / "flight"
FLY = """\
import os, sys
from pathlib import Path
from pygnc_system.version_trial import VersionTrial
def fly(words, stops_s):
    trial, home = VersionTrial(), Path(os.environ["HOME"])
    if "pygnc-check" not in str(home):
        BODY
    (home / "pygnc_info.txt").write_text("PyGNC run 1 STOPPED\\n")
    print("NAME", words, os.environ.get("PYGNC_VERSION_FAULT", ""))
"""
"""Stands for the flight software below main.py."""
UP = "trial.note_up()"
CRASH = "sys.exit('crashed')"


def send(home: Path, folder: Path, name: str, body: str = UP) -> None:
    """Install a version with the real main.py and `pygnc_system`."""
    files = {f"pygnc_system/{path.name}": path.read_text() for path in (FLIGHT / "pygnc_system").glob("*.py")}
    fly = FLY.replace("BODY", body).replace("NAME", name)
    files |= {"pygnc/__init__.py": "VALUE = 1\n", "pygnc/__main__.py": fly, "main.py": (FLIGHT / "main.py").read_text()}
    files["start.sh"] = (FLIGHT / "start.sh").read_text()
    package = Package(folder, name, files.pop("main.py"), **files)
    shutil.copy(package.path, home / "new.zip")
    done = install(home, "new.zip", package.sha256, "--python", PYTHON)
    assert done.returncode == 0, done.stdout + done.stderr


def fly(home: Path, *words: str, program: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    """Start the version in use as the controller does."""
    program = program or (str(home / "pygnc" / ".venv" / "bin" / "python"), "main.py")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HOME": str(home)}
    command = [*program, *(words or ("60", "0"))]
    return subprocess.run(command, env=environment, cwd=home / "pygnc", capture_output=True, text=True, check=False)


@pytest.fixture
def flown(tmp_path: Path, home: Path) -> Path:
    """Return the home with a version that has flown."""
    send(home, tmp_path, "old")
    assert fly(home).stdout.startswith("old ['60', '0']")
    return home


def test_a_new_version_that_fails_twice_is_given_up_for_the_one_that_flew(tmp_path: Path, flown: Path) -> None:
    send(flown, tmp_path, "newer", CRASH)
    for _ in range(2):
        assert "crashed" in fly(flown).stderr
        fly(flown, "--version")  # is no start
    for _ in range(2):
        done = fly(flown, "10", "5")
        assert done.stdout.startswith("old ['10', '5']"), done.stdout + done.stderr
        assert "2 starts failed, so this version is given up" in done.stdout
        assert "given up" in done.stderr
    send(flown, tmp_path, "newest", CRASH)  # the version that flew, not the one that failed, is the previous one
    for _ in range(2):
        fly(flown)
    assert fly(flown).stdout.startswith("old")


def test_a_version_whose_tasks_were_up_stays(tmp_path: Path, flown: Path) -> None:
    send(flown, tmp_path, "new", UP + "; " + CRASH)
    for _ in range(4):
        assert "crashed" in fly(flown).stderr


def test_starts_that_end_in_order_before_the_tasks_are_up_do_not_count(tmp_path: Path, flown: Path) -> None:
    send(flown, tmp_path, "new", "trial.end(good=True)")
    for _ in range(4):
        assert fly(flown).stdout.startswith("new")


def test_a_given_up_version_is_on_trial_again_after_it_was_installed_again(tmp_path: Path, flown: Path) -> None:
    for _ in range(2):
        send(flown, tmp_path, "new", CRASH)
        for _ in range(2):
            assert "crashed" in fly(flown).stderr
        assert fly(flown).stdout.startswith("old")


@pytest.mark.parametrize(
    "name", ["pygnc/__init__.py", "pygnc_system/__init__.py", "pygnc_system/version_trial.py", "complete"]
)
@pytest.mark.parametrize("kind", ["empty", "flipped", "missing"])
def test_the_version_that_flew_runs_instead_of_a_damaged_one(tmp_path: Path, flown: Path, name: str, kind: str) -> None:
    send(flown, tmp_path, "new")
    assert fly(flown).stdout.startswith("new")
    file = flown / "pygnc" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    for cache in (flown / "pygnc").rglob("__pycache__"):
        shutil.rmtree(cache)
    if kind == "missing":
        file.unlink()
    else:
        file.write_bytes(b"" if kind == "empty" else content)
    done = fly(flown)
    if (name, kind) == ("complete", "missing"):  # as unpacked by hand
        assert done.stdout.startswith("new")
        return
    assert done.stdout.startswith("old"), done.stdout + done.stderr
    assert done.stderr.count("\n") <= 2
    send(flown, tmp_path, "new")
    assert fly(flown).stdout.startswith("new")


def test_the_shell_script_starts_the_version_that_flew_if_python_or_main_is_damaged(
    tmp_path: Path, flown: Path
) -> None:
    send(flown, tmp_path, "new")
    program = ("sh", str(flown / "pygnc" / "start.sh"))
    assert fly(flown, program=program).stdout == "new ['60', '0'] \n"
    main, environment = flown / "pygnc" / "main.py", flown / "pygnc" / ".venv"
    intact = main.read_bytes()
    for content in (
        b"",
        intact[:-1],
        intact.replace(b"import os", b"inport os"),
        intact.replace(b"stops_s", b"stops_r"),
    ):
        main.write_bytes(content)
        done = fly(flown, "10", "5", program=program)
        assert done.stdout.startswith("old ['10', '5'] "), done.stdout + done.stderr
        assert done.stdout.endswith(f"main.py is damaged; {flown}/pygnc_versions/previous runs\n")
        assert done.stderr.count("\n") == 1
    main.write_bytes(intact)
    installer.remove(environment)  # a link to the environment of these tests, which must not be changed
    for target in ("/nowhere", os.devnull):
        (environment / "bin").mkdir(parents=True)
        (environment / "bin" / "python").symlink_to(target)
        assert fly(flown, program=program).stdout.startswith("old")
        installer.remove(environment)
    environment.symlink_to(sys.prefix)
    for version in (flown / "pygnc", flown / "pygnc_versions" / "previous"):
        (version / "main.py").write_bytes(intact + b"\n")
    assert "main.py is damaged; it still runs" in fly(flown, program=program).stdout


def test_the_installers_start_script_needs_no_file_of_a_version(tmp_path: Path, flown: Path) -> None:
    send(flown, tmp_path, "new")
    program = ("sh", str(flown / "pygnc_versions" / "start.sh"))
    assert fly(flown, program=program).stdout == "new ['60', '0'] \n"
    for name in ("start.sh", "main.py"):
        file = flown / "pygnc" / name
        intact = file.read_bytes()
        file.write_bytes(b"")
        done = fly(flown, "10", "5", program=program)
        assert done.stdout.startswith("old ['10', '5'] "), done.stdout + done.stderr
        assert name in done.stderr
        file.write_bytes(intact)
    assert install(flown, "--roll-back").returncode == 0
    assert fly(flown, program=program).stdout == "old ['60', '0'] \n"


def test_a_stop_while_the_shell_script_starts_python_waits_for_main(home: Path) -> None:
    (home / "main.py").write_text("import signal\ninput()\nprint(signal.SIGINT in signal.sigpending())\n")
    (home / ".venv").symlink_to(sys.prefix)
    shutil.copy(FLIGHT / "start.sh", home)
    with subprocess.Popen(["/bin/sh", "start.sh"], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        status = Path(f"/proc/{process.pid}/status")
        while "SigBlk:\t0000000000004003" not in status.read_text():
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        assert process.communicate(b"\n")[0] == b"True\n"


def test_a_stop_while_the_shell_script_verifies_the_version_is_noted_by_main(home: Path) -> None:
    for name in ("main.py", "start.sh", "pygnc_system/__init__.py"):
        (home / name).parent.mkdir(exist_ok=True)
        shutil.copy(FLIGHT / name, home / name)
    (home / "pygnc").mkdir()
    (home / "pygnc" / "__init__.py").touch()
    (home / "pygnc" / "__main__.py").write_text("def fly(words, stops_s):\n    print(words, len(stops_s))\n")
    installer.complete(home)
    python = home / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\n[ "$1" = -ISc ] && kill -INT $PPID\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    words = ["/bin/sh", "start.sh", "60", "0"]
    done = subprocess.run(words, cwd=home, env=os.environ | {"HOME": str(home)}, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"['60', '0'] 1\n", b"")


def test_a_damaged_version_runs_if_no_other_one_is_undamaged(tmp_path: Path, flown: Path) -> None:
    send(flown, tmp_path, "new")
    fly(flown)
    for version in (flown / "pygnc", flown / "pygnc_versions" / "previous"):
        (version / "requirements.txt").write_text("changed")
    done = fly(flown)
    assert done.stdout.startswith("new")
    assert "requirements.txt: wrong size; it still runs" in done.stdout


def test_the_real_flight_software_ends_the_trial_and_reports_another_version(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = home / "pygnc_versions" / "version"
    shutil.copytree(FLIGHT, version)
    shutil.copytree(FLIGHT.parent / "data" / "earth_orientation", version / "pygnc_data" / "earth_orientation")
    shutil.copytree(FLIGHT.parent / "data" / "geomagnetic", version / "pygnc_data" / "geomagnetic")
    (version / ".venv").symlink_to(sys.prefix)
    installer.complete(version)
    (version / "trial").write_text("1\n")
    (home / "pygnc").symlink_to("pygnc_versions/version")
    monkeypatch.setattr(installer, "HOME", home)
    assert not installer.check(version)
    assert (version / "trial").read_text() == "1\n"  # the test by the installer is no flight
    done = fly(home, "1", "0", "--exit-when-done")
    assert done.returncode == 0, done.stderr
    assert not (version / "trial").exists()
    (version / "main.py").write_text((FLIGHT / "main.py").read_text() + "\n")
    done = fly(home, "1", "0", "--exit-when-done")
    assert done.returncode == 9, done.stderr
    assert "VERSION" in (home / "pygnc_info.txt").read_text()


def test_libraries_are_verified_by_size_and_after_a_failed_start_by_content(tmp_path: Path) -> None:
    libraries, version = tmp_path / "env-1", tmp_path / "version"
    for folder in (libraries, version):
        folder.mkdir()
        (folder / "module.py").write_text("VALUE = 1\n")
        (folder / "empty.py").touch()
        installer.complete(folder)
    (version / ".venv").symlink_to("../env-1")
    assert not find_damage(version, every_byte=True)
    (libraries / "module.py").write_text("VALUE = 2\n")
    assert not find_damage(version)
    assert find_damage(version, every_byte=True) == f"{libraries}/module.py: wrong check sum"
    (libraries / "empty.py").unlink()
    os.mkfifo(libraries / "module.pipe")
    (libraries / "module.pipe").rename(libraries / "empty.py")
    (libraries / "module.py").write_text("")
    assert find_damage(version) == f"{libraries}/module.py: wrong size"
    (libraries / "complete").unlink()
    assert "complete" in find_damage(version)
