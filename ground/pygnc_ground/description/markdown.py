"""Tables of the layouts in Markdown, for the documentation and for `pygnc describe`."""

import inspect
from collections.abc import Sequence
from itertools import groupby
from typing import Final, get_args

import msgspec

from pygnc.bus.messages import AttitudeEstimate, Event, FormationMessage, InputMessage, Message, OrbitMessage
from pygnc.formats import journal, omm_record, ranges, sense, status
from pygnc.formats.gps_packet import RANGE_GPS_FIELDS, SENSE_GPS_FIELDS
from pygnc.formats.layout import Field, scalars, size_of
from pygnc.host.sentence_types import TYPES, SentenceType

PACKETS: Final = {
    "sensor packet": sense.FIELDS,
    "GPS packet of a sense file": SENSE_GPS_FIELDS,
    "GPS packet of a range file": RANGE_GPS_FIELDS,
    "range packet": ranges.FIELDS,
}
RECORDS: Final = {"status": status.FIELDS, "elements record": omm_record.FIELDS, "journal record": journal.FIELDS}
JOURNALS: Final = {
    "input": get_args(InputMessage),
    "orbit": get_args(OrbitMessage),
    "attitude": (AttitudeEstimate,),
    "formation": get_args(FormationMessage),
    "events": (Event,),
}
"""Messages in the journals, by the name of the journal."""
REPEATED_BLOCKS: Final = (
    tuple(f"partner{k}_" for k in range(status.PARTNERS)),
    tuple(f"task_{name}_" for name in status.TASK_NAMES),
)
"""Prefixes of fields of equal blocks; only the first block of each kind is listed field by field."""
DELIVERY: Final = {"r": "ordered", "i": "unordered", "c": "unnumbered"}
_TYPES: Final = {"B": "u8", "H": "u16", "I": "u32", "Q": "u64", "h": "i16", "f": "f32", "d": "f64"}


def status_page() -> str:
    """Return the description of the status record."""
    crc = "A u32 CRC-32 (zlib) over all preceding bytes follows."
    return f"# Status record, version {status.VERSION}\n\nLittle-endian.\n\n{record_table(status.FIELDS)}\n{crc}\n"


def sentences_page() -> str:
    """Return the description of the sentences and of the packets in them."""
    packets = "".join(f"\n## {name.capitalize()}\n\n{record_table(fields)}" for name, fields in PACKETS.items())
    return f"# Sentences of the streaming interface\n\n{sentence_table()}{packets}"


def journal_page() -> str:
    """Return the description of a journal record and of the messages in it."""
    payload = "The payload in MessagePack and a u32 CRC-32 (zlib) over everything after `sync` follow."
    return f"# Journal record\n\nLittle-endian.\n\n{record_table(journal.FIELDS)}\n{payload}\n\n{messages_lists()}"


def record_table(layout: Sequence[Field]) -> str:
    """Return the layout of a record or packet; similar consecutive fields share a row."""
    rows = ["| byte | type | field | unit | meaning |", "|---|---|---|---|---|"]
    offset = 0
    for key, group in groupby(layout, _row_key):
        declared = list(group)
        fields = list(scalars(declared))
        size = size_of(fields)
        if key[0] == "repeated":
            first, *others = REPEATED_BLOCKS[int(key[1])]
            others = [prefix for prefix in others if any(field.name.startswith(prefix) for field in fields)]
            names = ", ".join(f"`{prefix}...`" for prefix in others)
            rows.append(f"| {offset} | | {names} | | as `{first}...`, {size // len(others)} bytes each |")
        else:
            names = ", ".join(f"`{field.name}`" for field in fields)
            meaning = declared[0].meaning if len(declared) == 1 else key[-1]
            head = f"| {offset} | {type_name(fields[0])} | {names} | {_unit(fields[0])} |"
            rows.append(f"{head} {meaning}{_values(declared[0])} |")
        offset += size
    return "\n".join(rows) + "\n"


def _row_key(field: Field) -> tuple[str, ...]:
    """Return the common part of the fields of a row; its last item is their common meaning."""
    for index, prefixes in enumerate(REPEATED_BLOCKS):
        if field.name.startswith(prefixes[1:]):
            return "repeated", str(index)
    cause, colon, _ = field.meaning.partition(": ")
    if colon and cause.endswith("not used"):
        return field.code, f"{cause}, by reason"
    return field.name.rsplit("_", 1)[0], field.code, field.meaning.rsplit(",", 1)[0]


def type_name(field: Field) -> str:
    """Return the name of a field's type, with its byte order if that is not little-endian."""
    if field.bits:
        return f"i{field.bits} in {field.code[:-1]} bytes, big-endian"
    if field.code.endswith("s"):
        return f"{field.code[:-1]} bytes"
    return _TYPES[field.code[-1]] + " big-endian" * field.code.startswith(">")


def _unit(field: Field) -> str:
    return field.unit if field.scale == 1.0 else f"{field.scale:.9g} {field.unit}"


def _values(field: Field) -> str:
    """Return words, flags and condition of a field, to follow its meaning."""
    texts = (", ".join(f"{number} {word}" for number, word in pairs) for pairs in (field.words, field.flags))
    values = "".join(f" ({text})" for text in texts if text)
    return values + (f"; valid if `{field.valid_if[0]}` is at least {field.valid_if[1]}" if field.valid_if else "")


def sentence_table() -> str:
    """Return the table of all types of sentences with their bodies."""
    rows = ["| type | sent by | delivery | meaning | body |", "|---|---|---|---|---|"]
    for kind in TYPES.values():
        row = (f"`{kind.name}`", str(kind.sender), DELIVERY[kind.delivery], kind.meaning, _body(kind))
        rows.append(f"| {' | '.join(row)} |")
    return "\n".join(rows) + "\n"


def _body(kind: SentenceType) -> str:
    """Return the fields with their offsets, and the bytes after them."""
    parts, offset = [], 0
    for field in kind.fields:
        unit = f", {field.unit}" if field.unit else ""
        parts.append(f"{offset} {type_name(field)} `{field.name}`{unit}: {field.meaning}{_values(field)}")
        offset += field.size
    if kind.tail:
        size = f"{kind.tail_max} bytes" if kind.tail_min == kind.tail_max else f"up to {kind.tail_max} bytes"
        parts.append(f"{offset} {kind.tail}, {size}")
    return "<br>".join(parts) or "empty"


def messages_lists() -> str:
    """Return the fields of all messages in the journals, in order."""
    parts = [f"In `{name}`:\n\n" + "".join(map(_message, messages)) for name, messages in JOURNALS.items()]
    return "\n".join(parts)


def _message(kind: type[Message]) -> str:
    fields = ", ".join(f"`{field.name}`" for field in msgspec.structs.fields(kind))
    about = (inspect.getdoc(kind) or "").partition("\n\n")[0].replace("\n", " ")
    return f"- **`{kind.__struct_config__.tag}`**: {about} Fields: {fields}\n"
