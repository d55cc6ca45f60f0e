"""Access to `pygnc view`: a link that works once gives a browser a cookie, which every request needs."""

import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final

from pygnc_cli.web_access import is_own_name, is_own_origin
from pygnc_system.files import durable_write

_MINIMUM_LENGTH: Final = 32


class Access:
    """Decides which requests are answered.

    The secret of the cookie is kept in a file of the user, so that open pages continue after a restart of the server.

    Args:
        port: TCP port of the server.
        file: File of the secret.
        on_link: Called with each new link, as the previous one has been used.
    """

    def __init__(self, port: int, file: Path, on_link: Callable[[str], None]) -> None:
        self._port = port
        self._secret = _secret(file)
        self._on_link = on_link
        self._new_link()

    @property
    def cookie(self) -> str:
        """Value of the header Set-Cookie for a browser that has used a link."""
        return f"{self._name}={self._secret}; HttpOnly; SameSite=Strict; Path=/"

    def takes_link(self, token: str) -> bool:
        """Return True if the token is that of the present link, which is then replaced."""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return False
        self._new_link()
        return True

    def rejection(self, headers: Mapping[str, str], *, needs_cookie: bool = True) -> tuple[HTTPStatus, str] | None:
        """Return HTTP status and reason if a request must be rejected, else None."""
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if not is_own_name(host):
            return HTTPStatus.MISDIRECTED_REQUEST, f"{host!r:.80} is not a name of this server; use 127.0.0.1"
        if origin is not None and not is_own_origin(origin, "http", self._port):
            return HTTPStatus.FORBIDDEN, f"pages of {origin!r:.80} may not connect"
        if needs_cookie and not self._has_cookie(headers.get("Cookie", "")):
            return HTTPStatus.UNAUTHORIZED, "open the newest link that pygnc view has printed; each works once"
        return None

    @property
    def _name(self) -> str:
        return f"pygnc-view-{self._port}"  # cookies of all ports of a host are sent to each

    def _has_cookie(self, header: str) -> bool:
        with suppress(CookieError):
            sent = SimpleCookie(header).get(self._name)
            return sent is not None and hmac.compare_digest(sent.value.encode(), self._secret.encode())
        return False

    def _new_link(self) -> None:
        self._token = secrets.token_urlsafe()
        self._on_link(f"http://127.0.0.1:{self._port}/?token={self._token}")


def _secret(file: Path) -> str:
    """Return the secret in a file that only its owner can read; make it if it is not there."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        secret = json.loads(file.read_text())["secret"]
        if isinstance(secret, str) and len(secret) >= _MINIMUM_LENGTH and not file.stat().st_mode & 0o077:
            return secret
    secret = secrets.token_urlsafe()
    with suppress(OSError):  # without the file, pages need a new link after a restart
        file.parent.mkdir(mode=0o700, exist_ok=True)
        durable_write(file, json.dumps({"secret": secret}).encode(), mode=0o600)
    return secret
