"""The server's application: its endpoints, its page, how faults are answered.

Runs the server: uvicorn, with TLS on request, on the loopback unless told otherwise.
"""

import errno
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import uvicorn
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pygnc_station.errors import RefusedReadingsError, StationError, StoreError
from pygnc_station.server import devices_api, readings_api, upload_api
from pygnc_station.server.context import COOKIE, Context, RateLimit, clock, context_of, demand_token, json_response
from pygnc_station.server.uploads import Uploads
from pygnc_station.settings import Serve, StationSettings
from pygnc_station.sinks.prometheus import reading_metrics
from pygnc_station.store import schema
from pygnc_station.store.batonopc import zone_of
from pygnc_station.store.query import newest_of_each_kind
from pygnc_station.store.store import Store

EXPIRES_S: Final = 300.0
_STATIC: Final = Path(__file__).parent / "static"
_PAGE_HEADERS: Final = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def application(store: Store, serve: Serve, folder: Path, *, pin_tries: int = 5, key_tries: int = 20) -> Starlette:
    """Return the server's application.

    Args:
        store: where readings are.
        serve: its settings.
        folder: of batches that arrive, and flight files.
        pin_tries: of one client in a minute.
        key_tries: wrong ones, of one client in a minute.

    Raises:
        StationError: batonopc's time zone is none.
    """
    uploads = Uploads(store, folder, serve.limits, clock, keep=serve.keep_batches, zone=zone_of(serve.batonopc_zone))
    uploads.recover()
    routes = [
        *upload_api.ROUTES,
        *upload_api.TINYCLOUD_ROUTES,
        *readings_api.ROUTES,
        *devices_api.ROUTES,
        Route("/", page),
        Route("/health", health),
        Route("/metrics", metrics),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]
    handlers = {HTTPException: _refuse, RefusedReadingsError: _refuse_readings, StoreError: _fail}
    app = Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]  # each takes its own error
    app.state.context = Context(store, serve, uploads, RateLimit(pin_tries, 60.0), RateLimit(key_tries, 60.0))
    return app


async def page(request: Request) -> Response:
    """Show the newest readings; a token in the address is kept as a cookie, so that it need not stay there."""
    await demand_token(request)
    response = FileResponse(_STATIC / "page.html", headers=_PAGE_HEADERS)
    token = request.query_params.get("api-key")
    if token:
        is_secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, httponly=True, samesite="strict", secure=is_secure)
    return response


async def health(request: Request) -> Response:
    """Tell whether the store answers."""
    await run_in_threadpool(_touch, context_of(request).store)
    return json_response({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Answer Prometheus."""
    await demand_token(request)
    store = context_of(request).store
    registry = CollectorRegistry()
    registry.register(_ServerMetrics(store))
    text = await run_in_threadpool(generate_latest, registry)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


class _ServerMetrics(Collector):
    def __init__(self, store: Store) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        yield from reading_metrics(newest_of_each_kind(self._store), clock(), EXPIRES_S)
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

    def describe(self) -> list[Metric]:
        return []  # else registration would read the store


def _touch(store: Store) -> None:
    with store.reads() as connection:
        connection.execute(select(schema.facts.c.value))


async def _refuse(_: Request, error: HTTPException) -> Response:
    return json_response({"error": error.detail}, error.status_code)


async def _refuse_readings(_: Request, error: RefusedReadingsError) -> Response:
    return json_response({"error": f"the database refuses these readings: {error.reason}"}, 400)


async def _fail(_: Request, error: StoreError) -> Response:
    """Say that it is not the client's fault, without the database's name."""
    return json_response({"error": "the store cannot be reached: try again later", "kind": type(error).__name__}, 503)


_GRACE_S: Final = 5
_REMEDIES: Final = {
    errno.EADDRINUSE: "another program listens there; set another port in [serve]",
    errno.EACCES: "ports below 1024 need a right, which the unit of `pygnc station units --server` gives",
    errno.EADDRNOTAVAIL: "this computer has no such address; set another host in [serve]",
}


def serve(settings: StationSettings, store: Store, tell: Callable[[str], None]) -> None:
    """Serve until a signal comes.

    Args:
        settings: of the server.
        store: where readings go.
        tell: gets the address when the server listens.

    Raises:
        StationError: it may not or cannot listen there.
    """
    chosen = settings.serve
    cert, key = _tls(settings)
    if not chosen.is_local and not (cert or chosen.behind_proxy or chosen.insecure):
        raise StationError(
            f"{chosen.host} can be reached from elsewhere, and keys would travel in the clear: set tls_cert and tls_key"
            " in [serve], or behind_proxy, or insecure"
        )
    app = application(store, chosen, settings.path(chosen.folder))
    try:
        listener = socket.create_server((chosen.host, chosen.port), family=_family(chosen.host))
    except OSError as error:
        why = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
        raise StationError(f"{chosen.host}:{chosen.port}: {why}") from None
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ssl_certfile=cert,
        ssl_keyfile=key,
        proxy_headers=chosen.behind_proxy,
        forwarded_allow_ips="127.0.0.1",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    host, port = listener.getsockname()[:2]
    tell(f"{'https' if cert else 'http'}://{host}:{port}/")
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _tls(settings: StationSettings) -> tuple[str | None, str | None]:
    chosen = settings.serve
    if bool(chosen.tls_cert) != bool(chosen.tls_key):
        raise StationError("TLS needs both tls_cert and tls_key in [serve]")
    if not chosen.tls_cert:
        return None, None
    paths = settings.path(chosen.tls_cert), settings.path(chosen.tls_key)
    for path in paths:
        if not path.is_file():
            raise StationError(f"{path}: no such file")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*paths)
    except OSError as error:  # an SSLError is one
        why = error.strerror or error
        raise StationError(f"{paths[0]} and {paths[1]} are no certificate and its key, PEM: {why}") from None
    return str(paths[0]), str(paths[1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
