"""Batches on their way in: announced, received piece by piece, verified, taken. Each step may come again.

How much of a batch has come is the size of its file; so a server that was killed knows it too.
"""

import hashlib
import logging
import threading
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import insert, select, update

from pygnc_station.errors import RefusedReadingsError
from pygnc_station.server import batonopc_batch
from pygnc_station.server.ingest import BadBatchError, Ingested, ingest
from pygnc_station.settings import Limits
from pygnc_station.store import schema
from pygnc_station.store.export import portable_name
from pygnc_station.store.store import Store

_LOCKS: Final = 64
_log: Final = logging.getLogger(__name__)


class UploadState(StrEnum):
    """Of a batch at the server."""

    RECEIVING = "receiving"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class UploadError(Exception):
    """A request that does not fit; `status` is HTTP's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """A batch as the server sees it.

    Attributes:
        id: of the batch.
        name: as its station calls it.
        state: how far it is.
        bytes: of the whole.
        digest: of the whole, `sha256:...`; `md5:...` by tinycloud's protocol, "" if that gave none that is true.
        offset: bytes that have come.
        readings: in it, once it is accepted.
        reason: why it was rejected; of one that is accepted, what was left out.
    """

    id: str
    name: str
    state: UploadState
    bytes: int
    digest: str
    offset: int
    readings: int
    reason: str


class Uploads:
    """Takes batches.

    Args:
        store: where readings go.
        folder: where files go.
        limits: of sizes.
        keep: whether zips of accepted batches stay.
        clock: milliseconds since 1970.
        zone: of the times in batonopc's batches; None: this computer's.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        limits: Limits,
        clock: Callable[[], int],
        *,
        keep: bool,
        zone: tzinfo | None,
    ) -> None:
        self._store = store
        self._folder = folder
        self._limits = limits
        self._clock = clock
        self._keep = keep
        self._zone = zone
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        for name in ("quarantine", "rejected"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def path(self, id_: str) -> Path:
        """Return where a batch is until it is verified."""
        return self._folder / "quarantine" / f"{id_}.zip"

    def announce(self, gateway: int, id_: str, name: str, size: int, digest: str) -> UploadStatus:
        """Begin an upload, or go on with it.

        Raises:
            UploadError: the id is another's, or the batch is too large.
        """
        if size > self._limits.batch_bytes:
            raise UploadError(413, f"{size} bytes are more than {self._limits.batch_bytes}: make smaller batches")
        with self._lock_of(id_):
            known = self._find(gateway, id_)
            if known is None:
                self._insert(gateway, id_, name, size, digest)
            elif known.state is UploadState.ACCEPTED:
                return known
            elif (known.bytes, known.digest) != (size, digest) or known.state is UploadState.REJECTED:
                self.path(id_).unlink(missing_ok=True)
                self._note(id_, state=UploadState.RECEIVING, bytes=size, digest=digest, reason="")
            return self.get(gateway, id_)

    def get(self, gateway: int, id_: str) -> UploadStatus:
        """Return the state of an upload.

        Raises:
            UploadError: this gateway has none of that id.
        """
        found = self._find(gateway, id_)
        if found is None:
            raise UploadError(404, "no such batch: announce it first")
        return found

    def append(self, gateway: int, id_: str, offset: int, piece: bytes) -> UploadStatus:
        """Take the next bytes.

        Raises:
            UploadError: they are not the next ones, or too many.
        """
        with self._lock_of(id_):
            upload = self.get(gateway, id_)
            if upload.state is not UploadState.RECEIVING:
                return upload
            if offset != upload.offset:
                raise UploadError(409, f"{upload.offset} bytes are here; go on from there")
            if offset + len(piece) > upload.bytes:
                raise UploadError(413, f"more than the {upload.bytes} bytes that were announced")
            with self.path(id_).open("ab") as file:
                file.write(piece)
            return self.get(gateway, id_)

    def complete(self, gateway: int, id_: str) -> UploadStatus:
        """Verify a batch that has come whole, and take it."""
        with self._lock_of(id_):
            upload = self.get(gateway, id_)
            if upload.state is UploadState.RECEIVING and upload.offset == upload.bytes:
                self._take(upload)
            return self.get(gateway, id_)

    def recover(self) -> None:
        """Finish what was cut short when the server was killed; what cannot be finished stays, and is told."""
        c = schema.uploads.c
        for path in sorted((self._folder / "quarantine").glob("*.zip")):
            id_ = path.stem
            with self._store.reads() as connection:
                gateway = connection.execute(select(c.gateway_id).where(c.id == id_)).scalar()
            try:
                if gateway is not None:
                    self._finish(gateway, id_)
            except Exception:  # noqa: BLE001 - whatever one batch does, the server serves the others
                _log.exception("batch %s cannot be taken; it is in %s", id_, path)

    def _finish(self, gateway: int, id_: str) -> None:
        """Take a batch that has come whole, or put away the zip of one that was decided about."""
        upload = self.complete(gateway, id_)
        if not self.path(id_).exists():
            return
        if upload.state is UploadState.ACCEPTED:
            self._put_away(self.path(id_))
        elif upload.state is UploadState.REJECTED:
            self._reject(upload, upload.reason)

    def _lock_of(self, id_: str) -> threading.Lock:
        """Return the lock of a batch; some share one, so that their number does not grow."""
        return self._locks[hash(id_) % _LOCKS]

    def _take(self, upload: UploadStatus) -> None:
        path = self.path(upload.id)
        kind, _, wanted = upload.digest.partition(":")
        if kind:
            with path.open("rb") as file:
                if hashlib.file_digest(file, kind).hexdigest() != wanted:
                    # Damaged on the way: nothing is wrong with the batch, it has to come again.
                    path.unlink()
                    return
        try:
            with self._store.writes() as connection:
                files = self._folder / "files" / portable_name(upload.id)
                done: Ingested = ingest(self._store, connection, path, files, self._limits, self._zone)
                values = {"state": UploadState.ACCEPTED, "readings": done.readings, "files": done.files}
                table = schema.uploads
                changed = values | {"changed_ms": self._clock(), "reason": done.note}
                connection.execute(update(table).where(table.c.id == upload.id).values(**changed))
        except BadBatchError as error:
            self._reject(upload, str(error))
            return
        except RefusedReadingsError as error:
            self._reject(upload, f"the database refuses its readings: {error.reason}")
            return
        self._put_away(path)

    def _put_away(self, path: Path) -> None:
        """Keep the zip of an accepted batch, or delete it; batonopc's is kept without the key that is in it."""
        if not self._keep:
            path.unlink()
            return
        folder = self._folder / "accepted"
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(path) as archive:
            stem = batonopc_batch.stem_of(archive)
            if stem:
                unfinished = folder / f".{path.name}.part"
                with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as target:
                    batonopc_batch.without_key(archive, stem, target)
                unfinished.replace(folder / path.name)
        if stem:
            path.unlink()
        else:
            path.replace(folder / path.name)

    def _reject(self, upload: UploadStatus, reason: str) -> None:
        """Note why a batch is rejected, and keep its zip, unless it came by tinycloud's calls: it may hold a key."""
        self._note(upload.id, state=UploadState.REJECTED, reason=reason)
        path = self.path(upload.id)
        if not upload.digest.startswith("sha256:"):
            path.unlink(missing_ok=True)
        elif path.exists():
            path.replace(self._folder / "rejected" / path.name)

    def _find(self, gateway: int, id_: str) -> UploadStatus | None:
        c = schema.uploads.c
        columns = (c.name, c.state, c.bytes, c.digest, c.readings, c.reason, c.gateway_id)
        with self._store.reads() as connection:
            row = connection.execute(select(*columns).where(c.id == id_)).first()
        if row is None:
            return None
        if row.gateway_id != gateway:
            raise UploadError(404, "no such batch of yours")
        path = self.path(id_)
        state = UploadState(row.state)
        here = path.stat().st_size if state is UploadState.RECEIVING and path.exists() else 0
        offset = row.bytes if state is UploadState.ACCEPTED else here
        return UploadStatus(id_, row.name, state, row.bytes, row.digest, offset, row.readings, row.reason)

    def _insert(self, gateway: int, id_: str, name: str, size: int, digest: str) -> None:
        row = {"id": id_, "gateway_id": gateway, "name": name, "state": UploadState.RECEIVING, "bytes": size}
        row |= {"digest": digest, "readings": 0, "files": 0, "reason": ""}
        now_ms = self._clock()
        with self._store.writes() as connection:
            connection.execute(insert(schema.uploads), row | {"created_ms": now_ms, "changed_ms": now_ms})

    def _note(self, id_: str, **values: object) -> None:
        table = schema.uploads
        with self._store.writes() as connection:
            connection.execute(update(table).where(table.c.id == id_).values(changed_ms=self._clock(), **values))
