"""Access rules: which hosts, web pages and tokens may connect to the bridge."""

import hmac
import ipaddress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Return True if only this computer can reach an address to listen on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Rules for incoming requests.

    Attributes:
        host: address that the bridge listens on.
        port: port that the bridge listens on.
        scheme: `http` or `https`.
        origins: origins of foreign web pages that may connect, such as `https://example.org`.
        token: token that every client must send; "" for none.
    """

    host: str
    port: int
    scheme: str
    origins: tuple[str, ...] = ()
    token: str = field(default="", repr=False)

    def rejection(self, path: str, headers: Headers, *, is_websocket: bool) -> tuple[HTTPStatus, str] | None:
        """Return HTTP status and reason if a request must be rejected, else None."""
        host = headers.get("Host", "")
        if not self.token and not self._is_own_name(host):
            # DNS rebinding: a foreign name that resolves to this computer would make a foreign page same-origin.
            reason = f"{host!r:.80} is not a name of this bridge; use {self.host}:{self.port}"
            return HTTPStatus.MISDIRECTED_REQUEST, reason
        origin = headers.get("Origin")
        if is_websocket and origin is not None and not self._allows(origin, host):
            return HTTPStatus.FORBIDDEN, f"pages of {origin!r:.80} may not connect; allow them with --origin ORIGIN"
        if self.token and not self._has_token(path, headers):
            reason = "a token is required; send ?token=TOKEN or the header Authorization: Bearer TOKEN"
            return HTTPStatus.UNAUTHORIZED, reason
        return None

    def _is_own_name(self, host: str) -> bool:
        return _name_and_port(f"//{host}", "")[0] in (*_LOOPBACK, self.host)

    def _allows(self, origin: str, host: str) -> bool:
        if origin in self.origins:
            return True
        if not origin.startswith(f"{self.scheme}://"):
            return False
        name_and_port = _name_and_port(origin, self.scheme)
        if self.token:  # the bridge's own page, under any name of this computer
            return name_and_port == _name_and_port(f"//{host}", self.scheme)
        return name_and_port[0] in (*_LOOPBACK, self.host) and name_and_port[1] == self.port

    def _has_token(self, path: str, headers: Headers) -> bool:
        kind, _, token = headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            token = parse_qs(urlsplit(path).query).get("token", [""])[0]
        return hmac.compare_digest(token.encode(), self.token.encode())


def _name_and_port(url: str, scheme: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return None, None
