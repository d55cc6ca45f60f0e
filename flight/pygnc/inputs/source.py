"""Sources of ingest: the files of a batch as series of records, and the conversion of decoded packets to messages."""

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import Message, RangeMeasurement, SensorSample, SourceFile
from pygnc.formats.ranges import RangeMeasurements
from pygnc.formats.sense import SensorSamples

DAMAGE_LISTED: Final = 100
"""Maximum number of damaged ranges that are listed (all are counted): a file of noise must not fill the memory."""

_Packet = TypeVar("_Packet", SensorSample, RangeMeasurement)


class BatchSource(ABC):
    """One input file, or a series of range files that continue each other.

    Attributes:
        names: Names of the files, relative to the home folder.
        terminated: True if the sense records end in CR LF; True for range files.
        anomalies: Number of undamaged records with an anomaly, by reason.
        keys: Sort keys of the n undamaged records, GPS time in ms, shape (n,); valid after the scan.
        kept: Ordinals of the k records that the batch uses, ascending, shape (k,); all n after the scan.
    """

    def __init__(self, names: Sequence[str], *, terminated: bool = True) -> None:
        self.names = names
        self.terminated = terminated
        self.anomalies: Counter[str] = Counter()
        self.keys: NDArray[np.int64] = np.zeros(0, np.int64)
        self.kept: NDArray[np.int64] = np.zeros(0, np.int64)

    def scan(self) -> Iterator[None]:
        """Find the records; yields after each step."""
        self.keys = yield from self._scan()
        self.kept = np.arange(len(self.keys))

    @abstractmethod
    def _scan(self) -> Generator[None, None, NDArray[np.int64]]:
        """Find the records; return their sort keys."""

    @property
    @abstractmethod
    def files(self) -> list[SourceFile]:
        """The files with their byte counts and `seq` 0; valid after the scan."""

    @abstractmethod
    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the messages of these records, numbered from `first_seq`.

        Raises:
            OSError: A file cannot be read, or was changed since it was scanned.
        """


def packet_messages(
    kind: type[_Packet],
    packets: SensorSamples | RangeMeasurements,
    places: Sequence[tuple[int, str, int, bytes]],
    **constants: int,
) -> Iterator[_Packet]:
    """Yield the messages of M packets.

    Args:
        kind: Type of the messages.
        packets: The decoded packets: M elements in one or more leading axes of each array.
        places: Number, source, offset and raw bytes of each message; length M.
        constants: Fields that are equal in all messages.
    """
    names = [field.name for field in dataclasses.fields(packets)]
    arrays = [getattr(packets, name) for name in names]
    leading = min(array.ndim for array in arrays if array is not None)
    columns: list[list[Any]] = []
    # Iterating over Python lists takes a tenth of the time of iterating over arrays.
    for array in arrays:
        if array is None:
            columns.append([None] * len(places))
        elif array.ndim > leading:
            columns.append([tuple(vector) for vector in array.reshape(-1, array.shape[-1]).tolist()])
        else:
            columns.append(array.ravel().tolist())
    for (seq, source, offset, raw), row in zip(places, zip(*columns, strict=True), strict=True):
        values: dict[str, Any] = dict(zip(names, row, strict=True)) | constants
        yield kind(seq=seq, source=source, offset=offset, raw=raw, **values)
