"""What every way of sending batches has in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pygnc_station.station.batches import Batch
from pygnc_station.store.pieces import State


class TransferError(Exception):
    """The other end does not answer, or not now: try again later."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a batch.

    Attributes:
        state: ACCEPTED, REJECTED, or SENT if the other end still looks at it.
        reason: why it was rejected.
        remote_id: its name there, "" if it is ours.
    """

    state: State
    reason: str = ""
    remote_id: str = ""


class Sender(Protocol):
    """A way to a server."""

    def send(self, batch: Batch, path: Path) -> Sent:
        """Send a batch, or go on with it, or ask what became of it.

        Raises:
            StationError: what the user has to mend.
            TransferError: it has to be tried again.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...
