"""Orbit Mean-elements Messages (OMM) in keyword = value notation (KVN), XML and JSON.

Sources: CCSDS 502.0-B-3, chapter 4 and section 7.4, and CCSDS 505.0-B-3 (XML). JSON uses the same keywords in one flat
object, or in a list with one, as CelesTrak and Space-Track deliver it. A message describes one object.
"""

import json
import re
from datetime import date, timedelta
from typing import Final, NamedTuple
from xml.parsers import expat

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.common.mean_elements import (
    ElementsError,
    MeanElements,
    ParsedElements,
    check_perigee,
    out_of_range,
    printable_ascii,
)

_NUMBERS: Final = {
    "MEAN_MOTION": "mean_motion_rev_per_day",
    "ECCENTRICITY": "eccentricity",
    "INCLINATION": "inclination_deg",
    "RA_OF_ASC_NODE": "raan_deg",
    "ARG_OF_PERICENTER": "argument_of_perigee_deg",
    "MEAN_ANOMALY": "mean_anomaly_deg",
    "BSTAR": "bstar_per_radius",
}
_REQUIRED: Final = ("EPOCH", *_NUMBERS)
_EXPECTED: Final = {
    "CENTER_NAME": ("EARTH",),
    "REF_FRAME": ("TEME",),
    "TIME_SYSTEM": ("UTC",),
    "MEAN_ELEMENT_THEORY": ("SGP4", "SGP/SGP4"),
    "EPHEMERIS_TYPE": ("0", "2"),
}
"""Permitted values by keyword; the first is assumed if the keyword is missing."""
_KNOWN: Final = frozenset({*_REQUIRED, *_EXPECTED, "OBJECT_NAME", "OBJECT_ID", "NORAD_CAT_ID"})
_UNIT: Final = re.compile(r"\s*\[[^\]]*\]$")
_DAY_OF_YEAR: Final = re.compile(r"(\d{4})-(\d{3})T(.*)")
_SECOND_FRACTION: Final = re.compile(r"(.*:\d\d)(?:\.(\d+))?")
_TEXT_MAX: Final = 60
_DEPTH_MAX: Final = 20


class Entry(NamedTuple):
    """Value of a keyword, and the number of the line that contains it, from 1."""

    text: str
    line: int


def parse_kvn(text: str) -> ParsedElements:
    """Return the elements of a message in KVN.

    Raises:
        ElementsError: A line is not a keyword and a value, or the message is unusable.
    """
    entries: dict[str, Entry] = {}
    for number, line in enumerate(text.split("\n"), 1):
        content = line.strip()
        if not content or content.split()[0] == "COMMENT":
            continue
        keyword, equals, value = content.partition("=")
        if not equals:
            raise ElementsError(number, f"{content[:_TEXT_MAX]!r} is not KEYWORD = value; correct the line")
        _add(entries, keyword.strip(), _UNIT.sub("", value.strip()), number)
    return _elements(entries)


def parse_xml(text: str) -> ParsedElements:
    """Return the elements of a message in XML; a document type or an entity declaration is refused.

    Raises:
        ElementsError: The text is not well-formed XML, or the message is unusable.
    """
    parser = expat.ParserCreate()
    entries: dict[str, Entry] = {}
    open_tags: list[str] = []
    content: list[str] = []

    def refuse(*_: object) -> int:
        raise ElementsError(parser.CurrentLineNumber, "document types and entities are not accepted; remove them")

    def begin(tag: str, _: dict[str, str]) -> None:
        open_tags.append(tag.rpartition(":")[2])
        content.clear()
        if len(open_tags) > _DEPTH_MAX:
            raise ElementsError(parser.CurrentLineNumber, "too many nested tags; this is not an OMM")

    def end(_: str) -> None:
        keyword = open_tags.pop()
        value = "".join(content).strip()
        content.clear()
        if value and keyword != "COMMENT":
            _add(entries, keyword, value, parser.CurrentLineNumber)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = content.append
    try:
        parser.Parse(text, True)  # noqa: FBT003 - the parameter has no name
    except expat.ExpatError as error:
        raise ElementsError(
            error.lineno, f"not well-formed XML: {expat.ErrorString(error.code)}; copy it again"
        ) from None
    return _elements(entries)


def parse_json(text: str) -> ParsedElements:
    """Return the elements of a message in JSON.

    Raises:
        ElementsError: The text is not JSON, or the message is unusable.
    """
    try:
        message = json.loads(text, parse_constant=str, parse_int=str, parse_float=str, object_pairs_hook=tuple)
    except json.JSONDecodeError as error:
        raise ElementsError(error.lineno, f"not JSON: {error.msg}; copy it again") from None
    except RecursionError:
        raise ElementsError(1, "too many nested brackets; this is not an OMM") from None
    if isinstance(message, list):
        if len(message) != 1:
            raise ElementsError(1, f"{len(message)} objects instead of one; keep the object that flies")
        message = message[0]
    if not isinstance(message, tuple):
        raise ElementsError(1, "not an object with the keywords of an OMM; copy it again")
    entries: dict[str, Entry] = {}
    for keyword, value in message:
        if isinstance(value, str) and keyword in _KNOWN:
            place = re.search(rf'"{re.escape(keyword)}"\s*:', text)
            _add(entries, keyword, value, 1 + text.count("\n", 0, place.start()) if place else 1)
    return _elements(entries)


def _add(entries: dict[str, Entry], keyword: str, value: str, line: int) -> None:
    if keyword in entries and keyword in _KNOWN:
        raise ElementsError(line, f"{keyword} appears twice; give the elements of one object")
    entries[keyword] = Entry(value, line)


def _elements(entries: dict[str, Entry]) -> ParsedElements:
    """Check and convert the values of all keywords; raise `ElementsError` with the line of the first fault."""
    for keyword in _REQUIRED:
        if keyword not in entries:
            raise ElementsError(1, f"{keyword} is missing; get a complete OMM for SGP4")
    for keyword, accepted in _EXPECTED.items():
        entry = entries.get(keyword, Entry(accepted[0], 1))
        if entry.text.upper() not in accepted:
            raise ElementsError(
                entry.line, f"{keyword} is {entry.text[:_TEXT_MAX]!r} instead of {' or '.join(accepted)}"
            )
    numbers = {name: _number(entries[keyword], keyword, name) for keyword, name in _NUMBERS.items()}
    catalogue = entries.get("NORAD_CAT_ID", Entry("0", 1))
    if not re.fullmatch(r"\d{1,9}", catalogue.text):
        raise ElementsError(catalogue.line, f"NORAD_CAT_ID is {catalogue.text[:_TEXT_MAX]!r}, not a number")
    designator = entries.get("OBJECT_ID", Entry("", catalogue.line))
    elements = MeanElements(
        epoch_gps_ms=_epoch_gps_ms(entries["EPOCH"]),
        **numbers,
        catalogue_number=int(catalogue.text),
        designator=_label(designator),
        name=_label(entries.get("OBJECT_NAME", Entry("", 1))),
    )
    check_perigee(elements, entries["MEAN_MOTION"].line)
    return ParsedElements(elements, entries["EPOCH"].line, designator.line)


def _label(entry: Entry) -> str:
    """Return a text as printable ASCII; empty if it is UNKNOWN."""
    return "" if entry.text == "UNKNOWN" else printable_ascii(entry.text[:_TEXT_MAX])


def _number(entry: Entry, keyword: str, name: str) -> float:
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", entry.text[: _TEXT_MAX + 1]):
        raise ElementsError(entry.line, f"{keyword} is {entry.text[:_TEXT_MAX]!r}, not a number; copy it again")
    value = float(entry.text)
    if reason := out_of_range(name, value):
        raise ElementsError(entry.line, f"{keyword}: {reason}; copy it again")
    return value


def _epoch_gps_ms(entry: Entry) -> int:
    """Return a UTC epoch, with day of month or day of year, as GPS time rounded to ms."""
    text = entry.text.removesuffix("Z")
    in_space_age = "1957" <= text[:4] <= "2100"
    if in_space_age and (by_day := _DAY_OF_YEAR.fullmatch(text)) and 1 <= int(by_day[2]) <= 366:
        text = f"{date(int(by_day[1]), 1, 1) + timedelta(int(by_day[2]) - 1)}T{by_day[3]}"
    split = _SECOND_FRACTION.fullmatch(text)
    if split is None or not in_space_age:
        raise ElementsError(
            entry.line, f"EPOCH is {entry.text[:_TEXT_MAX]!r}, not a time such as 2026-11-21T12:00:00.000"
        )
    try:
        whole_ms = gps_ms_from_utc_iso(f"{split[1]}Z")
    except ValueError as error:
        raise ElementsError(entry.line, f"EPOCH: {error}") from None
    return whole_ms + round(float(f"0.{(split[2] or '0')[:9]}") * 1e3)
