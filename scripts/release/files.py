"""Build the files of a release from this tree: `python -m scripts.release.files --out DIR`.

The folder gets source distributions, wheels, flight.zip, Debian packages, the bill of materials, the list of licences
and SHA256SUMS. The same commit gives the same bytes on any computer with the same tools.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tomllib
from itertools import product
from pathlib import Path
from typing import Final

from scripts.build_distributions import build
from scripts.package_flight_code import ROOT, git, read_version
from scripts.release.materials import collect_materials, write_bill_of_materials, write_licences
from scripts.release.publication import SUMS

FLIGHT_ZIP: Final = "flight.zip"
BILL_OF_MATERIALS: Final = "bom.cdx.json"
LICENCES: Final = "licences.md"
ARCHITECTURES: Final = ("amd64", "arm64")
"""Architectures of the Debian packages of the station: servers and PCs, and Raspberry Pi."""
DEBIAN_RELEASES: Final = ("12", "13")


def main() -> None:
    """Build all files into an empty folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="New or empty folder for the files.")
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(sys.executable),
        help="Python of the environment with the project and its libraries, which builds the Debian package and from "
        "which licences are read (default: this one).",
    )
    parser.add_argument(
        "--debian",
        nargs="*",
        choices=ARCHITECTURES,
        default=ARCHITECTURES,
        metavar="ARCHITECTURE",
        help=f"Architectures of the Debian packages (default: {' '.join(ARCHITECTURES)}).",
    )
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="Folder that keeps the wheels of Debian packages.")
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        parser.error(f"{out} is not empty")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for name in declared["tool"]["pygnc"]["distributions"]:
        build(name, declared, out)
    run([sys.executable, "scripts/package_flight_code.py", "--output", str(out / FLIGHT_ZIP)])
    for architecture, release in product(arguments.debian, DEBIAN_RELEASES):
        system = ["--architecture", architecture, "--debian", release]
        kept = arguments.wheels and arguments.wheels.absolute() / f"{architecture}-{release}"
        wheels = ["--wheels", str(kept)] if kept else []
        run([str(arguments.python), "-m", "scripts.build_debian_package", *system, *wheels, "--out", str(out)])
    built = {path.name.partition("-")[0].replace("_", "-"): path for path in out.glob("*.whl")}
    installed = run([str(arguments.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip()
    materials = collect_materials(declared, ROOT / "requirements/development.txt", Path(installed))
    epoch_s = int(git("log", "-1", "--format=%ct") or 0)
    write_bill_of_materials(out / BILL_OF_MATERIALS, read_version(), epoch_s, built, materials)
    write_licences(out / LICENCES, read_version(), materials)
    write_sums(out)
    sys.stdout.write((out / SUMS).read_text(encoding="utf-8"))


def run(command: list[str]) -> str:
    """Run a program with the packages of this tree, not of the one that its environment was made for."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("flight", "ground"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command[1:])} exited with {done.returncode}")
    return done.stdout


def write_sums(folder: Path) -> None:
    """Write the SHA-256 of each file in a folder in the form that `sha256sum --check` reads."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
        if path.name != SUMS
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
