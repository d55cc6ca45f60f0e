"""Installer as on the Pi: unpack, test, switch, roll back."""

import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from tests.pygnc_controller.update.conftest import BROKEN, BROKEN_IN_PLACE, PYTHON, Package, in_use, install

pytestmark = pytest.mark.slow


def send(home: Path, package: Package, *words: str) -> "tuple[int, str]":
    shutil.copy(package.path, home / "new.zip")
    done = install(home, "new.zip", package.sha256, "--python", PYTHON, *words)
    return done.returncode, done.stdout + done.stderr


def test_a_first_version_is_installed(tmp_path: Path, home: Path) -> None:
    code, said = send(home, Package(tmp_path, "first"))
    assert code == 0, said
    assert in_use(home) == "first"
    assert (home / "pygnc").is_symlink()
    assert (home / "pygnc" / ".venv" / "bin" / "python").exists()
    assert not (home / "new.zip").exists()


def test_the_previous_version_is_kept_for_a_roll_back(tmp_path: Path, home: Path, old: Package) -> None:
    assert old.path.exists()
    assert send(home, Package(tmp_path, "new"))[0] == 0
    assert in_use(home) == "new"
    assert install(home, "--roll-back").returncode == 0
    assert in_use(home) == "old"
    assert install(home, "--roll-back").returncode == 0
    assert in_use(home) == "new"


@pytest.mark.parametrize("main", [BROKEN, BROKEN_IN_PLACE, "pass\n"])
def test_a_version_that_fails_its_test_is_rolled_back(tmp_path: Path, home: Path, old: Package, main: str) -> None:
    before = (home / "pygnc").readlink()
    code, said = send(home, Package(tmp_path, "bad", main))
    assert code == 4, said
    assert (home / "pygnc").readlink() == before
    assert in_use(home) == "old"
    assert not list((home / "pygnc_versions").glob("*bad*"))
    assert old.sha256[:8] in before.name


def test_a_damaged_package_has_its_own_exit_code(tmp_path: Path, home: Path, old: Package) -> None:
    package = Package(tmp_path, "new")
    octets = bytearray(package.path.read_bytes())
    octets[len(octets) // 2] ^= 4
    (home / "new.zip").write_bytes(octets)
    done = install(home, "new.zip", package.sha256, "--python", PYTHON)
    assert done.returncode == 3
    assert "send the package again" in done.stdout
    assert in_use(home) == old.path.stem


def test_packages_without_flight_code_or_with_outside_paths_are_rejected(
    tmp_path: Path, home: Path, old: Package
) -> None:
    outside = Package(tmp_path, "outside", **{"../gone.txt": "x"})
    code, said = send(home, outside)
    assert (code, "../gone.txt" in said) == (2, True)
    empty = Package(tmp_path, "empty")
    with zipfile.ZipFile(empty.path, "w") as archive:
        archive.writestr("README", "nothing")
    code, said = send(home, empty)
    assert (code, "package_flight_code.sh" in said) == (2, True)
    assert in_use(home) == old.path.stem
    assert not (home / "gone.txt").exists()


def test_a_folder_unpacked_by_hand_is_kept_as_the_previous_version(tmp_path: Path, home: Path) -> None:
    with zipfile.ZipFile(Package(tmp_path, "byhand").path) as archive:
        archive.extractall(home / "pygnc")
    (home / "pygnc" / ".venv").symlink_to(sys.prefix)
    code, said = send(home, Package(tmp_path, "bad", BROKEN_IN_PLACE))
    assert code == 4, said
    assert (home / "pygnc" / "pygnc_version.info").read_text().split()[1] == "byhand"
    assert send(home, Package(tmp_path, "new"))[0] == 0
    assert install(home, "--roll-back").returncode == 0
    assert in_use(home) == "byhand"


def test_missing_libraries_are_reported_with_the_remedy(tmp_path: Path, home: Path) -> None:
    package = Package(tmp_path, "new")
    shutil.copy(package.path, home / "new.zip")
    done = install(home, "new.zip", package.sha256)
    assert done.returncode == 2
    assert "--wheels" in done.stdout
    assert not (home / "pygnc").exists()


def test_the_same_package_again_changes_nothing(tmp_path: Path, home: Path, old: Package) -> None:
    package = Package(tmp_path, "new")
    assert send(home, package)[0] == 0
    code, said = send(home, package)
    assert code == 0, said
    assert install(home, "new.zip", package.sha256).returncode == 0  # repeated after the loss of an answer
    assert install(home, "--roll-back").returncode == 0
    assert in_use(home) == old.path.stem


def test_only_two_versions_are_kept(tmp_path: Path, home: Path) -> None:
    for name in ("one", "two", "three"):
        assert send(home, Package(tmp_path, name))[0] == 0
        (home / "pygnc" / "trial").unlink()  # the version has flown
    left = sorted(path.name.split("_")[1] for path in (home / "pygnc_versions").glob("2026*"))
    assert left == ["three", "two"]


def test_a_home_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path, home: Path) -> None:
    package = Package(tmp_path, "new")
    (home / "pygnc_versions").touch()
    done = install(home, str(package.path), package.sha256, "--python", PYTHON)
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("not updated: [Errno 17] File exists")
