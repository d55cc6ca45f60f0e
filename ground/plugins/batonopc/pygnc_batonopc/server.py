"""Requests of batonopc to its server tinycloud: a client requests an id for a batch, uploads it, polls its status."""

import logging
import uuid
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from sqlalchemy import or_, select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pygnc_batonopc.batch import BatonopcBatches
from pygnc_batonopc.flat_json import flat_json
from pygnc_station.server.access import printable
from pygnc_station.server.context import Context, context_of, secret_of
from pygnc_station.server.operations import Access, KeyForm, Operation, Positive, read_body
from pygnc_station.server.plugin import ServerPlugin
from pygnc_station.server.upload_api import BATCH_ID, id_of
from pygnc_station.server.uploads import UploadState, UploadStatus
from pygnc_station.store import schema

_MULTIPART_OVERHEAD_BYTES: Final = 10_000
_MD5_OF_NOTHING: Final = "d41d8cd98f00b204e9800998ecf8427e"
"""MD5 of zero bytes, which batonopc sends for every batch."""
_STATUS: Final = {
    UploadState.RECEIVING: "Unprocessed",
    UploadState.ACCEPTED: "Processed",
    UploadState.REJECTED: "Rejected",
}
_log: Final = logging.getLogger(__name__)


class QuarantineRequest(KeyForm, frozen=True, kw_only=True):
    """Request of batonopc for the id of a batch: the gateway's key; name, size in bytes and MD5 of the batch."""

    source_ref: Annotated[str, msgspec.Meta(min_length=1)]
    zip_size: Positive
    zip_md5: str = ""


def quarantine_request(request: Request, gateway: int, body: QuarantineRequest) -> object:
    """Assign an id to a batch and return the destination of its file; the same batch always gets the same id."""
    context, serve = context_of(request), context_of(request).serve
    name, md5 = printable(body.source_ref), body.zip_md5
    id_ = _known_id(context, gateway, name, body.zip_size) or uuid.uuid4().hex
    digest = f"md5:{md5}" if len(md5) == 32 and md5 != _MD5_OF_NOTHING else ""
    context.uploads.announce(gateway, id_, name, body.zip_size, digest)
    return {
        "batchid": id_,
        "domain": serve.scp_host or request.url.hostname or serve.host,
        "port": serve.scp_port if serve.scp_host else request.url.port or serve.port,
        "destination": f"{serve.scp_folder.rstrip('/')}/" if serve.scp_host else "",
    }


async def upload(request: Request, gateway: int) -> object:
    """Receive a whole batch, as a body or in a form; X-Gascloud-Logas is the key, X-Gascloud-Logpw the batch's id."""
    id_ = request.headers.get("x-gascloud-logpw", "")
    if not BATCH_ID.fullmatch(id_):
        raise HTTPException(400, "the header X-Gascloud-Logpw must be the id of the batch, 32 hexadecimal digits")
    uploads = context_of(request).uploads
    known = await run_in_threadpool(uploads.get, gateway, id_)
    octets = await _file_of(request, known.bytes)
    if known.offset == 0:
        return _json_of(await run_in_threadpool(uploads.append, gateway, id_, 0, octets))
    return _json_of(await run_in_threadpool(uploads.complete, gateway, id_))


def upload_status(request: Request, gateway: int) -> object:
    """Return the status of a batch; a batch that has arrived by SCP is processed now."""
    context = context_of(request)
    status = context.uploads.get(gateway, id_of(request))
    if status.state is UploadState.RECEIVING and context.serve.scp_folder:
        status = _fetch_from_inbox(context, gateway, status, secret_of(request))
    return _json_of(status)


def _json_of(status: UploadStatus) -> dict[str, Any]:
    state = _STATUS[status.state]
    return {"batchid": status.id, "status": state, "reason": status.reason, "conflict": status.conflict}


def _fetch_from_inbox(context: Context, gateway: int, status: UploadStatus, key: str) -> UploadStatus:
    """Process a batch in the inbox of sshd if its file is complete; return its state."""
    if not key.isalnum():
        return status
    path = Path(context.serve.scp_folder) / key / "inbox" / f"{status.id}.zip"
    try:
        if not path.is_file() or path.is_symlink() or path.stat().st_size != status.bytes:
            return status
        if status.offset == 0:
            status = context.uploads.append(gateway, status.id, 0, path.read_bytes())
        else:
            status = context.uploads.complete(gateway, status.id)
        if status.state is not UploadState.RECEIVING:
            path.unlink()
    except OSError as error:  # the message does not contain the path, because the key is part of it
        _log.error("batch %s: its file in the inbox cannot be read or deleted: %s", status.id, error.strerror)
    return status


def _known_id(context: Context, gateway: int, name: str, size: int) -> str | None:
    """Return the id of a batch that was requested before; an accepted batch of another size is another batch."""
    c = schema.uploads.c
    is_same = or_(c.state != UploadState.ACCEPTED, c.bytes == size)
    query = select(c.id).where(c.gateway_id == gateway, c.name == name, is_same).order_by(c.created_ms.desc())
    with context.store.reads() as connection:
        return connection.execute(query).scalars().first()


async def _file_of(request: Request, size: int) -> bytes:
    """Return the file of a multipart form, or the body of any other request."""
    body = await read_body(request, size + _MULTIPART_OVERHEAD_BYTES, f"more than the announced {size} bytes")
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return body
    form: Message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    for part in form.walk():
        if part.get_filename():
            octets = part.get_payload(decode=True)
            return octets if isinstance(octets, bytes) else b""
    raise HTTPException(400, "the form contains no file; add a part with a filename")


PLUGIN: Final = ServerPlugin(
    batch_format=BatonopcBatches,
    flat_json=flat_json,
    operations=(
        Operation("POST", "/api/v1/quarantine_request/", quarantine_request, Access.GATEWAY),
        Operation("GET", "/api/v1/upload_status/{id}/", upload_status, Access.GATEWAY),
        Operation("POST", "/upload", upload, Access.GATEWAY, media="multipart/form-data"),
    ),
)
