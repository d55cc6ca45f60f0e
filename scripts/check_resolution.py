"""Check that the libraries of each distribution can be installed from wheels: `python -m scripts.check_resolution`.

The resolver of uv finds versions of all libraries, with all extras, for each Python and kind of computer, without
building anything. Needs a package index; nothing is downloaded except metadata. Prints a Markdown table.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final, NamedTuple

from scripts.build_distributions import requirements

ROOT: Final = Path(__file__).resolve().parent.parent
PYTHONS: Final = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS: Final = {"x86-64": "x86_64-manylinux_2_36", "aarch64": "aarch64-manylinux_2_36"}
"""Platforms of uv by kind of computer; glibc 2.36 is that of Debian 12 and of Raspberry Pi OS based on it."""


class Resolution(NamedTuple):
    """Result for one distribution, Python and kind of computer.

    Attributes:
        libraries: number of libraries; 0 if there is no solution.
        reason: the resolver's message if there is no solution.
    """

    libraries: int
    reason: str = ""


def main() -> None:
    """Resolve all distributions and print the table; the exit code is 1 if one has no solution."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    uv = find_uv()
    if uv is None:
        parser.error("uv is not installed: pip install uv")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    failed = []
    print("| distribution with all extras |", " | ".join(f"{p}, {k}" for k in PLATFORMS for p in PYTHONS), "|")
    print("|---|" + "---|" * len(PLATFORMS) * len(PYTHONS))
    for name in declared["tool"]["pygnc"]["distributions"]:
        cells = []
        for kind in PLATFORMS:
            for python in PYTHONS:
                found = resolve(uv, libraries_of(name, declared), python, kind)
                cells.append(f"{found.libraries} libraries" if not found.reason else "**none**")
                failed += [f"{name}, Python {python}, {kind}: {found.reason}"] if found.reason else []
        print(f"| {name} |", " | ".join(cells), "|")
    sys.exit("\n".join(failed) or 0)


def find_uv() -> str | None:
    """Return the path of uv in this environment or on the PATH; None if it is not installed."""
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return shutil.which("uv", path=os.pathsep.join(folders))


def libraries_of(name: str, declared: Mapping[str, Any], extras: AbstractSet[str] | None = None) -> list[str]:
    """Return the requirements of a distribution with extras (None: all), those of its siblings in their place."""
    distributions = declared["tool"]["pygnc"]["distributions"]
    versions = dict(requirements(declared))
    return sorted(
        {versions[library] for library in _names(name, distributions, extras) if library not in distributions}
    )


def _names(name: str, distributions: Mapping[str, Any], extras: AbstractSet[str] | None) -> Iterator[str]:
    chosen = distributions[name]
    of_extras = chosen.get("extras", {})
    wanted = of_extras if extras is None else of_extras.keys() & extras
    for library in (*chosen["requires"], *(one for extra in wanted for one in of_extras[extra])):
        yield library
        if library in distributions:
            yield from _names(library, distributions, extras)


def resolve(uv: str, libraries: Sequence[str], python: str, kind: str) -> Resolution:
    """Find versions of all libraries that have wheels for a Python and a kind of computer."""
    command = [uv, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"]
    command += ["--python-version", python, "--python-platform", PLATFORMS[kind], "-"]
    done = subprocess.run(command, input="\n".join(libraries), capture_output=True, text=True, check=False)
    if done.returncode:
        return Resolution(0, " ".join(done.stderr.split()))
    return Resolution(sum("==" in line for line in done.stdout.splitlines()))


if __name__ == "__main__":
    main()
