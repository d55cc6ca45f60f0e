"""HTTP operations of stations: registration, state, and batches, which a station announces and sends in chunks."""

import re
from functools import partial
from typing import Annotated, Any, Final

import msgspec
from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pygnc_station.server.access import printable, register
from pygnc_station.server.context import context_of
from pygnc_station.server.fleet import store_state
from pygnc_station.server.operations import Access, Form, Natural, Operation, Positive
from pygnc_station.server.ownership import name_of_gateway, namesakes, renamed_gadgets
from pygnc_station.server.uploads import UploadStatus
from pygnc_station.station_state import (
    IDENTITY_PATH,
    MAX_IDS,
    STATE_PATH,
    UNKNOWN_PATH,
    ServerIdentity,
    StationState,
)
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import EPOCH, fact, first_origin

_CHUNK_BYTES: Final = 1 << 20
_MAX_GADGETS: Final = 1000
BATCH_ID: Final = re.compile(r"[0-9a-f]{32}")


class Registration(Form, frozen=True):
    """Request for a key: PIN of the server; serial number, name and present key of the station."""

    pin: str = ""
    device_id: str = ""
    name: str = ""
    old_key: str = ""


class Announcement(msgspec.Struct, frozen=True):
    """Announcement of a batch that a station is going to send: name, size in bytes, SHA-256."""

    name: str
    bytes: Positive
    sha256: Annotated[str, msgspec.Meta(min_length=64, max_length=64)]


class BatchIds(msgspec.Struct, frozen=True):
    """Question which batches are unknown: identifiers of batches that were accepted."""

    ids: Annotated[list[Annotated[str, msgspec.Meta(max_length=32)]], msgspec.Meta(max_length=MAX_IDS)]


class Gadgets(msgspec.Struct, frozen=True):
    """Query of the names of gadgets: their names at the gateway, separated by commas."""

    gadgets: str = ""


class Offset(msgspec.Struct, frozen=True):
    """Query of a chunk: number of bytes of the batch before those in the body."""

    offset: Natural


def activate(request: Request, body: Registration) -> object:
    """Exchange a PIN for a key; this operation serves clients of tinycloud too."""
    store = context_of(request).store
    key = register(store, body.pin, body.device_id, body.name, clock_ms(), old_key=body.old_key)
    if key is None:
        raise HTTPException(403, "the PIN is wrong, used or expired; create a new PIN by `pygnc station pin`")
    return {"key": key}


def receive_state(request: Request, gateway: int, body: StationState) -> Response:
    """Store the state of a station: its clock, backlog, version, disk and places; it replaces the one before."""
    with context_of(request).store.writes() as connection:
        store_state(connection, gateway, body, request.state.received_ms)
    return Response(status_code=204)


def identity(request: Request, gateway: int, query: Gadgets) -> object:
    """Return the identity of this server, its clock, and the names that it uses for the gateway and its gadgets."""
    names = [name for name in query.gadgets.split(",")[:_MAX_GADGETS] if name]
    with context_of(request).store.reads() as connection:
        found = ServerIdentity(
            first_origin(connection), fact(connection, EPOCH) or "", clock_ms(), name_of_gateway(connection, gateway),
            namesakes(connection, gateway), renamed_gadgets(connection, gateway, names),
        )  # fmt: skip
    return msgspec.to_builtins(found)


def unknown_batches(request: Request, gateway: int, body: BatchIds) -> object:
    """Return the batches that this server has not accepted; their station sends them again."""
    return {"unknown": context_of(request).uploads.unknown(gateway, body.ids)}


def announce(request: Request, gateway: int, body: Announcement) -> object:
    """Start an upload, or return the offset at which an interrupted upload continues."""
    uploads, name = context_of(request).uploads, printable(body.name)
    return _json_of(uploads.announce(gateway, id_of(request), name, body.bytes, f"sha256:{body.sha256}"))


def state(request: Request, gateway: int) -> object:
    """Return the state of an upload."""
    return _json_of(context_of(request).uploads.get(gateway, id_of(request)))


async def send(request: Request, gateway: int, query: Offset) -> object:
    """Append the bytes of the body at an offset; the last bytes cause verification and storage of the batch."""
    id_, uploads, offset = id_of(request), context_of(request).uploads, query.offset
    chunk = bytearray()
    async for octets in request.stream():  # after a disconnect, the station continues behind the appended bytes
        chunk += octets
        if len(chunk) >= _CHUNK_BYTES:
            part = partial(uploads.append, gateway, id_, offset, bytes(chunk))
            await to_thread.run_sync(part, limiter=context_of(request).gateway_threads)
            offset += len(chunk)
            chunk.clear()
    last = partial(uploads.append, gateway, id_, offset, bytes(chunk))
    return _json_of(await to_thread.run_sync(last, limiter=context_of(request).storing_threads))


_BATCH: Final = "/api/v1/batches/{id}"
OPERATIONS: Final = (
    Operation("POST", "/api/v1/activate/", activate, Access.PIN),
    Operation("POST", f"/{STATE_PATH}", receive_state, Access.GATEWAY, 204),
    Operation("GET", f"/{IDENTITY_PATH}", identity, Access.GATEWAY),
    Operation("POST", f"/{UNKNOWN_PATH}", unknown_batches, Access.GATEWAY),
    Operation("PUT", _BATCH, announce, Access.GATEWAY),
    Operation("GET", _BATCH, state, Access.GATEWAY),
    Operation("PATCH", _BATCH, send, Access.GATEWAY, media="application/octet-stream"),
)


def id_of(request: Request) -> str:
    """Return the id of the batch in the path of a request.

    Raises:
        HTTPException: 400 if it is not an id.
    """
    id_: str = request.path_params["id"]
    if not BATCH_ID.fullmatch(id_):
        raise HTTPException(400, "the id of a batch has 32 hexadecimal digits")
    return id_


def _json_of(status: UploadStatus) -> dict[str, Any]:
    names = ("id", "state", "offset", "bytes", "readings", "reason", "conflict")
    return {name: getattr(status, name) for name in names}
