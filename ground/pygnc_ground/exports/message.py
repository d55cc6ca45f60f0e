"""Navigation data messages of CCSDS in memory, and their three notations.

A message is a tree of blocks with keywords and values. In XML, a block is an element; in keyword = value notation
(KVN), it may have lines before and after it, or be a single line of values. Sources: CCSDS 502.0-B-3 (orbits),
504.0-B-2 (attitude), 508.0-B-1 (conjunctions) and 505.0-B-3 (XML). JSON has no standard: that of the OMM is a list with
one flat object of strings, as Space-Track delivers it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, NamedTuple, TypeAlias

from pygnc.common.mean_elements import printable_ascii
from pygnc_ground.exports.choices import Notation

_ORIGINATOR: Final = "PYGNC"
_SCHEMAS: Final = "https://sanaregistry.org/files/ndmxml_unqualified/ndmxml"
_MASTERS: Final = {"AEM": "4.0.0-master-4.0"}
"""Schema by kind of message; that of all others is `_MASTER`."""
_MASTER: Final = "2.0.0-master-2.0"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"


class Entry(NamedTuple):
    """Keyword with a value and, as far as the standard names one, its unit."""

    keyword: str
    value: str
    unit: str = ""


class Block(NamedTuple):
    """Part of a message.

    Attributes:
        tag: Element in XML; empty for none.
        items: Entries and blocks in their order; they may be `Rows`.
        begin: Line before it in KVN; empty for none.
        end: Line after it in KVN; empty for none.
        is_line: True if KVN has all values in one line, without keywords.
    """

    tag: str
    items: "Iterable[Item]"
    begin: str = ""
    end: str = ""
    is_line: bool = False


Item: TypeAlias = Entry | Block


@dataclass(frozen=True, slots=True)
class Rows:
    """Items that are made when they are written, because a week of attitudes has hundreds of thousands.

    Attributes:
        make: Function that returns the item of a row.
        rows: Numbers of the rows.
    """

    make: Callable[[int], Item]
    rows: Sequence[int]

    def __iter__(self) -> Iterator[Item]:
        """Make each item."""
        return map(self.make, self.rows)


class Message(NamedTuple):
    """Message of one kind, such as `OPM`, in a version of its standard; `header` follows the version."""

    kind: str
    version: str
    header: tuple[Entry, ...]
    body: tuple[Block, ...]

    @property
    def parts(self) -> tuple[Item, ...]:
        """Header and body."""
        return (*self.header, *self.body)

    def text(self, notation: Notation) -> str:
        """Return the message in a notation."""
        return _WRITERS[notation](self)


def header(comments: Iterable[str], created_utc: str, *more: Entry) -> tuple[Entry, ...]:
    """Return the entries before the body."""
    return (*map(comment, comments), Entry("CREATION_DATE", created_utc), Entry("ORIGINATOR", _ORIGINATOR), *more)


def comment(text: str) -> Entry:
    """Return a line of comment."""
    return Entry("COMMENT", printable_ascii(text))


def _kvn(message: Message) -> str:
    lines = [f"CCSDS_{message.kind}_VERS = {message.version}"]
    for part in message.parts:
        lines += _kvn_lines(part)
    return "\n".join(lines) + "\n"


def _kvn_lines(item: Item) -> Iterator[str]:
    if isinstance(item, Entry):
        separator, unit = (" " if item.keyword == "COMMENT" else " = "), f" [{item.unit}]" if item.unit else ""
        yield f"{item.keyword}{separator}{item.value}{unit}"
    elif item.is_line:
        yield " ".join(entry.value for entry in _entries(item))
    else:
        yield from filter(None, (item.begin,))
        for part in item.items:
            yield from _kvn_lines(part)
        yield from filter(None, (item.end,))


def _entries(item: Item) -> Iterator[Entry]:
    if isinstance(item, Entry):
        yield item
    else:
        for part in item.items:
            yield from _entries(part)


def _xml(message: Message) -> str:
    kind, master = message.kind.lower(), _MASTERS.get(message.kind, _MASTER)
    schema = f'xmlns:xsi="{_INSTANCE}" xsi:noNamespaceSchemaLocation="{_SCHEMAS}-{master}.xsd"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<{kind} {schema} id="CCSDS_{message.kind}_VERS" version="{message.version}">',
        *_xml_lines(Block("header", message.header), "  "),
        *_xml_lines(Block("body", message.body), "  "),
        f"</{kind}>",
    ]
    return "\n".join(lines) + "\n"


def _xml_lines(item: Item, indent: str) -> Iterator[str]:
    if isinstance(item, Entry):
        unit = f' units="{item.unit}"' if item.unit else ""
        yield f"{indent}<{item.keyword}{unit}>{escape(item.value, quote=False)}</{item.keyword}>"
        return
    if item.tag:
        yield f"{indent}<{item.tag}>"
    for part in item.items:
        yield from _xml_lines(part, indent + "  " if item.tag else indent)
    if item.tag:
        yield f"{indent}</{item.tag}>"


def _json(message: Message) -> str:
    found: dict[str, str] = {f"CCSDS_{message.kind}_VERS": message.version}
    for part in message.parts:
        for entry in _entries(part):
            known = found.get(entry.keyword)
            found[entry.keyword] = entry.value if known is None else f"{known}; {entry.value}"
    return json.dumps([found], indent=1) + "\n"


_WRITERS: Final = {Notation.KVN: _kvn, Notation.XML: _xml, Notation.JSON: _json}
