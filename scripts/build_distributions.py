"""Build the source distributions and wheels: `python -m scripts.build_distributions --out dist`.

`[tool.pygnc.distributions]` in pyproject.toml says which packages and data files each contains. All have one version,
and the same commit gives the same bytes: the files are dated by SOURCE_DATE_EPOCH if set, else by the commit.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import tomlkit
from packaging.requirements import Requirement

from scripts.build_frontend import FRONTEND, build_frontend
from scripts.documentation.links import with_absolute_links
from scripts.package_flight_code import ZIP_EPOCH_S, git, read_version

ROOT: Final = Path(__file__).resolve().parent.parent
DATA: Final = "pygnc_data"
"""Folder of the installed data files (`pygnc_system.files.data_file`)."""
COPIED: Final = ("LICENSE", "README.md")
"""Files at the top of a source distribution; the README is the page of the distribution in docs/distributions."""
PROJECT_FIELDS: Final = ("requires-python", "license", "classifiers", "keywords", "authors")
"""Fields of [project] that all distributions share."""


def main() -> None:
    """Build all distributions, or those that are named, and print the SHA-256 of each file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="Distributions (default: all).")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="Folder for the files (default: dist).")
    parser.add_argument("--libraries", action="store_true", help="Print the required libraries and build nothing.")
    parser.add_argument(
        "--extras", nargs="+", default=[], metavar="EXTRA", help="Extras whose libraries --libraries prints too."
    )
    arguments = parser.parse_args()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    distributions = declared["tool"]["pygnc"]["distributions"]
    unknown = set(arguments.names) - set(distributions)
    if unknown:
        parser.error(f"no distribution {', '.join(sorted(unknown))}; there are {', '.join(distributions)}")
    if arguments.libraries:
        print("\n".join(libraries(arguments.names or list(distributions), declared, arguments.extras)))
        return
    for name in arguments.names or distributions:
        for path in build(name, declared, arguments.out.absolute()):
            print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path}")


def build(name: str, declared: Mapping[str, Any], out: Path) -> list[Path]:
    """Build one distribution from a copy of its files; return the source distribution and the wheel."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / name
        copy_files(declared["tool"]["pygnc"]["distributions"][name], tree)
        shutil.copy(ROOT / "LICENSE", tree)
        (tree / "README.md").write_text(read_me(name, declared), encoding="utf-8")
        (tree / "pyproject.toml").write_text(tomlkit.dumps(project_file(name, declared)), encoding="utf-8")
        epoch_s = os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or str(ZIP_EPOCH_S)
        built = Path(folder) / "dist"
        command = [sys.executable, "-m", "hatchling", "build", "--directory", str(built)]
        environment = os.environ | {"SOURCE_DATE_EPOCH": epoch_s}
        subprocess.run(command, cwd=tree, env=environment, check=True, stdout=subprocess.DEVNULL)
        out.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.move(path, out / path.name)) for path in sorted(built.iterdir())]


def copy_files(distribution: Mapping[str, Any], tree: Path) -> None:
    """Copy the packages and data files of a distribution as its source tree has them."""
    for folder in distribution["packages"]:
        copy_tracked(folder, tree / Path(folder).name)
    for folder in distribution.get("data", ()):
        if ROOT / "data" / folder == FRONTEND:
            build_frontend()
        copy_tracked(f"data/{folder}", tree / DATA / folder)


def copy_tracked(folder: str, target: Path) -> None:
    """Copy a folder: the files that git tracks, or outside a checkout all except caches."""
    tracked = git("ls-files", "-z", "--", folder)
    paths = [ROOT / name for name in tracked.split("\0") if name] if tracked else list((ROOT / folder).rglob("*"))
    for path in paths:
        if path.is_file() and "__pycache__" not in path.parts:
            copy = target / path.relative_to(ROOT / folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


def read_me(name: str, declared: Mapping[str, Any]) -> str:
    """Return the README of a distribution: its page of the documentation, with links to the repository."""
    page = PurePosixPath("docs/distributions", f"{name}.md")
    address = f"{repository(declared)}/blob/v{read_version()}"
    return with_absolute_links((ROOT / page).read_text(encoding="utf-8"), page, address)


def repository(declared: Mapping[str, Any]) -> str:
    """Return the address of the repository, whose only declaration is in pyproject.toml."""
    return str(declared["project"]["urls"]["Repository"])


def addresses(declared: Mapping[str, Any]) -> dict[str, str]:
    """Return the addresses that the metadata of a distribution contain, all within the repository."""
    pages = {
        "Changelog": "/blob/main/CHANGELOG.md",
        "Documentation": "/blob/main/docs/index.md",
        "Issues": "/issues",
        "Repository": "",
    }
    return {label: f"{repository(declared)}{page}" for label, page in pages.items()}


def project_file(name: str, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of the distribution's pyproject.toml.

    Raises:
        KeyError: `requires` names a library that pyproject.toml does not give a version for.
    """
    distribution, project = declared["tool"]["pygnc"]["distributions"][name], declared["project"]
    packages = [Path(folder).name for folder in distribution["packages"]]
    versions = dict(requirements(declared))
    included = [*packages, *([DATA] if "data" in distribution else [])]
    fields: dict[str, Any] = {key: project[key] for key in PROJECT_FIELDS if key in project}
    fields |= {
        "name": name,
        "version": read_version(),
        "description": distribution["description"],
        "readme": "README.md",
        "urls": addresses(declared),
        "dependencies": [versions[library] for library in distribution["requires"]],
        "optional-dependencies": {
            extra: [versions[library] for library in libraries]
            for extra, libraries in distribution.get("extras", {}).items()
        },
        "scripts": of_packages(project["scripts"], packages),
        "entry-points": {
            group: mine for group, all_ in project["entry-points"].items() if (mine := of_packages(all_, packages))
        },
    }
    targets = {"wheel": {"only-include": included}, "sdist": {"only-include": [*included, *COPIED]}}
    return {
        "build-system": declared["build-system"],
        "project": fields,
        "tool": {"hatch": {"build": {"targets": targets}}},
    }


def libraries(names: Sequence[str], declared: Mapping[str, Any], extras: Sequence[str] = ()) -> list[str]:
    """Return the requirements of distributions, of their extras and of ours that they require, except ours."""
    distributions, versions = declared["tool"]["pygnc"]["distributions"], dict(requirements(declared))
    added = {one for name in names for extra in extras for one in distributions[name].get("extras", {}).get(extra, ())}
    required, waiting = {versions[one] for one in added}, list(names)
    while waiting:
        for name in distributions[waiting.pop()]["requires"]:
            if name in distributions:
                waiting.append(name)
            else:
                required.add(versions[name])
    return sorted(required)


def requirements(declared: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the name and the requirement of each library, and of each of our distributions."""
    project = declared["project"]
    for text in (
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ):
        yield Requirement(text).name, text
    for name in declared["tool"]["pygnc"]["distributions"]:
        yield name, f"{name}=={read_version()}"


def of_packages(entry_points: Mapping[str, str], packages: list[str]) -> dict[str, str]:
    """Return the entry points that refer to one of the packages."""
    return {key: value for key, value in entry_points.items() if value.partition(":")[0].partition(".")[0] in packages}


if __name__ == "__main__":
    main()
