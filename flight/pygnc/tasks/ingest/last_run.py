"""A run that begins with what the last one wrote, and with what has come into the home since.

The last run's files hold its whole input, and the home may still hold the files they were made from, grown since or
replaced. Packets tell themselves: one that is among the last run's, bit for bit, is not given out again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GpsFix, Message, RangeMeasurement, SensorSample, SourceFile
from pygnc.tasks.batch_writer.folder import LAST
from pygnc.tasks.ingest.batch_files import BatchSource

PREFIX: Final = f"{LAST}/"
_RECORDS_A_LOOK: Final = 64
_Known = set[tuple[int, bytes]]


def told_apart(sources: Iterable[BatchSource]) -> list[BatchSource]:
    """Return the sources of a run that begins from the last one, the last one's first: those give all, others news."""
    known: _Known = set()
    ordered = sorted(sources, key=lambda source: not is_of_last_run(source))
    return [Known(source, known) if is_of_last_run(source) else News(source, known) for source in ordered]


def is_of_last_run(source: BatchSource) -> bool:
    """Whether the last run wrote a source."""
    return source.names[0].startswith(PREFIX)


class _Wrapped:
    """A source that stands for another one."""

    def __init__(self, source: BatchSource, known: _Known) -> None:
        self._source = source
        self._known = known

    @property
    def names(self) -> Sequence[str]:
        """See `BatchSource`."""
        return self._source.names

    @property
    def files(self) -> list[SourceFile]:
        """See `BatchSource`."""
        return self._source.files

    @property
    def anomalies(self) -> Mapping[str, int]:
        """See `BatchSource`."""
        return self._source.anomalies

    def _looks(self) -> Iterator[tuple[NDArray[np.int64], list[Message]]]:
        """Some records at a time: their ordinals and their messages."""
        count = len(self._source.keys)
        for start in range(0, count, _RECORDS_A_LOOK):
            ordinals = np.arange(start, min(start + _RECORDS_A_LOOK, count))
            yield ordinals, self._source.messages(ordinals, 1)


class Known(_Wrapped):
    """A file of the last run: all of it is given out, and remembered."""

    @property
    def terminated(self) -> bool:
        """See `BatchSource`."""
        return self._source.terminated

    @property
    def keys(self) -> NDArray[np.int64]:
        """See `BatchSource`."""
        return self._source.keys

    def scan(self) -> Iterator[None]:
        """See `BatchSource`."""
        yield from self._source.scan()
        for _, messages in self._looks():
            self._known.update(_identity(message) for message in messages)
            yield

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """See `BatchSource`."""
        return self._source.messages(ordinals, first_seq)


class News(_Wrapped):
    """A file in the home: records are given out that hold anything the last run does not have.

    Where they are written again they go behind the last run's, as those do end.
    """

    terminated = True

    def __init__(self, source: BatchSource, known: _Known) -> None:
        super().__init__(source, known)
        self._ordinals: NDArray[np.int64] = np.zeros(0, np.int64)

    @property
    def keys(self) -> NDArray[np.int64]:
        """See `BatchSource`."""
        return self._source.keys[self._ordinals]

    @property
    def repeated(self) -> int:
        """So many records and packets are the last run's."""
        return len(self._source.keys) - len(self._ordinals)

    def scan(self) -> Iterator[None]:
        """See `BatchSource`."""
        yield from self._source.scan()
        found = []
        for ordinals, messages in self._looks():
            size = len(messages) // len(ordinals)
            is_new = [_identity(message) not in self._known for message in messages]
            found.append(ordinals[np.reshape(is_new, (-1, size)).any(axis=1)])
            yield
        self._ordinals = np.concatenate([self._ordinals, *found])

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """See `BatchSource`."""
        return self._source.messages(self._ordinals[ordinals], first_seq)


def _identity(message: Message) -> tuple[int, bytes]:
    if isinstance(message, GpsFix | RangeMeasurement):
        return message.satellite_id, message.raw
    return 0, message.raw if isinstance(message, SensorSample) else b""
