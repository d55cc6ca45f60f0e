"""Endpoints of our own stations: register, announce a batch, send its pieces, ask how far it is."""

from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pygnc_station.server.access import register
from pygnc_station.server.context import (
    ID,
    answer,
    body_of,
    client_of,
    clock,
    context_of,
    form_of,
    gateway,
    json_of,
    whole,
)
from pygnc_station.server.uploads import Upload, UploadError

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
    return answer({"key": key})


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
    uploads, offset = context_of(request).uploads, whole(request.query_params.get("offset", ""), "offset")
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


def _answer(upload: Upload) -> JSONResponse:
    told = {"id": upload.id, "state": upload.state, "offset": upload.offset, "bytes": upload.bytes}
    return answer(told | {"readings": upload.readings, "reason": upload.reason})


ROUTES: Final = [
    Route("/api/v1/activate/", activate, methods=["POST"]),
    Route("/api/v1/batches/{id}", announce, methods=["PUT"]),
    Route("/api/v1/batches/{id}", state, methods=["GET"]),
    Route("/api/v1/batches/{id}", send, methods=["PATCH"]),
]
