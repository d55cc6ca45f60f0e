"""Batches that the server has accepted and does not know any more, because its database was restored from a backup.

A restored database lacks what was accepted last. Before it sends anything, a station therefore asks whether the server
knows the batches that it has accepted since the last check, and the newest one before that check. If one of these is
unknown, or the epoch of the server has changed, the station asks for all batches. A count of accepted readings would
not do: it also rises by the readings that are sent after the restoration. Unknown batches are sent again.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from pygnc_station.settings import StationSettings
from pygnc_station.station_state import MAX_IDS, ServerIdentity
from pygnc_station.store import schema
from pygnc_station.store.batches import Batch, accepted_batches, make_ready, newest_acceptance
from pygnc_station.store.store import Store, fact, put_row
from pygnc_station.upload.station_server import Sender
from pygnc_system.files import durable_rename

_SERVER: Final = "upload_server"
"""Fact: the server that has accepted the batches, and the last check."""
_log: Final = logging.getLogger(__name__)


class _Server(msgspec.Struct, frozen=True):
    """Server that accepts the batches.

    Attributes:
        id: identifier of its database, which its backups share.
        epoch: identifier that changes when a backup is restored by `pygnc station restore`.
        first: rank of the first batch that this server has accepted.
        checked: rank of the newest batch at the last check.
    """

    id: str
    epoch: str
    first: int
    checked: int


def reconcile(store: Store, settings: StationSettings, sender: Sender, found: ServerIdentity) -> list[str]:
    """Make the batches ready again that the server has accepted and does not know any more; return remarks.

    Args:
        store: store of the station.
        settings: settings of the station.
        sender: client of the server.
        found: the server's identity.

    Raises:
        StationError: the server does not accept the request.
        TransferError: the server does not respond; the next call repeats the check.
    """
    with store.writes() as connection:
        text = fact(connection, _SERVER)
        newest = newest_acceptance(connection)
    known = msgspec.json.decode(text, type=_Server) if text else None
    remarks: list[str] = []
    lost: list[Batch] = []
    if known is None:
        asked = accepted_batches(store)
        unknown = _unknown(sender, asked)
        # What was accepted before the oldest batch that this server knows was accepted by another server.
        first = next((batch.acceptance or 0 for batch in asked if batch not in unknown), newest + 1)
        lost = [batch for batch in unknown if (batch.acceptance or 0) > first]
    elif known.id != found.server:
        first = newest + 1
        again = "`pygnc station batch --again --since TIME` makes earlier readings ready for it"
        remarks.append(f"{settings.upload.url} is another server than before; {again}")
    else:
        first = known.first
        accepted = accepted_batches(store, first)
        lost = _unknown(sender, [batch for batch in accepted if (batch.acceptance or 0) >= known.checked])
        if lost or known.epoch != found.epoch:
            earlier = [batch for batch in accepted if (batch.acceptance or 0) < known.checked]
            lost = _unknown(sender, earlier) + lost
    if lost:
        count = f"{len(lost)} batches with {sum(batch.readings for batch in lost)} readings"
        remarks.append(
            f"{settings.upload.url} has lost {count} that it had accepted, probably because a backup was restored;"
            " they are sent again"
        )
    with store.writes() as connection:
        make_ready(connection, lost)
        checked = msgspec.json.encode(_Server(found.server, found.epoch, first, newest)).decode()
        put_row(connection, schema.facts, {"name": _SERVER, "value": checked})
    fetch_files(settings, lost)
    return remarks


def send_again(store: Store, settings: StationSettings, since_ms: int) -> list[Batch]:
    """Make all batches ready again that were accepted, or created, since a time; the server stores what it lacks."""
    chosen = [batch for batch in accepted_batches(store) if max(batch.accepted_ms or 0, batch.created_ms) >= since_ms]
    with store.writes() as connection:
        make_ready(connection, chosen, anew=True)
    fetch_files(settings, chosen)
    return chosen


def fetch_files(settings: StationSettings, chosen: Sequence[Batch]) -> None:
    """Move the files of batches from the folder of accepted batches back to the pending ones.

    A missing file is written again from the store by the next `pygnc station batch`.
    """
    pending, uploaded = (settings.path(name) for name in (settings.batches.pending, settings.batches.uploaded))
    for batch in chosen:
        _fetch(uploaded / batch.file_name, pending / batch.file_name)


def _fetch(source: Path, target: Path) -> None:
    if source.exists() and not target.exists():
        try:
            durable_rename(source, target)
        except OSError as error:
            _log.warning("%s: %s; the batch is written again from the store", source, error.strerror or error)


def _unknown(sender: Sender, asked: Sequence[Batch]) -> list[Batch]:
    """Return the batches that the server does not know as accepted."""
    unknown: set[str] = set()
    for start in range(0, len(asked), MAX_IDS):
        unknown |= sender.unknown_of([batch.remote_id or batch.id for batch in asked[start : start + MAX_IDS]])
    return [batch for batch in asked if (batch.remote_id or batch.id) in unknown]
