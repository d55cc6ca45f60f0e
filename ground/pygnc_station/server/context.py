"""Shared parts of all endpoints: state of the server, authentication, rate limits, parsing of requests."""

import re
import threading
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Any, Final, TypeVar
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

T = TypeVar("T")
COOKIE: Final = "pygnc_token"
ID: Final = re.compile(r"[0-9a-f]{32}")
"""Id of a batch."""
_MAX_DIGITS: Final = 18
_MAX_CLIENTS: Final = 10_000
_BEARER: Final = ("bearer ", "http_bat_api_key ")


class RateLimit:
    """Limit of attempts per client, and ten times as many for all clients, in a sliding time window.

    Args:
        attempts: maximum number of attempts of a client in the window.
        window_s: length of the window in seconds.
    """

    def __init__(self, attempts: int, window_s: float) -> None:
        self._attempts = attempts
        self._window_s = window_s
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def allows(self, client: str) -> bool:
        """Count an attempt; return False, without counting it, if there were too many."""
        now_s = time.monotonic()
        with self._lock:
            if len(self._times) > _MAX_CLIENTS:
                for known in list(self._times):
                    if not self._recent(known, now_s):
                        del self._times[known]
            of_client, of_all = self._recent(client, now_s), self._recent("", now_s)
            if len(of_client) >= self._attempts or len(of_all) >= 10 * self._attempts:
                return False
            of_client.append(now_s)
            of_all.append(now_s)
        return True

    def _recent(self, client: str, now_s: float) -> deque[float]:
        times = self._times[client]
        while times and times[0] < now_s - self._window_s:
            times.popleft()
        return times


@dataclass(frozen=True)
class Context:
    """State of a server that all requests share."""

    store: Store
    serve: Serve
    uploads: Uploads
    pin_attempts: RateLimit
    key_attempts: RateLimit

    @property
    def is_open(self) -> bool:
        """Whether readings may be read without a token."""
        return self.serve.is_local and not self.serve.behind_proxy if self.serve.open is None else self.serve.open


def context_of(request: Request) -> Context:
    """Return the context of the server that handles a request."""
    found: Context = request.app.state.context
    return found


def clock_ms() -> int:
    """Return the current time, milliseconds since 1970 (UTC)."""
    return int(time.time() * 1000)


async def require_gateway(request: Request) -> Gateway:
    """Return the gateway whose key a request contains.

    Raises:
        HTTPException: 401 if the key is missing or unknown, 429 after too many wrong keys.
    """

    def find(context: Context, key: str) -> Gateway | None:
        with context.store.writes() as connection:
            return gateway_of(connection, key, clock_ms())

    context = context_of(request)
    key = secret_of(request)
    found = await run_in_threadpool(find, context, key) if key else None
    if found is None:
        if not context.key_attempts.allows(client_of(request)):
            raise HTTPException(429, "too many wrong keys; retry in a minute")
        raise HTTPException(401, "unknown key; create one by `pygnc station register`")
    return found


async def require_token(request: Request, *, to_write: bool = False) -> None:
    """Check that a request contains a token that permits it, if the server requires one.

    Raises:
        HTTPException: 401 if the token is missing or insufficient, 429 after too many wrong tokens.
    """
    context = context_of(request)
    if context.is_open and not to_write:
        return
    secret = secret_of(request) or request.cookies.get(COOKIE, "")
    is_allowed: bool = await run_in_threadpool(token_allows, context.store, secret, clock_ms(), to_write=to_write)
    if is_allowed:
        return
    if not context.key_attempts.allows(client_of(request)):
        raise HTTPException(429, "too many wrong tokens; retry in a minute")
    raise HTTPException(401, "a token is required; create one by `pygnc station token`")


def secret_of(request: Request) -> str:
    """Return the key or token of a request, "" if it contains none."""
    header = request.headers.get("authorization", "")
    for prefix in _BEARER:
        if header.lower().startswith(prefix):
            return header[len(prefix) :].strip()
    return request.query_params.get("api-key", "")


def client_of(request: Request) -> str:
    """Return the IP address of the client."""
    return request.client.host if request.client else ""


async def read_body(request: Request, max_bytes: int, error: str) -> bytes:
    """Return the body of a request.

    Raises:
        HTTPException: 413 with the text `error` if the body is longer than `max_bytes`.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, error)
    return bytes(body)


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form or of a JSON object.

    Raises:
        HTTPException: 400 if the body is neither, 413 if it is too long.
    """
    if request.headers.get("content-type", "").startswith("application/json"):
        return {str(key): str(value) for key, value in (await json_body_of(request, dict[str, Any])).items()}
    body = await _limited_body(request)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100))
    except (UnicodeDecodeError, ValueError):
        raise HTTPException(400, "the body is not a valid form") from None


async def json_body_of(request: Request, kind: type[T]) -> T:
    """Return the JSON body of a request.

    Raises:
        HTTPException: 400 if the body is not JSON of this type, 413 if it is too long.
    """
    try:
        return msgspec.json.decode(await _limited_body(request), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, str(error)) from None


async def _limited_body(request: Request) -> bytes:
    limit = context_of(request).serve.limits.body_bytes
    return await read_body(request, limit, f"the body is longer than {limit} bytes")


def integer_parameter(request: Request, name: str, default: int, maximum: int) -> int:
    """Return a query parameter, limited to a maximum.

    Raises:
        HTTPException: 400 if it is not an integer.
    """
    return min(parse_integer(request.query_params.get(name, str(default)), name), maximum)


def parse_integer(text: str, name: str) -> int:
    """Return a non-negative integer that a database can store.

    Raises:
        HTTPException: 400 if the text is not such a number; the message contains `name`.
    """
    if not text.isdecimal() or len(text) > _MAX_DIGITS:
        raise HTTPException(400, f"{name} must be an integer of at most {_MAX_DIGITS} digits")
    return int(text)


def json_response(value: Any, status: int = 200) -> JSONResponse:  # noqa: ANN401 - any JSON
    """Return a JSON response."""
    return JSONResponse(value, status)
