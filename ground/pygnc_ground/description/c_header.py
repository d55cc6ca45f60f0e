"""C headers with decoders of the layouts: C99, without allocation, for any byte order."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from pygnc.formats import journal, status
from pygnc.formats.layout import Field, Words, scalars, size_of
from pygnc.host.sentence import BODY_MAX
from pygnc.host.sentence_types import TYPES, SentenceType

_TYPES: Final = {
    "B": "uint8_t",
    "H": "uint16_t",
    "I": "uint32_t",
    "Q": "uint64_t",
    "h": "int16_t",
    "f": "float",
    "d": "double",
}
_TASK: Final = re.compile(rf"^task_(?:{'|'.join(status.TASK_NAMES)})_")
"""Prefix of a field of a task; the fields of all tasks have the same words."""
_PAYLOAD: Final = "const uint8_t *payload; /* payload, MessagePack; it is not copied */"
_TAIL: Final = "const uint8_t *tail; /* {}; not copied, without a final NUL */\n    size_t tail_size;"


def status_header() -> str:
    """Return the header for the status record: versions that `pygnc.formats.status` can read, and the next ones."""
    versions = range(status.OLDEST_VERSION, status.VERSION + 1)
    sizes = {version: size_of(field for field in status.FIELDS if field.since <= version) for version in versions}
    cases = "\n".join(f"    case {version}: size = {size}; break;" for version, size in sizes.items())
    reads: list[str] = []
    version = status.OLDEST_VERSION
    for field, line in zip(status.FIELDS, _reads(status.FIELDS), strict=True):
        if field.since > version:
            version = field.since
            reads.append(f"    if (out->version < {version})\n        return PYGNC_OK;")
        reads.append(line)
    decoder = "\n".join(
        [
            "/* Decode a record of version 4 or later. Counters that an older version lacks are 0.",
            " * Fields that a later version has appended are passed over. */",
            _signature("status"),
            "{",
            "    size_t size = 0;",
            "    memset(out, 0, sizeof *out);",
            "    if (length < 5)",
            "        return PYGNC_SIZE;",
            f'    if (memcmp(data, "{status.MAGIC.decode()}", 4) != 0)',
            "        return PYGNC_MARK;",
            "    switch (data[4]) {",
            cases,
            "    default:",
            f"        if (data[4] < {status.VERSION} || length < {status.SIZE})",
            "            return PYGNC_VERSION;",
            "        size = (size_t)pygnc_unsigned(data + 6, 2, 0) - 4;",
            "    }",
            "    if (length != size + 4)",
            "        return PYGNC_SIZE;",
            "    if (pygnc_crc32(data, size) != pygnc_unsigned(data + size, 4, 0))",
            "        return PYGNC_CRC;",
            *reads,
            "    return PYGNC_OK;",
            "}",
        ]
    )
    constants = f"enum {{ PYGNC_STATUS_SIZE = {status.SIZE}, PYGNC_STATUS_VERSION = {status.VERSION} }};"
    body = [constants, *_enumerations("status", status.FIELDS), _struct("status", "Status record.", status.FIELDS)]
    return _header("status", [*body, decoder])


def sentences_header() -> str:
    """Return the header for sentences: a decoder of lines, and one per type for the bodies."""
    parts = [f"#define PYGNC_BODY_MAX {BODY_MAX}", _template("sentence.h")]
    for kind in TYPES.values():
        fields = [*kind.fields, *scalars(kind.packet)]
        name = kind.name.lower()
        parts += _enumerations(name, fields)
        parts.append(_struct(name, f"{kind.name}: {kind.meaning}.", fields, _tail_member(kind)))
        parts.append(_body_decoder(kind, fields))
    return _header("sentences", parts)


def journal_header() -> str:
    """Return the header for journals: decoder of a record, and search for the next one."""
    size = size_of(journal.FIELDS)
    first, last = min(journal.Kind), max(journal.Kind)
    enumerations = _enumerations("journal_record", journal.FIELDS)
    decoder = "\n".join(
        [
            "/* Decode the record at the beginning of `data`. */",
            _signature("journal_record"),
            "{",
            "    uint32_t crc;",
            "    memset(out, 0, sizeof *out);",
            f"    if (length < {size} + 4)",
            "        return PYGNC_SIZE;",
            *_marks(journal.FIELDS),
            *_reads(journal.FIELDS),
            f"    out->payload = data + {size};",
            f"    if (out->payload_size > {journal.PAYLOAD_MAX} || length < {size}u + out->payload_size + 4)",
            "        return PYGNC_SIZE;",
            "    crc = (uint32_t)pygnc_unsigned(out->payload + out->payload_size, 4, 0);",
            f"    if (pygnc_crc32(data + 4, {size - 4}u + out->payload_size) != crc)",
            "        return PYGNC_CRC;",
            f"    if (out->version != {journal.VERSION} || out->kind < {first} || out->kind > {last})",
            "        return PYGNC_VERSION;",
            "    return PYGNC_OK;",
            "}",
        ]
    )
    struct = _struct("journal_record", "Record of a journal.", journal.FIELDS, _PAYLOAD)
    constants = f"#define PYGNC_JOURNAL_RECORD_SIZE {size}u /* without payload and CRC-32 */"
    return _header("journal", [constants, *enumerations, struct, decoder, _template("journal.h")])


def _header(name: str, parts: Iterable[str]) -> str:
    about = f"/* Decoder of PyGNC, made by `pygnc describe {name} --as c`. C99, no allocation, any byte order. */"
    guard = f"PYGNC_{name.upper()}_H"
    body = "\n\n".join(part.strip("\n") for part in (_template("common.h"), *parts))
    return f"{about}\n#ifndef {guard}\n#define {guard}\n\n{body}\n\n#endif\n"


def _template(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


def _struct(name: str, about: str, fields: Sequence[Field], further: str = "") -> str:
    members, offset = [], 0
    for field in fields:
        unit = f", {field.unit}" if field.unit else ""
        valid = f"; valid if {field.valid_if[0]} >= {field.valid_if[1]}" if field.valid_if else ""
        members.append(f"    {_member(field)} /* byte {offset}{unit}: {field.meaning}{valid} */")
        offset += field.size
    members += [f"    {further}"] if further else []
    return "\n".join([f"/* {about} */", "typedef struct {", *members, f"}} pygnc_{name};"])


def _member(field: Field) -> str:
    if field.scale != 1.0 or field.curve:
        return f"double {field.name};"
    if field.code.endswith("s"):
        return f"uint8_t {field.name}[{field.size}];"
    return f"{_TYPES[field.code[-1]]} {field.name};"


def _reads(fields: Sequence[Field]) -> Iterator[str]:
    """Yield the statement that reads each field."""
    offset = 0
    for field in fields:
        yield f"    {_read(field, offset)}"
        offset += field.size


def _read(field: Field, offset: int) -> str:
    data = f"data + {offset}"
    if field.code.endswith("s") and not field.bits:
        return f"memcpy(out->{field.name}, {data}, {field.size});"
    if field.code in {"f", "d"}:
        return f"out->{field.name} = pygnc_f{8 * field.size}({data});"
    value = f"pygnc_unsigned({data}, {field.size}, {int(field.code.startswith('>') or field.bits > 0)})"
    if field.bits or field.code == "h":
        value = f"pygnc_signed({value}, {field.bits or 16})"
    if field.curve:
        return f"out->{field.name} = pygnc_interpolate({_curve(field)}, (double){value});"
    if field.scale != 1.0:
        return f"out->{field.name} = {field.scale!r} * (double){value};"
    return f"out->{field.name} = ({_TYPES[field.code[-1]]}){value};"


def _curves(fields: Iterable[Field]) -> Iterator[str]:
    """Yield the curve of each group of fields that have one."""
    for name, field in {_curve(field): field for field in fields if field.curve}.items():
        points = ",\n        ".join(f"{{{raw}, {quantity!r}}}" for raw, quantity in field.curve)
        yield f"    static const double {name}[][2] = {{\n        {points}}};"


def _curve(field: Field) -> str:
    return f"curve_{field.name.partition('_')[0]}"


def _signature(name: str) -> str:
    return f"static inline int pygnc_{name}_decode(const uint8_t *data, size_t length, pygnc_{name} *out)"


def _marks(fields: Sequence[Field]) -> Iterator[str]:
    """Yield the checks of bytes that are always the same."""
    offset = 0
    for field in fields:
        if field.fixed:
            octets = "".join(f"\\x{octet:02x}" for octet in field.fixed)
            yield f'    if (memcmp(data + {offset}, "{octets}", {field.size}) != 0)\n        return PYGNC_MARK;'
        offset += field.size


def _tail_member(kind: SentenceType) -> str:
    about = "nothing" if kind.packet or not kind.tail else kind.tail
    return _TAIL.format(about)


def _body_decoder(kind: SentenceType, fields: Sequence[Field]) -> str:
    size = size_of(fields)
    least, most = (size, size) if kind.packet else (size + kind.tail_min, size + kind.tail_max)
    name = kind.name.lower()
    limits = f"length != {least}" if least == most else f"length > {most}"
    limits = f"length < {least} || {limits}" if 0 < least < most else limits
    return "\n".join(
        [
            _signature(name),
            "{",
            *_curves(fields),
            "    memset(out, 0, sizeof *out);",
            f"    if ({limits})",
            "        return PYGNC_SIZE;",
            *_marks(fields),
            *_reads(fields),
            f"    out->tail = data + {size};",
            f"    out->tail_size = length - {size};",
            "    return PYGNC_OK;",
            "}",
        ]
    )


def _enumerations(layout: str, fields: Iterable[Field]) -> Iterator[str]:
    """Yield the constants of enumerations and flags; those of repeated blocks once."""
    known = set()
    for field in fields:
        name = _TASK.sub("task_", field.name)
        for words in filter(None, (field.words, field.flags)):
            if name not in known:
                known.add(name)
                yield _constants(f"{layout}_{name}", words)


def _constants(prefix: str, words: Words) -> str:
    names = (word.replace("+", "plus_").replace("-", "minus_") for _, word in words)
    entries = [
        f"    PYGNC_{prefix}_{re.sub(r'[^A-Za-z0-9]+', '_', name)} = {number}".upper()
        for (number, _), name in zip(words, names, strict=True)
    ]
    return "enum {\n" + ",\n".join(entries) + "\n};"
