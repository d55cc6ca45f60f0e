"""Reference of Python modules, from signatures and docstrings in their sources."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, Final

import griffe

from scripts.documentation.links import ROOT

_PACKAGES: Final = ("pygnc_devices", "pygnc.estimators")


def module_pages() -> dict[PurePosixPath, str]:
    """Return the pages of all documented packages by their paths in the site."""
    return {PurePosixPath("reference", f"{name}.md"): _page(name) for name in _PACKAGES}


def _page(package: str) -> str:
    loaded = griffe.load(package, search_paths=[ROOT / "flight"])
    parts = [f"# `{package}`", "Public classes and functions, with the signatures and docstrings of the source."]
    for module in _modules(loaded):
        members = [part for member in module.members.values() for part in _member(member)]
        if members:
            parts += [f"## {module.path}", _docstring(module), *members]
    return "\n\n".join(part for part in parts if part) + "\n"


def _modules(module: Any) -> Iterator[Any]:  # noqa: ANN401 - an object of griffe, which is installed for the documentation only
    yield module
    for below in sorted(module.modules.values(), key=lambda item: str(item.path)):
        if not below.name.startswith("_") and not below.is_alias:
            yield from _modules(below)


def _member(member: Any, within: str = "") -> list[str]:  # noqa: ANN401 - the same
    """Return the description of a class with its methods, or of a function; nothing without a docstring."""
    if member.is_alias or member.name.startswith("_") or not member.docstring:
        return []
    if member.is_function:
        head = f"{within}{member.name}({', '.join(_parameters(member))})"
        returns = f" -> {member.returns}" if member.returns else ""
        return [f"```python\n{head}{returns}\n```", _docstring(member)]
    if member.is_class:
        parts = [f"### {member.path.rpartition('.')[2]}", _docstring(member)]
        for below in member.members.values():
            parts += _member(below, f"{member.name}.")
        return parts
    return []


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
        annotation = f": {parameter.annotation}" if parameter.annotation is not None else ""
        yield f"{prefix}{parameter.name}{annotation}{default}"


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
