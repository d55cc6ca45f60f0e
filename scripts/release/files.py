"""Build the files of a release from this tree: `python -m scripts.release.files --out DIR`.

The folder gets source distributions, wheels, flight.zip, the bill of materials, the list of licences and SHA256SUMS.
The same commit gives the same bytes on any computer with the same tools.
"""

import argparse
import hashlib
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from typing import Final

from scripts.build_distributions import build
from scripts.package_flight_code import ROOT, git, read_version
from scripts.release.materials import collect_materials, write_bill_of_materials, write_licences
from scripts.release.publication import SUMS

FLIGHT_ZIP: Final = "flight.zip"
BILL_OF_MATERIALS: Final = "bom.cdx.json"
LICENCES: Final = "licences.md"


def main() -> None:
    """Build all files into an empty folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="New or empty folder for the files.")
    parser.add_argument(
        "--libraries",
        type=Path,
        default=Path(sysconfig.get_path("purelib")),
        metavar="DIR",
        help="Folder with the installed libraries, from which the licences are read (default: this environment's).",
    )
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        parser.error(f"{out} is not empty")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for name in declared["tool"]["pygnc"]["distributions"]:
        build(name, declared, out)
    packer = [sys.executable, str(ROOT / "scripts/package_flight_code.py"), "--output", str(out / FLIGHT_ZIP)]
    subprocess.run(packer, check=True, stdout=subprocess.DEVNULL)
    wheels = {path.name.partition("-")[0].replace("_", "-"): path for path in out.glob("*.whl")}
    materials = collect_materials(declared, ROOT / "requirements/development.txt", arguments.libraries)
    epoch_s = int(git("log", "-1", "--format=%ct") or 0)
    write_bill_of_materials(out / BILL_OF_MATERIALS, read_version(), epoch_s, wheels, materials)
    write_licences(out / LICENCES, read_version(), materials)
    write_sums(out)
    sys.stdout.write((out / SUMS).read_text(encoding="utf-8"))


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
