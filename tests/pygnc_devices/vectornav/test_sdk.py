"""Comparison of the declarations with the sources of the maker's libraries.

`PYGNC_PEERS` names a folder with clones of github.com/dotysan/vectornav-sdk (SDK 0.99) and github.com/dawonn/vectornav
(programming library 1.2). The files are read as text.
"""

import os
import re
from pathlib import Path

import pytest

from pygnc_devices.vectornav.fields import GROUPS, LINES, OutputField
from pygnc_devices.vectornav.operations import ERRORS
from pygnc_devices.vectornav.registers import ASYNC_TYPES, SETTINGS

INCLUDE = "vectornav-sdk/cpp/include/vectornav"
LIBRARY = "vectornav/vnproglib-1.2.0.0/cpp"


def source(name: str) -> str:
    path = Path(os.environ.get("PYGNC_PEERS", ".")) / name
    if not path.is_file():
        pytest.skip(f"set PYGNC_PEERS to a folder with a clone that contains {name}")
    return path.read_text()


def length(field: OutputField) -> int:
    return field.layout.size


def ours() -> dict[tuple[int, int], int]:
    """Return the lengths of the fields without lists."""
    pairs = ((group, field) for group, (_, fields) in GROUPS.items() for field in fields if not field.item_bytes)
    return {(group, field.bit): length(field) for group, field in pairs}


def test_lengths_of_fields_equal_those_of_the_sdk() -> None:
    text = source(f"{INCLUDE}/Implementation/BinaryMeasurementDefinitions.hpp")
    text = text[text.index("getStaticBinaryTypeSize") :]
    found: dict[tuple[int, int], int] = {}
    group = -1
    case = r"case (\d+):[^{]*\{\s*(switch)?(?:return std::make_optional\((\d+)\))?"
    for number, opened, size in re.findall(case, text):
        if opened:
            group = int(number)
        else:
            found[group, int(number)] = int(size)
    known = {place: size for place, size in found.items() if place[0] in GROUPS}
    assert known == ours()
    assert {group for group, _ in found} - GROUPS.keys() == {16, 17}  # without a name or a meaning


def test_lengths_of_fields_equal_those_of_the_library() -> None:
    text = source(f"{LIBRARY}/src/packet.cpp")
    table = re.search(r"BinaryGroupLengths\[.*?=\s*\{(.*?)\n\};", text, re.DOTALL)
    assert table is not None
    rows = [[int(size) for size in re.findall(r"\d+", row.split("//")[0])] for row in table[1].strip().splitlines()[:7]]
    for group, row in enumerate(rows):
        known = {bit: size for bit, size in enumerate(row) if size}
        assert known.items() <= {bit: size for (owner, bit), size in ours().items() if owner == group}.items()


def test_lists_of_satellites_have_the_elements_of_the_sdk() -> None:
    text = source("vectornav-sdk/cpp/src/Implementation/FaPacketProtocol.cpp")
    sizes = re.findall(r"binaryTypeOffset == (\d+).*?binaryTypeSize = (\d+) \+ (\d+) \*", text, re.DOTALL)
    lists = [field for field in GROUPS[3][1] if field.item_bytes]
    assert [tuple(map(int, entry)) for entry in sizes] == [
        (field.bit, length(field) - 1, field.item_bytes) for field in lists
    ]


def test_errors_lines_and_registers_are_those_of_the_sdk() -> None:
    errors = re.findall(r"(\w+) = (0x[0-9A-F]{2}),", source(f"{INCLUDE}/Interface/Errors.hpp"))
    assert {int(code, 16): name.lower() for name, code in errors} == {
        code: text.replace(" ", "") for code, text in ERRORS.items()
    }
    registers = source(f"{INCLUDE}/Interface/Registers.hpp")
    types = re.search(r"enum class Ador : uint32_t\s*\{(.*?)\}", registers, re.DOTALL)
    assert types is not None
    assert {int(number): name.lower() for name, number in re.findall(r"(\w+) = (\d+)", types[1])} == {
        number: name.lower() for number, name in ASYNC_TYPES.items()
    }
    found = re.findall(r"ConfigurationRegister\((\d+)\)|BinaryOutput\{(\d+)\}", registers)
    numbers = {int(first or second) for first, second in found}
    assert {register.number for register in SETTINGS.values()} <= numbers


def test_lines_have_as_many_fields_as_in_the_sdk() -> None:
    text = source("vectornav-sdk/cpp/src/Implementation/AsciiPacketProtocol.cpp")
    text = text[text.index("_getNumAsciiParameters(const") : text.index("getMeasHeader(AsciiHeader")]
    counts: dict[str, int] = {}
    names: list[str] = []
    for name, count in re.findall(r"AsciiMeasurementHeader::(\w+):|return (\d+);", text):
        names += [name] * bool(name)
        if count:
            counts |= dict.fromkeys(names, int(count))
            names = []
    assert {name: count for name, count in counts.items() if count} == {
        name: len(line.fields) for name, line in LINES.items()
    }
