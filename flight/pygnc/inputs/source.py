"""Base class of the input files of a batch, which are read as series of records."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import Message, SourceFile

DAMAGE_LISTED: Final = 100
"""Maximum number of damaged ranges listed (all are counted), so that a file of noise does not fill the memory."""


class BatchSource(ABC):
    """One input file, or a series of range files that continue each other.

    Attributes:
        names: Names of the files, relative to the home folder.
        terminated: True if the sense records end in CR LF; True for range files.
        anomalies: Number of undamaged records with an anomaly, by reason.
        keys: Sort keys of the n undamaged records, GPS time in ms, shape (n,); valid after the scan.
        kept: Indices, among the n, of the k records that the batch uses, ascending, shape (k,); all n after the scan.
    """

    def __init__(self, names: Sequence[str], *, terminated: bool = True) -> None:
        self.names = names
        self.terminated = terminated
        self.anomalies: Counter[str] = Counter()
        self.keys: NDArray[np.int64] = np.zeros(0, np.int64)
        self.kept: NDArray[np.int64] = np.zeros(0, np.int64)

    def scan(self) -> Iterator[None]:
        """Find the records and set `keys` and `kept`; yield after each step."""
        self.keys = yield from self._scan()
        self.kept = np.arange(len(self.keys))

    @abstractmethod
    def _scan(self) -> Generator[None, None, NDArray[np.int64]]:
        """Find the records, yield after each step, and return the sort keys: GPS time in ms, shape (n,)."""

    @property
    @abstractmethod
    def files(self) -> list[SourceFile]:
        """The files with their byte counts and `seq` 0; valid after the scan."""

    @abstractmethod
    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the messages of the records with these indices, numbered from `first_seq`.

        Raises:
            OSError: A file cannot be read, or was changed since it was scanned.
        """
