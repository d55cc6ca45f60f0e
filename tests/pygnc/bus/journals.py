"""Contents of journals."""

from pathlib import Path

from pygnc.bus.journal_reader import JournalReader

HEADER = b"header"


def payloads_of(reader: JournalReader) -> list[bytes]:
    found = []
    while records := reader.read(100):
        found += [record.payload for record in records]
    return found


def journaled(disk: Path, memory: Path) -> list[bytes]:
    return payloads_of(JournalReader([disk, memory], "input"))
