"""One sequence out of all files of a batch: what is in them, then their records in the order in which they happened.

It is a function of the files alone, so a restarted task, or a replay on the ground, gets the same numbers.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import BatchBegin, Message, SourceFile
from pygnc.tasks.ingest.batch_files import BatchSource

RECORDS_A_TURN: Final = 32


def batch_head(
    sources: Sequence[BatchSource], files: Sequence[SourceFile], sensors_per_record: int, last_seq: int = 0
) -> list[Message]:
    """Return the messages in front of the records: all files, readable or not, and the beginning.

    Args:
        sources: What can be read.
        files: All files.
        sensors_per_record: Sensor packets in a sense record.
        last_seq: Number of the message before the first one.
    """
    begin = BatchBegin(
        seq=last_seq + len(files) + 1,
        sensors_per_record=sensors_per_record,
        records_terminated=all(source.terminated for source in sources),
    )
    return [*(msgspec.structs.replace(file, seq=seq) for seq, file in enumerate(files, last_seq + 1)), begin]


def record_messages(sources: Sequence[BatchSource], last_seq: int) -> Iterator[list[Message]]:
    """Yield the messages of all records, some at a time, in the order in which they happened.

    Args:
        sources: The scanned files.
        last_seq: Number of the message before the first one.

    Raises:
        OSError: A file cannot be read, or was changed since it was scanned.
    """
    which = np.repeat(np.arange(len(sources)), [len(source.keys) for source in sources])
    ordinals = np.concatenate([np.arange(len(source.keys)) for source in sources] or [np.zeros(0, np.int64)])
    keys = np.concatenate([source.keys for source in sources] or [np.zeros(0, np.int64)])
    order = np.argsort(keys, kind="stable")
    for group in _groups(which[order], RECORDS_A_TURN):
        members = order[group]
        messages = sources[int(which[members[0]])].messages(ordinals[members], last_seq + 1)
        last_seq += len(messages)
        yield messages


def _groups(which: NDArray[np.int64], size: int) -> Iterator[slice]:
    """Yield runs of equal elements, none longer than `size`."""
    changes = np.flatnonzero(np.diff(which)) + 1
    for start, stop in pairwise([0, *changes.tolist(), len(which)]):
        for begin in range(start, stop, size):
            yield slice(begin, min(begin + size, stop))
