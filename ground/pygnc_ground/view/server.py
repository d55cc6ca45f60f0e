"""HTTP and WebSocket server of `pygnc view`, for browsers on this computer."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from pygnc_cli.web_server import TEXT, answer, refusal, silent_logger
from pygnc_ground.view.access import Access
from pygnc_ground.view.feed import Feed
from pygnc_ground.view.page import page_files
from pygnc_ground.view.source import Source, follow

FEED_PATH: Final = "/feed"
CLIENTS_MAX: Final = 32
SLOW_S: Final = 1.0
"""Time for one batch after which a client is slow, s."""
SLOW_ROWS: Final = 200
"""Rows of each table in a batch to a slow client; of more, every k-th is sent."""
STALL_S: Final = 60.0
"""Time after which a client that takes no data is disconnected, s."""
_SEND_BUFFER_BYTES: Final = 1 << 16
_MAX_MESSAGE_BYTES: Final = 1024
"""Clients send nothing."""


class ViewServer:
    """Server of one source.

    Args:
        source: What the pages show.
        port: TCP port on the loopback; 0 for any free port.
        secret: File of the secret of the cookies.
        on_link: Called with each new link to the page.
        on_state: Called with each new state of the source.

    Raises:
        FileNotFoundError: The JavaScript libraries of the page are missing.
    """

    def __init__(
        self,
        source: Source,
        port: int,
        secret: Path,
        on_link: Callable[[str], None],
        on_state: Callable[[str], None],
    ) -> None:
        self._source = source
        self._port = port
        self._secret = secret
        self._on_link = on_link
        self._on_state = on_state
        self._files = page_files()
        self._access: Access  # set when the port is known
        self._clients = 0

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Serve and follow the source until the block is left.

        Raises:
            OSError: The port cannot be used.
        """
        listener = socket.create_server(("127.0.0.1", self._port))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._access = Access(listener.getsockname()[1], self._secret, self._on_link)
        async with await serve(
            self._serve_client,
            sock=listener,
            process_request=self._respond,
            server_header="pygnc-view",
            compression=None,  # batches are compressed already
            max_size=_MAX_MESSAGE_BYTES,
            write_limit=_SEND_BUFFER_BYTES,
            close_timeout=1.0,
            logger=silent_logger(__name__),
        ):
            following = asyncio.create_task(follow(self._source, self._on_state))
            try:
                yield
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
                self._source.close()

    def _respond(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the response to a plain HTTP request or to a rejected client; None accepts a WebSocket client."""
        del connection
        url = urlsplit(request.path)
        token = parse_qs(url.query).get("token", [""])[0] if url.path == "/" else ""
        rejection = self._access.rejection(request.headers, needs_cookie=not token)
        if rejection is not None:
            return refusal(*rejection)
        if token:
            return self._use_link(token, request.headers)
        if url.path == FEED_PATH:
            if self._clients < CLIENTS_MAX:
                return None
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many pages are open; close one of them")
        if url.path not in self._files:
            return refusal(HTTPStatus.NOT_FOUND, "unknown path; open /")
        return answer(HTTPStatus.OK, *self._files[url.path])

    def _use_link(self, token: str, headers: Headers) -> Response:
        is_new = self._access.takes_link(token)
        if not is_new and self._access.rejection(headers) is not None:
            reason = "this link has been used; open the newest that pygnc view has printed"
            return refusal(HTTPStatus.UNAUTHORIZED, reason)
        response = answer(HTTPStatus.SEE_OTHER, TEXT, b"")
        response.headers["Location"] = "/"
        if is_new:
            response.headers["Set-Cookie"] = self._access.cookie
        return response

    async def _serve_client(self, connection: ServerConnection) -> None:
        """Send what a page does not have yet, until it disconnects."""
        query = parse_qs(urlsplit(connection.request.path if connection.request else "").query)
        feed, after = self._source.feed, 0
        if query.get("feed") == [feed.identity] and (last := query.get("after", [""])[0]).isdecimal():
            after = min(int(last[:12]), feed.number)
        self._clients += 1
        sending = asyncio.create_task(self._send(connection, feed, after))
        try:
            await connection.wait_closed()
        finally:
            self._clients -= 1
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    async def _send(self, connection: ServerConnection, feed: Feed, after: int) -> None:
        taken_s = 0.0
        while True:
            if feed is not self._source.feed:
                feed, after = self._source.feed, 0
            if feed.number == after:
                await feed.wait()
                continue
            data, after = feed.since(after, SLOW_ROWS if taken_s > SLOW_S else None), feed.number
            began_s = time.monotonic()
            try:
                async with asyncio.timeout(STALL_S):
                    await connection.send(data)
            except (ConnectionClosed, TimeoutError):
                connection.transport.abort()
                return
            taken_s = time.monotonic() - began_s
