"""Installations that end at any step, by a kill or a power cut."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pygnc_controller.update.command import INSTALLER
from tests.pygnc_controller.update.conftest import PYTHON, Package, in_use, install

pytestmark = pytest.mark.slow

SYNC_LOG = """\
import ctypes, os, sys
from pathlib import Path
_home, _fsync, _write, _synced, _is_switched = Path.home().resolve(), os.fsync, sys.stdout.write, set(), []
def _state(path_or_fd):
    found = os.stat(path_or_fd)
    return found.st_ino, found.st_size, found.st_mtime_ns
def _log(event, folder):
    paths = [folder, *folder.rglob("*")]
    left = [str(p.relative_to(folder)) for p in paths if not p.is_symlink() and _state(p) not in _synced]
    with open(_home / "sync.log", "a") as log:
        print(event, len(left), *left[:3], file=log)
def _fsync_noted(descriptor):
    _fsync(descriptor)
    _synced.add(_state(descriptor))
def _hook(event, arguments):
    if event == "os.rename":
        source, target = Path(arguments[0]), Path(arguments[1])
        if target.name == "complete":
            _log("marker", target.parent)
        if target == _home / "pygnc":
            _log("switch", _home / "pygnc_versions")
            _is_switched.append(1)
def _write_noted(text):
    if _is_switched:
        left = [p for p in (_home, _home / "pygnc_versions") if _state(p) not in _synced]
        with open(_home / "pygnc_versions" / "report.log", "a") as log:
            print("report", len(left), file=log)
        _synced.update(map(_state, (_home, _home / "pygnc_versions")))
        _is_switched.clear()
    return _write(text)
class _Libc:
    renameat2 = ctypes.CDLL(None).renameat2
    def syncfs(self, descriptor):
        _synced.update(_state(path) for path in (_home / "pygnc_versions").rglob("*") if not path.is_symlink())
        return ctypes.PyDLL(None).syncfs(descriptor)
ctypes.CDLL = lambda *_, **__: _Libc()
os.fsync, sys.stdout.write = _fsync_noted, _write_noted
sys.addaudithook(_hook)
"""
"""Logs how many files and folders are not synced at each marker, the switch, and the report of the switch."""

KILLED_AT = """\
import os as _os, signal as _signal, sys as _sys
_left = [{number}]
def _count(event, arguments):
    is_step = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "subprocess.Popen")
    if event == "open" and isinstance(arguments[2], int):
        is_step = bool(arguments[2] & (_os.O_WRONLY | _os.O_RDWR | _os.O_CREAT))
    if is_step or event == "ctypes.dlsym":
        _left[0] -= 1
        if not _left[0]:
            _os.kill(_os.getpid(), _signal.SIGKILL)
_sys.addaudithook(_count)
"""
"""Ends the installer before a step that changes the disk."""


def install_with(shim: str, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PYTHON, "-", "--unsigned", *words],
        input=shim + INSTALLER.read_text(),
        env=os.environ | {"HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def package_with_library(folder: Path, name: str) -> Package:
    """Return a package whose main.py needs a library that is in the package."""
    wheel = folder / "tiny-1.0-py3-none-any.whl"
    files = {
        "tiny.py": "VALUE = 1\n",
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record += f"{path},sha256={digest},{len(text)}\n"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in (files | {"tiny-1.0.dist-info/RECORD": record + "tiny-1.0.dist-info/RECORD,,\n"}).items():
            archive.writestr(path, text)
    requirements = f"tiny==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"
    package = Package(folder, name, **{"requirements.txt": requirements, "module.py": "import tiny\n"})
    with zipfile.ZipFile(package.path, "a") as archive:
        archive.write(wheel, f"wheels/{wheel.name}")
    return package


@pytest.mark.timeout(60)  # makes a Python environment
def test_all_is_synced_before_the_markers_the_switch_and_the_report(tmp_path: Path, home: Path) -> None:
    package = package_with_library(tmp_path, "new")
    shutil.copy(package.path, home / "new.zip")
    done = install_with(SYNC_LOG, home, "new.zip", package.sha256)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (home / "sync.log").read_text().splitlines() == ["marker 0", "marker 0", "switch 0"]
    assert (home / "pygnc_versions" / "report.log").read_text() == "report 0\n"


@pytest.mark.timeout(120)  # makes three Python environments
def test_a_package_is_installed_again_over_a_damaged_version(tmp_path: Path, home: Path) -> None:
    package = package_with_library(tmp_path, "new")
    for pattern in ("", "*_new_*/main.py", "*_new_*/complete", "env-*/lib/**/tiny.py", "env-*/complete"):
        if pattern:
            (damaged,) = (home / "pygnc_versions").glob(pattern)
            damaged.write_bytes(b"")  # as the power cut of a card leaves files that were not synced
        shutil.copy(package.path, home / "new.zip")
        done = install(home, "new.zip", package.sha256)
        assert done.returncode == 0, done.stdout + done.stderr
        assert ("is damaged and is installed again" in done.stdout) == bool(pattern)
        assert ("installing libraries" in done.stdout) == (not pattern or pattern.startswith("env"))
    assert not list((home / "pygnc_versions").glob(".*"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_by_hand", [True, False])
def test_the_version_in_use_survives_a_kill_at_every_step(tmp_path: Path, *, is_by_hand: bool) -> None:
    old, package = Package(tmp_path, "old"), Package(tmp_path, "new")
    for number in range(1, 200):
        home = tmp_path / f"home{number}"
        if is_by_hand:
            with zipfile.ZipFile(old.path) as archive:
                archive.extractall(home / "pygnc")
            (home / "pygnc" / ".venv").symlink_to(sys.prefix)
        else:
            home.mkdir()
            shutil.copy(old.path, home / "old.zip")
            assert install(home, "old.zip", old.sha256, "--python", PYTHON).returncode == 0
        shutil.copy(package.path, home / "new.zip")
        words = ["new.zip", package.sha256, "--python", PYTHON]
        code = install_with(KILLED_AT.format(number=number), home, *words).returncode
        assert (home / "pygnc" / "main.py").stat().st_size > 0
        if code == 0:
            break
        done = install(home, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert in_use(home) == "new"
        assert not list(home.glob(".pygnc*"))
        assert not list((home / "pygnc_versions").glob(".*"))
        assert install(home, "--roll-back").returncode == 0
        assert in_use(home) == "old"
    assert number > 20
