"""HTTP endpoints of the device register: devices, their status, and a log of each."""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pygnc_station.server.context import (
    clock_ms,
    context_of,
    json_body_of,
    json_response,
    require_token,
)
from pygnc_station.store import schema
from pygnc_station.store.readings import iso_time, parse_time
from pygnc_station.store.schema import MAX_NAME_LENGTH
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


class NewDevice(msgspec.Struct, frozen=True):
    """Device to register."""

    factory_id: str
    status: str = "_"
    notes: str = ""


class DeviceChanges(msgspec.Struct, frozen=True):
    """New status and notes of a device; None leaves the old ones."""

    status: str | None = None
    notes: str | None = None


class LogEntry(msgspec.Struct, frozen=True):
    """Entry of a device's log."""

    action_type: str
    action: str = ""
    notes: str = ""
    when: str = ""
    where: str = ""
    who: str = ""


async def devices(request: Request) -> Response:
    """List all devices, or register one."""
    store = context_of(request).store
    if request.method == "GET":
        await require_token(request)
        return json_response({"results": await run_in_threadpool(_list, store, "")})
    await require_token(request, to_write=True)
    new = await json_body_of(request, NewDevice)
    _check_status(new.status)
    if not 0 < len(new.factory_id) <= MAX_NAME_LENGTH:
        raise HTTPException(400, f"factory_id must have 1 to {MAX_NAME_LENGTH} characters")
    if await run_in_threadpool(_list, store, new.factory_id):
        raise HTTPException(409, f"device {new.factory_id} already exists")
    return json_response(await run_in_threadpool(_add, store, new), 201)


async def device(request: Request) -> Response:
    """Return, change or delete a device."""
    store, name = context_of(request).store, request.path_params["name"]
    await require_token(request, to_write=request.method != "GET")
    if request.method == "PATCH":
        changes = await json_body_of(request, DeviceChanges)
        if changes.status is not None:
            _check_status(changes.status)
        await run_in_threadpool(_change, store, name, changes)
    elif request.method == "DELETE":
        await run_in_threadpool(_delete, store, name)
        return Response(status_code=204)
    found = await run_in_threadpool(_list, store, name)
    if not found:
        raise _unknown_device(name)
    return json_response(found[0])


async def add_to_log(request: Request) -> Response:
    """Add an entry to the log of a device."""
    await require_token(request, to_write=True)
    entry = await json_body_of(request, LogEntry)
    if entry.action_type not in ACTIONS:
        raise HTTPException(400, f"unknown action_type; choose from {', '.join(ACTIONS)}")
    try:
        when_ms = parse_time(entry.when) if entry.when else clock_ms()
    except ValueError:
        raise HTTPException(400, "when must be in ISO 8601, such as 2026-11-21T17:00:00Z") from None
    await run_in_threadpool(_add_entry, context_of(request).store, request.path_params["name"], entry, when_ms)
    return json_response({"logged": iso_time(when_ms)}, 201)


async def log(request: Request) -> Response:
    """Return the log of a device, the newest entry first."""
    await require_token(request)
    entries = await run_in_threadpool(_entries, context_of(request).store, request.path_params["name"])
    return json_response({"results": entries})


ROUTES: Final = [
    Route("/api/v1/gadget/", devices, methods=["GET", "POST"]),
    Route("/api/v1/gadget/{name:path}/add2log/", add_to_log, methods=["POST"]),
    Route("/api/v1/gadget/{name:path}/log/", log, methods=["GET"]),
    Route("/api/v1/gadget/{name:path}/", device, methods=["GET", "PATCH", "DELETE"]),
]


def _check_status(status: str) -> None:
    if status not in STATUSES:
        choices = ", ".join(f"{code} ({text})" for code, text in STATUSES.items())
        raise HTTPException(400, f"unknown status; choose from {choices}")


def _unknown_device(name: str) -> HTTPException:
    return HTTPException(404, f"unknown device {name}")


def _list(store: Store, name: str) -> list[dict[str, Any]]:
    """Return the device with this name, or all devices for ""."""
    d, r, s = schema.devices.c, schema.readings.c, schema.streams.c
    query = select(d.id, d.gadget_id, d.family, d.status, d.notes, d.created_ms).order_by(d.gadget_id)
    if name:
        query = query.where(func.lower(d.gadget_id) == name.lower())
    with store.reads() as connection:
        rows = connection.execute(query).all()
        streams = connection.execute(select(s.device_id, s.id)).all()
        last: dict[int, int] = {}
        for device_id, stream in streams:
            newest = connection.execute(select(func.max(r.t_utc_ms)).where(r.stream_id == stream)).scalar()
            last[device_id] = max(last.get(device_id, 0), newest or 0)
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


def _add(store: Store, new: NewDevice) -> dict[str, Any]:
    with store.writes() as connection:
        make_device(connection, new.factory_id, status=new.status)
    _change(store, new.factory_id, DeviceChanges(new.status, new.notes))
    return _list(store, new.factory_id)[0]


def _change(store: Store, name: str, changes: DeviceChanges) -> None:
    values = {key: value for key, value in msgspec.to_builtins(changes).items() if value is not None}
    table = schema.devices
    if values:
        with store.writes() as connection:
            connection.execute(update(table).where(func.lower(table.c.gadget_id) == name.lower()).values(**values))


def _delete(store: Store, name: str) -> None:
    with store.writes() as connection:
        id_ = _id_of(connection, name)
        c = schema.streams.c
        if connection.execute(select(c.id).where(c.device_id == id_)).first():
            raise HTTPException(409, f"device {name} has readings; set its status to _ (out of service) instead")
        connection.execute(delete(schema.gadget_log).where(schema.gadget_log.c.device_id == id_))
        connection.execute(delete(schema.devices).where(schema.devices.c.id == id_))


def _add_entry(store: Store, name: str, entry: LogEntry, when_ms: int) -> None:
    with store.writes() as connection:
        row = {"device_id": _id_of(connection, name), "t_utc_ms": when_ms, "action_type": entry.action_type}
        row |= {"action": entry.action, "notes": entry.notes, "place": entry.where, "who": entry.who[:MAX_NAME_LENGTH]}
        connection.execute(insert(schema.gadget_log), row)


def _entries(store: Store, name: str) -> list[dict[str, Any]]:
    c = schema.gadget_log.c
    with store.reads() as connection:
        query = select(c.t_utc_ms, c.action_type, c.action, c.notes, c.place, c.who)
        id_ = _id_of(connection, name)
        rows = connection.execute(query.where(c.device_id == id_).order_by(c.t_utc_ms.desc())).all()
    names = ("when", "action_type", "action", "notes", "where", "who")
    return [dict(zip(names, (iso_time(row[0]), *row[1:]), strict=True)) for row in rows]


def _id_of(connection: Connection, name: str) -> int:
    d = schema.devices.c
    found = connection.execute(select(d.id).where(func.lower(d.gadget_id) == name.lower())).scalar()
    if found is None:
        raise _unknown_device(name)
    return int(found)
