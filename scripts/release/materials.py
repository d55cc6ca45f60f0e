"""Bill of materials (CycloneDX) and list of licences of the distributions, from the locks.

The lock says which libraries are needed, in which version, by whom and with which hashes. Licences are those that the
installed libraries declare; installed versions must be the locked ones. The libraries of pages have a lock of npm,
which contains their licences, and are part of the distribution that shows the pages.
"""

import base64
import hashlib
import importlib.metadata
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator
from packageurl import PackageURL
from packaging.utils import NormalizedName, canonicalize_name

from scripts.build_frontend import FRONTEND
from scripts.build_frontend import LOCK as PAGES_LOCK
from scripts.release.declared_licence import declared_licence
from scripts.release.errors import ReleaseError
from scripts.release.locks import LockedLibrary, read_lock

OUR_LICENCE: Final = "MIT"
NOT_INSTALLED: Final = "not read: not installed on the computer that built the release"


@dataclass(frozen=True)
class Material:
    """A library that a distribution needs, itself or for another library."""

    library: LockedLibrary
    licence: str
    """SPDX expression or name as the library declares it; NOT_INSTALLED if it does not run on this computer."""
    distributions: frozenset[str]
    """Our distributions that need it, with all their extras."""


@dataclass(frozen=True)
class PageLibrary:
    """JavaScript library that a distribution contains, with the hash of its package in the npm registry."""

    name: str
    version: str
    licence: str
    sha512: str


@dataclass(frozen=True)
class Materials:
    """Our distributions with what they require, all libraries below them, and those that they contain."""

    requires: Mapping[str, frozenset[NormalizedName]]
    libraries: Mapping[NormalizedName, Material]
    contained: Mapping[str, Sequence[PageLibrary]]


def collect_materials(declared: Mapping[str, Any], lock: Path, installed: Path) -> Materials:
    """Return the libraries of the declared distributions.

    Raises:
        ReleaseError: a library is not in the lock, is installed in another version, or declares no licence.
    """
    locked = read_lock(lock)
    children: dict[NormalizedName, set[NormalizedName]] = {name: set() for name in locked}
    for library in locked.values():
        for parent in library.required_by & children.keys():
            children[parent].add(library.name)
    distributions = declared["tool"]["pygnc"]["distributions"]
    requires = {
        name: frozenset(
            canonicalize_name(one)
            for one in (*settings["requires"], *(one for extra in settings.get("extras", {}).values() for one in extra))
        )
        for name, settings in distributions.items()
    }
    needed: dict[NormalizedName, set[str]] = {}
    for name in distributions:
        for library_name in _below(requires[name], requires, children, lock):
            needed.setdefault(library_name, set()).add(name)
    licences = read_licences((locked[name] for name in needed), installed)
    libraries = {name: Material(locked[name], licences[name], frozenset(needed[name])) for name in sorted(needed)}
    contained = {
        name: read_page_libraries(PAGES_LOCK)
        for name, settings in distributions.items()
        if FRONTEND.name in settings.get("data", ())
    }
    return Materials(requires, libraries, contained)


def read_page_libraries(lock: Path) -> list[PageLibrary]:
    """Return the libraries of a lock of npm, without the project of the lock itself and the tools that build."""
    packages = json.loads(lock.read_bytes())["packages"]
    return [
        PageLibrary(
            path.removeprefix("node_modules/"),
            one["version"],
            one["license"],
            base64.b64decode(one["integrity"].removeprefix("sha512-")).hex(),
        )
        for path, one in sorted(packages.items())
        if path and not one.get("dev")
    ]


def _below(
    first: Iterable[NormalizedName],
    distributions: Mapping[str, frozenset[NormalizedName]],
    children: Mapping[NormalizedName, set[NormalizedName]],
    lock: Path,
) -> set[NormalizedName]:
    """Return all libraries that are needed for the first ones; our distributions are followed, but not returned."""
    found: set[NormalizedName] = set()
    waiting = list(first)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name in distributions:
            waiting.extend(distributions[name])
            continue
        if name not in children:
            message = f"{lock}: {name} is not locked; run make lock"
            raise ReleaseError(message)
        found.add(name)
        waiting.extend(children[name])
    return found


def read_licences(libraries: Iterable[LockedLibrary], installed: Path) -> dict[NormalizedName, str]:
    """Return the licence that each library declares in its installed metadata."""
    present = {canonicalize_name(one.name): one for one in importlib.metadata.distributions(path=[str(installed)])}
    licences = {}
    for library in libraries:
        found = present.get(library.name)
        if found is None:
            if library.marker is None or library.marker.evaluate():
                message = f"{installed}: {library.name} is not installed; run make .venv/development.stamp"
                raise ReleaseError(message)
            licences[library.name] = NOT_INSTALLED
            continue
        if found.version != str(library.version):
            message = (
                f"{installed}: {library.name} has version {found.version}, the lock {library.version}; "
                "run make .venv/development.stamp"
            )
            raise ReleaseError(message)
        licence = declared_licence(found)
        if licence is None:
            message = f"{library.name} {library.version} declares no licence; leave it out, or ask its authors"
            raise ReleaseError(message)
        licences[library.name] = licence
    return licences


def write_bill_of_materials(
    path: Path, version: str, epoch_s: int, wheels: Mapping[str, Path], materials: Materials
) -> None:
    """Write a CycloneDX file: PyGNC, its distributions with the hashes of their wheels, and the locked libraries.

    Raises:
        ReleaseError: the result does not follow the schema.
    """
    whole = Component(name="pygnc", type=ComponentType.APPLICATION, version=version, bom_ref=f"release:pygnc@{version}")
    ours = {name: _our_component(name, version, wheel) for name, wheel in sorted(wheels.items())}
    libraries = {name: _library_component(material) for name, material in materials.libraries.items()}
    contained = {name: [_page_component(one) for one in of] for name, of in materials.contained.items()}
    components = ours | {str(name): component for name, component in libraries.items()}
    components |= {component.name: component for of in contained.values() for component in of}
    bom = Bom(components=components.values())
    bom.metadata.component = whole
    bom.metadata.timestamp = datetime.fromtimestamp(epoch_s, UTC)
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, f"pygnc {version} {epoch_s}")
    bom.register_dependency(whole, ours.values())
    for name, component in ours.items():
        required = [components[one] for one in sorted(materials.requires[name])]
        bom.register_dependency(component, [*required, *contained.get(name, ())])
    for name, component in libraries.items():
        needed = [other for one, other in libraries.items() if name in materials.libraries[one].library.required_by]
        bom.register_dependency(component, needed)
    text = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1)
    fault = make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6).validate_str(text)
    if fault is not None:
        message = f"the bill of materials does not follow the CycloneDX schema: {fault}"
        raise ReleaseError(message)
    path.write_text(text + "\n", encoding="utf-8")


def _our_component(name: str, version: str, wheel: Path) -> Component:
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return Component(
        name=name,
        version=version,
        bom_ref=f"pkg:pypi/{name}@{version}",
        purl=PackageURL("pypi", None, name, version),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
        licenses=[LicenseFactory().make_from_string(OUR_LICENCE)],
    )


def _library_component(material: Material) -> Component:
    library = material.library
    licence = [] if material.licence == NOT_INSTALLED else [LicenseFactory().make_from_string(material.licence)]
    properties = [Property(name="pygnc:sha256", value=value) for value in library.sha256]
    if library.marker is not None:
        properties.append(Property(name="pygnc:marker", value=str(library.marker)))
    return Component(
        name=library.name,
        version=str(library.version),
        bom_ref=f"pkg:pypi/{library.name}@{library.version}",
        purl=PackageURL("pypi", None, library.name, str(library.version)),
        licenses=licence,
        properties=properties,
    )


def _page_component(library: PageLibrary) -> Component:
    return Component(
        name=library.name,
        version=library.version,
        bom_ref=f"pkg:npm/{library.name}@{library.version}",
        purl=PackageURL("npm", None, library.name, library.version),
        hashes=[HashType(alg=HashAlgorithm.SHA_512, content=library.sha512)],
        licenses=[LicenseFactory().make_from_string(library.licence)],
    )


def write_licences(path: Path, version: str, materials: Materials) -> None:
    """Write the licences of all libraries as a Markdown table."""
    rows = [
        f"| {name} | {one.library.version} | {one.licence} | {', '.join(sorted(one.distributions))} |\n"
        for name, one in materials.libraries.items()
    ]
    rows += [
        f"| {one.name} | {one.version} | {one.licence} | contained in {name} |\n"
        for name, of in materials.contained.items()
        for one in of
    ]
    head = (
        f"# Licences of the libraries of PyGNC {version}\n\n"
        f"PyGNC is under the licence {OUR_LICENCE} (file LICENSE in each distribution). The README.md of each folder\n"
        "of data files names their sources and licences. The libraries below are installed from the package index, in\n"
        "these versions if the locks are used, or contained in a distribution with their licence. The licence\n"
        "is the one that each library declares.\n\n"
        "| library | version | licence | needed by (with all extras) |\n|---|---|---|---|\n"
    )
    path.write_text(head + "".join(rows), encoding="utf-8")
