"""Installer of flight code on the Pi: unpack a version, test it, switch to it, go back if it fails.

Usage: python3 installer.py PACKAGE SHA256 [--python PROGRAM] | --roll-back

One file, standard library only, because it is sent along with the package. Versions are folders in `~/pygnc_versions`;
`~/pygnc` is a link to the version in use. A link is replaced atomically, so a power cut leaves the old or the new
version. A running main.py continues; the next start uses the new version. The next call repeats an interrupted update.
"""

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

HOME: Final = Path.home().resolve()
VERSIONS: Final = HOME / "pygnc_versions"
CURRENT: Final = HOME / "pygnc"
PREVIOUS: Final = VERSIONS / "previous"
VERSION_FILE: Final = "pygnc_version.info"
CHECK_MAX_S: Final = 90.0
OK, DAMAGED, NOT_UP, WRONG = 0, 3, 4, 2
"""Exit codes: done; package damaged; new version failed and was rolled back; impossible."""


class UpdateError(Exception):
    """Error raised when the update is impossible."""


def report(text: str) -> None:
    """Print a line of text for the program that sent the package."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Parse the arguments, update or roll back, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", nargs="?", type=Path)
    parser.add_argument("sha256", nargs="?")
    parser.add_argument("--python", default="")
    parser.add_argument("--roll-back", action="store_true")
    given = parser.parse_args(arguments)
    try:
        if given.roll_back:
            return roll_back()
        if given.package is None or given.sha256 is None:
            parser.error("give a package and its SHA-256, or --roll-back")
        return update(given.package, given.sha256, given.python)
    except (UpdateError, OSError, zipfile.BadZipFile) as error:
        report(f"not updated: {error}")
        return WRONG


def update(package: Path, sha256: str, python: str) -> int:
    """Unpack, test, switch, test again; return the exit code."""
    if not package.exists() and CURRENT.resolve().name.endswith(sha256[:8]):
        report(f"already in use: {CURRENT.resolve().name}")
        return OK
    content = package.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        report(f"{package}: SHA-256 {found} instead of {sha256}; send the package again")
        return DAMAGED
    report(f"verified: SHA-256 {sha256[:16]}, {len(content)} bytes")
    version = unpack(package, sha256)
    link_python(version, python)
    fault = check(version)
    if fault:
        discard(version)
        report(f"the new version fails its test; the old version stays in use: {fault}")
        return NOT_UP
    before = switch(version)
    report(f"switched to {version.name}")
    fault = check(CURRENT)
    if fault:
        if before is None:
            CURRENT.unlink()
        else:
            point(CURRENT, before)
        discard(version)
        stays = before.name if before else "none"
        report(f"rolled back to {stays}: the new version fails its test after the switch: {fault}")
        return NOT_UP
    if before is not None and before != version:
        point(PREVIOUS, before)
    tidy()
    package.unlink()
    report(f"in use: {(CURRENT / VERSION_FILE).read_text().strip()}")
    return OK


def roll_back() -> int:
    """Switch back to the version before the last update; return the exit code."""
    if not PREVIOUS.is_dir():
        raise UpdateError(f"{PREVIOUS} does not exist; roll back after an update only")
    version = PREVIOUS.resolve()
    fault = check(version)
    if fault:
        report(f"the previous version fails its test; nothing was changed: {fault}")
        return NOT_UP
    before = switch(version)
    if before is not None:
        point(PREVIOUS, before)
    report(f"in use: {(CURRENT / VERSION_FILE).read_text().strip()}")
    return OK


def unpack(package: Path, sha256: str) -> Path:
    """Unpack the package into a new folder and return the folder."""
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise UpdateError(
                    f"{package}: the entry {name!r} is outside the folder of the version; make the package again"
                )
        if not {"main.py", VERSION_FILE, "requirements.txt"} <= set(archive.namelist()):
            raise UpdateError(f"{package}: no flight code in the package; make it with package_flight_code.sh")
        date, commit = [*archive.read(VERSION_FILE).decode().split(), "", ""][:2]
        words = [re.sub(r"[^0-9A-Za-z+-]", "", word) for word in (date, commit[:12], sha256[:8])]
        version = VERSIONS / "_".join(words)
        if version.exists():
            report(f"{version.name} is already unpacked")
            return version
        part = VERSIONS / f".{version.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        archive.extractall(part)
    for path in part.rglob("*"):
        sync(path)
    part.rename(version)
    sync(VERSIONS)
    report(f"unpacked: {version.name}")
    return version


def link_python(version: Path, python: str) -> None:
    """Set up `.venv` of a version: a Python that has the libraries, or the libraries in the package."""
    place = version / ".venv"
    if place.is_symlink() or place.exists():
        return
    if python:
        program = Path(shutil.which(Path(python).expanduser()) or python).absolute()
        if not program.exists():
            raise UpdateError(f"{python}: program not found; name a Python on the Pi")
        if (program.parent.parent / "pyvenv.cfg").exists():
            place.symlink_to(program.parent.parent)
        else:
            (place / "bin").mkdir(parents=True)
            (place / "bin" / "python").symlink_to(program)
        return
    requirements = (version / "requirements.txt").read_bytes()
    environment = VERSIONS / f"env-{hashlib.sha256(requirements).hexdigest()[:12]}"
    if not (environment / "complete").exists():
        make_environment(environment, version)
    place.symlink_to(Path("..") / environment.name)


def make_environment(environment: Path, version: Path) -> None:
    """Install the libraries that are in the package."""
    wheels = version / "wheels"
    if not wheels.is_dir():
        raise UpdateError(
            f"{version.name}: its libraries are neither installed nor in the package;"
            " use --wheels to send the libraries, or --python to name a Python that has them"
        )
    report("installing libraries")
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)  # noqa: S603 - fixed command
    pip = [f"{environment}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    locked = ["--no-index", "--find-links", str(wheels), "--require-hashes", "-r", f"{version}/requirements.txt"]
    done = subprocess.run([*pip, *locked], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UpdateError(f"{wheels}: installation of the libraries failed: {done.stderr.strip()[-400:]}")
    (environment / "complete").touch()
    shutil.rmtree(wheels)


def check(version: Path) -> str:
    """Run a version in an empty home folder until it ends; return the error, or an empty string."""
    with tempfile.TemporaryDirectory(prefix=".pygnc-check-", dir=HOME) as home:
        words = [f"{version}/.venv/bin/python", f"{version}/main.py", "1", "0", "--exit-when-done"]
        try:
            process = subprocess.Popen(  # noqa: S603 - the program under test
                words,
                env=os.environ | {"HOME": home},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            return f"{words[0]}: the program cannot be started: {error.strerror}"
        try:
            _, stderr = process.communicate(timeout=CHECK_MAX_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"main.py did not end within {CHECK_MAX_S:.0f} s"
        if process.returncode:
            return f"main.py: exit code {process.returncode}: {stderr.strip()[-400:]}"
        info = Path(home, "pygnc_info.txt")
        if not info.exists() or not info.read_text(errors="replace").startswith("PyGNC run 1 STOPPED"):
            return "main.py ended without a final info text"
    return ""


def switch(version: Path) -> Path | None:
    """Atomically link `~/pygnc` to a version; return the version used before, if there was one."""
    before = CURRENT.resolve() if CURRENT.is_dir() else None
    if before is not None and not CURRENT.is_symlink():  # unpacked by hand, before the first update
        before = VERSIONS / "by_hand"
        shutil.rmtree(before, ignore_errors=True)
        CURRENT.rename(before)
    point(CURRENT, version)
    point(HOME / VERSION_FILE, CURRENT / VERSION_FILE)
    return before


def discard(version: Path) -> None:
    """Remove a version unless it is the current or the previous version."""
    if version not in {CURRENT.resolve(), PREVIOUS.resolve()}:
        shutil.rmtree(version)


def point(link: Path, target: Path) -> None:
    """Atomically replace a link."""
    part = link.with_name(f".{link.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(os.path.relpath(target, link.parent))
    part.replace(link)
    sync(link.parent)


def tidy() -> None:
    """Remove all versions except the current and the previous version, and libraries that neither version needs."""
    kept = {path.resolve() for path in (CURRENT, PREVIOUS) if path.exists()}
    kept |= {(path / ".venv").resolve() for path in kept}
    for path in VERSIONS.iterdir():
        if path != PREVIOUS and path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def sync(path: Path) -> None:
    """Sync a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    VERSIONS.mkdir(exist_ok=True)
    sys.exit(main(sys.argv[1:]))
