"""flight.zip is reproducible, contains only flight code and runs without a package index."""

import ast
import hashlib
import os
import platform
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from scripts.release.locks import read_lock

ROOT = Path(__file__).resolve().parent.parent
PACKED = [
    "LICENSE",
    "Makefile",
    "data/earth_orientation",
    "data/geomagnetic",
    "flight",
    "package_flight_code.sh",
    "requirements",
    "scripts",
]
NOTES = ("earth_orientation/README.md", "geomagnetic/README.md")
COMMIT_DATE = "2026-03-01T12:34:56Z"
NOT_FLYING = ["matplotlib", "pandas", "scipy"]
TRIPWIRE = """\
import os
with open(os.environ["TRIPWIRE_LOG"], "a") as log:
    log.write(__name__ + "\\n")
raise ImportError(__name__ + " does not fly")
"""
# Nothing of the caller's git, pip or Python settings reaches what is tested.
CLEAN = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
GIT_ALONE = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_DATE": COMMIT_DATE,
    "GIT_COMMITTER_DATE": COMMIT_DATE,
}

# One worker downloads for all of them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("package")]


def git(tree: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    command = ["git", "-C", str(tree), *identity, *arguments]
    return subprocess.run(command, env=CLEAN | GIT_ALONE, check=True, capture_output=True, text=True).stdout


def copy_tree(tree: Path) -> Path:
    """Copy what packaging needs, with a link to this environment."""
    tree.mkdir()
    for name in PACKED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tree / name)
    (tree / ".venv").symlink_to(sys.prefix)
    return tree


def commit_tree(tree: Path) -> Path:
    git(tree, "init", "--quiet")
    git(tree, "add", *PACKED)
    git(tree, "commit", "--quiet", "--message", "Everything")
    return tree


def package(tree: Path, *arguments: str, **environment: str) -> Path:
    """Run the packaging script and return its zip file."""
    command = ["./package_flight_code.sh", *arguments]
    done = subprocess.run(command, cwd=tree, env=CLEAN | environment, check=True, capture_output=True, text=True)
    archive = tree / "flight.zip"
    assert done.stdout.split() == [hashlib.sha256(archive.read_bytes()).hexdigest(), str(archive)]
    return archive


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return commit_tree(copy_tree(tmp_path_factory.mktemp("package") / "checkout"))


def test_same_commit_gives_same_bytes_anywhere(checkout: Path, tmp_path: Path) -> None:
    other = commit_tree(copy_tree(tmp_path / "elsewhere"))
    for path in (other / "flight").rglob("*.py"):
        path.chmod(0o600)
        os.utime(path, (1e9, 1e9))
    assert package(checkout, TZ="UTC").read_bytes() == package(other, TZ="Pacific/Auckland").read_bytes()


def test_exactly_the_tracked_files_are_packed(checkout: Path) -> None:
    untracked = checkout / "flight" / "pygnc" / "notes.py"
    untracked.write_text("left behind\n")
    cache = checkout / "flight" / "pygnc" / "__pycache__"
    cache.mkdir()
    (cache / "notes.cpython-311.pyc").write_bytes(b"\0")
    tracked = {name.removeprefix("flight/") for name in git(checkout, "ls-files", "flight").splitlines()}
    with zipfile.ZipFile(package(checkout)) as archive:
        names = archive.namelist()
        data = ("earth_orientation/earth_orientation.csv", "geomagnetic/igrf14.csv", *NOTES)
        made = {"LICENSE", "pygnc_version.info", "requirements.txt", *(f"pygnc_data/{name}" for name in data)}
        assert set(names) == tracked - {"README.md"} | made
        assert names == sorted(names)
        assert {entry.external_attr >> 16 for entry in archive.infolist()} == {0o100644}
        assert archive.read("requirements.txt") == (ROOT / "requirements" / "flight.txt").read_bytes()


def test_a_secret_key_in_the_project_folder_is_refused_and_no_old_signature_is_left(
    checkout: Path, tmp_path: Path
) -> None:
    (checkout / "flight.zip.minisig").touch()
    package(checkout)
    assert not (checkout / "flight.zip.minisig").exists()
    for key, code, text in (
        (checkout / "my.key", 2, "move it elsewhere"),
        (tmp_path / "my.key", 1, "minisign: program"),
    ):
        command = [sys.executable, "scripts/package_flight_code.py", "--sign", str(key)]
        environment = CLEAN | {"PATH": str(tmp_path)}
        done = subprocess.run(command, cwd=checkout, env=environment, check=False, capture_output=True, text=True)
        assert (done.returncode, text in done.stderr) == (code, True), done.stderr


def imported_by(source: bytes) -> set[str]:
    """Return the top-level packages that a module imports, also inside functions."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def test_flight_code_imports_only_itself_and_locked_libraries(checkout: Path) -> None:
    locked = read_lock(ROOT / "requirements/flight.txt").keys()
    with zipfile.ZipFile(package(checkout)) as archive:
        modules = [name for name in archive.namelist() if name.endswith(".py")]
        imported = set().union(*(imported_by(archive.read(name)) for name in modules))
    own = {name.partition("/")[0].removesuffix(".py") for name in modules}
    libraries = imported - own - sys.stdlib_module_names
    distributions = packages_distributions()
    assert {"numpy", "zmq", "msgspec"} <= libraries
    assert {
        name for name in libraries if not locked & set(map(canonicalize_name, distributions.get(name, ())))
    } == set()


def test_locale_hash_seed_and_permissions_of_new_files_change_no_byte(checkout: Path, tmp_path: Path) -> None:
    archive = package(checkout)
    first, mode = archive.read_bytes(), archive.stat().st_mode & 0o777
    archive.unlink()
    previous = os.umask(0o077)
    try:
        again = package(checkout, LC_ALL="C", PYTHONHASHSEED="7", HOME=str(tmp_path))
    finally:
        os.umask(previous)
    assert again.stat().st_mode & 0o777 != mode
    assert again.read_bytes() == first


def version_info(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as content:
        return content.read("pygnc_version.info").decode("ascii").split()


def test_version_info_names_date_commit_and_version(checkout: Path, tmp_path: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD").strip()
    archive = package(checkout)
    date, named, version = version_info(archive)
    assert (date, named) == (COMMIT_DATE, commit)
    with zipfile.ZipFile(archive) as content:
        content.extractall(tmp_path)
    printed = subprocess.run([sys.executable, tmp_path / "main.py", "--version"], capture_output=True, check=True)
    assert printed.stdout.decode() == f"PyGNC {version} {date} {commit}\n"
    assert f'__version__ = "{version}"' in (ROOT / "flight" / "pygnc_system" / "__init__.py").read_text()


def test_changed_tracked_file_is_admitted(tmp_path: Path) -> None:
    tree = commit_tree(copy_tree(tmp_path / "tree"))
    with (tree / "flight" / "pygnc" / "__init__.py").open("a") as module:
        module.write("# changed\n")
    assert version_info(package(tree))[1] == git(tree, "rev-parse", "HEAD").strip() + "+changes"


def test_source_date_epoch_dates_every_entry(checkout: Path) -> None:
    archive = package(checkout, SOURCE_DATE_EPOCH="1700000000")
    assert version_info(archive)[0] == "2023-11-14T22:13:20Z"
    with zipfile.ZipFile(archive) as content:
        assert {entry.date_time for entry in content.infolist()} == {(2023, 11, 14, 22, 13, 20)}


def test_outside_git_every_file_is_packed_and_the_version_says_so(tmp_path: Path) -> None:
    tree = copy_tree(tmp_path / "tree")
    archive = package(tree)
    date, commit, _ = version_info(archive)
    assert (date, commit) == ("undated", "no-git")
    with zipfile.ZipFile(archive) as content:
        assert "pygnc/__init__.py" in content.namelist()


@pytest.fixture(scope="module")
def package_with_wheels(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that makes flight.zip with wheels in a new folder; it needs the package index."""
    folder = tmp_path_factory.mktemp("probe")
    probe = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries", "0", "--timeout", "20"]
    reached = subprocess.run([*probe, "--dest", str(folder), "pyserial"], capture_output=True, check=False)
    if reached.returncode != 0:
        pytest.skip("no package index answers")

    def make(*arguments: str) -> Path:
        archive = package(checkout, *arguments, **os.environ)
        return archive.rename(tmp_path_factory.mktemp("zip") / "flight.zip")

    return make


@pytest.mark.index
@pytest.mark.timeout(300)  # downloads 20 MB twice
def test_aarch64_wheels_are_the_locked_ones_and_reproducible(package_with_wheels: Callable[..., Path]) -> None:
    archive, again = package_with_wheels("--wheels"), package_with_wheels("--wheels")
    assert archive.read_bytes() == again.read_bytes()
    locked = read_lock(ROOT / "requirements/flight.txt").values()
    lock = {one.name: one for one in locked if one.marker is None or one.marker.evaluate()}
    with zipfile.ZipFile(archive) as content:
        wheels = [name for name in content.namelist() if name.startswith("wheels/")]
        for wheel in wheels:
            name, version, _, tags = parse_wheel_filename(wheel.removeprefix("wheels/"))
            assert version == lock[name].version
            assert hashlib.sha256(content.read(wheel)).hexdigest() in lock[name].sha256
            assert all(tag.platform == "any" or tag.platform.endswith("_aarch64") for tag in tags)
    assert len(wheels) == len(lock)


@pytest.mark.index
@pytest.mark.timeout(300)  # downloads 20 MB and makes an environment
def test_unpacked_zip_installs_without_index_and_flies(
    package_with_wheels: Callable[..., Path], tmp_path: Path
) -> None:
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    archive = package_with_wheels("--wheels", platform.machine(), "--python", python_version)
    board, home, python = tmp_path / "board", tmp_path / "home", tmp_path / "env" / "bin" / "python"
    with zipfile.ZipFile(archive) as content:
        content.extractall(board)
    home.mkdir()
    shutil.copy(ROOT / "data" / "demo" / "sense.bin", home)
    quiet = CLEAN | {"HOME": str(home), "PIP_CONFIG_FILE": "/dev/null"}

    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], env=quiet, check=True)
    install = "-m pip install --quiet --no-index --find-links wheels --require-hashes -r requirements.txt"
    subprocess.run([python, *install.split()], cwd=board, env=quiet, check=True)

    tripped = tmp_path / "tripped"
    tripwires = tmp_path / "tripwires"
    tripwires.mkdir()
    for name in NOT_FLYING:
        (tripwires / f"{name}.py").write_text(TRIPWIRE)
    watched = quiet | {"PYTHONPATH": str(tripwires), "TRIPWIRE_LOG": str(tripped)}
    batch = (home / "sense.bin").read_bytes()
    (t_last_s,) = struct.unpack_from(">I", batch, len(batch) - 251 + 150)
    subprocess.run(
        [python, "main.py", "10", str(t_last_s + 60), "--exit-when-done"], cwd=board, env=watched, check=True
    )
    assert 0 < (home / "pygnc_status.bin").stat().st_size < 1000
    assert (home / "pygnc_info.txt").read_text(encoding="ascii")
    assert not tripped.exists(), tripped.read_text()

    # Cross-check: the same environment reports each forbidden module that is imported.
    for name in NOT_FLYING:
        subprocess.run([python, "-c", f"import {name}"], env=watched, check=False, capture_output=True)
    assert tripped.read_text().split() == NOT_FLYING
