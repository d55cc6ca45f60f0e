"""Layouts that the metadata of MicroStrain's MIP SDK declares, read from a clone of the SDK."""

import os
import re
from pathlib import Path
from typing import Final, NamedTuple

import pytest

_CODES: Final = {
    "CHAR": "s",
    "BOOL": "B",
    "U8": "B",
    "S8": "b",
    "U16": "H",
    "S16": "h",
    "U32": "I",
    "S32": "i",
    "U64": "Q",
    "S64": "q",
    "FLOAT": "f",
    "DOUBLE": "d",
}
_STRUCTURES: Final = {
    "Vector3f": "fff",
    "Vector4f": "ffff",
    "Quatf": "ffff",
    "Vector3d": "ddd",
    "Matrix3f": "f" * 9,
    "DescriptorRate": "BH",
}
_BLOCK: Final = re.compile(r"struct MetadataFor<([\w:]+)>\n\{(.*?)\n\};", re.DOTALL)
_PARAMETER: Final = re.compile(
    r"\.name +=[ */]+\"(\w+)\".*?\.type +=[ */]+\{Type::(\w+), (?:nullptr|&MetadataFor<([\w:]+)>::value)\}"
    r".*?\.attributes +=[ */]+(.*?),\n.*?\.count +=[ */]+(.*?),\n.*?\.condition +=[ */]+(.*?),\n",
    re.DOTALL,
)
_ENTRY: Final = re.compile(r"\{ uint32_t\((\d+)\), \"(\w+)\"")
_TYPE: Final = re.compile(r"\.type +=[ */]+Type::(\w+)")
_FUNCTIONS: Final = re.compile(r"\.functions +=[ */]+\{(.*?)\}")
_NUMBER: Final = re.compile(r"(\w+) += (0x[0-9A-F]{2}),")
_CLASS: Final = re.compile(r"FIELD_DESCRIPTOR = ::mip::(\w+)::(\w+);.*? NAME = \"([\w:]+)\";", re.DOTALL)


class Parameter(NamedTuple):
    """Parameter of a field.

    Attributes:
        name: name in the SDK.
        codes: struct codes; in parentheses if their number or their presence varies.
        entries: name and value of each constant of an enumeration or bit field.
        is_echoed: True if the parameter selects an instance, which the response repeats.
    """

    name: str
    codes: str
    entries: tuple[tuple[str, int], ...]
    is_echoed: bool


class SdkField(NamedTuple):
    """Field of data, of a command or of its response.

    Attributes:
        name: name in the SDK.
        parameters: parameters without the function selector.
        functions: first letters of the functions write, read, save, load and default that the command has.
    """

    name: str
    parameters: tuple[Parameter, ...]
    functions: str

    @property
    def codes(self) -> str:
        """Codes of all parameters."""
        return "".join(parameter.codes for parameter in self.parameters)


def sdk_fields(name: str) -> dict[int, SdkField]:
    """Return the fields of a definition, such as `data_filter`, by descriptor; without a clone the test is skipped."""
    folder = Path(os.environ.get("PYGNC_PEERS", ".")) / "mip_sdk/src/cpp/mip"
    if not folder.is_dir():
        pytest.skip("set PYGNC_PEERS to a folder with a clone of github.com/LORD-MicroStrain/mip_sdk")
    definitions = (folder / f"definitions/{name}.hpp").read_text()
    numbers = {constant: int(value, 0) for constant, value in _NUMBER.findall(definitions)}
    blocks: dict[str, str] = {}
    for file in ("data_shared", "data_filter", "data_gnss", name):
        blocks |= dict(_BLOCK.findall((folder / f"metadata/definitions/{file}.hpp").read_text()))
    return {
        numbers[constant]: SdkField(title, _parameters(blocks, block), _functions(block))
        for space, constant, title in _CLASS.findall(definitions)
        if (block := blocks.get(f"{space}::{title}"))
    }


def _functions(block: str) -> str:
    flags = _FUNCTIONS.search(block)
    return "".join(n for n, flag in zip("wrsld", flags[1].split(","), strict=True) if "true" in flag) if flags else ""


def _parameters(blocks: dict[str, str], block: str) -> tuple[Parameter, ...]:
    return tuple(
        Parameter(name, _codes(blocks, kind, other, count, condition), _entries(blocks, other), "echo" in attributes)
        for name, kind, other, attributes, count, condition in _PARAMETER.findall(block)
    )


def _codes(blocks: dict[str, str], kind: str, other: str, count: str, condition: str) -> str:
    if kind in _CODES:
        codes = _CODES[kind]
    elif other in _STRUCTURES:
        codes = _STRUCTURES[other]
    elif kind in {"ENUM", "BITS"}:
        found = _TYPE.search(blocks[other])
        assert found, other
        codes = _CODES[found[1]]
    else:
        codes = "".join(parameter.codes for parameter in _parameters(blocks, blocks[other]))
    is_fixed = count.strip("{}").isdecimal() and int(count.strip("{}")) and condition == "{}"
    if codes == "s":
        return f"{count}s" if is_fixed else "(s)"
    return codes * int(count.strip("{}")) if is_fixed else f"({codes})"


def _entries(blocks: dict[str, str], other: str) -> tuple[tuple[str, int], ...]:
    return tuple((entry, int(value)) for value, entry in _ENTRY.findall(blocks.get(other, "")))
