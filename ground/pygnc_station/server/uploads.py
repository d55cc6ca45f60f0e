"""Received batches: announced, received in chunks, verified and stored. Every step may be repeated.

The number of received bytes is the size of the file, so it survives the death of the server.
"""

import hashlib
import logging
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from starlette.exceptions import HTTPException

from pygnc_station.errors import BadBatchError, RefusedReadingsError
from pygnc_station.server.ingest import BatchFormat, ingest
from pygnc_station.server.ownership import ForeignOriginError, name_of_gateway
from pygnc_station.server_settings import Serve
from pygnc_station.store import schema
from pygnc_station.store.export import portable_name
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_system.files import replacing

_LOCKS: Final = 64
_C: Final = schema.uploads.c
_UPLOAD: Final = select(
    _C.name, _C.state, _C.bytes, _C.digest, _C.readings, _C.reason, _C.conflict, _C.gateway_id
).where(_C.id == bindparam("id"))
_log: Final = logging.getLogger(__name__)


class UploadState(StrEnum):
    """State of a batch at the server."""

    RECEIVING = "receiving"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class UploadStatus:
    """State of a batch at the server.

    Attributes:
        id: id of the batch.
        name: name that the station has given.
        state: state of the upload.
        bytes: announced size.
        digest: announced checksum, `sha256:...`; in tinycloud's protocol `md5:...`, or "" if the client sent none.
        offset: number of received bytes.
        readings: number of readings in an accepted batch.
        reason: cause of the rejection, or what was left out of an accepted batch or kept under another origin.
        conflict: origin that another station uses too, "" if there is none.
    """

    id: str
    name: str
    state: UploadState
    bytes: int
    digest: str
    offset: int
    readings: int
    reason: str
    conflict: str


class Uploads:
    """Uploads of all stations; `folder` contains their files, `formats` are those of the batches of other programs."""

    def __init__(self, store: Store, folder: Path, serve: Serve, formats: Sequence[BatchFormat]) -> None:
        self.folder = folder
        self._store = store
        self._limits = serve.limits
        self._keep = serve.keep_batches
        self._formats = formats
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        for name in ("quarantine", "rejected"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def path(self, id_: str) -> Path:
        """Return the path of a batch that is not verified yet."""
        return self.folder / "quarantine" / f"{id_}.zip"

    def announce(self, gateway: int, id_: str, name: str, size: int, digest: str) -> UploadStatus:
        """Start or continue an upload.

        Raises:
            HTTPException: the id belongs to another gateway, or the batch is too large.
        """
        if size > self._limits.batch_bytes:
            limit = self._limits.batch_bytes
            raise HTTPException(413, f"{size} bytes exceed the limit of {limit}; reduce most_readings in [batches]")
        with self._lock_of(id_):
            known = self._find(gateway, id_)
            if known is None:
                row: dict[str, object] = {"id": id_, "gateway_id": gateway, "name": name, "bytes": size}
                row |= {"state": UploadState.RECEIVING, "digest": digest, "readings": 0, "files": 0, "reason": ""}
                row["created_ms"] = row["changed_ms"] = clock_ms()
                self._begin(gateway, row)
                return UploadStatus(id_, name, UploadState.RECEIVING, size, digest, self._received(id_), 0, "", "")
            if known.state is UploadState.REJECTED or (
                known.state is UploadState.RECEIVING and (known.bytes, known.digest) != (size, digest)
            ):
                self.path(id_).unlink(missing_ok=True)
                self._update(id_, state=UploadState.RECEIVING, bytes=size, digest=digest, reason="", conflict="")
                return self.get(gateway, id_)
            return known

    def _begin(self, gateway: int, row: dict[str, object]) -> None:
        """Record a new batch, which replaces the oldest unfinished ones if there are too many."""
        with self._store.writes() as connection:
            discarded = self._surplus(connection, gateway)
            if discarded:
                connection.execute(delete(schema.uploads).where(schema.uploads.c.id.in_(discarded)))
            connection.execute(insert(schema.uploads), row)
        for old in discarded:
            self.path(old).unlink(missing_ok=True)

    def _surplus(self, connection: Connection, gateway: int) -> list[str]:
        """Return the unfinished batches of a gateway that a further one replaces, the oldest ones."""
        c = schema.uploads.c
        unfinished = select(c.id, c.bytes).where(c.gateway_id == gateway, c.state == UploadState.RECEIVING)
        newest_first = connection.execute(unfinished.order_by(c.changed_ms.desc(), c.id.desc())).all()
        # A complete batch is being verified, or waits for the restart of a killed server.
        return [id_ for id_, size in newest_first[self._limits.open_uploads - 1 :] if self._received(id_) < size]

    def get(self, gateway: int, id_: str) -> UploadStatus:
        """Return the state of an upload.

        Raises:
            HTTPException: the gateway has announced no batch with this id.
        """
        found = self._find(gateway, id_)
        if found is None:
            raise HTTPException(404, f"unknown batch {id_}; announce it first")
        return found

    def unknown(self, gateway: int, ids: Sequence[str]) -> list[str]:
        """Return the identifiers of batches that were not accepted here, although the gateway names them as accepted.

        The database was probably restored from a backup; the time is recorded for the operator.
        """
        c, g = schema.uploads.c, schema.gateways.c
        with self._store.reads() as connection:
            query = select(c.id).where(c.id.in_(ids), c.state == UploadState.ACCEPTED)
            known = set(connection.execute(query).scalars())
        unknown = [id_ for id_ in ids if id_ not in known]
        if unknown:
            with self._store.writes() as connection:
                connection.execute(update(schema.gateways).where(g.id == gateway).values(lost_ms=clock_ms()))
                name = name_of_gateway(connection, gateway)
            _log.warning("%d batches that were accepted from gateway %s are unknown here", len(unknown), name)
        return unknown

    def append(self, gateway: int, id_: str, offset: int, chunk: bytes) -> UploadStatus:
        """Append bytes to a batch, unless it is decided already; verify and store it if they are the last ones.

        Raises:
            HTTPException: `offset` is not the number of received bytes, or there are more bytes than announced.
        """
        with self._lock_of(id_):
            upload = self.get(gateway, id_)
            if upload.state is not UploadState.RECEIVING:
                return upload
            if offset != upload.offset:
                raise HTTPException(409, f"offset {offset} is not the number of received bytes, {upload.offset}")
            if offset + len(chunk) > upload.bytes:
                raise HTTPException(
                    413, f"the batch has more than the announced {upload.bytes} bytes; announce it again"
                )
            with self.path(id_).open("ab") as file:
                file.write(chunk)
            return self._decided(gateway, replace(upload, offset=offset + len(chunk)))

    def complete(self, gateway: int, id_: str) -> UploadStatus:
        """Verify and store a batch if its bytes have all arrived."""
        with self._lock_of(id_):
            return self._decided(gateway, self.get(gateway, id_))

    def recover(self) -> None:
        """Process complete batches after the server was killed; log and keep those that cannot be processed."""
        c = schema.uploads.c
        for path in sorted((self.folder / "quarantine").glob("*.zip")):
            with self._store.reads() as connection:
                gateway = connection.execute(select(c.gateway_id).where(c.id == path.stem)).scalar()
            if gateway is None:
                continue
            try:
                upload = self.complete(gateway, path.stem)
                if upload.state is UploadState.ACCEPTED and path.exists():
                    self._archive(path)
                elif upload.state is UploadState.REJECTED and path.exists():
                    self._reject(upload, upload.reason, upload.conflict)
            except Exception:  # noqa: BLE001 - one batch must not prevent the start
                _log.exception("batch %s cannot be processed; its file is %s", path.stem, path)

    def _lock_of(self, id_: str) -> threading.Lock:
        """Return the lock of a batch; batches share a fixed number of locks."""
        return self._locks[hash(id_) % _LOCKS]

    def _decided(self, gateway: int, upload: UploadStatus) -> UploadStatus:
        """Return the state of a batch after its verification, which needs all of its bytes."""
        if upload.state is not UploadState.RECEIVING or upload.offset != upload.bytes:
            return upload
        self._process(gateway, upload)
        return self.get(gateway, upload.id)

    def _process(self, gateway: int, upload: UploadStatus) -> None:
        path = self.path(upload.id)
        kind, _, wanted = upload.digest.partition(":")
        if kind:
            with path.open("rb") as file:
                if hashlib.file_digest(file, kind).hexdigest() != wanted:
                    # Damaged in transit: the station sends the batch again.
                    path.unlink()
                    return
        try:
            with self._store.writes() as connection:
                files = self.folder / "files" / portable_name(upload.id)
                found = ingest(connection, gateway, path, files, limits=self._limits, formats=self._formats)
                values = {"state": UploadState.ACCEPTED, "readings": found.readings, "files": found.files}
                values |= {"reason": found.note, "conflict": found.conflict, "changed_ms": clock_ms()}
                connection.execute(update(schema.uploads).where(schema.uploads.c.id == upload.id).values(**values))
        except ForeignOriginError as error:
            _log.warning("batch %s of gateway %d is refused: %s", upload.name, gateway, error)
            self._reject(upload, str(error), error.origin)
        except BadBatchError as error:
            self._reject(upload, str(error))
        except RefusedReadingsError as error:
            self._reject(upload, f"the database refuses the readings: {error.reason}")
        else:
            if found.conflict:
                _log.warning("batch %s: %s", upload.name, found.note)
            self._archive(path)

    def _archive(self, path: Path) -> None:
        """Keep or delete the zip of an accepted batch; another program's is kept without its secrets."""
        if not self._keep:
            path.unlink()
            return
        folder = self.folder / "accepted"
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(path) as archive:
            foreign = next((form for form in self._formats if form.recognises(archive)), None)
            if foreign:
                with replacing(folder / path.name) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as target:
                    foreign.copy_without_secrets(archive, target)
        if foreign:
            path.unlink()
        else:
            path.replace(folder / path.name)

    def _reject(self, upload: UploadStatus, reason: str, conflict: str = "") -> None:
        """Record why a batch is rejected; keep its zip unless it is tinycloud's, which may contain a key."""
        self._update(upload.id, state=UploadState.REJECTED, reason=reason, conflict=conflict)
        path = self.path(upload.id)
        if not upload.digest.startswith("sha256:"):
            path.unlink(missing_ok=True)
        elif path.exists():
            path.replace(self.folder / "rejected" / path.name)

    def _find(self, gateway: int, id_: str) -> UploadStatus | None:
        with self._store.reads() as connection:
            row = connection.execute(_UPLOAD, {"id": id_}).first()
        if row is None:
            return None
        if row.gateway_id != gateway:
            raise HTTPException(404, f"batch {id_} is unknown for this gateway")
        state = UploadState(row.state)
        received = self._received(id_) if state is UploadState.RECEIVING else 0
        offset = row.bytes if state is UploadState.ACCEPTED else received
        return UploadStatus(id_, row.name, state, row.bytes, row.digest, offset, row.readings, row.reason, row.conflict)

    def _received(self, id_: str) -> int:
        path = self.path(id_)
        return path.stat().st_size if path.exists() else 0

    def _update(self, id_: str, **values: object) -> None:
        table = schema.uploads
        with self._store.writes() as connection:
            connection.execute(update(table).where(table.c.id == id_).values(changed_ms=clock_ms(), **values))
