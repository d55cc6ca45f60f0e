"""Pack the flight code into one zip file: the same input gives the same bytes.

Names are sorted, modes are fixed, and all entries have one date: SOURCE_DATE_EPOCH if set, else that of the commit. In
a git checkout exactly the tracked files under flight/ are packed; elsewhere all files except caches. Called by
package_flight_code.sh; uses only the standard library and pip.
"""

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FLIGHT: Final = ROOT / "flight"
TABLES: Final = (
    "data/earth_orientation/README.md",
    "data/earth_orientation/earth_orientation.csv",
    "data/geomagnetic/README.md",
    "data/geomagnetic/igrf14.csv",
)
"""Files of data/ that are packed, with the notes on their sources and licences, in the folder that
`pygnc_system.files.data_file` searches."""
LICENCE: Final = "LICENSE"
LOCK: Final = ROOT / "requirements" / "flight.txt"

ZIP_EPOCH_S: Final = 315_532_800
"""1980-01-01, the earliest date of a zip entry."""
GLIBC_MINORS: Final = range(17, 37)
"""Wheels built for glibc 2.17 to 2.36; Raspberry Pi OS 12 has 2.36."""

USAGE: Final = """\
The zip contains main.py and its packages, tables with notes on their sources, LICENSE, pygnc_version.info (date,
commit, version) and requirements.txt (the exact libraries with their hashes). Unpack it anywhere. With --wheels, a
computer without a package index installs the libraries from the zip:

    unzip flight.zip && python3 -m venv env
    env/bin/pip install --no-index --find-links wheels --require-hashes -r requirements.txt
    env/bin/python main.py 10 1700000000
"""


def git(*arguments: str) -> str | None:
    """Run git in ROOT and return its output; None if there is no git, no repository or no commit."""
    program = shutil.which("git")
    if program is None:
        return None
    done = subprocess.run([program, "-C", ROOT, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


def read_checkout() -> tuple[str, int, list[Path]] | None:
    """Return the state of the git checkout in ROOT, or None if ROOT is not one.

    Returns:
        Hash of the commit, followed by "+changes" if tracked files differ; time of the commit, Unix seconds; tracked
        files under flight/, the licence, and the packed tables.
    """
    if git("rev-parse", "--show-toplevel") != str(ROOT):
        return None
    head = git("log", "-1", "--format=%H %ct")
    tracked = git("ls-files", "-z", "--", "flight", LICENCE, *TABLES)
    if head is None or tracked is None:
        return None
    commit, epoch_s = head.split()
    if git(
        "status", "--porcelain", "--untracked-files=no", "--", "flight", "requirements/flight.txt", LICENCE, *TABLES
    ):
        commit += "+changes"
    return commit, int(epoch_s), [ROOT / name for name in tracked.split("\0") if name]


def read_version() -> str:
    """Return `__version__` of the package, without importing it."""
    module = ast.parse((FLIGHT / "pygnc_system" / "__init__.py").read_text(encoding="utf-8"))
    return next(
        str(ast.literal_eval(statement.value))
        for statement in module.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__"
    )


def collect() -> tuple[dict[str, bytes], int]:
    """Return the content of flight.zip by name, and the date of its entries, Unix seconds."""
    checkout = read_checkout()
    epoch_s: int | None = None
    if checkout is None:
        print("not a git checkout with a commit: packing every file under flight/", file=sys.stderr)
        commit = "no-git"
        files = [path for path in FLIGHT.rglob("*") if path.is_file()]
        files += [ROOT / name for name in (LICENCE, *TABLES)]
    else:
        commit, epoch_s, files = checkout
    if "SOURCE_DATE_EPOCH" in os.environ:
        epoch_s = int(os.environ["SOURCE_DATE_EPOCH"])
    date = "undated" if epoch_s is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s))
    content = {}
    for path in files:
        inside = path.is_relative_to(FLIGHT)
        if "__pycache__" in path.parts or path.suffix == ".pyc" or (inside and path.name == "README.md"):
            continue
        name = path.relative_to(FLIGHT if inside else ROOT).as_posix()
        content[name if inside else name.replace("data/", "pygnc_data/", 1)] = path.read_bytes()
    content["pygnc_version.info"] = f"{date} {commit} {read_version()}\n".encode()
    content["requirements.txt"] = LOCK.read_bytes()
    return content, epoch_s or ZIP_EPOCH_S


def wheel_target(machine: str, python_version: str) -> list[str]:
    """Return the options of pip that choose wheels for another computer."""
    platforms = [f"manylinux2014_{machine}", *(f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS)]
    target = ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python_version]
    return target + [word for platform in platforms for word in ("--platform", platform)]


def download_wheels(machine: str, python_version: str, lock: Path = LOCK) -> dict[str, bytes]:
    """Download the locked libraries for another computer; pip checks their hashes.

    Raises:
        subprocess.CalledProcessError: pip found no package index, no suitable wheel, or a wrong hash (see its output).
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    locked = ["--require-hashes", "--requirement", str(lock)]
    target = wheel_target(machine, python_version)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*pip, *locked, *target, "--dest", folder], check=True)
        return {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in Path(folder).iterdir()}


def write_zip(path: Path, content: dict[str, bytes], epoch_s: int) -> None:
    """Write a zip file whose bytes depend only on `content`, the date and the zlib version."""
    date = time.gmtime(max(epoch_s, ZIP_EPOCH_S))[:6]
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, date)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content[name], compresslevel=9)


def sign(path: Path, secret_key: Path, comment: str) -> None:
    """Write the signature of a file beside it; end the program with exit code 1 if that fails.

    The key and its password are known to minisign only.
    """
    program = shutil.which("minisign")
    if program is None:
        sys.exit("minisign: program not found; install it (apt install minisign), or sign the zip file elsewhere")
    done = subprocess.run([program, "-S", "-s", secret_key, "-m", path, "-t", comment], check=False)
    if done.returncode:
        sys.exit(f"{secret_key}: minisign has not signed {path} (exit code {done.returncode})")
    print(f"{path}.minisig: {comment}")


def main() -> None:
    """Write the zip file and print its SHA-256."""
    parser = argparse.ArgumentParser(
        prog="package_flight_code.sh",
        description="Pack flight/ into one zip file: the same input gives the same bytes.",
        epilog=USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "flight.zip",
        metavar="FILE",
        help="Zip file to write (default: flight.zip in the project folder).",
    )
    parser.add_argument(
        "--wheels",
        nargs="?",
        const="aarch64",
        metavar="MACHINE",
        help="Add the libraries for MACHINE, aarch64 (if left out) or x86_64.",
    )
    parser.add_argument(
        "--python", default="3.11", metavar="VERSION", help="Python version of the wheels (default: 3.11)."
    )
    parser.add_argument(
        "--sign", type=Path, metavar="SECRET_KEY", help="Sign the zip file by minisign, which asks for the password."
    )
    options = parser.parse_args()
    if options.sign is not None and options.sign.resolve().is_relative_to(ROOT):
        parser.error(f"{options.sign} is in the project folder, where it may get into a commit; move it elsewhere")
    content, epoch_s = collect()
    if options.wheels is not None:
        content |= download_wheels(options.wheels, options.python)
    write_zip(options.output, content, epoch_s)
    Path(f"{options.output}.minisig").unlink(missing_ok=True)  # of the zip file that was there before
    print(hashlib.sha256(options.output.read_bytes()).hexdigest(), f" {options.output}", flush=True)
    if options.sign is not None:
        date, commit, version = content["pygnc_version.info"].decode().split()
        sign(options.output, options.sign, f"PyGNC {version} {date} {commit}")


if __name__ == "__main__":
    main()
