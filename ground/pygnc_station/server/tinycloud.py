"""tinycloud's calls, as batonopc makes them: ask for a batch id, upload by SCP or HTTPS, ask for the status."""

import logging
import uuid
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Final

from sqlalchemy import or_, select
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pygnc_station.server.access import Gateway
from pygnc_station.server.batch_api import tried
from pygnc_station.server.context import ID, Context, answer, context_of, form_of, gateway, secret_of, whole
from pygnc_station.server.uploads import Upload, UploadState
from pygnc_station.store import schema

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
    size = whole(form.get("zip_size", ""), "zip_size")
    if not name or size == 0:
        raise HTTPException(400, "source_ref and zip_size must be those of the batch")
    id_ = await run_in_threadpool(_known, context, asking, name, size) or uuid.uuid4().hex
    digest = f"md5:{md5}" if len(md5) == 32 and md5 != _OF_NOTHING else ""
    await tried(context.uploads.announce, asking.id, id_, name, size, digest)
    serve = context.serve
    domain = serve.scp_host or request.url.hostname or serve.host
    port = serve.scp_port if serve.scp_host else request.url.port or serve.port
    destination = f"{serve.scp_folder.rstrip('/')}/" if serve.scp_host else ""
    return answer({"batchid": id_, "domain": domain, "port": port, "destination": destination})


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
    return _answer(await tried(context.uploads.complete, asking.id, id_))


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
    return _answer(found)


def _fetch(context: Context, asking: Gateway, found: Upload, key: str) -> Upload:
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


def _answer(found: Upload) -> Response:
    return answer({"batchid": found.id, "status": _STATUS[found.state], "reason": found.reason})


ROUTES: Final = [
    Route("/api/v1/quarantine_request/", quarantine_request, methods=["POST"]),
    Route("/api/v1/upload_status/{id}/", upload_status, methods=["GET"]),
    Route("/upload", upload, methods=["POST"]),
]
