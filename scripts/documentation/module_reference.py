"""Reference of Python modules, from signatures and docstrings in their sources.

Classes, functions and attributes become objects of Sphinx's Python domain: signatures link to the types on these pages,
and other projects can link to all of them, because the site's `objects.inv` lists them.
"""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any, Final

import griffe

from scripts.documentation.links import ROOT

_PACKAGES: Final = ("pygnc_devices", "pygnc.estimators")
INTERFACE: Final = "pygnc_ground"
RESULTS: Final = {
    "Scenarios": (
        "pygnc_ground.scenario.generate.Scenario",
        "pygnc_ground.scenario.generate.TrueStates",
        "pygnc.formats.sense.SensorSamples",
    ),
    "Replay": (
        "pygnc_ground.replay.result.ReplayResult",
        "pygnc_ground.replay.result.FixRecords",
        "pygnc_ground.replay.result.Innovations",
        "pygnc_ground.replay.result.UntimedRecord",
        "pygnc_ground.orbit.solution.OrbitSolution",
        "pygnc_ground.replay.result.AttitudeResult",
        "pygnc_ground.replay.result.SampleRecords",
        "pygnc_ground.attitude.solution.AttitudeSolution",
        "pygnc_ground.replay.result.FormationResult",
        "pygnc_ground.replay.result.PartnerResult",
        "pygnc_ground.replay.result.RelativeStates",
        "pygnc_ground.replay.result.CandidateOrbit",
        "pygnc_ground.replay.result.LinkResult",
        "pygnc_ground.formation.conjunction.Conjunction",
        "pygnc_ground.formation.conjunction.Encounter",
    ),
    "Comparison with the truth": (
        "pygnc_ground.report.comparison.ComparedOrbit",
        "pygnc_ground.orbit.solution.OrbitErrors",
        "pygnc_ground.report.statistics.OrbitAccuracy",
        "pygnc_ground.report.comparison.ComparedAttitude",
        "pygnc_ground.attitude.accuracy.AttitudeErrors",
        "pygnc_ground.attitude.accuracy.AttitudeAccuracy",
        "pygnc_ground.report.comparison.ComparedPartner",
        "pygnc_ground.report.comparison.ComparedCandidate",
    ),
    "Truth, bounds and calibration": (
        "pygnc_ground.truth.ephemeris.Ephemeris",
        "pygnc_ground.truth.orbit_truth.TrueOrbit",
        "pygnc_ground.truth.attitude_truth.AttitudeTruth",
        "pygnc_ground.truth.attitude_truth.TrueAttitude",
        "pygnc_ground.orbit.bound.Bound",
        "pygnc_ground.calibration.readings.FieldReadings",
    ),
}
"""Types of the results of the public interface, besides those that it names, by heading."""


def module_pages() -> dict[PurePosixPath, str]:
    """Return the pages of all documented packages by their paths in the site."""
    collection = griffe.ModulesCollection()
    folders = [ROOT / "flight", ROOT / "ground"]
    loader = griffe.GriffeLoader(search_paths=folders, modules_collection=collection)
    for package in ("pygnc", "pygnc_devices", INTERFACE):
        loader.load(package)
    loader.resolve_aliases(external=False)
    pages = {PurePosixPath("reference", f"{name}.md"): _page(collection[name]) for name in _PACKAGES}
    return pages | {PurePosixPath("reference", f"{INTERFACE}.md"): _interface_page(collection)}


def _interface_page(collection: Any) -> str:  # noqa: ANN401 - an object of griffe, which is installed for the documentation only
    package = collection[INTERFACE]
    members = [package.members[name] for name in sorted(package.members)]
    named = [member.final_target for member in members if member.is_alias and _is_ours(member)]
    functions, classes = ([item for item in named if item.is_function is wanted] for wanted in (True, False))
    parts = [
        f"# `{INTERFACE}`",
        "The public Python interface of the analysis on the ground. [Python](../python.md) explains it.",
        f"```{{py:module}} {INTERFACE}\n```",
        "## Functions",
        *_described(functions, INTERFACE),
        "## Results",
        *_described(classes, INTERFACE),
    ]
    for title, paths in RESULTS.items():
        parts += [f"## {title}", *_described([collection[path] for path in paths])]
    return "\n\n".join(parts) + "\n"


def _is_ours(alias: Any) -> bool:  # noqa: ANN401 - the same
    return str(alias.target_path).startswith("pygnc") and not alias.name.startswith("_")


def _page(package: Any) -> str:  # noqa: ANN401 - the same
    parts = [f"# `{package.path}`", "Public classes and functions, with the signatures and docstrings of the source."]
    for module in _modules(package):
        members = _described(member for member in module.members.values() if not member.is_alias)
        if members:
            parts += [f"## {module.path}", _docstring(module), *members]
    return "\n\n".join(part for part in parts if part) + "\n"


def _modules(module: Any) -> Iterator[Any]:  # noqa: ANN401 - the same
    yield module
    for below in sorted(module.modules.values(), key=lambda item: str(item.path)):
        if not below.name.startswith("_") and not below.is_alias:
            yield from _modules(below)


def _described(items: Iterable[Any], module: str | None = None) -> list[str]:
    """Return the descriptions of classes and functions with a docstring; `module` replaces their own module."""
    parts = []
    for item in items:
        if item.name.startswith("_") or not item.docstring or not (item.is_class or item.is_function):
            continue
        of_module = module or item.module.path
        options = [f":module: {of_module}", f":canonical: {item.path}"]
        if f"{of_module}.{item.name}" == item.path:
            options.pop()
        if item.is_function:
            parts.append(_directive("py:function", f"{item.name}{_signature(item)}", options, [_docstring(item)]))
        else:
            below = [part for member in item.members.values() for part in _member(member, of_module, item.name)]
            parts.append(_directive("py:class", item.name, options, [_docstring(item), *below], fence=4))
    return parts


def _member(member: Any, module: str, owner: str) -> list[str]:  # noqa: ANN401 - the same
    """Return the description of a method or attribute of a class; nothing without a docstring."""
    if member.is_alias or member.name.startswith("_") or not member.docstring:
        return []
    options, name = [f":module: {module}"], f"{owner}.{member.name}"
    if member.is_function:
        kinds = [f":{label}:" for label in ("classmethod", "staticmethod") if label in member.labels]
        return [_directive("py:method", f"{name}{_signature(member)}", options + kinds, [_docstring(member)])]
    if member.is_attribute:
        options += [f":type: {_annotation(member.annotation)}"] if member.annotation is not None else []
        return [_directive("py:attribute", name, options, [_docstring(member)])]
    return []


def _directive(kind: str, head: str, options: list[str], parts: list[str], fence: int = 3) -> str:
    body = "\n\n".join(part for part in parts if part)
    marks = "`" * (fence + 3)
    return "\n".join([f"{marks}{{{kind}}} {head}", *options, "", body, marks])


def _signature(function: Any) -> str:  # noqa: ANN401 - the same
    returns = f" -> {_annotation(function.returns)}" if function.returns is not None else ""
    return f"({', '.join(_parameters(function))}){returns}"


def _parameters(function: Any) -> Iterator[str]:  # noqa: ANN401 - the same
    """Yield the parameters of a signature, without `self` and `cls`."""
    starred = False
    for parameter in function.parameters:
        kind = str(parameter.kind.value)
        if parameter.name in {"self", "cls"}:
            continue
        if "keyword-only" in kind and not starred:
            starred = True
            yield "*"
        prefix = "**" if kind == "variadic keyword" else "*" if kind == "variadic positional" else ""
        starred = starred or prefix == "*"
        default = f" = {parameter.default}" if parameter.default is not None and not prefix else ""
        annotation = f": {_annotation(parameter.annotation)}" if parameter.annotation is not None else ""
        yield f"{prefix}{parameter.name}{annotation}{default}"


def _annotation(annotation: Any) -> str:  # noqa: ANN401 - the same
    """Return a type in which names of ours are complete; Sphinx shows and links their last part."""
    if isinstance(annotation, str):
        return annotation
    pieces = []
    for piece in annotation.iterate(flat=True):
        path = "" if isinstance(piece, str) else str(piece.canonical_path)
        pieces.append(f"~{path}" if path.startswith("pygnc") else str(piece))
    return "".join(pieces)


def _docstring(item: Any) -> str:  # noqa: ANN401 - the same
    """Return a docstring as Markdown; its sections of arguments, attributes and errors become lists."""
    if not item.docstring:
        return ""
    text: list[str] = []
    in_section = False
    for line in item.docstring.value.splitlines():
        if line.strip() in {"Args:", "Attributes:", "Raises:", "Returns:", "Yields:"}:
            in_section = True
            text += ["", f"**{line.strip().removesuffix(':')}**", ""]
        elif in_section and line.startswith("    ") and not line.startswith("     ") and ": " in line:
            name, _, meaning = line.strip().partition(": ")
            text.append(f"- `{name}`: {_escaped(meaning)}")
        elif in_section and line.startswith("     "):
            text.append(f"  {_escaped(line.strip())}")
        else:
            in_section = in_section and not line.strip()
            text.append(_escaped(line))
    return "\n".join(text)


def _escaped(line: str) -> str:
    """Return a line with the characters escaped, outside code, that Markdown would interpret."""
    pieces = line.split("`")
    pieces[::2] = ["".join(f"\\{c}" if c in "<>*_$[]|" else c for c in piece) for piece in pieces[::2]]
    return "`".join(pieces)
