"""HTTP operations of the fleet: stations send their state, and the operator of the server reads that of all."""

import shutil
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pygnc_station.server.context import context_of
from pygnc_station.server.fleet import read_fleet, store_state
from pygnc_station.server.operations import Access, Operation
from pygnc_station.station_state import STATE_PATH, StationState
from pygnc_station.store.readings import clock_ms


def receive_state(request: Request, gateway: int, body: StationState) -> Response:
    """Store the state of a station: its clock, backlog, version, disk and places; it replaces the one before."""
    with context_of(request).store.writes() as connection:
        store_state(connection, gateway, body, request.state.received_ms)
    return Response(status_code=204)


def fleet(request: Request) -> object:
    """Return the state of all gateways with their alerts and gadgets, and that of the server."""
    context = context_of(request)
    with context.store.reads() as connection:
        found = read_fleet(connection, clock_ms(), context.serve.alerts)
    disk = shutil.disk_usage(context.uploads.folder)
    return msgspec.to_builtins(found) | {"disk_free_bytes": disk.free, "disk_total_bytes": disk.total}


OPERATIONS: Final = (
    Operation("POST", f"/{STATE_PATH}", receive_state, Access.GATEWAY, 204),
    Operation("GET", "/api/v1/fleet/", fleet),
)
