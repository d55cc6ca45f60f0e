"""Viewer of CCSDS navigation messages (OEM, AEM, OPM, OMM, CDM) in keyword = value notation (KVN) and XML."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat

from pygnc_ground.inspection.sections import Entry, Facts, Listing, Note, Section, Viewer, read_chunks

_KVN: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*CCSDS_(?:OEM|AEM|OPM|OMM|CDM)_VERS\s*=")
_XML: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]*>\s*(?:<!--[^>]*-->\s*)?<(?:\w+:)?(?:ndm|oem|aem|opm|omm|cdm)\b"
)
_LINE_BYTES_MAX: Final = 4096
_COLUMNS: Final = ("segment", "object", "frame", "time_system", "rows", "covariances", "first", "last")
_ROWS: Final = frozenset({"stateVector", "attitudeState"})
_EPHEMERIDES: Final = frozenset({"CCSDS_OEM_VERS", "CCSDS_AEM_VERS"})
_LISTED_MAX: Final = 100
"""Number of segments that are listed, and of keywords of each and outside of them."""

_Item = tuple[str, str]
"""Keyword and value; a row of data has no keyword, and `META_START` and `COVARIANCE` have no value."""


@dataclass
class _Segment:
    metadata: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    covariances: int = 0
    first: str = ""
    last: str = ""

    def row(self, number: int) -> tuple[str | int | None, ...]:
        frame = self.metadata.get("REF_FRAME") or self.metadata.get("REF_FRAME_A")
        name, system = self.metadata.get("OBJECT_NAME"), self.metadata.get("TIME_SYSTEM")
        return number, name, frame, system, self.rows, self.covariances, self.first or None, self.last or None


def _items(path: Path) -> Iterator[_Item]:
    with path.open("rb") as file:
        is_xml = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<")
    yield from _xml_items(path) if is_xml else _kvn_items(path)


def _kvn_items(path: Path) -> Iterator[_Item]:
    in_covariance = False
    with path.open("rb") as file:
        while line := file.readline(_LINE_BYTES_MAX):
            text = line.decode("utf-8", errors="replace").removeprefix("\ufeff").strip()
            keyword, equals, value = (part.strip() for part in text.partition("="))
            if not text or keyword.split()[:1] == ["COMMENT"]:
                continue
            if equals:
                if keyword == "OBJECT":  # the CDM has no delimiters
                    yield "META_START", ""
                yield ("COVARIANCE", "") if in_covariance and keyword == "EPOCH" else (keyword, value)
            elif text in {"COVARIANCE_START", "COVARIANCE_STOP"}:
                in_covariance = text == "COVARIANCE_START"
            elif text == "META_START":
                yield text, ""
            elif not in_covariance and not text.endswith(("_START", "_STOP")):
                yield "", text


class _Reader:
    """Event handlers of the XML parser; `items` are those of the elements that have ended."""

    def __init__(self) -> None:
        self.items: list[_Item] = []
        self._text: list[str] = []
        self._row: list[str] | None = None
        self._has_rows = False
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.CharacterDataHandler = self._characters
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _doctype(self, *_declaration: object) -> None:
        raise ValueError("a CCSDS message must not have a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._text = []
        if "version" in attributes and "id" in attributes:
            self.items.append((attributes["id"], attributes["version"]))
            self._has_rows = attributes["id"] in _EPHEMERIDES
        elif name == "metadata":
            self.items.append(("META_START", ""))
        elif name == "covarianceMatrix":
            self.items.append(("COVARIANCE", ""))
        elif name in _ROWS and self._has_rows:
            self._row = []

    def _characters(self, text: str) -> None:
        if len(self._text) < _LISTED_MAX:
            self._text.append(text[:_LINE_BYTES_MAX])

    def _end(self, name: str) -> None:
        text, self._text = "".join(self._text).strip(), []
        if name in _ROWS and self._row is not None:
            self.items.append(("", " ".join(self._row)))
            self._row = None
        elif text and self._row is not None:
            self._row.append(text)
        elif text and name != "COMMENT":
            self.items.append((name, text))


def _xml_items(path: Path) -> Iterator[_Item]:
    reader = _Reader()
    for chunk in read_chunks(path):
        reader.parser.Parse(chunk)
        yield from reader.items
        reader.items.clear()
    reader.parser.Parse(b"", True)  # noqa: FBT003 - expat takes no keyword
    yield from reader.items


def _summary(path: Path) -> Iterator[Section]:
    """Yield the keywords outside of segments, then the segments."""
    head: dict[str, str] = {}
    segments: list[_Segment] = []
    fault = ""
    try:
        for keyword, value in _items(path):
            if keyword == "META_START":
                segments.append(_Segment())
            elif keyword == "COVARIANCE" and segments:
                segments[-1].covariances += 1
            elif not keyword and segments:
                segment, epoch = segments[-1], value.partition(" ")[0]
                segment.rows, segment.first, segment.last = segment.rows + 1, segment.first or epoch, epoch
            elif keyword and len(values := segments[-1].metadata if segments else head) < _LISTED_MAX:
                values.setdefault(keyword, value)
    except (expat.ExpatError, LookupError, ValueError) as error:
        fault = f"damaged XML: {error}; get the file again"
    yield Facts("message", head)
    if segments:
        rows = [segment.row(number) for number, segment in enumerate(segments[:_LISTED_MAX], start=1)]
        yield Listing("segments", _COLUMNS, rows)
    if len(segments) > _LISTED_MAX:
        yield Note(f"{len(segments) - _LISTED_MAX} more segments are not listed")
    if fault:
        yield Note(fault, fault=True)


def _entries(path: Path) -> Iterator[Sequence[Entry]]:
    try:
        for keyword, value in _items(path):
            if not keyword:
                epoch, _, values = value.partition(" ")
                yield [Entry("row", {"epoch": epoch, "values": values.strip()})]
    except (expat.ExpatError, LookupError, ValueError):
        return  # the summary names the fault


CCSDS_MESSAGES: Final = Viewer(
    "CCSDS message (OEM, AEM, OPM, OMM, CDM)",
    lambda head: bool(_KVN.match(head) or _XML.match(head[:4096])),
    _summary,
    _entries,
)
