"""The page that is served beside the WebSocket: a few files of ours, kept in memory, and the state for programs."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

from websockets.datastructures import Headers
from websockets.http11 import Response

SERVER: Final = "pygnc-bridge"
STATUS_PATH: Final = "/status"
_ASSETS: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/bridge.js": ("bridge.js", "text/javascript; charset=utf-8"),
    "/messages.js": ("messages.js", "text/javascript; charset=utf-8"),
    "/plot.js": ("plot.js", "text/javascript; charset=utf-8"),
    "/bridge.css": ("bridge.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' ws: wss:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Pages:
    """What plain HTTP gets."""

    def __init__(self) -> None:
        folder = files("pygnc_instruments.bridge") / "page"
        self._assets = {path: (kind, (folder / name).read_bytes()) for path, (name, kind) in _ASSETS.items()}

    def is_public(self, path: str) -> bool:
        """Tell whether a path holds what everybody may see: program, and no data."""
        return path in self._assets

    def respond(self, path: str, status: Mapping[str, Any]) -> Response:
        """Return the answer to GET."""
        if path == STATUS_PATH:
            return _response(HTTPStatus.OK, "application/json", json.dumps(status).encode())
        if path not in self._assets:
            return refusal(HTTPStatus.NOT_FOUND, f"there is no {path:.80}; there are {', '.join(_ASSETS)}")
        return _response(HTTPStatus.OK, *self._assets[path])


def refusal(status: HTTPStatus, why: str) -> Response:
    """Return an answer that refuses."""
    return _response(status, "text/plain; charset=utf-8", (why + "\n").encode())


def _response(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close", **_HEADERS})
    return Response(status.value, status.phrase, headers, body)
