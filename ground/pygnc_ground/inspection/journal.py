"""Run journals: reading, counting and viewing one file of input, event or estimate records."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from pygnc.bus.journal_files import list_segments
from pygnc.bus.messages import Message
from pygnc.formats import journal
from pygnc.formats.damage import Damage, DamageReason
from pygnc.inputs.journaled import decode_input
from pygnc_ground.inspection.sections import (
    DamageTally,
    Entry,
    Facts,
    Listing,
    Note,
    Section,
    Value,
    Viewer,
    flattened,
    read_chunks,
)
from pygnc_ground.inspection.times import format_unix_time

UNREADABLE: Final = "(no message)"


def _subclasses(base: type[Message]) -> Iterator[type[Message]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _subclasses(kind)


_TYPES: Final = {str(kind.__struct_config__.tag): kind for kind in _subclasses(Message)}


@dataclass
class JournalContents:
    """Counts of everything in a journal file."""

    header: dict[str, Value] = field(default_factory=dict)
    records: Counter[journal.Kind] = field(default_factory=Counter)
    messages: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    """Count, first and last number, and bytes of the payloads by kind of message."""
    missing_numbers: int = 0
    first_seq: int | None = None
    last_seq: int | None = None
    footer: dict[str, Value] | None = None
    damage: DamageTally = field(default_factory=DamageTally)

    @property
    def state(self) -> str:
        """State in which the file was left."""
        if self.footer is None:
            return "open: still being written, or cut off"
        return (
            "closed by a later run, after a crash or power cut" if self.footer.get("recovered") else "closed in order"
        )

    def add(self, record: journal.Record) -> None:
        """Count one record."""
        self.records[record.kind] += 1
        if record.kind is journal.Kind.HEADER:
            self.header = _decode_map(record.payload)
            return
        if record.kind is journal.Kind.FOOTER:
            self.footer = _decode_map(record.payload)
            return
        if self.first_seq is None or self.last_seq is None:
            self.first_seq = self.last_seq = record.seq
        self.missing_numbers += max(0, record.seq - self.last_seq - 1)
        self.last_seq = record.seq
        kind, _ = decode_message(record.payload)
        count, first_seq, _, payload_bytes = self.messages.get(kind, (0, record.seq, record.seq, 0))
        self.messages[kind] = count + 1, first_seq, record.seq, payload_bytes + len(record.payload)


def read_journal(path: Path) -> Iterator[journal.JournalScan]:
    """Yield the content of the file in chunks; offsets count from its beginning.

    Raises:
        OSError: The file cannot be read.
    """
    pending, offset = b"", 0
    for chunk in read_chunks(path):
        scan = journal.scan(pending + chunk, base_offset=offset, final=False)
        yield scan
        pending = (pending + chunk)[scan.consumed :]
        offset += scan.consumed
    last = journal.scan(pending, base_offset=offset)
    if last.damage and last.damage[-1].stop == offset + len(pending):
        tail = last.damage.pop()
        last.damage.append(Damage(tail.start, tail.stop, DamageReason.CUT_TAIL))
    yield last


def count_journal(path: Path) -> JournalContents:
    """Count everything in the file.

    Raises:
        OSError: The file cannot be read.
    """
    contents = JournalContents()
    for scan in read_journal(path):
        contents.damage.add(scan.damage)
        for record in scan.records:
            contents.add(record)
    return contents


def journal_tables(run: Path | str, stream: str) -> dict[str, pl.DataFrame]:
    """Return the messages in a journal of a run as one table per kind of message, with one column per field.

    Vectors are lists; a column of them becomes an array of shape (n, 3) by `.list.to_array(3).to_numpy()`. Damaged
    records are left out; `pygnc inspect` counts them.

    Args:
        run: Folder of a run in `~/pygnc_logs`.
        stream: Name of the journal, such as input, orbit, attitude, formation or events.

    Raises:
        OSError: A file cannot be read.
        ValueError: The run has no such journal.
    """
    segments = list_segments([Path(run)])
    present = sorted({segment.journal for segment in segments})
    if stream not in present:
        raise ValueError(f"{run}: no journal {stream!r}; choose from {', '.join(present) or '(none)'}")
    rows: dict[str, list[dict[str, Value]]] = {}
    for segment in segments:
        if segment.journal == stream:
            for scan in read_journal(segment.path):
                for record in scan.records:
                    if record.kind is journal.Kind.MESSAGE:
                        kind, fields = decode_message(record.payload)
                        rows.setdefault(kind, []).append({"seq": record.seq, **fields})
    return {kind: pl.from_dicts(of_kind, infer_schema_length=None) for kind, of_kind in rows.items()}


def decode_message(payload: bytes) -> tuple[str, dict[str, Value]]:
    """Return name and fields of a message; unknown fields are called field_1, field_2, ..."""
    decoded = _decode(payload)
    if not (isinstance(decoded, list) and decoded and isinstance(decoded[0], str)):
        return UNREADABLE, {"raw": payload}
    kind = decoded[0]
    try:
        return kind, _named(_message(kind, decoded, payload))
    except msgspec.DecodeError:
        return kind, {f"field_{k}": _plain(value) for k, value in enumerate(decoded) if k}


def _message(kind: str, decoded: list[object], payload: bytes) -> Message:
    if kind in _TYPES:
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(decoded, _TYPES[kind])
    return decode_input(payload)


def _decode_map(payload: bytes) -> dict[str, Value]:
    decoded = _decode(payload)
    if not isinstance(decoded, dict):
        return {"raw": payload}
    return {str(key): _plain(value) for key, value in decoded.items()}


def _decode(payload: bytes) -> object:
    try:
        return msgspec.msgpack.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return None


def _named(message: msgspec.Struct) -> dict[str, Value]:
    return {name: _plain(getattr(message, name)) for name in message.__struct_fields__}


def _plain(value: object) -> Value:
    """Return a value with nested messages as mappings by field name."""
    if isinstance(value, msgspec.Struct):
        return _named(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str | bytes) else str(value)


def _recognises(head: bytes) -> bool:
    """Return True if `head` contains a valid record or begins like a record."""
    return head.startswith(journal.SYNC) or bool(journal.scan(head, final=False, limit=1).records)


def _summary(path: Path) -> Iterator[Section]:
    """Yield counts, state, header, settings, counts per message kind and damage."""
    contents = count_journal(path)
    facts: dict[str, Value] = {
        "state": contents.state,
        "messages": contents.records[journal.Kind.MESSAGE],
        "first_number": contents.first_seq,
        "last_number": contents.last_seq,
        "missing_numbers": contents.missing_numbers,
        **contents.damage.facts,
    }
    yield Facts("journal", facts)
    if not contents.records:
        yield Note("the file contains no undamaged record", fault=True)
    header = dict(contents.header)
    settings = header.pop("settings", None)
    t_wall_ns = header.get("t_wall_ns")
    if isinstance(t_wall_ns, int) and 0 <= t_wall_ns < 1 << 62:
        header["wall_clock_utc"] = format_unix_time(t_wall_ns * 1e-9)
    if header:
        yield Facts("header", header)
    if isinstance(settings, Mapping):
        yield Facts("settings", dict(flattened(settings)))
    if contents.messages:
        rows = [(kind, *numbers) for kind, numbers in contents.messages.items()]
        yield Listing("messages", ("kind", "count", "first_number", "last_number", "payload_bytes"), rows)
    yield from contents.damage.sections()


def _entries(path: Path) -> Iterator[Sequence[Entry]]:
    for scan in read_journal(path):
        for record in scan.records:
            if record.kind is journal.Kind.MESSAGE:
                kind, fields = decode_message(record.payload)
                yield [Entry(kind, fields if "seq" in fields else {"seq": record.seq, **fields})]


JOURNALS: Final = Viewer("run journal", _recognises, _summary, _entries)
"""Viewer of input, event and estimate journals, closed or open."""
