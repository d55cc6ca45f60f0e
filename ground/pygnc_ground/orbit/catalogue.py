"""Catalogues of mean elements: many objects in one file of TLEs, or of OMMs in KVN, XML, JSON or CSV."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pygnc.common.mean_elements import ElementsError, MeanElements, ParsedElements
from pygnc.formats.omm import parse_json, parse_kvn, parse_xml
from pygnc.formats.tle import parse_tle

_OMM_IN_XML: Final = re.compile(r"<(?:\w+:)?omm[\s>].*?</(?:\w+:)?omm>", re.DOTALL)
_KINDS: Final = "TLEs with or without names, or OMMs in KVN, XML, JSON or CSV"


ObjectKey = tuple[int, str, str]


class Catalogue(NamedTuple):
    """Usable element sets of a file.

    Attributes:
        elements: Element sets; an object may have several.
        faults: Messages about entries that are left out.
    """

    elements: list[MeanElements]
    faults: list[str]


def read_catalogue(path: Path) -> Catalogue:
    """Return the element sets of a file; damaged entries are left out and reported.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file has no usable entry.
    """
    text = path.read_bytes().decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    found = Catalogue([], [])
    try:
        for line, parse, entry in _entries(text):
            try:
                found.elements.append(parse(entry).elements)
            except ElementsError as error:
                found.faults.append(f"{path}: entry at line {line}: {error}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not found.elements:
        reason = f"; the first fault: {found.faults[0]}" if found.faults else ""
        raise ValueError(f"{path}: no object; a catalogue has {_KINDS}{reason}")
    return found


def object_key(elements: MeanElements) -> ObjectKey:
    """Return what identifies the object of an element set: its catalogue number, or else designator and name."""
    return (elements.catalogue_number, "", "") if elements.catalogue_number else (0, elements.designator, elements.name)


def nearest_sets(elements: Iterable[MeanElements], gps_ms: int, count: int) -> list[MeanElements]:
    """Return for each object up to `count` element sets whose epochs are nearest to a time, each epoch once."""
    kept: dict[ObjectKey, dict[int, MeanElements]] = {}
    for each in sorted(elements, key=lambda one: abs(one.epoch_gps_ms - gps_ms)):
        own = kept.setdefault(object_key(each), {})
        if len(own) < count:
            own.setdefault(each.epoch_gps_ms, each)
    return [each for own in kept.values() for each in own.values()]


_Entry = tuple[int, Callable[[str], ParsedElements], str]


def _entries(text: str) -> Iterator[_Entry]:
    """Yield the line or number of each entry, its parser, and its text."""
    start = text.lstrip()
    if start.startswith("<"):
        for match in _OMM_IN_XML.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, parse_xml, match[0]
    elif start.startswith(("[", "{")):
        message = json.loads(text, parse_int=str, parse_float=str)
        for number, each in enumerate(message if isinstance(message, list) else [message], 1):
            yield number, parse_json, json.dumps(each)
    elif start.startswith("CCSDS_OMM_VERS"):
        begins = [match.start() for match in re.finditer(r"^CCSDS_OMM_VERS", text, re.MULTILINE)]
        for begin, end in zip(begins, [*begins[1:], len(text)], strict=True):
            yield text.count("\n", 0, begin) + 1, parse_kvn, text[begin:end]
    elif "MEAN_MOTION" in start.partition("\n")[0]:
        for number, row in enumerate(csv.DictReader(start.splitlines()), 2):
            yield number, parse_json, json.dumps({name: value for name, value in row.items() if value})
    else:
        yield from _tle_entries(text.split("\n"))


def _tle_entries(lines: list[str]) -> Iterator[_Entry]:
    """Yield each line 1 with the line of the name before it and the line after it."""
    for number, line in enumerate(lines):
        if line.startswith("1 ") and len(line.rstrip()) > 60:
            before = lines[number - 1] if number else ""
            name = "" if before.startswith(("1 ", "2 ")) else before
            second = lines[number + 1] if number + 1 < len(lines) else ""
            yield number + 1, parse_tle, f"{name}\n{line}\n{second}"
