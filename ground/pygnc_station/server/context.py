"""State that all requests of a server share, and the checks of keys, tokens and numbers of attempts."""

import hmac
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from anyio import CapacityLimiter
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pygnc_station.server.access import holder_of, revocation_of, visit
from pygnc_station.server.accounts import Role, Session, session_of
from pygnc_station.server.uploads import Uploads
from pygnc_station.server_settings import Serve
from pygnc_station.store.readings import StoredReading, Stream, clock_ms, iso_time
from pygnc_station.store.store import Store

COOKIE: Final = "pygnc_token"
SESSION_COOKIE: Final = "pygnc_session"
CSRF_HEADER: Final = "x-csrf-token"
"""Header of requests that change something in a session; `Session.csrf` is its value."""
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
    """State of a server that all requests share.

    Attributes:
        store: receives readings.
        serve: settings of the server.
        uploads: batches of all stations.
        pin_attempts: attempts to use a PIN or a password.
        key_attempts: wrong keys and tokens.
        flat_json: conversion of readings for clients of batonopc's own server, None if it is not installed.
        gateway_threads: threads for the requests of stations, so that those of people and monitors do not wait for a
            whole fleet. They are few, because each further thread delays the event loop.
        storing_threads: threads that store complete batches; stations that begin an upload do not wait for them.
    """

    store: Store
    serve: Serve
    uploads: Uploads
    pin_attempts: RateLimit
    key_attempts: RateLimit
    flat_json: FlatJson | None
    gateway_threads: CapacityLimiter = field(default_factory=partial(CapacityLimiter, 4))
    storing_threads: CapacityLimiter = field(default_factory=partial(CapacityLimiter, 2))

    @property
    def is_open(self) -> bool:
        """True if readings may be read without a token."""
        return self.serve.is_local and not self.serve.behind_proxy if self.serve.open is None else self.serve.open


def context_of(request: Request) -> Context:
    """Return the context of the server that handles a request."""
    found: Context = request.app.state.context
    return found


def page_headers(*, tiles: str = "", ancestors: Sequence[str] = (), forms: str = "'none'") -> dict[str, str]:
    """Return the headers of a page, which loads only what its server offers, without scripts in its text.

    Args:
        tiles: address of map tiles, which the page may load from their server.
        ancestors: addresses of the sites that may embed the page.
        forms: receivers of its forms in the form of a content security policy.
    """
    images = f" {'/'.join(tiles.split('/')[:3])}" if tiles else ""
    frames = " ".join(ancestors) or "'none'"
    policy = (
        f"default-src 'self'; img-src 'self'{images}; frame-ancestors {frames}; base-uri 'none'; form-action {forms}"
    )
    return {
        "cache-control": "no-cache",  # the sign-in is checked again
        "content-security-policy": policy,
        "referrer-policy": "same-origin",  # with no-referrer, browsers send a form with the origin null
        "x-content-type-options": "nosniff",
    }


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
        if (found := visit(context.store, key, clock_ms())) is not None:
            return found
        if (revoked := revocation_of(context.store, key)) is not None:
            name, since = revoked[0], iso_time(revoked[1])
            remedy = "with a PIN of `pygnc station pin --gateway NAME`, run `pygnc station register`"
            raise refusal(request, f"the key of {name} was revoked at {since}; {remedy}")
    raise refusal(request, "unknown key; create a key by `pygnc station register`")


def require_role(request: Request, least: Role, token: str = "") -> None:
    """Check that a request contains a token or a session that permits what a role may do.

    A token permits reading, or what an operator may do if it was created with `--write`. `request.state.actor` becomes
    the name of the user or token for the audit log.

    Raises:
        HTTPException: 401 if token and session are missing or insufficient, 429 after too many wrong tokens, 403 if the
            role of the user is insufficient or a page of another server has caused the request.
    """
    secret, cookie = token or secret_of(request), request.cookies.get(SESSION_COOKIE, "")
    is_change = request.method not in {"GET", "HEAD"}
    session = session_of(context_of(request).store, cookie, clock_ms()) if cookie and not secret else None
    if session is not None:
        require_same_page(request, session, is_change=is_change)
        if not session.role.permits(least):
            raise HTTPException(403, f"this needs the role {least}; {session.name} is {session.role}")
        request.state.actor = session.name
        request.state.session = session
        return
    to_write = least is not Role.VIEWER
    if is_change and to_write and not secret and not is_own_page(request):
        raise HTTPException(403, "a request of another page may not change anything")
    secret = secret or request.cookies.get(COOKIE, "")
    holder = holder_of(context_of(request).store, secret, clock_ms(), to_write=to_write)
    if not holder:
        raise refusal(request, "a token is required; create a token by `pygnc station token`, or sign in on the page")
    if least is Role.ADMINISTRATOR:
        raise HTTPException(403, "this needs an administrator; sign in on the page, no token permits it")
    request.state.actor = f"token {holder}"


def require_same_page(request: Request, session: Session, *, is_change: bool) -> None:
    """Check that a request was made at the host of the sign-in and, if it changes something, by the page itself.

    Raises:
        HTTPException: 403 if it was not.
    """
    if request.headers.get("host", "") != session.host:
        raise HTTPException(403, "the session belongs to another name of this server; sign in again")
    given = request.headers.get(CSRF_HEADER, "")
    if is_change and not (is_own_page(request) and hmac.compare_digest(given.encode(), session.csrf.encode())):
        raise HTTPException(403, "a request of another page may not change anything")


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


def require_attempt(request: Request, user: str = "") -> None:
    """Count an attempt to use a PIN, or the password of a user.

    Raises:
        HTTPException: 429 after too many attempts.
    """
    attempts = context_of(request).pin_attempts
    if not attempts.allows(address_of(request)) or (user and not attempts.allows(f"user {user.lower()}")):
        raise HTTPException(429, "too many attempts; retry in a minute")


def forgive_attempt(request: Request, user: str = "") -> None:
    """Do not count an attempt to use a PIN, or a password, that was right."""
    context_of(request).pin_attempts.forgive(address_of(request))
    context_of(request).pin_attempts.forgive(f"user {user.lower()}")


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


def refusal(request: Request, reason: str) -> HTTPException:
    """Count a wrong key or token; return the error with a reason, or that there were too many."""
    if context_of(request).key_attempts.allows(address_of(request)):
        return HTTPException(401, reason)
    return HTTPException(429, "too many wrong keys or tokens; retry in a minute")


def address_of(request: Request) -> str:
    """Return the address of the client, as a trusted proxy reports it."""
    return request.client.host if request.client else ""
