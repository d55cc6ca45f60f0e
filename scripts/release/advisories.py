"""Check the locks against advisories: `python -m scripts.release.advisories PATH`.

PATH is a record in the OSV format (https://ossf.github.io/osv-schema), as JSON or YAML, or a folder or zip of records,
such as a clone of github.com/pypa/advisory-database. Nothing is sent to or read from the network. `accepted` in
[tool.pygnc.advisories] of pyproject.toml gives the reason for each advisory that does not concern this project.
"""

import argparse
import json
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from scripts.package_flight_code import ROOT
from scripts.release.errors import ReleaseError
from scripts.release.locks import read_lock

ECOSYSTEM: Final = "PyPI"
SUFFIXES: Final = (".json", ".yaml", ".yml")


@dataclass(frozen=True)
class Advisory:
    """Statement of a record about one library."""

    id: str
    library: NormalizedName
    versions: frozenset[str]
    ranges: tuple[tuple[Mapping[str, str], ...], ...]
    """Events of each range of versions, in the order of the record."""


@dataclass(frozen=True)
class Finding:
    """An advisory that concerns a locked library."""

    lock: str
    library: NormalizedName
    version: Version
    advisory: str

    def __str__(self) -> str:
        return f"{self.lock}: {self.library} {self.version}: {self.advisory}"


def main() -> None:
    """Print the advisories that concern locked libraries; exit with 1 if there are any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, metavar="PATH", help="Record, or folder or zip of records.")
    try:
        print(check_advisories(ROOT, parser.parse_args().path))
    except ReleaseError as error:
        sys.exit(f"advisories: {error}")


def check_advisories(tree: Path, path: Path) -> str:
    """Return a summary of the check.

    Raises:
        ReleaseError: an advisory concerns a locked library, or the advisories cannot be read.
    """
    declared = tomllib.loads((tree / "pyproject.toml").read_text(encoding="utf-8"))
    accepted = declared["tool"]["pygnc"].get("advisories", {}).get("accepted", {})
    advisories: dict[NormalizedName, list[Advisory]] = {}
    records = 0
    for record in read_advisories(path):
        records += 1
        advisories.setdefault(record.library, []).append(record)
    if not records:
        message = f"{path}: no advisories for {ECOSYSTEM}"
        raise ReleaseError(message)
    locks = sorted((tree / "requirements").glob("*.txt"))
    libraries = {(lock.name, one.name, one.version) for lock in locks for one in read_lock(lock).values()}
    found = [
        Finding(lock, name, version, advisory.id)
        for lock, name, version in sorted(libraries)
        for advisory in advisories.get(name, ())
        if advisory.id not in accepted and concerns(advisory, version)
    ]
    if found:
        lines = "".join(f"\n  {finding}" for finding in found)
        message = f"advisories concern locked libraries; raise their versions, or accept them in pyproject.toml:{lines}"
        raise ReleaseError(message)
    pins = len({(name, version) for _, name, version in libraries})
    return f"{records} advisories, none concerns the {pins} locked libraries"


def read_advisories(path: Path) -> Iterator[Advisory]:
    """Yield what the records at a path say of libraries of the package index, without withdrawn records.

    Raises:
        ReleaseError: a file cannot be read or is not an OSV record.
    """
    for name, text in _texts(path):
        try:
            record = json.loads(text) if name.endswith(".json") else _load_yaml(text)
            if "withdrawn" not in record:
                yield from _advisories_of(record)
        except (ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            message = f"{name}: not an advisory in the OSV format ({type(error).__name__}: {error})"
            raise ReleaseError(message) from None


def _load_yaml(text: str) -> Any:  # noqa: ANN401 (what a file contains)
    """Return the content of a YAML document with all values as text: a version 1.10 is no number."""
    return yaml.load(text, Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))  # noqa: S506 (builds text, lists, dicts)


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and content of each record."""
    try:
        if path.is_dir():
            for file in sorted(one for one in path.rglob("*") if one.suffix in SUFFIXES):
                if not any(part.startswith(".") for part in file.relative_to(path).parts):
                    yield str(file), file.read_text(encoding="utf-8")
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in sorted(archive.namelist()):
                    if name.endswith(SUFFIXES):
                        yield f"{path}: {name}", archive.read(name).decode()
        else:
            yield str(path), path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, zipfile.BadZipFile) as error:
        message = f"{path}: advisories cannot be read ({error})"
        raise ReleaseError(message) from None


def _advisories_of(record: Mapping[str, Any]) -> Iterator[Advisory]:
    for affected in record.get("affected", ()):
        package = affected.get("package", {})
        if package.get("ecosystem") == ECOSYSTEM:
            ranges = [one["events"] for one in affected.get("ranges", ()) if one["type"] == "ECOSYSTEM"]
            yield Advisory(
                record["id"],
                canonicalize_name(package["name"]),
                frozenset(str(version) for version in affected.get("versions", ())),
                tuple(tuple(dict(event) for event in events) for events in ranges),
            )


def concerns(advisory: Advisory, version: Version) -> bool:
    """Tell whether an advisory concerns a version.

    An advisory without any version concerns all, and so does a range with a bound that does not follow PEP 440.
    """
    if not advisory.versions and not advisory.ranges:
        return True
    if any(_version(one) == version for one in advisory.versions):
        return True
    return any(_is_inside(version, events) for events in advisory.ranges)


def _is_inside(version: Version, events: tuple[Mapping[str, str], ...]) -> bool:
    """Evaluate the events of a range: the last one that the version has passed decides."""
    bounds = [(_version(text), kind) for event in events for kind, text in event.items()]
    if any(bound is None for bound, _ in bounds):
        return True
    inside = False
    for bound, kind in sorted((bound, kind) for bound, kind in bounds if bound is not None):
        if version > bound or (version == bound and kind != "last_affected"):
            inside = kind == "introduced"
    return inside


def _version(text: str) -> Version | None:
    """Return a version; 0 is below all versions, as the format demands. None if the text does not follow PEP 440."""
    try:
        return Version("0.dev0" if text == "0" else text)
    except InvalidVersion:
        return None


if __name__ == "__main__":
    main()
