"""Who may talk to the bridge: by origin, by name of the host, and by token beyond this computer."""

import hmac
import ipaddress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers

_HERE: Final = ("127.0.0.1", "localhost", "::1")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Tell whether only this computer can reach a host of that name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class AccessRules:
    """The rules.

    Attributes:
        host: that the bridge listens on.
        port: likewise.
        scheme: `http` or `https`.
        origins: web pages of others that may connect.
        token: that everybody must show; "" on loopback.
    """

    host: str
    port: int
    scheme: str
    origins: tuple[str, ...] = ()
    token: str = field(default="", repr=False)

    def refuse(self, path: str, headers: Headers, *, is_websocket: bool) -> tuple[HTTPStatus, str] | None:
        """Return why a request is refused, None if it is not."""
        host = headers.get("Host", "")
        if not self.token and not self._is_here(host):
            # A name that somebody else's DNS points at this computer would make a stranger's page ours.
            return HTTPStatus.MISDIRECTED_REQUEST, f"this bridge is not called {host!r:.80}"
        origin = headers.get("Origin")
        if is_websocket and origin is not None and not self._allows(origin, host):
            return HTTPStatus.FORBIDDEN, f"pages of {origin!r:.80} may not connect: pygnc bridge --origin {origin:.80}"
        if self.token and not self._has_token(path, headers):
            return HTTPStatus.UNAUTHORIZED, "a token is needed: ?token=TOKEN, or Authorization: Bearer TOKEN"
        return None

    def _is_here(self, host: str) -> bool:
        return _name_and_port(f"//{host}", "")[0] in (*_HERE, self.host)

    def _allows(self, origin: str, host: str) -> bool:
        if origin in self.origins:
            return True
        if not origin.startswith(f"{self.scheme}://"):
            return False
        found = _name_and_port(origin, self.scheme)
        if self.token:  # the page that this bridge serves, under whatever name
            return found == _name_and_port(f"//{host}", self.scheme)
        return found[0] in (*_HERE, self.host) and found[1] == self.port

    def _has_token(self, path: str, headers: Headers) -> bool:
        kind, _, shown = headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            shown = parse_qs(urlsplit(path).query).get("token", [""])[0]
        return hmac.compare_digest(shown.encode(), self.token.encode())


def _name_and_port(url: str, scheme: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return None, None
