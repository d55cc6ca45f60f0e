"""Reads a log of the original PyGNC in pieces and finds its messages, also behind foreign bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pygnc_ground.inspection.old_messages import BEGINNING, MESSAGE_BYTES_MAX, decode_message
from pygnc_ground.inspection.sections import Value
from pygnc_ground.inspection.viewer import read_chunks


@dataclass(frozen=True, slots=True)
class OldMessage:
    """One message and where it stands in its file."""

    kind: str
    fields: dict[str, Value]
    offset: int
    size: int


def read_old_log(path: Path) -> Iterator[OldMessage]:
    """Yield every whole message in the file; what stands between them is none.

    Raises:
        OSError: the file cannot be read.
    """
    pending, offset = b"", 0
    for chunk in read_chunks(path):
        pending += chunk
        # A message that begins before this is wholly there.
        settled = max(0, len(pending) - MESSAGE_BYTES_MAX)
        for message in find_messages(pending, offset):
            if message.offset >= offset + settled:
                break
            settled = max(settled, message.offset + message.size - offset)
            yield message
        pending, offset = pending[settled:], offset + settled
    yield from find_messages(pending, offset)


def find_messages(data: bytes, base_offset: int = 0) -> Iterator[OldMessage]:
    """Yield every whole message in `data`, whose first byte stands at `base_offset` of its file."""
    position = 0
    while (beginning := BEGINNING.search(data, position)) is not None:
        start = beginning.start()
        decoded = decode_message(memoryview(data)[start : start + MESSAGE_BYTES_MAX])
        if decoded is None:
            position = start + 1
        else:
            kind, fields, size = decoded
            yield OldMessage(kind, fields, base_offset + start, size)
            position = start + size
