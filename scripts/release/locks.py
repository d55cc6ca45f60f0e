"""Read the locks in requirements/, as `make lock` writes them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

PARENT: Final = re.compile(r"#\s+(?:via\s+)?([A-Za-z0-9][A-Za-z0-9._-]*)(?:\s.*)?")
"""Comment that names a package which requires the one above it; `-c` lines name files."""


@dataclass(frozen=True)
class LockedLibrary:
    """A library of a lock, with the packages that require it."""

    name: NormalizedName
    version: Version
    marker: Marker | None
    sha256: frozenset[str]
    required_by: frozenset[NormalizedName]


def read_lock(path: Path) -> dict[NormalizedName, LockedLibrary]:
    """Return the libraries of a lock by name.

    Raises:
        ValueError: a line is not a pinned library with hashes, or a library has two versions.
    """
    libraries: dict[NormalizedName, LockedLibrary] = {}
    for line, entry, comments in _entries(path):
        pin, *hashes = entry.split("--hash=sha256:")
        try:
            requirement = Requirement(pin)
            (specifier,) = requirement.specifier
        except (InvalidRequirement, ValueError):
            requirement, specifier = None, None
        if requirement is None or specifier is None or specifier.operator != "==" or not hashes:
            message = f"{path}: line {line} does not pin a library with its hashes; run make lock"
            raise ValueError(message)
        name = canonicalize_name(requirement.name)
        if name in libraries:
            message = f"{path}: line {line} pins {name} a second time"
            raise ValueError(message)
        parents = (PARENT.fullmatch(comment) for comment in comments)
        libraries[name] = LockedLibrary(
            name=name,
            version=Version(specifier.version),
            marker=requirement.marker,
            sha256=frozenset(one.strip() for one in hashes),
            required_by=frozenset(canonicalize_name(parent[1]) for parent in parents if parent and parent[1] != "via"),
        )
    return libraries


def _entries(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the line number of each requirement, its text without line breaks, and the comments below it."""
    number, text, comments = 0, "", list[str]()
    begun = False
    for index, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            comments.append(stripped)
        elif stripped:
            if not begun:
                if text:
                    yield number, text, comments
                number, text, comments = index, "", []
            begun = stripped.endswith("\\")
            text += stripped.removesuffix("\\")
    if text:
        yield number, text, comments
