"""The server's application: its endpoints, its page, how faults are answered."""

from pathlib import Path
from typing import Final

from sqlalchemy import select
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pygnc_station.server import batch_api, gadgets_api, readings_api, tinycloud
from pygnc_station.server.context import COOKIE, Context, answer, clock, context_of, demand_token
from pygnc_station.server.limits import RateLimit
from pygnc_station.server.metrics import metrics_text
from pygnc_station.server.uploads import Uploads
from pygnc_station.station.settings import Serve
from pygnc_station.station.time_zone import zone_of
from pygnc_station.store import schema
from pygnc_station.store.errors import RefusedReadingsError, StoreError
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
        *batch_api.ROUTES,
        *tinycloud.ROUTES,
        *readings_api.ROUTES,
        *gadgets_api.ROUTES,
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
    return answer({"status": "ok"})


async def metrics(request: Request) -> Response:
    """Answer Prometheus."""
    await demand_token(request)
    store = context_of(request).store
    newest = await run_in_threadpool(readings_api.newest, store)
    text = await run_in_threadpool(metrics_text, store, newest, clock(), EXPIRES_S)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _touch(store: Store) -> None:
    with store.reads() as connection:
        connection.execute(select(schema.facts.c.value))


async def _refuse(_: Request, error: HTTPException) -> Response:
    return answer({"error": error.detail}, error.status_code)


async def _refuse_readings(_: Request, error: RefusedReadingsError) -> Response:
    return answer({"error": f"the database refuses these readings: {error.reason}"}, 400)


async def _fail(_: Request, error: StoreError) -> Response:
    """Say that it is not the client's fault, without the database's name."""
    return answer({"error": "the store cannot be reached: try again later", "kind": type(error).__name__}, 503)
