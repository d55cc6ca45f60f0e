"""Endpoints of devices: the register, and the log of what was done with each."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pygnc_station.server.context import body_of, clock, context_of, demand_token, json_of, json_response
from pygnc_station.store import schema
from pygnc_station.store.readings import iso_time, parse_time
from pygnc_station.store.store import UNKNOWN_STATUS, Store, make_device

STATUSES: Final = {
    "_": "out of service",
    "A": "active",
    "R": "redundant",
    "S": "spare",
    "T": "test",
    UNKNOWN_STATUS: "unknown",
}
ACTIONS: Final = (
    "Setup", "Updated", "Issued", "Shipped", "Returned", "Location Change", "New Batteries", "Battery Level",
    "Updated Calibration", "Admin info collected", "Seen", "Alert", "Data Received", "Test Data Received", "Note",
)  # fmt: skip


class NewGadget(msgspec.Struct, frozen=True):
    """A device for the register."""

    factory_id: str
    status: str = "_"
    notes: str = ""


class Changes(msgspec.Struct, frozen=True):
    """What changes of a device."""

    status: str | None = None
    notes: str | None = None


class Entry(msgspec.Struct, frozen=True):
    """What was done with a device."""

    action_type: str
    action: str = ""
    notes: str = ""
    when: str = ""
    where: str = ""
    who: str = ""


async def gadgets(request: Request) -> Response:
    """List devices, or add one."""
    store = context_of(request).store
    if request.method == "GET":
        await demand_token(request)
        return json_response({"results": await run_in_threadpool(_list, store, "")})
    await demand_token(request, to_write=True)
    said: NewGadget = await json_of(await body_of(request), NewGadget)
    _check(said.status)
    if not 0 < len(said.factory_id) <= 120:
        raise HTTPException(400, "factory_id has 1 to 120 characters")
    if await run_in_threadpool(_list, store, said.factory_id):
        raise HTTPException(409, f"{said.factory_id} is there already")
    return json_response(await run_in_threadpool(_add, store, said), 201)


async def gadget(request: Request) -> Response:
    """Show, change or delete a device."""
    store, name = context_of(request).store, request.path_params["name"]
    await demand_token(request, to_write=request.method != "GET")
    if request.method == "PATCH":
        said: Changes = await json_of(await body_of(request), Changes)
        if said.status is not None:
            _check(said.status)
        await run_in_threadpool(_change, store, name, said)
    elif request.method == "DELETE":
        await run_in_threadpool(_delete, store, name)
        return Response(status_code=204)
    found = await run_in_threadpool(_list, store, name)
    if not found:
        raise HTTPException(404, f"no device is called {name}")
    return json_response(found[0])


async def add_to_log(request: Request) -> Response:
    """Write into the log of a device."""
    await demand_token(request, to_write=True)
    said: Entry = await json_of(await body_of(request), Entry)
    if said.action_type not in ACTIONS:
        raise HTTPException(400, f"action_type is one of: {', '.join(ACTIONS)}")
    try:
        when_ms = parse_time(said.when) if said.when else clock()
    except ValueError:
        raise HTTPException(400, "when is ISO 8601, such as 2026-11-21T17:00:00Z") from None
    await run_in_threadpool(_write, context_of(request).store, request.path_params["name"], said, when_ms)
    return json_response({"logged": iso_time(when_ms)}, 201)


async def log(request: Request) -> Response:
    """Show the log of a device, the newest first."""
    await demand_token(request)
    return json_response(
        {"results": await run_in_threadpool(_read, context_of(request).store, request.path_params["name"])}
    )


def _check(status: str) -> None:
    if status not in STATUSES:
        told = ", ".join(f"{code} ({text})" for code, text in STATUSES.items())
        raise HTTPException(400, f"status is one of: {told}")


def _list(store: Store, name: str) -> list[dict[str, Any]]:
    d, r, s = schema.devices.c, schema.readings.c, schema.streams.c
    query = select(d.id, d.gadget_id, d.family, d.status, d.notes, d.created_ms).order_by(d.gadget_id)
    if name:
        query = query.where(func.lower(d.gadget_id) == name.lower())
    with store.reads() as connection:
        rows = connection.execute(query).all()
        streams = connection.execute(select(s.device_id, s.id)).all()
        last: dict[int, int] = {}
        for device, stream in streams:
            newest = connection.execute(select(func.max(r.t_utc_ms)).where(r.stream_id == stream)).scalar()
            last[device] = max(last.get(device, 0), newest or 0)
    return [
        {
            "factory_id": row[1],
            "family": row[2],
            "status": row[3],
            "status_text": STATUSES.get(row[3], ""),
            "notes": row[4],
            "created": iso_time(row[5]),
            "last_received_data": iso_time(last[row[0]]) if last.get(row[0]) else None,
        }
        for row in rows
    ]


def _add(store: Store, said: NewGadget) -> dict[str, Any]:
    with store.writes() as connection:
        make_device(connection, said.factory_id, status=said.status)
    _change(store, said.factory_id, Changes(said.status, said.notes))
    return _list(store, said.factory_id)[0]


def _change(store: Store, name: str, said: Changes) -> None:
    changed = {key: value for key, value in (("status", said.status), ("notes", said.notes)) if value is not None}
    table = schema.devices
    if changed:
        with store.writes() as connection:
            connection.execute(update(table).where(func.lower(table.c.gadget_id) == name.lower()).values(**changed))


def _delete(store: Store, name: str) -> None:
    with store.writes() as connection:
        device = _id(connection, name)
        c = schema.streams.c
        if connection.execute(select(c.id).where(c.device_id == device)).first():
            raise HTTPException(409, f"{name} has readings; set its status to _ (out of service)")
        connection.execute(delete(schema.gadget_log).where(schema.gadget_log.c.device_id == device))
        connection.execute(delete(schema.devices).where(schema.devices.c.id == device))


def _write(store: Store, name: str, said: Entry, when_ms: int) -> None:
    with store.writes() as connection:
        row = {"device_id": _id(connection, name), "t_utc_ms": when_ms, "action_type": said.action_type}
        row |= {"action": said.action, "notes": said.notes, "place": said.where, "who": said.who[:120]}
        connection.execute(insert(schema.gadget_log), row)


def _read(store: Store, name: str) -> list[dict[str, Any]]:
    c = schema.gadget_log.c
    with store.reads() as connection:
        query = select(c.t_utc_ms, c.action_type, c.action, c.notes, c.place, c.who)
        rows = connection.execute(query.where(c.device_id == _id(connection, name)).order_by(c.t_utc_ms.desc())).all()
    names = ("when", "action_type", "action", "notes", "where", "who")
    return [dict(zip(names, (iso_time(row[0]), *row[1:]), strict=True)) for row in rows]


def _id(connection: Connection, name: str) -> int:
    d = schema.devices.c
    found = connection.execute(select(d.id).where(func.lower(d.gadget_id) == name.lower())).scalar()
    if found is None:
        raise HTTPException(404, f"no device is called {name}")
    return int(found)


ROUTES: Final = [
    Route("/api/v1/gadget/", gadgets, methods=["GET", "POST"]),
    Route("/api/v1/gadget/{name:path}/add2log/", add_to_log, methods=["POST"]),
    Route("/api/v1/gadget/{name:path}/log/", log, methods=["GET"]),
    Route("/api/v1/gadget/{name:path}/", gadget, methods=["GET", "PATCH", "DELETE"]),
]
