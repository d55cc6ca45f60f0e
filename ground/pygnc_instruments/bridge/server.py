"""The bridge's server: one device, one TCP port, a web page and any number of WebSocket clients up to a limit."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shlex
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from pygnc_cli.text import printable
from pygnc_cli.web_access import is_loopback
from pygnc_cli.web_server import answer, refusal, silent_logger
from pygnc_instruments.bridge.access import AccessRules, belongs_to_own_user
from pygnc_instruments.bridge.command_handler import CommandHandler, FirmwareUpgrader
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.instance import (
    SERVER,
    STATUS_PATH,
    find_running,
    remove_instance_file,
    write_instance_file,
)
from pygnc_instruments.bridge.messages import LARGEST_IMAGE_BYTES, Event
from pygnc_instruments.bridge.page_files import page_files
from pygnc_instruments.bridge.protocols import PROTOCOLS, SERVER_VERSION, MessageProtocol
from pygnc_instruments.bridge.recorder import Recorder
from pygnc_instruments.bridge.session import Session
from pygnc_instruments.device.connection import DeviceSelection

TOKEN_VARIABLE: Final = "PYGNC_BRIDGE_TOKEN"  # noqa: S105 - the name of the variable
_MAX_CLIENTS: Final = 64
_MAX_REJECTED_ORIGINS: Final = 100
_ORIGIN_CHARACTERS: Final = 80
_SEND_BUFFER_BYTES: Final = 1 << 16
"""Send buffer of a connection: messages that a slow client does not read are dropped here instead of queued there."""
_MAX_MESSAGE_BYTES: Final = LARGEST_IMAGE_BYTES * 4 // 3 + 4096
_CLOSE_S: Final = 1.0
_SOCKETS: Final = "'self' ws: wss:"
"""Sources in a content security policy that the page may connect to; with a certificate, the server has wss://."""

_log = logging.getLogger(__name__)


class BridgeSettingsError(Exception):
    """Error raised when the bridge cannot run with its settings."""


@dataclass(frozen=True, slots=True)
class BridgeSettings:
    """Settings of the bridge.

    Attributes:
        device: the device to serve.
        folder: folder of the log files.
        host: address to listen on.
        port: TCP port to listen on; 0 for any free port.
        protocol: message protocol at the path `/`; at `/v1`, `/v2`, `/openimu` and `/envelope` the path selects it.
        interval_s: time between readings, s; None for the default of each protocol.
        origins: origins of foreign web pages that may connect.
        token: token that every client must send; "" for a new one that only commands need.
        certificate: PEM file of the TLS certificate; None for no TLS.
        key: PEM file of the certificate's key; None if it is in the same file.
        allow_local_clients: True if every program on this computer may send commands without a token.

    Raises:
        BridgeSettingsError: the protocol is unknown, the token for an address of the network is missing, or a token
            is set although clients are allowed to omit it.
    """

    device: DeviceSelection
    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    protocol: str = "v2"
    interval_s: float | None = None
    origins: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    certificate: Path | None = None
    key: Path | None = None
    allow_local_clients: bool = False

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise BridgeSettingsError(
                f"--protocol: unknown protocol {self.protocol!r}; choose from {', '.join(PROTOCOLS)}"
            )
        if not is_loopback(self.host) and not self.token:
            raise BridgeSettingsError(
                f"--host {self.host}: other computers can reach this address; set a token for clients in the "
                f"environment variable {TOKEN_VARIABLE}"
            )
        if self.token and self.allow_local_clients:
            raise BridgeSettingsError(
                f"--allow-local-clients: {TOKEN_VARIABLE} requires a token of every client; omit one of them"
            )

    @property
    def scheme(self) -> str:
        """`http` or `https`."""
        return "http" if self.certificate is None else "https"

    def message_protocol(self, path: str) -> MessageProtocol | None:
        """Return a new message protocol for a client at a path; None if the path does not exist."""
        kind = PROTOCOLS.get(path.strip("/") or self.protocol)
        return None if kind is None else kind()

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the TLS context of the server; None without a certificate.

        Raises:
            BridgeSettingsError: certificate or key cannot be loaded.
        """
        if self.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            paths = f"{self.certificate}" if self.key is None else f"{self.certificate}, {self.key}"
            raise BridgeSettingsError(
                f"{paths}: not a certificate with its key in PEM form: {error}; check both files"
            ) from None
        return context


class Bridge:
    """The bridge's server with its device, recorder, firmware upgrader and clients.

    Args:
        settings: settings of the bridge.
        on_event: function that is called with each event that is sent to the clients.

    Attributes:
        url: URL of the page; "" before the bridge listens.
    """

    def __init__(self, settings: BridgeSettings, on_event: Callable[[Event], None]) -> None:
        self._settings = settings
        self._on_event = on_event
        self._link = DeviceLink(settings.device, self.publish)
        self._recorder = Recorder(self._link, settings.folder, self.publish)
        self._firmware = FirmwareUpgrader(self._link, self.publish)
        self._handler = CommandHandler(self._link, self._recorder, self._firmware, settings.folder)
        self._page = page_files()
        self._access: AccessRules  # set before the server listens
        self._sessions: set[Session] = set()
        self._dropped_by_closed_sessions = 0
        self._rejected_origins: set[str] = set()
        self._port = 0
        self.url = ""

    def publish(self, event: Event) -> None:
        """Send an event to all clients and to `on_event`."""
        self._on_event(event)
        for session in self._sessions:
            session.publish(event)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None, None]:
        """Serve the device until the block is left; then finish a running upgrade and complete a log.

        Raises:
            BridgeSettingsError: the port or the certificate cannot be used.
        """
        async with await self._listen():
            reading = asyncio.create_task(self._link.run())
            try:
                yield
            finally:
                await self._firmware.finish()
                await self._recorder.close()
                reading.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reading
                remove_instance_file(self._port)
                for session in self._sessions:
                    session.disconnect_if_stalled()

    async def _listen(self) -> Server:
        settings = self._settings
        tls = settings.tls_context()
        listener = await asyncio.to_thread(_bind, settings.host, settings.port)
        self._port = port = listener.getsockname()[1]
        token = settings.token or ("" if settings.allow_local_clients else secrets.token_urlsafe())
        self._access = AccessRules(
            settings.host, port, settings.scheme, settings.origins, token, is_token_required=bool(settings.token)
        )
        name = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.url = f"{settings.scheme}://{name}:{port}/"
        server = await serve(
            self._serve_client,
            sock=listener,
            ssl=tls,
            process_request=self._respond,
            server_header=SERVER,
            compression=None,  # most clients run on this computer, where compression only costs time
            max_size=_MAX_MESSAGE_BYTES,
            max_queue=1,  # further requests of a client wait in the network until the response to the last request
            close_timeout=_CLOSE_S,
            logger=silent_logger(__name__),
        )
        try:
            write_instance_file(os.getpid(), port, self.url, token)
        except OSError as error:  # the window cannot stop this bridge, and programs cannot read the token
            _log.warning("%s: %s; programs may only read from this bridge", error.filename, error.strerror)
        return server

    async def _respond(self, connection: ServerConnection, request: Request) -> Response | None:
        """Return the response to a plain HTTP request or to a rejected WebSocket client; None accepts the client."""
        del connection
        path = urlsplit(request.path).path
        is_websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        rejection = self._access.rejection(request.path, request.headers, is_websocket=is_websocket)
        # The page itself contains no data and asks for the token, so it is served without one.
        is_page = not is_websocket and path in self._page
        if rejection is not None and not (rejection[0] is HTTPStatus.UNAUTHORIZED and is_page):
            if rejection[0] is HTTPStatus.FORBIDDEN:
                self._report_origin(request.headers["Origin"])
            return refusal(*rejection)
        if not is_websocket:
            return await self._http_response(path)
        if self._settings.message_protocol(path) is None:
            return refusal(HTTPStatus.NOT_FOUND, "unknown path; choose from /, /v1, /v2, /openimu and /envelope")
        if len(self._sessions) >= _MAX_CLIENTS:
            return refusal(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{_MAX_CLIENTS} clients are connected already; close one of them"
            )
        return None

    def _report_origin(self, origin: str) -> None:
        """Print each rejected origin once, because browsers do not show the reason to the page."""
        shown = printable(origin)[:_ORIGIN_CHARACTERS]
        if shown not in self._rejected_origins and len(self._rejected_origins) < _MAX_REJECTED_ORIGINS:
            self._rejected_origins.add(shown)
            _log.warning("rejected a page of %s; to let its pages connect, add --origin %s", shown, shlex.quote(shown))

    async def _http_response(self, path: str) -> Response:
        if path in self._page:
            return answer(HTTPStatus.OK, *self._page[path], sockets=_SOCKETS)
        if path == STATUS_PATH:
            return answer(HTTPStatus.OK, "application/json", json.dumps(await self._status()).encode())
        return refusal(HTTPStatus.NOT_FOUND, f"unknown path {path:.80}; choose from {', '.join(self._page)}")

    async def _serve_client(self, connection: ServerConnection) -> None:
        request = connection.request
        protocol = None if request is None else self._settings.message_protocol(urlsplit(request.path).path)
        if request is None or protocol is None:
            return
        protocol.interval_s = self._settings.interval_s or protocol.interval_s
        match parse_qs(urlsplit(request.path).query).get("readings"):
            case ["all"]:
                protocol.sends_all = True
            case ["newest"]:
                protocol.sends_all = False
        # The allowed origin was checked on connection; any program can send it, hence the owner is checked here.
        is_own_page = "Origin" in request.headers and await asyncio.to_thread(
            belongs_to_own_user, connection.remote_address[:2], connection.local_address[:2]
        )
        refusal = self._access.command_refusal(request.path, request.headers, is_own_page=is_own_page)
        session = Session(connection, protocol, protocol.interval_s, self._link, self._handler, command_refusal=refusal)
        self._sessions.add(session)
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
            self._dropped_by_closed_sessions += session.dropped

    async def _status(self) -> dict[str, Any]:
        status = await self._handler.status()
        del status["properties"]
        return {
            "server": SERVER_VERSION,
            "pid": os.getpid(),
            "url": self.url,
            "clients": len(self._sessions),
            "dropped": self._dropped_by_closed_sessions + sum(session.dropped for session in self._sessions),
            **status,
        }


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        running = find_running(port) if port else None
        if running is None:
            raise BridgeSettingsError(
                f"{host}:{port}: the bridge cannot listen: {error.strerror or error}; check --host or "
                "choose another port: --port"
            ) from None
        scheme, status = running
        process = f" (process {status['pid']})" if "pid" in status else ""
        raise BridgeSettingsError(
            f"{scheme}://{host}:{port}/: a bridge is already running{process}; stop it or choose another port: --port"
        ) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
    return listener
