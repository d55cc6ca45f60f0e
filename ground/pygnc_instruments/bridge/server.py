"""The bridge: one unit, one port, any number of clients up to a limit.

What a bridge is told when it is started.
"""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from pygnc_instruments.bridge.access import AccessRules, is_loopback
from pygnc_instruments.bridge.command_handler import CommandHandler
from pygnc_instruments.bridge.device_link import DeviceLink, Place
from pygnc_instruments.bridge.firmware import FirmwareUpgrader
from pygnc_instruments.bridge.instance import InstanceFile, find_running, remove_instance_file, write_instance_file
from pygnc_instruments.bridge.messages import LARGEST_IMAGE_BYTES, Event
from pygnc_instruments.bridge.pages import SERVER, Pages, refusal
from pygnc_instruments.bridge.protocols import SERVER_VERSION, EnvelopeProtocol, MessageProtocol, ProtocolV1, ProtocolV2
from pygnc_instruments.bridge.recorder import Recorder
from pygnc_instruments.bridge.session import Session

PROTOCOLS: dict[str, type[ProtocolV1 | ProtocolV2 | EnvelopeProtocol]] = {
    kind.name: kind for kind in (ProtocolV1, ProtocolV2, EnvelopeProtocol)
}


class BridgeSettingsError(Exception):
    """Settings that cannot be; the message says why and what helps."""


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """All of it.

    Attributes:
        place: where the unit is looked for.
        folder: of log files.
        host: to listen on.
        port: likewise; 0: any.
        protocol: of clients at the path `/`; those at `/v1`, `/v2`, `/envelope` get what they ask for.
        interval_s: between readings; None: as each protocol has it.
        origins: pages of others that may connect.
        token: that clients must show; "" for none.
        certificate: PEM file; None: without TLS.
        key: of the certificate; None: in the same file.
    """

    place: Place
    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    protocol: str = "v2"
    interval_s: float | None = None
    origins: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise BridgeSettingsError(f"--protocol is one of {', '.join(PROTOCOLS)}, not {self.protocol!r}")
        if not is_loopback(self.host) and not self.token:
            raise BridgeSettingsError(
                f"{self.host} can be reached from other computers: set a token in the environment, "
                "PYGNC_BRIDGE_TOKEN, that clients must show"
            )

    @property
    def scheme(self) -> str:
        """Of the page's address."""
        return "http" if self.certificate is None else "https"

    def dialect(self, path: str) -> MessageProtocol | None:
        """Return a new dialect for a client at a path, None if there is no such path."""
        kind = PROTOCOLS.get(path.strip("/") or self.protocol)
        return None if kind is None else kind()

    def tls(self) -> ssl.SSLContext | None:
        """Return the server's side of TLS.

        Raises:
            SettingsError: certificate or key cannot be used.
        """
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            files = f"{self.certificate}" if self.key is None else f"{self.certificate}, {self.key}"
            raise BridgeSettingsError(f"{files}: no certificate with its key in PEM form: {error}") from None
        return context


MOST_CLIENTS: Final = 64
_SEND_BUFFER_BYTES: Final = 1 << 16
"""Of a connection: a client that does not read has its messages dropped here, not kept for minutes by the system."""
_LARGEST_MESSAGE: Final = LARGEST_IMAGE_BYTES * 4 // 3 + 4096
_CLOSE_S: Final = 1.0

_log = logging.getLogger(__name__)


class Bridge:
    """All parts of a bridge, put together.

    Args:
        settings: see `Settings`.
        on_event: told of each event too.

    Attributes:
        url: of the page; "" before it listens.
    """

    def __init__(self, settings: BridgeSettings, on_event: Callable[[Event], None]) -> None:
        self._settings = settings
        self._on_event = on_event
        self._link = DeviceLink(settings.place, self.tell)
        self._recorder = Recorder(self._link, settings.folder, self.tell)
        self._firmware = FirmwareUpgrader(self._link, self.tell)
        self._actions = CommandHandler(self._link, self._recorder, self._firmware, settings.folder)
        self._pages = Pages()
        self._access: AccessRules | None = None
        self._sessions: set[Session] = set()
        self._left_drops = 0
        self._port = 0
        self.url = ""

    def tell(self, event: Event) -> None:
        """Pass an event on to all clients."""
        self._on_event(event)
        for session in self._sessions:
            session.tell(event)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Listen, and serve the unit, until the block is left.

        Raises:
            SettingsError: it cannot listen; the message says who does, if that can be found out.
        """
        async with await self._listen():
            serving = asyncio.create_task(self._link.run())
            try:
                yield
            finally:
                await self._firmware.finish()
                await self._recorder.close()
                serving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await serving
                remove_instance_file(self._port)
                for session in self._sessions:
                    session.hang_up()

    async def _listen(self) -> Server:
        settings = self._settings
        tls = settings.tls()
        listener = await asyncio.to_thread(_bind, settings.host, settings.port)
        self._port = port = listener.getsockname()[1]
        self._access = AccessRules(settings.host, port, settings.scheme, settings.origins, settings.token)
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"{settings.scheme}://{name}:{port}/"
        server = await serve(
            self._serve_client,
            sock=listener,
            ssl=tls,
            process_request=self._look_at,
            server_header=SERVER,
            compression=None,  # on the way to this very computer it costs and saves nothing
            max_size=_LARGEST_MESSAGE,
            max_queue=1,  # what a client sends before its last command was answered waits in the network
            close_timeout=_CLOSE_S,
            logger=_silent_logger(),
        )
        try:
            write_instance_file(InstanceFile(os.getpid(), port, self.url))
        except OSError as error:  # it serves all the same; the window will not be able to end it
            _log.warning("%s: %s", error.filename, error.strerror)
        return server

    async def _look_at(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP, and refuse who may not connect."""
        del connection
        path = urlsplit(request.path).path
        is_websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        if self._access is None:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, "not yet")
        refused = self._access.refuse(request.path, request.headers, is_websocket=is_websocket)
        if refused is not None and not (refused[0] is HTTPStatus.UNAUTHORIZED and self._is_page(path, is_websocket)):
            return refusal(*refused)
        if not is_websocket:
            return self._pages.respond(path, self._status())
        if self._settings.dialect(path) is None:
            return refusal(HTTPStatus.NOT_FOUND, "WebSockets are at /, /v1, /v2 and /envelope")
        if len(self._sessions) >= MOST_CLIENTS:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_CLIENTS} clients are connected already")
        return None

    def _is_page(self, path: str, is_websocket: bool) -> bool:  # noqa: FBT001 - of this class only
        return not is_websocket and self._pages.is_public(path)

    async def _serve_client(self, connection: ServerConnection) -> None:
        path = urlsplit(connection.request.path).path if connection.request is not None else "/"
        dialect = self._settings.dialect(path)
        if dialect is None:
            return
        interval_s = self._settings.interval_s or dialect.interval_s
        session = Session(connection, dialect, interval_s, self._link, self._actions)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            self._left_drops += session.dropped

    def _status(self) -> dict[str, Any]:
        status = self._actions.status()
        del status["properties"]
        return {
            "server": SERVER_VERSION,
            "pid": os.getpid(),
            "url": self.url,
            "clients": len(self._sessions),
            "dropped": self._left_drops + sum(session.dropped for session in self._sessions),
            **status,
        }


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        running = find_running(port) if port else None
        if running is None:
            raise BridgeSettingsError(f"{host}:{port}: {error.strerror or error}; another port: --port") from None
        who = f" (process {running.status['pid']})" if "pid" in running.status else ""
        raise BridgeSettingsError(f"a bridge runs already at {running.scheme}://{host}:{port}/{who}") from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return listener


def _silent_logger() -> logging.Logger:
    """Return the library's logger: it tells of every stranger's malformed request, with headers in full."""
    logger = logging.getLogger(f"{__name__}.websockets")
    logger.setLevel(logging.CRITICAL)
    return logger
