"""Uploads the batches that are ready, one after the other, and archives batches that the server has accepted."""

import errno
import hashlib
import logging
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from sqlalchemy import update

import pygnc_system
from pygnc_station.errors import StationError, TransferError, UnreachableError
from pygnc_station.settings import StationSettings
from pygnc_station.station_state import ServerIdentity, StationState
from pygnc_station.store import clock, query, schema
from pygnc_station.store.batches import Batch, BatchState, batches, note_acceptance, update_batch
from pygnc_station.store.cursors import BATCHES, SYNC, pending
from pygnc_station.store.pruning import delete_range
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import complete_batches, exclusive_lock
from pygnc_station.upload.reconciliation import reconcile
from pygnc_station.upload.retry import note_failure, note_success
from pygnc_station.upload.station_server import Sender, StationSender
from pygnc_system import plugins
from pygnc_system.files import durable_rename, replacing
from pygnc_system.plugins import PluginError

SENDERS: Final = "pygnc.senders"
"""Group of the entry points of protocols: subclasses of Sender by `way` in [upload], made with the settings."""
UPLOAD: Final = "upload"
"""Name of the upload's retry state."""
_MAX_OFFSET_MS: Final = 60_000
"""A server confirms a clock that differs less from its own; the time of the transfer is included."""
_log: Final = logging.getLogger(__name__)


@dataclass
class UploadReport:
    """Result of an upload.

    Attributes:
        accepted: names of batches that the server has accepted.
        rejected: names and reasons of batches that it has rejected.
        waiting: names of batches that it has received but neither accepted nor rejected.
        problem: last temporary failure of a batch or of the upload, "" if there was none.
    """

    accepted: list[str] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    problem: str = ""
    _remarks: dict[str, list[str]] = field(default_factory=dict, init=False)

    def note(self, remark: str, batch: str = "") -> None:
        """Add a remark, about a batch if its name is given."""
        names = self._remarks.setdefault(remark, [])
        if batch:
            names.append(batch)

    @property
    def notes(self) -> list[str]:
        """Remarks about batches and station; one about many batches is given once."""
        return [f"{_about(names)}{remark}" for remark, names in self._remarks.items()]


def _about(names: list[str]) -> str:
    if not names:
        return ""
    more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
    return f"{names[0]}{more}: "


def sender_of(settings: StationSettings) -> Sender:
    """Return the sender that [upload] selects.

    Raises:
        StationError: [upload] has no url, the key file is missing, or no installed package adds the protocol.
    """
    if not settings.upload.url:
        raise StationError("no server to upload to; set url in [upload]")
    way = settings.upload.kind
    if way == "station":
        return StationSender(settings)
    if way == "object_store":
        from pygnc_station.upload.object_store import ObjectStoreSender  # noqa: PLC0415 - loads its library on demand

        return ObjectStoreSender(settings)
    added = plugins.installed(SENDERS).entries
    if way not in added:
        remedy = f"install the package that adds it, such as pygnc-{way}, or choose auto, station or object_store"
        raise StationError(f"way = {way!r} in [upload]: no installed package adds this protocol; {remedy}")
    try:
        return plugins.load_class(added[way], Sender)(settings)  # type: ignore[type-abstract, call-arg]
    except PluginError as error:
        raise StationError(str(error)) from error


def upload_all(store: Store, settings: StationSettings, sender: Sender, now_ms: int) -> UploadReport:
    """Send all batches that are ready, and query the result of those that were sent before.

    A batch that fails temporarily blocks no other. The upload ends early only if the server cannot be reached. After a
    failure, `retry` delays the next attempt. At the end, the server receives the state of this station, also if there
    was nothing to send.

    Raises:
        StationError: the upload failed for a reason that the user has to remove; the failure is recorded too.
    """
    report = UploadReport()
    with exclusive_lock(settings.path(settings.batches.pending), "uploading batches"):
        _archive_accepted(store, settings, report)
        try:
            _reconcile(store, settings, sender, report)
            _send_batches(store, settings, sender, report)
            _send_state(store, settings, sender)
        except UnreachableError as error:
            report.problem = str(error)
        except StationError as error:
            note_failure(store, UPLOAD, str(error), now_ms)
            raise
    if report.problem:
        note_failure(store, UPLOAD, report.problem, now_ms)
    else:
        note_success(store, UPLOAD, now_ms)
    return report


def _reconcile(store: Store, settings: StationSettings, sender: Sender, report: UploadReport) -> None:
    """Compare clocks, and make ready again what the server has lost; a failure of this check delays no batches."""
    try:
        if (server := sender.identify()) is not None:
            for remark in _compare_clocks(store, server, clock_ms()) + reconcile(store, settings, sender, server):
                report.note(remark)
            complete_batches(store, settings)
    except UnreachableError:
        raise
    except TransferError as error:
        report.problem = str(error)


def _compare_clocks(store: Store, server: ServerIdentity, now_ms: int) -> list[str]:
    """Record that the server confirms the clock of this station, or return a remark that it does not."""
    offset_ms = now_ms - server.time_ms
    if abs(offset_ms) > _MAX_OFFSET_MS:
        return [f"the clock of this station differs by {offset_ms / 1000:.0f} s from the server's; doctor shows more"]
    with store.writes() as connection:
        if clock.confirm(connection, min(now_ms, server.time_ms)):
            ready = schema.batches.c.state == BatchState.READY  # their files contain the flags of before
            connection.execute(update(schema.batches).where(ready).values(state=BatchState.OPEN))
    return []


def _send_batches(store: Store, settings: StationSettings, sender: Sender, report: UploadReport) -> None:
    for batch in batches(store, BatchState.READY, BatchState.SENT):
        try:
            _send(store, settings, sender, batch, report)
        except UnreachableError:
            raise
        except TransferError as error:
            report.problem = str(error)
            update_batch(store, batch, reason=str(error))


def _send_state(store: Store, settings: StationSettings, sender: Sender) -> None:
    """Send the state of this station; a failure is logged and delays no batches."""
    try:
        sender.send_state(_station_state(store, settings))
    except (StationError, TransferError, OSError) as error:
        _log.warning("the state of this station was not sent: %s", error)


def _station_state(store: Store, settings: StationSettings) -> StationState:
    with store.reads() as connection:
        new = sum(part.last - part.first + 1 for part in pending(connection, BATCHES))
    waiting = batches(store, BatchState.OPEN, BatchState.READY, BatchState.SENT)
    batched = sum(part.last - part.first + 1 for batch in waiting for part in batch.contents.readings)
    is_file = "://" not in settings.store_url
    disk = shutil.disk_usage(Path(settings.store_url).parent if is_file else settings.path(settings.batches.pending))
    places = {device.gadget: device.location or settings.location for device in settings.device}
    return StationState(
        time_ms=clock_ms(),
        version=pygnc_system.__version__,
        uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
        backlog_readings=new + batched,
        backlog_batches=len(waiting),
        rejected_batches=len(batches(store, BatchState.REJECTED)),
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
        locations={name: place for name, place in places.items() if place is not None},
    )


def _send(store: Store, settings: StationSettings, sender: Sender, batch: Batch, report: UploadReport) -> None:
    path = settings.path(settings.batches.pending) / batch.file_name
    if not _is_intact(path, batch):
        # The file was deleted or damaged; its readings are still in the store, so it is written again.
        update_batch(store, batch, state=BatchState.OPEN, reason="")
        return
    sent = sender.send(batch, path)
    if sent.state is BatchState.ACCEPTED:
        note_acceptance(store, replace(batch, remote_id=sent.remote_id, reason=sent.reason), clock_ms())
    else:
        update_batch(store, batch, state=sent.state, remote_id=sent.remote_id, reason=sent.reason)
    if sent.state is BatchState.ACCEPTED:
        report.accepted.append(batch.name)
        if sent.reason:
            report.note(sent.reason, batch.name)
        if sent.conflict and sent.conflict == store.origin:
            report.note(f"{settings.name}: the new origin of this station's readings is {store.renew_origin()}")
        _archive_accepted(store, settings, report)
    elif sent.state is BatchState.REJECTED and _is_written_anew(store, settings, sent, report):
        update_batch(store, batch, state=BatchState.OPEN, remote_id="", reason="")
    elif sent.state is BatchState.REJECTED:
        report.rejected.append((batch.name, sent.reason))
    else:
        report.waiting.append(batch.name)


def _is_written_anew(store: Store, settings: StationSettings, sent: Batch, report: UploadReport) -> bool:
    """Return True if a batch was rejected for its origin and this store has another one now; renew it if necessary."""
    if not sent.conflict:
        return False
    if sent.conflict == store.origin:
        report.note(f"{settings.name}: the new origin of this station's readings is {store.renew_origin()}")
    elif sent.conflict in {stream.origin for stream in query.streams(store)}:  # readings of another program's database
        return False
    report.note(f"{sent.reason}; the batch is written again under the new origin", sent.name)
    return True


def _is_intact(path: Path, batch: Batch) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == batch.sha256
    except OSError:
        return False


def _archive_accepted(store: Store, settings: StationSettings, report: UploadReport) -> None:
    """Move or delete the files of accepted batches, and delete their readings if the settings demand it.

    A folder that accepts no files stops no upload; the files stay in the pending folder until the next attempt.
    """
    folder = settings.path(settings.batches.pending)
    readers = [BATCHES, SYNC] if settings.sync.url else [BATCHES]
    names = [path.stem for path in folder.glob("*.zip")]
    for batch in batches(store, BatchState.ACCEPTED, names=names):
        path = folder / batch.file_name
        if settings.batches.delete_readings:
            for part in batch.contents.readings:
                delete_range(store, part, readers)
        if settings.batches.delete_when_accepted:
            path.unlink()
            continue
        archive = settings.path(settings.batches.uploaded)
        try:
            archive.mkdir(parents=True, exist_ok=True)
            move_durably(path, archive / path.name)
        except OSError as error:
            note = (
                f"{archive}: accepted batches cannot be moved here ({error.strerror or error}) and stay in {folder};"
                " free some space, or set uploaded or delete_when_accepted in [batches]"
            )
            report.note(note)


def move_durably(source: Path, target: Path) -> None:
    """Move a file within a file system or to another file system; after a power cut it exists in at least one place.

    Raises:
        OSError: the file cannot be copied; the source is still there.
    """
    try:
        durable_rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:  # another file system
            raise
        with replacing(target) as part:
            shutil.copyfile(source, part)
        source.unlink()
