"""Installer of flight code on the Pi: unpack a version, test it, switch to it, go back if it fails.

Usage: python3 installer.py PACKAGE SHA256 [--python PROGRAM] | --roll-back

One file, standard library only, because it is sent along with the package. Versions are folders in `~/pygnc_versions`;
`~/pygnc` is a link to the version in use. A running main.py continues; the next start uses the new version.

A power cut leaves the old or the new version. All files and folders are synced before the marker `complete` of their
folder is written, which lists them, the marker before the link is replaced atomically, and the link before the report.
The next call repeats an interrupted update.
"""

import argparse
import contextlib
import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

HOME: Final = Path.home().resolve()
VERSIONS: Final = HOME / "pygnc_versions"
CURRENT: Final = HOME / "pygnc"
PREVIOUS: Final = VERSIONS / "previous"
VERSION_FILE: Final = "pygnc_version.info"
COMPLETE: Final = "complete"
"""Marker of a folder that is complete and synced: the CRC-32 of the rest, then size, CRC-32 and name of each file."""
TRIAL: Final = "trial"
"""File in a version that has not flown yet, with the number of its failed starts."""
CHECK_PREFIX: Final = ".pygnc-check-"
CHECK_MAX_S: Final = 90.0
LIBC: Final = ctypes.CDLL(None, use_errno=True)
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
        clean()
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
    if not package.exists() and CURRENT.resolve().name.endswith(sha256[:8]) and is_usable(CURRENT.resolve()):
        report(f"already in use: {CURRENT.resolve().name}")
        return OK
    content = package.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        report(f"{package}: SHA-256 {found} instead of {sha256}; send the package again")
        return DAMAGED
    report(f"verified: SHA-256 {sha256[:16]}, {len(content)} bytes")
    version = unpack(package, sha256, python)
    fault = check(version)
    if fault:
        discard(version)
        report(f"the new version fails its test; the old version stays in use: {fault}")
        return NOT_UP
    earlier = PREVIOUS.resolve() if PREVIOUS.is_dir() else None
    if (version / TRIAL).exists():
        write(version / TRIAL, b"0\n")
    before = switch(version, is_flown_kept=earlier is not None)
    report(f"switched to {version.name}")
    fault = check(CURRENT)
    if fault:
        if before is None:
            CURRENT.unlink()
        else:
            point(CURRENT, before)
        if earlier is None:
            PREVIOUS.unlink(missing_ok=True)
        else:
            point(PREVIOUS, earlier)
        discard(version)
        stays = before.name if before else "none"
        report(f"rolled back to {stays}: the new version fails its test after the switch: {fault}")
        return NOT_UP
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
    switch(version)
    report(f"in use: {(CURRENT / VERSION_FILE).read_text().strip()}")
    return OK


def clean() -> None:
    """Remove what a call that was interrupted has left."""
    for path in (*HOME.glob(f"{CHECK_PREFIX}*"), *VERSIONS.glob(".*.part")):
        remove(path)


def unpack(package: Path, sha256: str, python: str) -> Path:
    """Unpack the package into a new folder and return the folder; a damaged one of the same name is replaced."""
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
            if is_usable(version):
                report(f"{version.name} is already unpacked")
                return version
            report(f"{version.name} is damaged and is installed again")
        part = VERSIONS / f".{version.name}.part"
        archive.extractall(part)
    link_python(part, python)
    shutil.rmtree(part / "wheels", ignore_errors=True)
    # The marker includes the compiled modules, which would otherwise be written at the first start.
    subprocess.run([part / ".venv/bin/python", "-m", "compileall", "-q", part], capture_output=True, check=False)  # noqa: S603
    complete(part)
    write(part / TRIAL, b"0\n")
    put(part, version)
    report(f"unpacked: {version.name}")
    return version


def is_usable(version: Path) -> bool:
    """Return True if neither a version nor its libraries, if they are from a package, are incomplete or damaged."""
    environment = (version / ".venv").resolve()
    return is_intact(version) and (environment.parent != VERSIONS or is_intact(environment))


def link_python(version: Path, python: str) -> None:
    """Set up `.venv` of a version: a Python that has the libraries, or the libraries in the package."""
    place = version / ".venv"
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
    if not is_intact(environment):
        make_environment(environment, version)
    place.symlink_to(Path("..") / environment.name)


def make_environment(environment: Path, version: Path) -> None:
    """Install the libraries that are in the package."""
    wheels = version / "wheels"
    if not wheels.is_dir():
        raise UpdateError(
            "the libraries of this version are neither installed nor in the package;"
            " use --wheels to send the libraries, or --python to name a Python that has them"
        )
    report("installing libraries")
    part = VERSIONS / f".{environment.name}.part"
    subprocess.run([sys.executable, "-m", "venv", part], check=True)  # noqa: S603 - fixed command
    pip = [f"{part}/bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    locked = ["--no-index", "--find-links", str(wheels), "--require-hashes", "-r", f"{version}/requirements.txt"]
    done = subprocess.run([*pip, *locked], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UpdateError(f"{wheels}: installation of the libraries failed: {done.stderr.strip()[-400:]}")
    complete(part)
    put(part, environment)


def check(version: Path) -> str:
    """Run a version in an empty home folder until it ends; return the error, or an empty string."""
    with tempfile.TemporaryDirectory(prefix=CHECK_PREFIX, dir=HOME) as home:
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


def switch(version: Path, *, is_flown_kept: bool = False) -> Path | None:
    """Atomically link `~/pygnc` to a version; return the version used before, if any.

    `PREVIOUS` then names the version used before, unless that has not flown and `is_flown_kept` is set.
    """
    before = CURRENT.resolve() if CURRENT.is_dir() else None
    if before is not None and not CURRENT.is_symlink():  # unpacked by hand, before the first update
        before = VERSIONS / "by_hand"
        remove(before)
        before.symlink_to(os.path.relpath(version, HOME))
        point(PREVIOUS, before)
        exchange(before, CURRENT)
    else:
        if before not in {None, version} and not (is_flown_kept and (before / TRIAL).exists()):
            point(PREVIOUS, before)
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
    remove(part)
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


def complete(folder: Path) -> None:
    """Sync a folder with all that it contains, and then write its marker."""
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            lines.append(f"{len(content)} {zlib.crc32(content):08x} {path.relative_to(folder)}\n")
    listing = os.fsencode("".join(lines))
    part = folder / f".{COMPLETE}.part"
    part.write_bytes(b"%08x\n" % zlib.crc32(listing) + listing)
    sync_all(folder)
    part.replace(folder / COMPLETE)
    sync(folder)


def write(path: Path, content: bytes) -> None:
    """Replace a file atomically, and sync it."""
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    sync(part)
    part.replace(path)
    sync(path.parent)


def is_intact(folder: Path) -> bool:
    """Return True if a folder is complete, and all its files are as the marker lists them."""
    try:
        seal, _, listing = (folder / COMPLETE).read_bytes().partition(b"\n")
        for line in os.fsdecode(listing).splitlines():
            size, crc, name = line.split(" ", 2)
            content = (folder / name).read_bytes()
            if (len(content), zlib.crc32(content)) != (int(size), int(crc, 16)):
                return False
    except (OSError, ValueError):
        return False
    return seal == b"%08x" % zlib.crc32(listing)


def put(part: Path, place: Path) -> None:
    """Put a new folder in its place, atomically also if a damaged one is there."""
    if place.exists():
        exchange(part, place)
        remove(part)
    else:
        part.rename(place)
        sync(place.parent)


def exchange(one: Path, other: Path) -> None:
    """Exchange two folders or links atomically."""
    at_cwd, rename_exchange = -100, 2
    if LIBC.renameat2(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), rename_exchange):
        raise OSError(ctypes.get_errno(), "the file system cannot exchange folders; move it away first", str(other))
    sync(one.parent)
    sync(other.parent)


def sync_all(folder: Path) -> None:
    """Sync the file system of a folder; thousands of single syncs would take a minute."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if LIBC.syncfs(descriptor):
            raise OSError(ctypes.get_errno(), "the card cannot be written", str(folder))
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file, link or folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Sync a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    try:
        VERSIONS.mkdir(exist_ok=True)
        lock = os.open(VERSIONS, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)  # an installation may continue on the Pi after the connection is lost
    except OSError as error:
        report(f"not updated: {error}")
        sys.exit(WRONG)
    sys.exit(main(sys.argv[1:]))
