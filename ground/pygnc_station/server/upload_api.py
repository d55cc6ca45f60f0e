"""Endpoints of our own stations: register, announce a batch, send its pieces, ask how far it is.

tinycloud's calls, as batonopc makes them: ask for a batch id, upload by SCP or HTTPS, ask for the status.
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
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pygnc_station.server.access import Gateway, register
from pygnc_station.server.context import (
    ID,
    Context,
    body_of,
    client_of,
    clock,
    context_of,
    form_of,
    gateway,
    json_of,
    json_response,
    parse_count,
    secret_of,
)
from pygnc_station.server.uploads import UploadError, UploadState, UploadStatus
from pygnc_station.store import schema

P = ParamSpec("P")
T = TypeVar("T")
_PIECE_BYTES: Final = 1 << 20


class Announcement(msgspec.Struct, frozen=True):
    """What a station says of a batch."""

    name: str
    bytes: int
    sha256: str


async def activate(request: Request) -> Response:
    """Give a key for a PIN; tinycloud's call, and ours."""
    context = context_of(request)
    if not context.pin_tries.allows(client_of(request)):
        raise HTTPException(429, "too many tries: wait a minute")
    form = await form_of(request)
    arguments = (form.get("pin", ""), form.get("device_id", ""), form.get("name", ""))
    key = await run_in_threadpool(register, context.store, *arguments, clock())
    if key is None:
        raise HTTPException(403, "the PIN is wrong, used, or too old: get a new one")
    return json_response({"key": key})


async def announce(request: Request) -> Response:
    """Begin an upload, or learn where to go on."""
    asking = await gateway(request)
    id_ = _id(request)
    said: Announcement = await json_of(await body_of(request), Announcement)
    if said.bytes <= 0 or len(said.sha256) != 64:
        raise HTTPException(400, "bytes and sha256 must be those of the batch")
    uploads = context_of(request).uploads
    arguments = (asking.id, id_, said.name[:120], said.bytes, f"sha256:{said.sha256}")
    return _answer(await tried(uploads.announce, *arguments))


async def state(request: Request) -> Response:
    """Tell how far an upload is."""
    asking = await gateway(request)
    return _answer(await tried(context_of(request).uploads.get, asking.id, _id(request)))


async def send(request: Request) -> Response:
    """Take bytes from an offset on; with the last ones the batch is verified and taken."""
    asking = await gateway(request)
    id_ = _id(request)
    uploads, offset = context_of(request).uploads, parse_count(request.query_params.get("offset", ""), "offset")
    piece = bytearray()
    try:
        async for octets in request.stream():
            piece += octets
            if len(piece) >= _PIECE_BYTES:
                await tried(uploads.append, asking.id, id_, offset, bytes(piece))
                offset += len(piece)
                piece.clear()
    except ClientDisconnect:
        # What has come stays: the station goes on from there.
        return Response(status_code=400)
    await tried(uploads.append, asking.id, id_, offset, bytes(piece))
    return _answer(await tried(uploads.complete, asking.id, id_))


def _id(request: Request) -> str:
    id_: str = request.path_params["id"]
    if not ID.fullmatch(id_):
        raise HTTPException(400, "the id of a batch has 32 hexadecimal digits")
    return id_


async def tried(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """Carry work out in a thread; what does not fit becomes HTTP's answer."""
    try:
        return await run_in_threadpool(work, *arguments, **options)
    except UploadError as error:
        raise HTTPException(error.status, str(error)) from None


def _answer(upload: UploadStatus) -> JSONResponse:
    told = {"id": upload.id, "state": upload.state, "offset": upload.offset, "bytes": upload.bytes}
    return json_response(told | {"readings": upload.readings, "reason": upload.reason})


ROUTES: Final = [
    Route("/api/v1/activate/", activate, methods=["POST"]),
    Route("/api/v1/batches/{id}", announce, methods=["PUT"]),
    Route("/api/v1/batches/{id}", state, methods=["GET"]),
    Route("/api/v1/batches/{id}", send, methods=["PATCH"]),
]


_log: Final = logging.getLogger(__name__)
_LONGEST_NAME: Final = 120
_OF_NOTHING: Final = "d41d8cd98f00b204e9800998ecf8427e"
"""MD5 of no bytes: what batonopc says of every batch."""
_STATUS: Final = {
    UploadState.RECEIVING: "Unprocessed",
    UploadState.ACCEPTED: "Processed",
    UploadState.REJECTED: "Rejected",
}


async def quarantine_request(request: Request) -> Response:
    """Give a batch an id, and say where its file goes. Asked again for the same batch, the id is the same."""
    asking = await gateway(request)
    context = context_of(request)
    form = await form_of(request)
    name, md5 = form.get("source_ref", "")[:_LONGEST_NAME], form.get("zip_md5", "")
    size = parse_count(form.get("zip_size", ""), "zip_size")
    if not name or size == 0:
        raise HTTPException(400, "source_ref and zip_size must be those of the batch")
    id_ = await run_in_threadpool(_known, context, asking, name, size) or uuid.uuid4().hex
    digest = f"md5:{md5}" if len(md5) == 32 and md5 != _OF_NOTHING else ""
    await tried(context.uploads.announce, asking.id, id_, name, size, digest)
    serve = context.serve
    domain = serve.scp_host or request.url.hostname or serve.host
    port = serve.scp_port if serve.scp_host else request.url.port or serve.port
    destination = f"{serve.scp_folder.rstrip('/')}/" if serve.scp_host else ""
    return json_response({"batchid": id_, "domain": domain, "port": port, "destination": destination})


async def upload(request: Request) -> Response:
    """Take a whole batch by HTTPS: user and password are the gateway's key and the batch's id."""
    key, id_ = request.headers.get("x-gascloud-logas", ""), request.headers.get("x-gascloud-logpw", "")
    request.scope["headers"] = [*request.scope["headers"], (b"authorization", f"Bearer {key}".encode())]
    asking = await gateway(Request(request.scope, request.receive))
    if not ID.fullmatch(id_):
        raise HTTPException(400, "X-Gascloud-Logpw must be the id of the batch")
    context = context_of(request)
    known = await tried(context.uploads.get, asking.id, id_)
    octets = await _file_of(request, known.bytes)
    if known.offset == 0:
        await tried(context.uploads.append, asking.id, id_, 0, octets)
    return _tinycloud_answer(await tried(context.uploads.complete, asking.id, id_))


async def upload_status(request: Request) -> Response:
    """Tell what became of a batch; one that came by SCP is looked at now."""
    asking = await gateway(request)
    id_: str = request.path_params["id"]
    if not ID.fullmatch(id_):
        raise HTTPException(400, "the id of a batch has 32 hexadecimal digits")
    context = context_of(request)
    found = await tried(context.uploads.get, asking.id, id_)
    if found.state is UploadState.RECEIVING and context.serve.scp_folder:
        found = await tried(_fetch, context, asking, found, secret_of(request))
    return _tinycloud_answer(found)


def _fetch(context: Context, asking: Gateway, found: UploadStatus, key: str) -> UploadStatus:
    """Take a batch out of the inbox that sshd puts it into, when it is there whole."""
    if not key.isalnum():
        return found
    path = Path(context.serve.scp_folder) / key / "inbox" / f"{found.id}.zip"
    taken = found
    try:
        if not path.is_file() or path.is_symlink() or path.stat().st_size != found.bytes:
            return found
        if found.offset == 0:
            context.uploads.append(asking.id, found.id, 0, path.read_bytes())
        taken = context.uploads.complete(asking.id, found.id)
        if taken.state is not UploadState.RECEIVING:
            path.unlink()
    except OSError as error:  # the path holds the key, and stays out of the log
        _log.error("batch %s: its file in the inbox cannot be read, or not deleted: %s", found.id, error.strerror)
    return taken


def _known(context: Context, asking: Gateway, name: str, size: int) -> str | None:
    """Return the id of a batch that was asked for before; one of another size than was taken is another batch."""
    c = schema.uploads.c
    is_it = or_(c.state != UploadState.ACCEPTED, c.bytes == size)
    query = select(c.id).where(c.gateway_id == asking.id, c.name == name, is_it).order_by(c.created_ms.desc())
    with context.store.reads() as connection:
        return connection.execute(query).scalars().first()


async def _file_of(request: Request, size: int) -> bytes:
    """Return the file of a form, or the body if it is none."""
    most = size + 10_000
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise HTTPException(413, f"more than the {size} bytes that were announced")
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        return bytes(body)
    form: Message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + bytes(body))
    for part in form.walk():
        if part.get_filename():
            octets = part.get_payload(decode=True)
            return octets if isinstance(octets, bytes) else b""
    raise HTTPException(400, "the form holds no file")


def _tinycloud_answer(found: UploadStatus) -> Response:
    return json_response({"batchid": found.id, "status": _STATUS[found.state], "reason": found.reason})


TINYCLOUD_ROUTES: Final = [
    Route("/api/v1/quarantine_request/", quarantine_request, methods=["POST"]),
    Route("/api/v1/upload_status/{id}/", upload_status, methods=["GET"]),
    Route("/upload", upload, methods=["POST"]),
]
