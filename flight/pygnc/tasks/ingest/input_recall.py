"""What a restarted ingest reads in its own journal: the books so far, and what it was about to give out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import (
    LIVE,
    BatchBegin,
    BatchEnd,
    GpsFix,
    InputMessage,
    Message,
    RangeMeasurement,
    SourceFile,
)
from pygnc.tasks.ingest.input_ledger import InputLedger

RECORDS_A_READ: Final = 512


class InputRecall:
    """The input journal of a run that a former process of the task began; of one that begins, nothing.

    Attributes:
        group: The files of the batch, or behind its end those named last; each with so many bytes of it as were
            delivered before.
        begin_seq: Number of the message behind these files.
        missing_bytes: So many bytes of these files' packets do not stand in the journal. In a batch that includes what
            stands between the packets of sense records.
        is_ended: Whether the batch is over.
        is_whole: Whether no number is missing.
    """

    def __init__(self, folders: Sequence[Path], ledger: InputLedger) -> None:
        self.group: list[tuple[SourceFile, int]] = []
        self.begin_seq = 0
        self.missing_bytes = 0
        self.is_ended = False
        self.is_whole = True
        self._journal = JournalReader(folders, "input")
        self._ledger = ledger

    def read(self) -> Iterator[None]:
        """Read the journal, and book what stands in it; yields after each piece of work."""
        decode = msgspec.msgpack.Decoder(InputMessage).decode
        last_seq, group_is_open = 0, False
        while records := self._journal.read(RECORDS_A_READ):
            for record in records:
                self.is_whole &= record.seq == last_seq + 1
                last_seq = record.seq
                message: Message = decode(record.payload)
                if isinstance(message, SourceFile) and not group_is_open:
                    self.group, self.missing_bytes, group_is_open = [], 0, True
                self._note(message)
                group_is_open &= isinstance(message, SourceFile)
            yield
        self._journal.close()

    def agrees(self, files: Sequence[SourceFile]) -> bool:
        """Whether these readable files are those of the group, as far as they were read."""
        noted = [file for file, _ in self.group if not file.fault]
        if len(noted) != len(files):
            return False
        for was, now in zip(noted, files, strict=True):
            # A file that has grown since does not say any more when it was modified before.
            modified_ns = now.modified_ns or was.modified_ns
            if was != msgspec.structs.replace(now, seq=was.seq, modified_ns=modified_ns):
                return False
        return True

    def _note(self, message: Message) -> None:
        if isinstance(message, SourceFile):
            books = self._ledger.files.get(message.name)
            self.group.append((message, books.delivered_bytes if books else 0))
            self.missing_bytes += message.delivered_bytes
        elif isinstance(message, BatchBegin):
            self.begin_seq = message.seq
        elif isinstance(message, GpsFix | RangeMeasurement) and message.source != LIVE:
            self.missing_bytes -= len(message.raw)
        elif isinstance(message, BatchEnd):
            self.group, self.missing_bytes, self.is_ended = [], 0, True
        self._ledger.take(message)
