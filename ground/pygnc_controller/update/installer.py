"""What runs on the Pi: unpack a package beside the old version, try it, switch to it, go back if it does not come up.

Usage: python3 installer.py PACKAGE SHA256 [--python PROGRAM] | --roll-back

One file, standard library only: it is sent along. Versions stand in `~/pygnc_versions`, `~/pygnc` is a link to the one
in use, and a link changes in one step: a power cut leaves the old version or the new one. A main.py that is running
goes on as it is; the next start takes the new version. What was begun and cut off is begun anew by the next call.
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
COMMIT_LETTERS: Final = 12
OK, DAMAGED, NOT_UP, WRONG = 0, 3, 4, 2
"""Exit codes: done; the package is not what was sent; rolled back; it cannot be done."""


class UpdateError(Exception):
    """It cannot be done; the message says why and what to do."""


def say(text: str) -> None:
    """Tell whoever sent this."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(words: list[str]) -> int:
    """Do what the arguments say; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", nargs="?", type=Path)
    parser.add_argument("sha256", nargs="?")
    parser.add_argument("--python", default="")
    parser.add_argument("--roll-back", action="store_true")
    given = parser.parse_args(words)
    try:
        if given.roll_back:
            return roll_back()
        if given.package is None or given.sha256 is None:
            parser.error("a package and its SHA-256, or --roll-back")
        return update(given.package, given.sha256, given.python)
    except (UpdateError, OSError, zipfile.BadZipFile) as error:
        say(f"not updated: {error}")
        return WRONG


def update(package: Path, sha256: str, python: str) -> int:
    """Unpack, try, switch, try again; return the exit code."""
    if not package.exists() and CURRENT.resolve().name.endswith(sha256[:8]):
        say(f"in use already: {CURRENT.resolve().name}")
        return OK
    content = package.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        say(f"the package has SHA-256 {found}, not {sha256}: send it again")
        return DAMAGED
    say(f"verified: SHA-256 {sha256[:16]}, {len(content)} bytes")
    version = unpack(package, sha256)
    give_python(version, python)
    fault = check(version)
    if fault:
        discard(version)
        say(f"the new version does not come up, the old one stays: {fault}")
        return NOT_UP
    before = switch(version)
    say(f"switched to {version.name}")
    fault = check(CURRENT)
    if fault:
        go_back(before)
        discard(version)
        stays = before.name if before else "none"
        say(f"rolled back to {stays}, for in its place the new version does not come up: {fault}")
        return NOT_UP
    if before is not None and before != version:
        point(PREVIOUS, before)
    tidy()
    package.unlink()
    say(f"in use: {(CURRENT / VERSION_FILE).read_text().strip()}")
    return OK


def roll_back() -> int:
    """Switch to the version that was in use before the last update; return the exit code."""
    if not PREVIOUS.is_dir():
        raise UpdateError(f"{PREVIOUS} is not there: no version before this one is kept")
    version = PREVIOUS.resolve()
    fault = check(version)
    if fault:
        say(f"the previous version does not come up either, nothing is changed: {fault}")
        return NOT_UP
    before = switch(version)
    if before is not None:
        point(PREVIOUS, before)
    say(f"in use: {(CURRENT / VERSION_FILE).read_text().strip()}")
    return OK


def unpack(package: Path, sha256: str) -> Path:
    """Unpack into a folder of its own; return it."""
    with zipfile.ZipFile(package) as archive:
        for name in archive.namelist():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise UpdateError(f"{name!r} in the package leads elsewhere")
        if not {"main.py", VERSION_FILE, "requirements.txt"} <= set(archive.namelist()):
            raise UpdateError("the package holds no flight code: make it by package_flight_code.sh")
        date, commit = [*archive.read(VERSION_FILE).decode().split(), "", ""][:2]
        words = [re.sub(r"[^0-9A-Za-z+-]", "", word) for word in (date, commit[:COMMIT_LETTERS], sha256[:8])]
        version = VERSIONS / "_".join(words)
        if version.exists():
            say(f"{version.name} is unpacked already")
            return version
        part = VERSIONS / f".{version.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        archive.extractall(part)
    for path in part.rglob("*"):
        sync(path)
    part.rename(version)
    sync(VERSIONS)
    say(f"unpacked: {version.name}")
    return version


def give_python(version: Path, python: str) -> None:
    """Give a version the libraries that it needs, as `.venv`: a given Python's, or those that came with the package."""
    place = version / ".venv"
    if place.is_symlink() or place.exists():
        return
    if python:
        program = Path(shutil.which(Path(python).expanduser()) or python).absolute()
        if not program.exists():
            raise UpdateError(f"{python}: there is no such program")
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
    """Install the libraries that came with the package."""
    wheels = version / "wheels"
    if not wheels.is_dir():
        raise UpdateError(
            "these libraries are not here, and the package has none with it:"
            " send it with --wheels, or name a Python that has them with --python"
        )
    say("installing libraries")
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)  # noqa: S603 - our own words
    pip = [f"{environment}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    locked = ["--no-index", "--find-links", str(wheels), "--require-hashes", "-r", f"{version}/requirements.txt"]
    done = subprocess.run([*pip, *locked], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UpdateError(f"the libraries cannot be installed: {done.stderr.strip()[-400:]}")
    (environment / "complete").touch()
    shutil.rmtree(wheels)


def check(version: Path) -> str:
    """Start a version in an empty home and wait for its end; return what is wrong, empty: nothing."""
    with tempfile.TemporaryDirectory(prefix=".pygnc-check-", dir=HOME) as home:
        words = [f"{version}/.venv/bin/python", f"{version}/main.py", "1", "0", "--exit-when-done"]
        try:
            process = subprocess.Popen(  # noqa: S603 - what was sent to be run
                words,
                env=os.environ | {"HOME": home},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            return f"{words[0]}: {error.strerror}"
        try:
            _, stderr = process.communicate(timeout=CHECK_MAX_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return f"it has not ended within {CHECK_MAX_S:.0f} s"
        if process.returncode:
            return f"exit code {process.returncode}: {stderr.strip()[-400:]}"
        info = Path(home, "pygnc_info.txt")
        if not info.exists() or not info.read_text(errors="replace").startswith("PyGNC run 1 STOPPED"):
            return "it ended without a final info line"
    return ""


def switch(version: Path) -> Path | None:
    """Let `~/pygnc` be a version, in one step; return the version that it was, None if there was none."""
    before = CURRENT.resolve() if CURRENT.is_dir() else None
    if before is not None and not CURRENT.is_symlink():  # unpacked by hand, before the first update
        before = VERSIONS / "by_hand"
        shutil.rmtree(before, ignore_errors=True)
        CURRENT.rename(before)
    point(CURRENT, version)
    point(HOME / VERSION_FILE, CURRENT / VERSION_FILE)
    return before


def go_back(before: Path | None) -> None:
    """Let `~/pygnc` be what it was."""
    if before is None:
        CURRENT.unlink()
    else:
        point(CURRENT, before)


def discard(version: Path) -> None:
    """Remove a version, unless it is in use, or was before."""
    if version not in {CURRENT.resolve(), PREVIOUS.resolve()}:
        shutil.rmtree(version)


def point(link: Path, target: Path) -> None:
    """Let a link lead to a target, replacing what stands there in one step."""
    part = link.with_name(f".{link.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(os.path.relpath(target, link.parent))
    part.replace(link)
    sync(link.parent)


def tidy() -> None:
    """Remove versions that are neither in use nor the one before, and libraries that none of these needs."""
    kept = {path.resolve() for path in (CURRENT, PREVIOUS) if path.exists()}
    kept |= {(path / ".venv").resolve() for path in kept}
    for path in VERSIONS.iterdir():
        if path != PREVIOUS and path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def sync(path: Path) -> None:
    """See that a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    VERSIONS.mkdir(exist_ok=True)
    sys.exit(main(sys.argv[1:]))
