"""Sources of ingest: the files of a batch as series of records, and the conversion of decoded packets to messages."""

import dataclasses
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import GnssFix, Message, RangeMeasurement, SensorSample, SourceFile
from pygnc.formats.gps_packet import GpsFixes
from pygnc.formats.ranges import RangeMeasurements
from pygnc.formats.sense import SensorSamples

DAMAGE_LISTED: Final = 100
"""Maximum number of damaged ranges that are listed (all are counted): a file of noise must not fill the memory."""

_Packet = TypeVar("_Packet", SensorSample, RangeMeasurement, GnssFix)


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


def columns_of(packets: SensorSamples | RangeMeasurements | GpsFixes) -> dict[str, list[Any]]:
    """Return the values or vectors of M packets by field, with M elements in one or more leading axes of each array.

    Iterating over Python lists takes a tenth of the time of iterating over arrays.
    """
    arrays = {field.name: getattr(packets, field.name) for field in dataclasses.fields(packets)}
    present = [array for array in arrays.values() if array is not None]
    leading = min(array.ndim for array in present)
    columns: dict[str, list[Any]] = {}
    for name, array in arrays.items():
        if array is None:
            columns[name] = [None] * math.prod(present[0].shape[:leading])
        elif array.ndim > leading:
            columns[name] = [tuple(vector) for vector in array.reshape(-1, array.shape[-1]).tolist()]
        else:
            columns[name] = array.ravel().tolist()
    return columns


def packet_messages(
    message: type[_Packet],
    columns: Mapping[str, Iterable[Any]],
    places: Sequence[tuple[int, str, int, bytes]],
    /,
    **constants: object,
) -> Iterator[_Packet]:
    """Yield messages.

    Args:
        message: Type of the messages.
        columns: Values of their fields, by name.
        places: Number, source, offset and raw bytes of each message.
        constants: Fields that are equal in all messages.
    """
    for (seq, source, offset, raw), row in zip(places, zip(*columns.values(), strict=True), strict=True):
        values: dict[str, Any] = dict(zip(columns, row, strict=True)) | constants
        yield message(seq=seq, source=source, offset=offset, raw=raw, **values)
