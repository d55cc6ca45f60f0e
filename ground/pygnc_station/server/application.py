"""HTTP server: its routes, web page, metrics and error responses, and how it is run by uvicorn."""

import asyncio
import errno
import html
import ipaddress
import logging
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from pygnc_cli.signals import stopped_by_signals
from pygnc_cli.web_page import page_style
from pygnc_station.errors import FullDiskError, RefusedReadingsError, StationError, StoreError
from pygnc_station.server import admin_api, devices_api, overview_api, public_api, readings_api, series_api, upload_api
from pygnc_station.server.access import holder_of
from pygnc_station.server.accounts import ACCOUNTS_REMEDY, is_user, note
from pygnc_station.server.accounts import sign_in as begin_session
from pygnc_station.server.background import keep_statistics, running, watch_alerts
from pygnc_station.server.connections import LimitedServer
from pygnc_station.server.context import (
    COOKIE,
    SESSION_COOKIE,
    Context,
    RateLimit,
    address_of,
    context_of,
    forgive_attempt,
    is_own_page,
    page_headers,
    refusal,
    require_attempt,
    require_own_host,
)
from pygnc_station.server.destinations import load_destinations
from pygnc_station.server.logs import start_logs
from pygnc_station.server.operations import Access, Form, Operation, openapi
from pygnc_station.server.plugin import GROUP, ServerPlugin
from pygnc_station.server.uploads import Uploads
from pygnc_station.server_settings import Serve
from pygnc_station.settings import StationSettings
from pygnc_station.sinks.prometheus import ReadingCollector
from pygnc_station.store import schema
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_system import plugins
from pygnc_system.files import data_file
from pygnc_system.service_notifier import ServiceNotifier

METRICS_MAX_AGE_S: Final = 300.0
LEAST_FREE_BYTES: Final = 100_000_000
_BACKLOG: Final = 1024
"""Connections that wait to be accepted; beyond that, clients wait a second or longer."""
_log: Final = logging.getLogger(__name__)
_STATIC: Final = Path(__file__).parent / "static"
SIGN_IN: Final = "/sign-in"
ADMIN: Final = "/admin"
_SIGN_IN_REQUIRED: Final = {
    ("/", 401), (ADMIN, 401), (ADMIN, 403), (SIGN_IN, 401), (SIGN_IN, 403), (SIGN_IN, 429),
    (SIGN_IN, 503),
}  # fmt: skip
"""Paths and status codes for which the response is the page on which a person signs in."""
_WRONG_SIGN_IN: Final = "User, password or code are wrong."
_NOT_SIGNED_IN: Final = "This token is wrong or has expired."
_UNKNOWN_PATH: Final = "unknown path; stations of batonopc need the package pygnc-batonopc on the server"
_NO_PAGE: Final = "there is no page at this address"
_LISTEN_REMEDIES: Final = {
    errno.EADDRINUSE: "another program listens on this port; set another port in [serve]",
    errno.EACCES: "ports below 1024 need a privilege, which the service of `pygnc station install --server` has",
    errno.EADDRNOTAVAIL: "this computer does not have this address; set another host in [serve]",
}


class SignIn(Form, frozen=True):
    """Form of the page on which a person signs in, by a token or as a user, and the page to continue at."""

    token: str = ""
    user: str = ""
    password: str = ""
    code: str = ""
    page: str = ""


def serve(settings: StationSettings, store: Store, on_listening: Callable[[str], None]) -> None:
    """Serve until a signal arrives.

    Args:
        settings: settings of the server.
        store: receives readings.
        on_listening: called with the URL when the server listens.

    Raises:
        StationError: the settings are unsafe, or the server cannot listen.
        ModuleNotFoundError: [serve.alerts] contains destinations, and Apprise is not installed.
    """
    chosen = settings.serve
    cert, key = tls_files(settings)
    _check_proxies(chosen)
    destinations = load_destinations(settings)
    app = application(store, chosen, settings.path(chosen.folder))
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    try:
        listener = socket.create_server((chosen.host, chosen.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        why = _LISTEN_REMEDIES.get(error.errno or 0, error.strerror or str(error))
        raise StationError(f"{chosen.host}:{chosen.port}: {why}") from None
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        log_config=None,
        log_level=None,
        ssl_certfile=cert,
        ssl_keyfile=key,
        proxy_headers=chosen.behind_proxy,
        forwarded_allow_ips=chosen.proxies,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    start_logs(chosen, settings.path(chosen.log_folder) if chosen.log_folder else None)
    host, port = listener.getsockname()[:2]
    on_listening(f"{'https' if cert else 'http'}://{host}:{port}/")
    watch = partial(watch_alerts, store, settings, destinations, settings.path(chosen.folder))
    server = LimitedServer(config, chosen.limits, ServiceNotifier.from_environment())
    # A notification that is under way does not delay the end; it is sent again if it was not accepted.
    with listener, running("alerts", watch, join_s=1.0), stopped_by_signals(server.stop):
        server.run(sockets=[listener])  # it raises the signal again, which must not end the process: the store is open


def _check_proxies(chosen: Serve) -> None:
    for proxy in chosen.proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError as error:
            raise StationError(f"proxies in [serve]: {error}; use such as 10.88.0.1 or 10.88.0.0/16") from None


def tls_files(settings: StationSettings) -> tuple[str | None, str | None]:
    """Return the paths of certificate and key, None without TLS.

    Raises:
        StationError: a file is missing or not usable, or keys would travel unencrypted.
    """
    chosen = settings.serve
    is_safe = chosen.is_local or chosen.tls_cert or chosen.tls_key or chosen.behind_proxy or chosen.insecure
    if not is_safe:
        raise StationError(
            f"host {chosen.host} in [serve]: keys would travel unencrypted; set tls_cert and tls_key, behind_proxy or"
            " insecure"
        )
    if bool(chosen.tls_cert) != bool(chosen.tls_key):
        raise StationError("[serve]: TLS requires both tls_cert and tls_key; set the missing key")
    if not chosen.tls_cert:
        return None, None
    paths = settings.path(chosen.tls_cert), settings.path(chosen.tls_key)
    for path in paths:
        if not path.is_file():
            raise StationError(f"{path}: the file does not exist; correct tls_cert or tls_key in [serve]")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*paths)
    except OSError as error:  # includes SSLError
        why = error.strerror or error
        raise StationError(f"{paths[0]} and {paths[1]} are not a certificate and its key in PEM: {why}") from None
    return str(paths[0]), str(paths[1])


def application(
    store: Store, serve: Serve, folder: Path, *, pin_attempts: int = 5, key_attempts: int = 20
) -> Starlette:
    """Return the ASGI application.

    Args:
        store: receives readings.
        serve: settings of the server.
        folder: folder of received batches and flight files.
        pin_attempts: maximum number of PINs that a client may try per minute.
        key_attempts: maximum number of wrong keys and tokens that a client may try per minute.

    Raises:
        StationError: the settings of a server plug-in, such as batonopc_zone in [serve], are invalid.
    """
    added = [plugin for _, plugin in plugins.usable(GROUP, ServerPlugin)]
    uploads = Uploads(store, folder, serve, [plugin.batch_format(serve) for plugin in added])
    uploads.recover()
    operations = (*OPERATIONS, *(operation for plugin in added for operation in plugin.operations))
    routes = [
        *(operation.route() for operation in operations),
        *_static_files("/static"),
        *_static_files(f"{public_api.FOLDER}/static"),
    ]
    errors = (ClientDisconnect, HTTPException, RefusedReadingsError, StoreError, OSError)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        with running("hourly statistics", partial(keep_statistics, store)):
            yield

    handlers = dict.fromkeys(errors, _error_response)
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    limits = RateLimit(pin_attempts), RateLimit(key_attempts)
    app.state.context = Context(store, serve, uploads, *limits, next((plugin.flat_json for plugin in added), None))
    app.state.operations = operations
    return app


def _static_files(path: str) -> list[BaseRoute]:
    """Return the routes of the page's files; in a checkout, its libraries may be missing."""
    routes = [
        Route(f"{path}/page.css", _style_sheet),
        Mount(f"{path}/components", StaticFiles(directory=data_file("components"))),
        Mount(path, StaticFiles(directory=_STATIC)),
    ]
    try:
        libraries = data_file("frontend")
    except FileNotFoundError:
        _log.warning("the page cannot draw charts: data/frontend is missing; run `make frontend` in the checkout")
        return routes
    return [Mount(f"{path}/frontend", StaticFiles(directory=libraries)), *routes]


def _style_sheet(_: Request) -> Response:
    return Response(page_style(_STATIC / "station.css"), media_type="text/css")


def page(request: Request) -> Response:
    """Return the web page; a token in the URL is stored as a cookie, so that it need not remain in the URL."""
    headers = page_headers(tiles=context_of(request).serve.tiles)
    response = FileResponse(_STATIC / "page.html", headers=headers)
    token = request.query_params.get("api-key")
    return _with_cookie(response, request, token) if token else response


def interface_page(_: Request) -> Response:
    """Return a page that shows the OpenAPI document, which it requests with the token of the browser."""
    return FileResponse(_STATIC / "api.html", headers=page_headers())


def admin_page(_: Request) -> Response:
    """Return the page of the administration."""
    return FileResponse(_STATIC / "admin.html", headers=page_headers())


def sign_in(request: Request, body: SignIn) -> Response:
    """Sign in as a user, or store a token that permits reading as a cookie, and continue at the page."""
    if not is_own_page(request):
        raise HTTPException(403, "a page of another server may not sign in")
    if context_of(request).is_open:
        require_own_host(request)
    answer = RedirectResponse("./admin" if body.page == "admin" else "./", 303)
    if not body.user:
        if not holder_of(context_of(request).store, body.token, clock_ms(), to_write=False):
            raise refusal(request, _NOT_SIGNED_IN)
        return _with_cookie(answer, request, body.token)
    store, now_ms = context_of(request).store, clock_ms()
    require_attempt(request, body.user)
    host = request.headers.get("host", "")
    try:
        token = begin_session(store, body.user, body.password, body.code.strip(), host=host, now_ms=now_ms)
    except ModuleNotFoundError as error:
        raise HTTPException(503, f"users need the library {error.name} on the server: {ACCOUNTS_REMEDY}") from None
    with store.writes() as connection:
        # Somebody may have typed the password into the field of the name.
        name = body.user if is_user(connection, body.user) else "unknown user"
        note(connection, name, address_of(request), "Sign in" if token else "Sign-in refused", now_ms)
    if token is None:
        raise HTTPException(401, _WRONG_SIGN_IN)
    forgive_attempt(request, body.user)
    return _with_cookie(answer, request, token, SESSION_COOKIE)


def _with_cookie(response: Response, request: Request, token: str, name: str = COOKIE) -> Response:
    is_secure = request.url.scheme == "https"
    response.set_cookie(name, token, httponly=True, samesite="strict", secure=is_secure)
    return response


def _sign_in_page(message: str, status: int, page: str) -> Response:
    return _filled_page("sign_in.html", status, page_headers(forms="'self'"), message=message, page=page)


def _message_page(request: Request, message: str, status: int) -> Response:
    """Return a page with a message, for a person whose browser asked for a page."""
    root = "../" * (request.url.path.count("/") - 1) or "./"
    sentence = message[:1].upper() + message[1:]
    return _filled_page("message.html", status, page_headers(), message=sentence, root=root)


def _filled_page(name: str, status: int, headers: dict[str, str], **texts: str) -> Response:
    content = (_STATIC / name).read_text()
    for key, text in texts.items():
        content = content.replace(f"<!-- {key} -->", html.escape(text))
    return HTMLResponse(content, status, headers)


async def health(request: Request) -> object:
    """Return status 200 if the store can be read and the disk has room for batches, else 503."""
    # The threads of other requests may all be waiting to store batches.
    return await asyncio.to_thread(_check_health, request)


def _check_health(request: Request) -> object:
    context = context_of(request)
    with context.store.reads() as connection:
        connection.execute(select(schema.facts.c.value))
    free = shutil.disk_usage(context.uploads.folder).free
    if free < LEAST_FREE_BYTES:
        raise HTTPException(503, f"the disk of the received batches has {free / 1e6:.0f} MB left; free some space")
    return {"status": "ok"}


def metrics(request: Request) -> Response:
    """Return the newest values and the upload counters in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_ServerMetrics(context_of(request).store, METRICS_MAX_AGE_S))
    return Response(generate_latest(registry), media_type="text/plain; version=0.0.4; charset=utf-8")


def document(request: Request) -> object:
    """Return the OpenAPI document of this server."""
    return openapi(request.app.state.operations)


OPERATIONS: Final = (
    *upload_api.OPERATIONS,
    *readings_api.OPERATIONS,
    *series_api.OPERATIONS,
    *overview_api.OPERATIONS,
    *devices_api.OPERATIONS,
    *public_api.OPERATIONS,
    *admin_api.OPERATIONS,
    Operation("GET", "/", page),
    Operation("GET", ADMIN, admin_page, Access.WRITE),
    Operation("POST", SIGN_IN, sign_in, Access.NONE, is_audited=False),
    Operation("GET", "/health", health, Access.NONE),
    Operation("GET", "/metrics", metrics),
    Operation("GET", "/openapi.json", document),
    Operation("GET", "/api/", interface_page, Access.NONE),
)


class _ServerMetrics(ReadingCollector):
    def collect(self) -> Iterator[Metric]:
        yield from super().collect()
        c = schema.uploads.c
        with self._store.reads() as connection:
            counted = connection.execute(select(c.state, func.count(), func.sum(c.readings)).group_by(c.state)).all()
        uploads = GaugeMetricFamily("pygnc_uploads", "Batches by state", labels=["state"])
        readings = GaugeMetricFamily("pygnc_uploaded_readings", "Readings in batches by state", labels=["state"])
        for state, count, total in counted:
            uploads.add_metric([state], count)
            readings.add_metric([state], total or 0)
        yield uploads
        yield readings


def _refusal_response(request: Request, error: HTTPException) -> Response:
    """Return the response to a request that is not permitted or not possible: a page for a person, else JSON."""
    path, status, message = request.url.path, error.status_code, error.detail
    if (path, status) in _SIGN_IN_REQUIRED:
        is_first = request.method == "GET" and status == 401
        return _sign_in_page("" if is_first else message, status, "admin" if path == ADMIN else "")
    is_unknown = status == 404 and message == "Not Found"
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return _message_page(request, _NO_PAGE if is_unknown else message, status)
    return JSONResponse({"error": _UNKNOWN_PATH if is_unknown else message}, status)


async def _error_response(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # the client has disconnected
    if isinstance(error, HTTPException):
        return _refusal_response(request, error)
    if isinstance(error, RefusedReadingsError):
        return JSONResponse({"error": f"the database refuses these readings: {error.reason}"}, 400)
    if isinstance(error, OSError | FullDiskError):
        _log.error("a disk: %s", error)
        why = error.strerror if isinstance(error, OSError) else "its disk is full"
        return JSONResponse({"error": f"the server cannot store files ({why}); retry later"}, 503)
    # The message of a StoreError contains the name of the database.
    return JSONResponse({"error": "the store cannot be reached; retry later", "kind": type(error).__name__}, 503)
