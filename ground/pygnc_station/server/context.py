"""What all endpoints share: the store, who is asking, what a request may hold.

How often somebody may try.
"""

import re
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from pygnc_station.server.access import Gateway, gateway_of, token_allows
from pygnc_station.server.uploads import Uploads
from pygnc_station.settings import Serve
from pygnc_station.store.store import Store

_MOST_CLIENTS: Final = 10_000


class RateLimit:
    """So many tries of a client, and ten times as many of all, in a time.

    Args:
        tries: of one client.
        window_s: the time.
    """

    def __init__(self, tries: int, window_s: float) -> None:
        self._tries = tries
        self._window_s = window_s
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def allows(self, client: str) -> bool:
        """Count a try; False: too many."""
        now_s = time.monotonic()
        with self._lock:
            if len(self._times) > _MOST_CLIENTS:
                for known in list(self._times):
                    if not self._recent(known, now_s):
                        del self._times[known]
            of_client, of_all = self._recent(client, now_s), self._recent("", now_s)
            if len(of_client) >= self._tries or len(of_all) >= 10 * self._tries:
                return False
            of_client.append(now_s)
            of_all.append(now_s)
        return True

    def _recent(self, client: str, now_s: float) -> deque[float]:
        times = self._times[client]
        while times and times[0] < now_s - self._window_s:
            times.popleft()
        return times


COOKIE: Final = "pygnc_token"
ID: Final = re.compile(r"[0-9a-f]{32}")
_MOST_DIGITS: Final = 18
_BEARER: Final = ("bearer ", "http_bat_api_key ")


def clock() -> int:
    """Return milliseconds since 1970."""
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Context:
    """Of one server."""

    store: Store
    serve: Serve
    uploads: Uploads
    pin_tries: RateLimit
    key_tries: RateLimit

    @property
    def everybody_reads(self) -> bool:
        """Whether readings are shown without a token."""
        return self.serve.is_local and not self.serve.behind_proxy if self.serve.open is None else self.serve.open


def context_of(request: Request) -> Context:
    """Return the context of a request."""
    found: Context = request.app.state.context
    return found


async def gateway(request: Request) -> Gateway:
    """Return the gateway that asks.

    Raises:
        HTTPException: it has no key that is known, or has tried too many.
    """
    context = context_of(request)
    key = secret_of(request)
    found = await run_in_threadpool(_gateway, context, key) if key else None
    if found is None:
        if not context.key_tries.allows(client_of(request)):
            raise HTTPException(429, "too many wrong keys: wait a minute")
        raise HTTPException(401, "no such key: pygnc station register makes one")
    return found


async def demand_token(request: Request, *, to_write: bool = False) -> None:
    """See to it that the one who asks may.

    Raises:
        HTTPException: a token is needed, and none that fits was given.
    """
    context = context_of(request)
    if context.everybody_reads and not to_write:
        return
    secret = secret_of(request) or request.cookies.get(COOKIE, "")
    is_allowed: bool = await run_in_threadpool(token_allows, context.store, secret, clock(), to_write=to_write)
    if is_allowed:
        return
    if not context.key_tries.allows(client_of(request)):
        raise HTTPException(429, "too many wrong tokens: wait a minute")
    raise HTTPException(401, "a token is needed: pygnc station token makes one")


def secret_of(request: Request) -> str:
    """Return the key or token of a request, "" if it has none."""
    header = request.headers.get("authorization", "")
    for prefix in _BEARER:
        if header.lower().startswith(prefix):
            return header[len(prefix) :].strip()
    return request.query_params.get("api-key", "")


def client_of(request: Request) -> str:
    """Return the address of the one who asks."""
    return request.client.host if request.client else ""


async def body_of(request: Request) -> bytes:
    """Return a body of moderate size.

    Raises:
        HTTPException: it is larger.
    """
    most = context_of(request).serve.limits.body_bytes
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most:
            raise HTTPException(413, f"more than {most} bytes")
    return bytes(body)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form, or of a JSON object."""
    body = await body_of(request)
    if request.headers.get("content-type", "").startswith("application/json"):
        return {str(key): str(value) for key, value in (await json_of(body, dict[str, Any])).items()}
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except (UnicodeDecodeError, ValueError):
        raise HTTPException(400, "no form that can be read") from None


async def json_of(body: bytes, kind: Any) -> Any:  # noqa: ANN401 - the caller names the type
    """Return what a JSON text holds.

    Raises:
        HTTPException: it is no JSON, or not of this kind.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, str(error)) from None


def number_of(request: Request, name: str, usual: int, most: int) -> int:
    """Return a number of a query, within bounds.

    Raises:
        HTTPException: it is none.
    """
    return min(parse_count(request.query_params.get(name, str(usual)), name), most)


def parse_count(text: str, name: str) -> int:
    """Return a whole number that a database can hold.

    Raises:
        HTTPException: it is none.
    """
    if not text.isdecimal() or len(text) > _MOST_DIGITS:
        raise HTTPException(400, f"{name} is a whole number of up to {_MOST_DIGITS} digits")
    return int(text)


def json_response(value: Any, status: int = 200) -> JSONResponse:  # noqa: ANN401 - any JSON
    """Return a JSON answer."""
    return JSONResponse(value, status)


def _gateway(context: Context, key: str) -> Gateway | None:
    with context.store.writes() as connection:
        return gateway_of(connection, key, clock())
