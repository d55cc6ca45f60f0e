"""Plain HTTP answers of the WebSocket servers for browsers on this computer."""

import logging
from http import HTTPStatus
from typing import Final

from websockets.datastructures import Headers
from websockets.http11 import Response

SCRIPT: Final = "text/javascript; charset=utf-8"
STYLE: Final = "text/css; charset=utf-8"
PAGE: Final = "text/html; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
ICON: Final = "image/svg+xml"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {}; form-action 'none'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


def answer(status: HTTPStatus, kind: str, body: bytes, *, sockets: str = "'self'") -> Response:
    """Return a response; as a page, it loads only its own scripts and styles.

    Args:
        status: HTTP status.
        kind: Media type of the body.
        body: Content.
        sockets: Sources that the page may connect to, in the form of a content security policy.
    """
    own = {"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"}
    headers = Headers({**own, **_HEADERS, "Content-Security-Policy": _POLICY.format(sockets)})
    return Response(status.value, status.phrase, headers, body)


def refusal(status: HTTPStatus, reason: str) -> Response:
    """Return a response with a reason as text."""
    return answer(status, TEXT, f"{reason}\n".encode())


def silent_logger(name: str) -> logging.Logger:
    """Return a logger for the library that drops its reports of malformed requests, which contain all headers."""
    logger = logging.getLogger(f"{name}.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
