"""State that all requests of a server share, and the checks of keys, tokens and numbers of attempts."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from starlette.exceptions import HTTPException
from starlette.requests import Request

from pygnc_station.server.access import gateway_of, revocation_of, token_allows
from pygnc_station.server.uploads import Uploads
from pygnc_station.server_settings import Serve
from pygnc_station.store.readings import StoredReading, Stream, clock_ms, iso_time
from pygnc_station.store.store import Store

COOKIE: Final = "pygnc_token"
_BATON: Final = "http_bat_api_key "
"""Scheme that clients of batonopc's own server put before their token."""
_WINDOW_S: Final = 60.0
_BEARER: Final = ("bearer ", _BATON)
FlatJson: TypeAlias = Callable[[StoredReading, Stream], dict[str, Any]]


class RateLimit:
    """Limit of attempts per client, and of ten times as many for all clients, in any minute."""

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._made: deque[tuple[float, str]] = deque()
        self._lock = threading.Lock()

    def allows(self, client: str) -> bool:
        """Count an attempt; return False, without counting it, if the window already holds the maximum number."""
        now_s = time.monotonic()
        with self._lock:
            while self._made and self._made[0][0] < now_s - _WINDOW_S:
                self._made.popleft()
            of_client = sum(known == client for _, known in self._made)
            if of_client >= self._attempts or len(self._made) >= 10 * self._attempts:
                return False
            self._made.append((now_s, client))
        return True

    def forgive(self, client: str) -> None:
        """Do not count the newest attempt of a client, because it succeeded."""
        with self._lock:
            for rank in reversed(range(len(self._made))):
                if self._made[rank][1] == client:
                    del self._made[rank]
                    return


@dataclass(frozen=True)
class Context:
    """State of a server that all requests share; `flat_json` converts readings for clients of batonopc's own server."""

    store: Store
    serve: Serve
    uploads: Uploads
    pin_attempts: RateLimit
    key_attempts: RateLimit
    flat_json: FlatJson | None

    @property
    def is_open(self) -> bool:
        """True if readings may be read without a token."""
        return self.serve.is_local and not self.serve.behind_proxy if self.serve.open is None else self.serve.open


def context_of(request: Request) -> Context:
    """Return the context of the server that handles a request."""
    found: Context = request.app.state.context
    return found


def require_gateway(request: Request, form_key: str = "") -> int:
    """Return the id of the gateway whose key a request contains.

    Args:
        request: request with the key in a header.
        form_key: key in the form of the request, which is used if no header contains a possible key.

    Raises:
        HTTPException: 401 if the key is missing, unknown or revoked, 429 after too many wrong keys.
    """
    context = context_of(request)
    key = secret_of(request) or request.headers.get("x-gascloud-logas", "")
    key = key if key.isalnum() else form_key
    if key:
        with context.store.writes() as connection:
            found = gateway_of(connection, key, clock_ms())
            revoked = revocation_of(connection, key) if found is None else None
        if found is not None:
            return found
        if revoked is not None:
            name, since = revoked[0], iso_time(revoked[1])
            remedy = "with a PIN of `pygnc station pin --gateway NAME`, run `pygnc station register`"
            raise _refusal(request, f"the key of {name} was revoked at {since}; {remedy}")
    raise _refusal(request, "unknown key; create a key by `pygnc station register`")


def require_token(request: Request, token: str = "", *, to_write: bool) -> None:
    """Check that a request contains a token that permits reading or writing, or that `token` does.

    Raises:
        HTTPException: 401 if the token is missing or insufficient, 429 after too many wrong tokens.
    """
    secret = token or secret_of(request) or request.cookies.get(COOKIE, "")
    if to_write and not secret_of(request) and not is_own_page(request):
        raise HTTPException(403, "a request of another page may not change anything")
    if not token_allows(context_of(request).store, secret, clock_ms(), to_write=to_write):
        raise _refusal(request, "a token is required; create a token by `pygnc station token`")


def is_own_page(request: Request) -> bool:
    """Return True if no page of another server has caused a request."""
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.headers.get('host', '')}"


def require_own_host(request: Request) -> None:
    """Check that a request names this computer, if the server needs no token because it listens on the loopback.

    A page of another server could read an open server under a name of its own that resolves to the loopback.

    Raises:
        HTTPException: 403 if the request names another host.
    """
    serve = context_of(request).serve
    if serve.open is None and request.url.hostname not in {"localhost", "127.0.0.1", "::1", serve.host}:
        raise HTTPException(
            403, "without a token this server answers to localhost only; set open or behind_proxy in [serve]"
        )


def require_attempt(request: Request) -> None:
    """Count an attempt to use a PIN.

    Raises:
        HTTPException: 429 after too many attempts.
    """
    if not context_of(request).pin_attempts.allows(_client_of(request)):
        raise HTTPException(429, "too many attempts; retry in a minute")


def forgive_attempt(request: Request) -> None:
    """Do not count an attempt to use a PIN that was right."""
    context_of(request).pin_attempts.forgive(_client_of(request))


def secret_of(request: Request) -> str:
    """Return the key or token of a request, "" if the request contains none."""
    header = request.headers.get("authorization", "")
    for prefix in _BEARER:
        if header.lower().startswith(prefix):
            return header[len(prefix) :].strip()
    return request.query_params.get("api-key", "")


def flat_json_for(request: Request, *, is_wanted: bool) -> FlatJson | None:
    """Return the conversion of readings to flat JSON; None if neither wanted nor by a client of batonopc's own server.

    Raises:
        HTTPException: 400 if no installed package converts readings to flat JSON.
    """
    if not is_wanted and not request.headers.get("authorization", "").lower().startswith(_BATON):
        return None
    if (found := context_of(request).flat_json) is None:
        raise HTTPException(400, "flat readings need the package pygnc-batonopc on the server")
    return found


def _refusal(request: Request, reason: str) -> HTTPException:
    if context_of(request).key_attempts.allows(_client_of(request)):
        return HTTPException(401, reason)
    return HTTPException(429, "too many wrong keys or tokens; retry in a minute")


def _client_of(request: Request) -> str:
    return request.client.host if request.client else ""
