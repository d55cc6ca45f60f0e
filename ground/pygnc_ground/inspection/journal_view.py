"""Shows one file of a run's journals."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pygnc.formats import journal
from pygnc_ground.inspection.journal_file import JournalContents, count_journal, decode_message, read_journal
from pygnc_ground.inspection.sections import Entry, Facts, Listing, Note, Section, Value
from pygnc_ground.inspection.times import unix_in_words


class JournalViewer:
    """Input, events and estimate journals, closed or not."""

    kind = "run journal"

    def recognises(self, head: bytes) -> bool:
        """Whether a good record can be found, or the file begins like one."""
        return head.startswith(journal.SYNC) or bool(journal.scan(head, final=False, limit=1).records)

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """Show header, counts per message kind, how it ended and what is damaged; then the first messages."""
        contents = count_journal(path)
        yield Facts("journal", _totals(contents))
        if not contents.records:
            yield Note("not one undamaged record", fault=True)
        yield from _header(contents.header)
        if contents.messages:
            rows = [
                (kind, numbers.count, numbers.first_seq, numbers.last_seq, numbers.payload_bytes)
                for kind, numbers in contents.messages.items()
            ]
            yield Listing("messages", ("kind", "count", "first_number", "last_number", "payload_bytes"), rows)
        yield from contents.damage.sections()
        if messages:
            yield from _first_messages(path, messages)


def _totals(contents: JournalContents) -> dict[str, Value]:
    return {
        "state": contents.state,
        "messages": contents.records[journal.Kind.MESSAGE],
        "first_number": contents.first_seq,
        "last_number": contents.last_seq,
        "missing_numbers": contents.missing_numbers,
        "damaged_bytes": contents.damage.damaged_bytes,
        "damaged_ranges": contents.damage.ranges,
    }


def _header(header: Mapping[str, Value]) -> Iterator[Section]:
    values = dict(header)
    settings = values.pop("settings", None)
    t_wall_ns = values.get("t_wall_ns")
    if isinstance(t_wall_ns, int) and 0 <= t_wall_ns < 1 << 62:
        values["wall_clock_utc"] = unix_in_words(t_wall_ns * 1e-9)
    if values:
        yield Facts("header", values)
    if isinstance(settings, Mapping):
        yield Facts("settings", _flattened(settings))


def _flattened(values: Mapping[str, Value], prefix: str = "") -> dict[str, Value]:
    flat: dict[str, Value] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flattened(value, f"{prefix}{name}.")
        else:
            flat[prefix + str(name)] = value
    return flat


def _first_messages(path: Path, limit: int) -> Iterator[Section]:
    shown = 0
    for scan in read_journal(path):
        for record in scan.records:
            if record.kind is not journal.Kind.MESSAGE:
                continue
            if shown == limit:
                return
            shown += 1
            kind, fields = decode_message(record.payload)
            yield Entry(kind, fields if "seq" in fields else {"seq": record.seq, **fields})
