"""HTTP endpoints that receive batches: those of PyGNC stations, and those of tinycloud, which batonopc uses.

A PyGNC station announces a batch, sends it in chunks and queries its state. A tinycloud client requests an id for a
batch, uploads it as a whole by SCP or HTTPS, and polls its status.
"""

import logging
import uuid
from collections.abc import Callable
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

import msgspec
from sqlalchemy import or_, select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from pygnc_station.server.access import Gateway, register
from pygnc_station.server.context import (
    ID,
    Context,
    client_of,
    clock_ms,
    context_of,
    form_of,
    json_body_of,
    json_response,
    parse_integer,
    read_body,
    require_gateway,
    secret_of,
)
from pygnc_station.server.uploads import UploadError, UploadState, UploadStatus
from pygnc_station.store import schema
from pygnc_station.store.schema import MAX_NAME_LENGTH

P = ParamSpec("P")
T = TypeVar("T")
_CHUNK_BYTES: Final = 1 << 20
_MULTIPART_OVERHEAD_BYTES: Final = 10_000
_MD5_OF_NOTHING: Final = "d41d8cd98f00b204e9800998ecf8427e"
"""MD5 of zero bytes, which batonopc sends for every batch."""
_TINYCLOUD_STATUS: Final = {
    UploadState.RECEIVING: "Unprocessed",
    UploadState.ACCEPTED: "Processed",
    UploadState.REJECTED: "Rejected",
}
_log: Final = logging.getLogger(__name__)


class Announcement(msgspec.Struct, frozen=True):
    """Name, size and checksum of a batch that a station is going to send."""

    name: str
    bytes: int
    sha256: str


async def activate(request: Request) -> Response:
    """Exchange a PIN for a key; this endpoint serves PyGNC stations and tinycloud clients."""
    context = context_of(request)
    if not context.pin_attempts.allows(client_of(request)):
        raise HTTPException(429, "too many attempts; retry in a minute")
    form = await form_of(request)
    arguments = (form.get("pin", ""), form.get("device_id", ""), form.get("name", ""))
    key = await run_in_threadpool(register, context.store, *arguments, clock_ms())
    if key is None:
        raise HTTPException(403, "the PIN is wrong, used or expired; create a new one")
    return json_response({"key": key})


async def announce(request: Request) -> Response:
    """Start an upload, or return the offset at which an interrupted one continues."""
    gateway = await require_gateway(request)
    batch = await json_body_of(request, Announcement)
    if batch.bytes <= 0 or len(batch.sha256) != 64:
        raise HTTPException(400, "bytes and sha256 must be size and SHA-256 of the batch")
    uploads = context_of(request).uploads
    arguments = (gateway.id, _id_of(request), batch.name[:MAX_NAME_LENGTH], batch.bytes, f"sha256:{batch.sha256}")
    return _status_response(await _run(uploads.announce, *arguments))


async def state(request: Request) -> Response:
    """Return the state of an upload."""
    gateway = await require_gateway(request)
    return _status_response(await _run(context_of(request).uploads.get, gateway.id, _id_of(request)))


async def send(request: Request) -> Response:
    """Append bytes from an offset on; the last ones trigger the verification and storage of the batch."""
    gateway = await require_gateway(request)
    id_ = _id_of(request)
    uploads, offset = context_of(request).uploads, parse_integer(request.query_params.get("offset", ""), "offset")
    chunk = bytearray()
    try:
        async for octets in request.stream():
            chunk += octets
            if len(chunk) >= _CHUNK_BYTES:
                await _run(uploads.append, gateway.id, id_, offset, bytes(chunk))
                offset += len(chunk)
                chunk.clear()
    except ClientDisconnect:
        return Response(status_code=400)  # the appended bytes remain, and the station continues after them
    await _run(uploads.append, gateway.id, id_, offset, bytes(chunk))
    return _status_response(await _run(uploads.complete, gateway.id, id_))


async def quarantine_request(request: Request) -> Response:
    """Assign an id to a batch and return the destination of its file; the same batch always gets the same id."""
    gateway = await require_gateway(request)
    context = context_of(request)
    form = await form_of(request)
    name, md5 = form.get("source_ref", "")[:MAX_NAME_LENGTH], form.get("zip_md5", "")
    size = parse_integer(form.get("zip_size", ""), "zip_size")
    if not name or size == 0:
        raise HTTPException(400, "source_ref and zip_size must be name and size of the batch")
    id_ = await run_in_threadpool(_known_id, context, gateway, name, size) or uuid.uuid4().hex
    digest = f"md5:{md5}" if len(md5) == 32 and md5 != _MD5_OF_NOTHING else ""
    await _run(context.uploads.announce, gateway.id, id_, name, size, digest)
    serve = context.serve
    domain = serve.scp_host or request.url.hostname or serve.host
    port = serve.scp_port if serve.scp_host else request.url.port or serve.port
    destination = f"{serve.scp_folder.rstrip('/')}/" if serve.scp_host else ""
    return json_response({"batchid": id_, "domain": domain, "port": port, "destination": destination})


async def upload(request: Request) -> Response:
    """Receive a whole batch by HTTPS; user name and password are the gateway's key and the batch's id."""
    key, id_ = request.headers.get("x-gascloud-logas", ""), request.headers.get("x-gascloud-logpw", "")
    request.scope["headers"] = [*request.scope["headers"], (b"authorization", f"Bearer {key}".encode())]
    gateway = await require_gateway(Request(request.scope, request.receive))
    if not ID.fullmatch(id_):
        raise HTTPException(400, "X-Gascloud-Logpw must be the id of the batch")
    uploads = context_of(request).uploads
    known = await _run(uploads.get, gateway.id, id_)
    octets = await _file_of(request, known.bytes)
    if known.offset == 0:
        await _run(uploads.append, gateway.id, id_, 0, octets)
    return _tinycloud_response(await _run(uploads.complete, gateway.id, id_))


async def upload_status(request: Request) -> Response:
    """Return the status of a batch; a batch that has arrived by SCP is processed now."""
    gateway = await require_gateway(request)
    id_ = _id_of(request)
    context = context_of(request)
    status = await _run(context.uploads.get, gateway.id, id_)
    if status.state is UploadState.RECEIVING and context.serve.scp_folder:
        status = await _run(_fetch_from_inbox, context, gateway, status, secret_of(request))
    return _tinycloud_response(status)


ROUTES: Final = [
    Route("/api/v1/activate/", activate, methods=["POST"]),
    Route("/api/v1/batches/{id}", announce, methods=["PUT"]),
    Route("/api/v1/batches/{id}", state, methods=["GET"]),
    Route("/api/v1/batches/{id}", send, methods=["PATCH"]),
    Route("/api/v1/quarantine_request/", quarantine_request, methods=["POST"]),
    Route("/api/v1/upload_status/{id}/", upload_status, methods=["GET"]),
    Route("/upload", upload, methods=["POST"]),
]


def _id_of(request: Request) -> str:
    id_: str = request.path_params["id"]
    if not ID.fullmatch(id_):
        raise HTTPException(400, "the id of a batch has 32 hexadecimal digits")
    return id_


async def _run(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Run a function in a thread; convert its UploadError to an HTTP error."""
    try:
        return await run_in_threadpool(work, *arguments, **options)
    except UploadError as error:
        raise HTTPException(error.status, str(error)) from None


def _status_response(status: UploadStatus) -> Response:
    names = ("id", "state", "offset", "bytes", "readings", "reason")
    return json_response({name: getattr(status, name) for name in names})


def _tinycloud_response(status: UploadStatus) -> Response:
    return json_response({"batchid": status.id, "status": _TINYCLOUD_STATUS[status.state], "reason": status.reason})


def _fetch_from_inbox(context: Context, gateway: Gateway, status: UploadStatus, key: str) -> UploadStatus:
    """Process a batch in the inbox of sshd if its file is complete; return its state."""
    if not key.isalnum():
        return status
    path = Path(context.serve.scp_folder) / key / "inbox" / f"{status.id}.zip"
    processed = status
    try:
        if not path.is_file() or path.is_symlink() or path.stat().st_size != status.bytes:
            return status
        if status.offset == 0:
            context.uploads.append(gateway.id, status.id, 0, path.read_bytes())
        processed = context.uploads.complete(gateway.id, status.id)
        if processed.state is not UploadState.RECEIVING:
            path.unlink()
    except OSError as error:  # the message does not contain the path, because the key is part of it
        _log.error("batch %s: its file in the inbox cannot be read or deleted: %s", status.id, error.strerror)
    return processed


def _known_id(context: Context, gateway: Gateway, name: str, size: int) -> str | None:
    """Return the id of a batch that was requested before; an accepted batch of another size is another batch."""
    c = schema.uploads.c
    is_same = or_(c.state != UploadState.ACCEPTED, c.bytes == size)
    query = select(c.id).where(c.gateway_id == gateway.id, c.name == name, is_same).order_by(c.created_ms.desc())
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
    raise HTTPException(400, "the form contains no file")
