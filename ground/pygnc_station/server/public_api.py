"""Public view: the page, and the chosen gadgets and values, for everybody without a token; other sites may embed it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from pygnc_station.server.context import context_of, page_headers
from pygnc_station.server.operations import Access, Operation
from pygnc_station.server.overview_api import coastline, overview
from pygnc_station.server.readings_api import LatestFilters, latest
from pygnc_station.server.series_api import SeriesFilters, exceeded_limits, series
from pygnc_station.server_settings import Public

FOLDER: Final = "/public"
_PAGE: Final = Path(__file__).parent / "static/page.html"
_INDICES: Final = ("air_quality", "european_air_quality")


def public_page(request: Request) -> Response:
    """Return the public page."""
    public, serve = _public(request), context_of(request).serve
    headers = page_headers(tiles=serve.tiles if public.places else "", ancestors=public.frame_ancestors)
    return FileResponse(_PAGE, headers=headers)


def public_overview(request: Request) -> object:
    """Return the public values, indices and places of the public gadgets."""
    public = _public(request)
    found: Any = overview(request)
    gadgets = [each for each in found["gadgets"] if _is_public(public, each["gadget"])]
    for each in gadgets:
        each["values"] = [value for value in each["values"] if value["name"] in public.values]
        each["gateway"] = ""
        for index in _INDICES:
            if each[index] is not None and each[index]["name"] not in public.values:
                each[index] = None
        if not public.places:
            each["location"] = None
    return found | {"gadgets": gadgets}


def public_latest(request: Request, query: LatestFilters) -> object:
    """Return the public values of the newest reading of each kind of a public gadget."""
    public = _public(request)
    _require(_is_public(public, query.gadget))
    found: Any = latest(request, LatestFilters(gadget=query.gadget))
    for reading in found["results"]:
        for key in ("values", "units", "people", "words"):
            reading[key] = {name: each for name, each in reading[key].items() if name in public.values}
    return {"results": [reading for reading in found["results"] if reading["values"]]}


def _of_public_value(work: Callable[[Request, SeriesFilters], object]) -> Callable[[Request, SeriesFilters], object]:
    def checked(request: Request, query: SeriesFilters) -> object:
        public = _public(request)
        _require(query.name in public.values and _is_public(public, query.gadget))
        return work(request, query)

    checked.__doc__ = f"{work.__doc__}\n\nThe gadget and the value must be public."
    return checked


def _public(request: Request) -> Public:
    found = context_of(request).serve.public
    if not found.gadgets:
        raise HTTPException(
            404,
            "there is no public page on this server; its operator names gadgets in [serve.public]",
        )
    return found


def _is_public(public: Public, gadget: str) -> bool:
    return gadget.lower() in {name.lower() for name in public.gadgets}


def _require(is_public: bool) -> None:  # noqa: FBT001 - its only argument
    if not is_public:
        raise HTTPException(404, "this gadget or value is not public; see [serve.public]")


OPERATIONS: Final = (
    Operation("GET", f"{FOLDER}/", public_page, Access.NONE),
    Operation("GET", f"{FOLDER}/api/v1/overview/", public_overview, Access.NONE),
    Operation("GET", f"{FOLDER}/api/v1/coastline/", coastline, Access.NONE),
    Operation("GET", f"{FOLDER}/api/v1/reading/latest/", public_latest, Access.NONE),
    Operation("GET", f"{FOLDER}/api/v1/series/", _of_public_value(series), Access.NONE),
    Operation("GET", f"{FOLDER}/api/v1/limits/", _of_public_value(exceeded_limits), Access.NONE),
)
