"""Installer of flight code on the Pi: verify a package, unpack it, test it, switch to it, go back if it fails.

Usage: python3 installer.py PACKAGE [SHA256] [--python PROGRAM] [--older] [--unsigned]
       python3 installer.py --roll-back | --add-key KEY | --revoke ID

One file, standard library only, because it is sent along with the package. Versions are folders in `~/pygnc_versions`;
`~/pygnc` is a link to the version in use. A running main.py continues; the next start uses the new version.

PACKAGE.minisig is the signature of a package in the format of minisign, `~/pygnc_keys.txt` the file of the public keys
that may sign. Only the shell can change these keys; the streaming interface cannot write this file.

A power cut leaves the old or the new version. All files and folders are synced before the marker `complete` of their
folder is written, which lists them, the marker before the link is replaced atomically, and the link before the report.
The next call repeats an interrupted update.
"""

import argparse
import base64
import contextlib
import ctypes
import fcntl
import hashlib
import io
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
LAUNCHER: Final = VERSIONS / "start.sh"
VERSION_FILE: Final = "pygnc_version.info"
COMPLETE: Final = "complete"
"""Marker of a folder that is complete and synced: the CRC-32 of the rest, then size, CRC-32 and name of each file."""
TRIAL: Final = "trial"
"""File in a version that has not flown yet, with the number of its failed starts."""
KEYS: Final = HOME / "pygnc_keys.txt"
"""Public keys of minisign, one a line and perhaps a comment after it, and lines `revoked ID`."""
SIGNATURE_SUFFIX: Final = ".minisig"
PACKAGE_BYTES_MAX: Final = 1 << 28
TEXT_BYTES_MAX: Final = 1 << 16
"""Maximum size of a signature and of the file of keys."""
KEY_ID: Final = re.compile("[0-9A-F]{16}")
DER_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")
"""First bytes of an Ed25519 public key in the form that openssl reads (RFC 8410)."""
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
    """Parse the arguments, update, roll back or change the keys, and return the exit code."""
    parser = argparse.ArgumentParser(description="Install flight code on this Pi.", allow_abbrev=False)
    parser.add_argument("package", nargs="?", type=Path, help="Package to install, such as ~/flight.zip.")
    parser.add_argument("sha256", nargs="?", default="", help="SHA-256 of the package; exit code 3 if it differs.")
    parser.add_argument("--python", default="", metavar="PROGRAM", help="Python on this Pi that has the libraries.")
    parser.add_argument("--older", action="store_true", help="Permit a package older than an installed version.")
    parser.add_argument("--unsigned", action="store_true", help="Do not verify the signature of the package.")
    parser.add_argument("--roll-back", action="store_true", help="Switch back to the previous version.")
    parser.add_argument("--add-key", metavar="KEY", help="Permit a public key of minisign to sign packages.")
    parser.add_argument("--revoke", metavar="ID", help="Reject packages signed by the key with this id from now on.")
    given = parser.parse_args(arguments)
    try:
        clean()
        if given.roll_back:
            return roll_back()
        if given.add_key is not None:
            return add_key(given.add_key)
        if given.revoke is not None:
            return revoke(given.revoke)
        if given.package is None:
            parser.error("give a package, or one of --roll-back, --add-key and --revoke")
        return update(given.package, given.sha256, given.python, is_signed=not given.unsigned, is_older=given.older)
    except (UpdateError, zipfile.BadZipFile) as error:
        report(f"not updated: {error}")
    except OSError as error:
        report(f"not updated: {error.filename or HOME}: {error.strerror}")
    return WRONG


def update(package: Path, sha256: str, python: str, *, is_signed: bool, is_older: bool) -> int:
    """Verify, unpack, test, switch, test again; return the exit code."""
    in_use = CURRENT.resolve()
    if not package.exists() and sha256 and in_use.name.endswith(sha256[:8]) and is_usable(in_use):
        report(f"already in use: {in_use.name}")
        return OK
    content = read_file(package, PACKAGE_BYTES_MAX)
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        report(f"{package}: SHA-256 {found} instead of {sha256}; send the package again")
        return DAMAGED
    report(f"received: SHA-256 {found[:16]}, {len(content)} bytes")
    if is_signed:
        report(f"signed by {verify_signature(package, content)}")
    else:
        report("the signature is not verified (--unsigned)")
    # Only these bytes are verified; the file may be replaced meanwhile.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        date, name = identify(package, archive, found)
        if is_signed and not is_older:
            refuse_older(package, date)
        version = unpack(archive, name, python)
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
    signature_of(package).unlink(missing_ok=True)
    report(f"in use: {(CURRENT / VERSION_FILE).read_text().strip()}")
    return OK


def read_file(path: Path, size_max: int) -> bytes:
    """Return the content of a regular file of limited size."""
    if path.exists() and not path.is_file():
        raise UpdateError(f"{path}: not a regular file; put the right file there")
    with path.open("rb") as file:
        content = file.read(size_max + 1)
    if len(content) > size_max:
        raise UpdateError(f"{path}: more than {size_max} bytes; put the right file there")
    return content


def signature_of(package: Path) -> Path:
    """Return the path of the signature of a package."""
    return package.with_name(package.name + SIGNATURE_SUFFIX)


def verify_signature(package: Path, content: bytes) -> str:
    """Return id of the key and trusted comment of the signature of a package.

    A signature has four lines: a comment; in base64 the algorithm (2 bytes, ED: Ed25519 of the BLAKE2b hash), the id of
    the key (8) and the signature (64); `trusted comment: ` and a text; in base64 the signature of signature and text.

    Raises:
        UpdateError: No key that is trusted on this Pi has signed these bytes.
    """
    trusted, revoked = read_keys()
    if not trusted:
        raise UpdateError(f"{KEYS}: no key may sign packages; add a public key by --add-key, or use --unsigned")
    path = signature_of(package)
    if not path.exists():
        raise UpdateError(f"{path}: no signature; sign the package (minisign -Sm {package.name}) and send both")
    lines = read_file(path, TEXT_BYTES_MAX).split(b"\n")
    try:
        signature, comment = base64.b64decode(lines[1], validate=True), lines[2]
        comment_signature = base64.b64decode(lines[3], validate=True)
    except (IndexError, ValueError):
        signature = comment = comment_signature = b""
    if (len(signature), len(comment_signature)) != (74, 64) or not comment.startswith(b"trusted comment: "):
        raise UpdateError(f"{path}: the signature is cut or damaged; send it again")
    if signature[:2] != b"ED":
        raise UpdateError(f"{path}: not a signature of a hash; sign the package with minisign, without -l")
    key_id, text = id_of(signature), comment.removeprefix(b"trusted comment: ")
    if key_id in revoked:
        raise UpdateError(f"{path}: the key {key_id} is revoked; sign the package with another key")
    if key_id not in trusted:
        raise UpdateError(
            f"{path}: the key {key_id} is unknown; sign the package with {' or '.join(sorted(trusted))},"
            " or add the key by --add-key"
        )
    if not is_signed_by(trusted[key_id], hashlib.blake2b(content).digest(), signature[10:]):
        raise UpdateError(f"{package}: not what the key {key_id} has signed; send package and signature again")
    if not is_signed_by(trusted[key_id], signature[10:] + text, comment_signature):
        raise UpdateError(f"{path}: the key {key_id} has signed another trusted comment; send the signature again")
    return f"{key_id}: {text.decode(errors='replace')}"


def is_signed_by(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return True if an Ed25519 signature is valid, as openssl verifies it."""
    with tempfile.TemporaryDirectory(prefix=CHECK_PREFIX, dir=HOME) as folder:
        words = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER"]
        for option, part in (("-inkey", DER_PREFIX + key), ("-in", message), ("-sigfile", signature)):
            file = Path(folder, option)
            file.write_bytes(part)
            words += [option, str(file)]
        try:
            done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - fixed program
        except FileNotFoundError:
            raise UpdateError("openssl: program not found; install openssl 3, or use --unsigned") from None
    if "Verification Failure" in done.stdout:
        return False
    if done.returncode or "Verified Successfully" not in done.stdout:
        error = " ".join(done.stderr.split())[-200:]
        raise UpdateError(f"openssl cannot verify: {error}; install openssl 3, or use --unsigned")
    return True


def read_keys() -> tuple[dict[str, bytes], set[str]]:
    """Return the trusted keys by id, and the ids of revoked keys.

    Raises:
        UpdateError: A line is damaged; it might be that of a revoked key.
    """
    trusted, revoked = {}, set()
    for number, line in enumerate(key_lines(), 1):
        words = [*line.split(), ""]
        if words[0] == "revoked" and KEY_ID.fullmatch(words[1]):
            revoked.add(words[1])
        elif (key := decode_key(words[0])) is not None:
            trusted[id_of(key)] = key[10:]
        elif words[0] and not line.startswith(("#", "untrusted comment:")):
            raise UpdateError(f"{KEYS}: line {number} is neither a public key nor `revoked ID`; correct it")
    return {key_id: key for key_id, key in trusted.items() if key_id not in revoked}, revoked


def key_lines() -> list[str]:
    """Return the lines of the file of keys, which may be missing."""
    return read_file(KEYS, TEXT_BYTES_MAX).decode(errors="replace").splitlines() if KEYS.exists() else []


def decode_key(text: str) -> bytes | None:
    """Return a public key of minisign: Ed, the id (8 bytes), the key (32); None for another text."""
    with contextlib.suppress(ValueError):
        key = base64.b64decode(text, validate=True)
        return key if len(key) == 42 and key[:2] == b"Ed" else None
    return None


def id_of(key_or_signature: bytes) -> str:
    """Return the id of a key as minisign prints it."""
    return f"{int.from_bytes(key_or_signature[2:10], 'little'):016X}"


def add_key(text: str) -> int:
    """Permit a key to sign packages."""
    key = decode_key(text)
    if key is None:
        raise UpdateError(f"{text!r} is not a public key of minisign; give the second line of the file minisign.pub")
    trusted, revoked = read_keys()
    if id_of(key) in revoked:
        raise UpdateError(f"{KEYS}: the key {id_of(key)} is revoked; generate a new key")
    if trusted.get(id_of(key)) != key[10:]:
        write_keys([*key_lines(), f"{text} {id_of(key)}"])
    return report_keys()


def revoke(key_id: str) -> int:
    """Reject packages of a key from now on; its line is removed, too, in case that the new line is damaged later."""
    key_id = key_id.upper()
    if not KEY_ID.fullmatch(key_id):
        raise UpdateError(f"{key_id!r} is not the id of a key; give its 16 hexadecimal digits, see {KEYS}")
    keys = [(line, decode_key(line.partition(" ")[0])) for line in key_lines()]
    kept = [line for line, key in keys if (key is None or id_of(key) != key_id) and line.split() != ["revoked", key_id]]
    write_keys([*kept, f"revoked {key_id}"])
    return report_keys()


def write_keys(lines: list[str]) -> None:
    """Replace the file of keys."""
    write(KEYS, "".join(f"{line}\n" for line in lines).encode())


def report_keys() -> int:
    """Print the ids of all keys; return the exit code."""
    trusted, revoked = read_keys()
    report(f"trusted keys: {' '.join(sorted(trusted)) or 'none'}; revoked: {' '.join(sorted(revoked)) or 'none'}")
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


def identify(package: Path, archive: zipfile.ZipFile, sha256: str) -> tuple[str, str]:
    """Return the date of a package, and the name of the folder for its version."""
    for name in archive.namelist():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise UpdateError(
                f"{package}: the entry {name!r} is outside the folder of the version; make the package again"
            )
    if not {"main.py", VERSION_FILE, "requirements.txt"} <= set(archive.namelist()):
        raise UpdateError(f"{package}: no flight code in the package; make it with package_flight_code.sh")
    date, commit = [*archive.read(VERSION_FILE).decode().split(), "", ""][:2]
    return date, "_".join(re.sub(r"[^0-9A-Za-z+-]", "", word) for word in (date, commit[:12], sha256[:8]))


def refuse_older(package: Path, date: str) -> None:
    """Raise UpdateError for a package that is older than a version on the Pi.

    Its signature is as valid as on its first day; who can upload packages could bring back a version with known faults.
    """
    newest = ""
    for version in (CURRENT, PREVIOUS):
        with contextlib.suppress(OSError, UnicodeDecodeError, IndexError):
            newest = max(newest, dated((version / VERSION_FILE).read_text().split()[0]))
    if dated(date) < newest:
        raise UpdateError(
            f"{package}: {dated(date) or 'a package without a date'} is older than the version of {newest};"
            " --roll-back returns to the previous version, --older installs this package"
        )


def dated(word: str) -> str:
    """Return a date such as 2026-11-21T17:59:41Z, and an empty string, the oldest date, for another word."""
    return word if word[:1].isdigit() else ""


def unpack(archive: zipfile.ZipFile, name: str, python: str) -> Path:
    """Unpack a package into a new folder and return the folder; a damaged one of the same name is replaced."""
    version = VERSIONS / name
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

    Its start script is copied first, so that a damaged one in a version cannot prevent the choice of the other version.
    `PREVIOUS` then names the version used before, unless that has not flown and `is_flown_kept` is set.
    """
    before = CURRENT.resolve() if CURRENT.is_dir() else None
    if (version / LAUNCHER.name).is_file():
        write(LAUNCHER, (version / LAUNCHER.name).read_bytes())
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
    kept = {path.resolve() for path in (CURRENT, PREVIOUS, LAUNCHER) if path.exists()}
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
