"""Pack the flight code into one zip file: the same input gives the same bytes.

Names are sorted, modes are fixed, and every entry carries one date: SOURCE_DATE_EPOCH if set, else the commit's. In a
git checkout exactly the tracked files under flight/ are packed; elsewhere all of them except caches. Called by
package_flight_code.sh, standard library and pip only.
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
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parent.parent
FLIGHT: Final = ROOT / "flight"
TABLES: Final = ("data/earth_orientation/earth_orientation.csv", "data/geomagnetic/igrf14.csv")
"""What of data/ flies, inside the package."""
LOCK: Final = ROOT / "requirements" / "flight.txt"

ZIP_EPOCH_S: Final = 315_532_800
"""1980-01-01, the earliest date that a zip file can hold."""
GLIBC_MINORS: Final = range(17, 37)
"""Wheels built for glibc 2.17 to 2.36, the one of Raspberry Pi OS 12."""

USAGE: Final = """\
The zip holds main.py and its packages at the top, pygnc_version.info (date, commit, version) and requirements.txt
(the exact libraries with their hashes). Unpack it anywhere. With --wheels, a computer that no package index reaches
installs from what it got:

    unzip flight.zip && python3 -m venv env
    env/bin/pip install --no-index --find-links wheels --require-hashes -r requirements.txt
    env/bin/python main.py 10 1700000000
"""


class Checkout(NamedTuple):
    """What git knows about the tree."""

    commit: str
    """Hash of the commit; "+changes" follows it if tracked files differ."""
    epoch_s: int
    """The commit's time, Unix seconds."""
    files: list[Path]
    """Tracked files under flight/, and the tables that fly."""


def git(*arguments: str) -> str | None:
    """Ask git about the tree; None if there is no git, no repository or no commit."""
    program = shutil.which("git")
    if program is None:
        return None
    done = subprocess.run([program, "-C", ROOT, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.rstrip("\n") if done.returncode == 0 else None


def read_checkout() -> Checkout | None:
    """Describe the git checkout that ROOT is the top of, or None if it is none."""
    if git("rev-parse", "--show-toplevel") != str(ROOT):
        return None
    head = git("log", "-1", "--format=%H %ct")
    tracked = git("ls-files", "-z", "--", "flight", *TABLES)
    if head is None or tracked is None:
        return None
    commit, epoch_s = head.split()
    if git("status", "--porcelain", "--untracked-files=no", "--", "flight", "requirements/flight.txt", *TABLES):
        commit += "+changes"
    return Checkout(commit, int(epoch_s), [ROOT / name for name in tracked.split("\0") if name])


def is_code(path: Path) -> bool:
    """Tell what flies from caches and from texts for readers of the source."""
    return "__pycache__" not in path.parts and path.suffix != ".pyc" and path.name != "README.md"


def read_version() -> str:
    """Return `__version__` of the package, without importing it."""
    module = ast.parse((FLIGHT / "pygnc" / "__init__.py").read_text(encoding="utf-8"))
    return next(
        str(ast.literal_eval(statement.value))
        for statement in module.body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__version__"
    )


def packed_name(path: Path) -> str:
    """Return where a file of the tree stands in the zip: what flies of data/ goes into the package."""
    return (
        path.relative_to(FLIGHT).as_posix() if FLIGHT in path.parents else f"pygnc/{path.relative_to(ROOT).as_posix()}"
    )


def collect() -> tuple[dict[str, bytes], int]:
    """Return what flight.zip holds, name -> content, and the date of its entries, Unix seconds."""
    checkout = read_checkout()
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if checkout is None:
        print("No git checkout with a commit: packing every file under flight/.", file=sys.stderr)
        files = [path for path in FLIGHT.rglob("*") if path.is_file()] + [ROOT / table for table in TABLES]
        commit, epoch_s = "no-git", None
    else:
        commit, epoch_s, files = checkout
    if given is not None:
        epoch_s = int(given)
    date = "undated" if epoch_s is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s))
    content = {packed_name(path): path.read_bytes() for path in files if is_code(path)}
    content["pygnc_version.info"] = f"{date} {commit} {read_version()}\n".encode()
    content["requirements.txt"] = LOCK.read_bytes()
    return content, epoch_s or ZIP_EPOCH_S


def download_wheels(machine: str, python_version: str) -> dict[str, bytes]:
    """Fetch the locked libraries for another computer; pip refuses what differs from the lock's hashes.

    Raises:
        subprocess.CalledProcessError: pip found no package index, no fitting wheel, or a wrong hash, and said so.
    """
    platforms = [f"manylinux2014_{machine}", *(f"manylinux_2_{minor}_{machine}" for minor in GLIBC_MINORS)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(LOCK)]
    target = ["--implementation", "cp", "--python-version", python_version]
    target += [word for platform in platforms for word in ("--platform", platform)]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*pip, *locked, *target, "--dest", folder], check=True)
        return {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in Path(folder).iterdir()}


def write_zip(path: Path, content: dict[str, bytes], epoch_s: int) -> None:
    """Write `content` so that its bytes depend on nothing else (and on the zlib in use)."""
    date = time.gmtime(max(epoch_s, ZIP_EPOCH_S))[:6]
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, date)
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content[name], compresslevel=9)


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
        help="default: flight.zip beside this script",
    )
    parser.add_argument(
        "--wheels",
        nargs="?",
        const="aarch64",
        metavar="MACHINE",
        help="add wheels/, the libraries for MACHINE (default: aarch64; or x86_64)",
    )
    parser.add_argument(
        "--python", default="3.11", metavar="VERSION", help="Python that the wheels are for (default: 3.11)"
    )
    options = parser.parse_args()
    content, epoch_s = collect()
    if options.wheels is not None:
        content |= download_wheels(options.wheels, options.python)
    write_zip(options.output, content, epoch_s)
    print(hashlib.sha256(options.output.read_bytes()).hexdigest(), f" {options.output}")


if __name__ == "__main__":
    main()
