"""Sends the batches that are ready, one after the other; what has been accepted is put away."""

from dataclasses import dataclass, field
from pathlib import Path

from pygnc_station.station.batches import BATCHES, Batch, batches, set_state
from pygnc_station.station.errors import StationError
from pygnc_station.station.lock import alone_in
from pygnc_station.station.sending import Sender, TransferError
from pygnc_station.station.settings import Settings
from pygnc_station.store.pieces import State
from pygnc_station.store.retention import forget
from pygnc_station.store.store import Store
from pygnc_station.store.sync import SYNC
from pygnc_station.store.targets import note_failure, note_success

UPLOAD = "upload"


@dataclass
class Report:
    """What an upload did.

    Attributes:
        accepted: names of batches that the other end has taken.
        rejected: names and reasons of those that it will not take.
        waiting: names of those that it still looks at.
        problem: what ended the upload before all were sent, "" if nothing did.
    """

    accepted: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    problem: str = ""


def sender_of(settings: Settings) -> Sender:
    """Return the way to the server of [upload].

    Raises:
        StationError: there is none, or no key for it.
    """
    if not settings.upload.url:
        raise StationError("nowhere to upload to: set url in [upload]")
    if settings.upload.kind == "object_store":
        from pygnc_station.station.object_store_sender import ObjectStoreSender  # noqa: PLC0415 - only who needs it

        return ObjectStoreSender(settings)
    if settings.upload.kind == "tinycloud":
        from pygnc_station.station.tinycloud_sender import TinycloudSender  # noqa: PLC0415 - likewise

        return TinycloudSender(settings)
    from pygnc_station.station.station_sender import StationSender  # noqa: PLC0415 - likewise

    return StationSender(settings)


def upload_all(store: Store, settings: Settings, sender: Sender, now_ms: int) -> Report:
    """Send all batches that are ready, and ask for those that were sent.

    Raises:
        StationError: what the user has to mend; noted too.
    """
    report = Report()
    with alone_in(settings.path(settings.batches.pending), "uploading batches"):
        _put_away(store, settings)
        try:
            for batch in batches(store, State.READY, State.SENT):
                _send(store, settings, sender, batch, report)
        except TransferError as error:
            report.problem = str(error)
            note_failure(store, UPLOAD, report.problem, now_ms)
            return report
        except StationError as error:
            note_failure(store, UPLOAD, str(error), now_ms)
            raise
    note_success(store, UPLOAD, now_ms)
    return report


def _send(store: Store, settings: Settings, sender: Sender, batch: Batch, report: Report) -> None:
    path = settings.path(settings.batches.pending) / batch.file_name
    if not path.is_file():
        # Somebody has deleted it; the readings are in the store still, so it is made again.
        set_state(store, batch, State.OPEN)
        return
    sent = sender.send(batch, path)
    set_state(store, batch, sent.state, remote_id=sent.remote_id, reason=sent.reason)
    if sent.state is State.ACCEPTED:
        report.accepted.append(batch.name)
        _put_away(store, settings)
    elif sent.state is State.REJECTED:
        report.rejected.append((batch.name, sent.reason))
    else:
        report.waiting.append(batch.name)


def _put_away(store: Store, settings: Settings) -> None:
    """Move or delete the files of accepted batches, and their readings if that is wished."""
    pending = settings.path(settings.batches.pending)
    readers = [BATCHES, SYNC] if settings.sync.url else [BATCHES]
    names = [path.stem for path in pending.glob("*.zip")]
    for batch in batches(store, State.ACCEPTED, names=names):
        path = pending / batch.file_name
        if settings.batches.delete_readings:
            for piece in batch.pieces.readings:
                forget(store, piece, readers)
        if settings.batches.delete_when_accepted:
            path.unlink()
        else:
            folder = settings.path(settings.batches.uploaded)
            folder.mkdir(parents=True, exist_ok=True)
            _move(path, folder / path.name)


def _move(source: Path, target: Path) -> None:
    """Move a file within a file system or to another one; it is never in neither place."""
    try:
        source.replace(target)
    except OSError:
        unfinished = target.with_name(f".{target.name}.part")
        unfinished.write_bytes(source.read_bytes())
        unfinished.replace(target)
        source.unlink()
