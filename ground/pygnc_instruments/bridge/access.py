"""Access rules: which hosts, web pages and tokens may connect to the bridge, and which of them may send commands."""

import hmac
import ipaddress
import os
import struct
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.datastructures import Headers

from pygnc_cli.web_access import is_own_name, is_own_origin, name_and_port

_ESTABLISHED: Final = "01"


def belongs_to_own_user(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Return True if the client of a local TCP connection is a program of the user who runs this one.

    Linux lists the owner of each socket (`man 5 proc`); on other systems the owner is unknown and the answer is False.

    Args:
        client: address and port of the client.
        server: address and port of this end of the connection.
    """
    ends = [(ipaddress.ip_address(host), port) for host, port in (client, server)]
    for table in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for _, local, remote, state, _, _, _, owner, *_ in map(str.split, rows):
            # A socket that is being closed has no owner: the kernel shows 0, the user root.
            if state == _ESTABLISHED and [_endpoint(local), _endpoint(remote)] == ends:
                return int(owner) == os.getuid()
    return False


def _endpoint(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """Return address and port from hexadecimal words in the byte order of the processor, such as `0100007F:1F40`."""
    digits, _, port = text.partition(":")
    words = [int(digits[start : start + 8], 16) for start in range(0, len(digits), 8)]
    address = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address, int(port, 16)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Rules for incoming requests.

    Without a token, a client may read: readings, state and fields. Commands need the token, or an allowed web page in a
    browser of the user who runs the bridge. The page alone proves nothing, because any program can send its origin.

    Attributes:
        host: address that the bridge listens on.
        port: port that the bridge listens on.
        scheme: `http` or `https`.
        origins: origins of foreign web pages that may connect, such as `https://example.org`.
        token: token of programs that send commands; "" if all clients may send them.
        is_token_required: True if reading needs the token as well.
    """

    host: str
    port: int
    scheme: str
    origins: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    is_token_required: bool = False

    def rejection(self, path: str, headers: Headers, *, is_websocket: bool) -> tuple[HTTPStatus, str] | None:
        """Return HTTP status and reason if a request must be rejected, else None."""
        host = headers.get("Host", "")
        if not self.is_token_required and not is_own_name(host, self.host):
            reason = f"{host!r:.80} is not a name of this bridge; use {self.host}:{self.port}"
            return HTTPStatus.MISDIRECTED_REQUEST, reason
        origin = headers.get("Origin")
        if is_websocket and origin is not None and not self._allows(origin, host):
            return HTTPStatus.FORBIDDEN, f"pages of {origin!r:.80} may not connect; allow them with --origin ORIGIN"
        sent = _sent_token(path, headers)
        if (self.is_token_required or (self.token and sent)) and not self._is_token(sent):
            reason = "a valid token is required; send ?token=TOKEN or the header Authorization: Bearer TOKEN"
            return HTTPStatus.UNAUTHORIZED, reason
        return None

    def command_refusal(self, path: str, headers: Headers, *, is_own_page: bool) -> str:
        """Return why a client that is not rejected may not send commands; "" if it may.

        Args:
            path: path of the client's request, with its query.
            headers: headers of the client's request.
            is_own_page: True if the client is a web page in a browser of the user who runs the bridge.
        """
        if not self.token or self._is_token(_sent_token(path, headers)) or is_own_page:
            return ""
        return (
            f"a command needs the token in ~/.pygnc/bridge-{self.port}.json of the user who started the bridge: send "
            "the header Authorization: Bearer TOKEN, or start the bridge with --allow-local-clients"
        )

    def _allows(self, origin: str, host: str) -> bool:
        if origin in self.origins:
            return True
        if self.is_token_required:  # the bridge's own page, under any name of this computer
            is_same = name_and_port(origin, self.scheme) == name_and_port(f"//{host}", self.scheme)
            return origin.startswith(f"{self.scheme}://") and is_same
        return is_own_origin(origin, self.scheme, self.port, self.host)

    def _is_token(self, sent: str) -> bool:
        return hmac.compare_digest(sent.encode(), self.token.encode())


def _sent_token(path: str, headers: Headers) -> str:
    kind, _, token = headers.get("Authorization", "").partition(" ")
    return token if kind.lower() == "bearer" else parse_qs(urlsplit(path).query).get("token", [""])[0]
