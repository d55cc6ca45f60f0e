"""HTTP operations of the device register: devices, their status, and a log of each."""

from typing import Any, Final, NoReturn

import msgspec
from sqlalchemy import Connection, delete, insert, select, update
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pygnc_station.server.context import context_of
from pygnc_station.server.operations import Access, Name, Operation
from pygnc_station.store import schema
from pygnc_station.store.query import last_times_ms
from pygnc_station.store.readings import clock_ms, iso_time, parse_time
from pygnc_station.store.schema import MAX_NAME_LENGTH
from pygnc_station.store.store import UNKNOWN_STATUS, make_device

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


class DeviceChanges(msgspec.Struct, frozen=True):
    """Request to change the status and notes of a device; None leaves the old value."""

    status: str | None = None
    notes: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if the status is unknown."""
        if self.status is not None and self.status not in STATUSES:
            choices = ", ".join(f"{code} ({text})" for code, text in STATUSES.items())
            raise ValueError(f"unknown status {self.status!r}; choose from {choices}")


class NewDevice(DeviceChanges, frozen=True, kw_only=True):
    """Request to register a device."""

    factory_id: Name
    status: str | None = "_"


class LogEntry(msgspec.Struct, frozen=True):
    """Entry of a device's log; `when` is in ISO 8601, by default the current time."""

    action_type: str
    action: str = ""
    notes: str = ""
    when: str = ""
    where: str = ""
    who: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError if the type of the action is unknown."""
        if self.action_type not in ACTIONS:
            raise ValueError(f"unknown action_type {self.action_type!r}; choose from {', '.join(ACTIONS)}")


def devices(request: Request) -> object:
    """List all devices."""
    return {"results": _list(request, "")}


def register(request: Request, body: NewDevice) -> object:
    """Register a device."""
    if _list(request, body.factory_id):
        raise HTTPException(409, f"device {body.factory_id} already exists")
    with context_of(request).store.writes() as connection:
        device_id = make_device(connection, body.factory_id, status=body.status or "_")
        _change(connection, device_id, body)
    return _list(request, body.factory_id)[0]


def device(request: Request) -> object:
    """Return a device."""
    name = request.path_params["name"]
    return next(iter(_list(request, name)), None) or _raise_unknown(name)


def change(request: Request, body: DeviceChanges) -> object:
    """Change status and notes of a device."""
    with context_of(request).store.writes() as connection:
        _change(connection, _id_of(connection, request), body)
    return device(request)


def remove(request: Request) -> Response:
    """Delete a device that has no readings."""
    with context_of(request).store.writes() as connection:
        id_ = _id_of(connection, request)
        if connection.execute(select(schema.streams.c.id).where(schema.streams.c.device_id == id_)).first():
            name = request.path_params["name"]
            raise HTTPException(409, f"device {name} has readings; set its status to _ (out of service) instead")
        connection.execute(delete(schema.gadget_log).where(schema.gadget_log.c.device_id == id_))
        connection.execute(delete(schema.devices).where(schema.devices.c.id == id_))
    return Response(status_code=204)


def add_to_log(request: Request, body: LogEntry) -> object:
    """Add an entry to the log of a device."""
    try:
        when_ms = parse_time(body.when) if body.when else clock_ms()
    except ValueError:
        raise HTTPException(400, f"invalid when {body.when!r:.80}; use a form such as 2026-11-21T17:00:00Z") from None
    row = {"t_utc_ms": when_ms, "action_type": body.action_type, "action": body.action, "notes": body.notes}
    row |= {"place": body.where, "who": body.who[:MAX_NAME_LENGTH]}
    with context_of(request).store.writes() as connection:
        connection.execute(insert(schema.gadget_log), row | {"device_id": _id_of(connection, request)})
    return {"logged": iso_time(when_ms)}


def log(request: Request) -> object:
    """Return the log of a device, the newest entry first."""
    c = schema.gadget_log.c
    query = select(c.t_utc_ms, c.action_type, c.action, c.notes, c.place, c.who).order_by(c.t_utc_ms.desc())
    with context_of(request).store.reads() as connection:
        rows = connection.execute(query.where(c.device_id == _id_of(connection, request))).all()
    names = ("when", "action_type", "action", "notes", "where", "who")
    return {"results": [dict(zip(names, (iso_time(row[0]), *row[1:]), strict=True)) for row in rows]}


_DEVICE: Final = "/api/v1/gadget/{name:path}/"
OPERATIONS: Final = (
    Operation("GET", "/api/v1/gadget/", devices),
    Operation("POST", "/api/v1/gadget/", register, Access.WRITE, 201),
    Operation("POST", f"{_DEVICE}add2log/", add_to_log, Access.WRITE, 201),
    Operation("GET", f"{_DEVICE}log/", log),
    Operation("GET", _DEVICE, device),
    Operation("PATCH", _DEVICE, change, Access.WRITE),
    Operation("DELETE", _DEVICE, remove, Access.WRITE, 204),
)


def _list(request: Request, name: str) -> list[dict[str, Any]]:
    """Return the device with this name, or all devices for ""."""
    d, g = schema.devices.c, schema.gateways.c
    query = select(d.id, d.gadget_id, d.family, d.status, d.notes, d.created_ms, g.name.label("gateway"))
    query = query.join_from(schema.devices, schema.gateways, d.gateway_id == g.id, isouter=True).order_by(d.gadget_id)
    if name:
        query = query.where(schema.is_named(d.gadget_id, name))
    with context_of(request).store.reads() as connection:
        rows = connection.execute(query).all()
        last_ms = last_times_ms(connection)
    return [
        {
            "factory_id": row.gadget_id,
            "family": row.family,
            "gateway": row.gateway or "",
            "status": row.status,
            "status_text": STATUSES.get(row.status, ""),
            "notes": row.notes,
            "created": iso_time(row.created_ms),
            "last_received_data": iso_time(last_ms[row.id]) if row.id in last_ms else None,
        }
        for row in rows
    ]


def _change(connection: Connection, device_id: int, changes: DeviceChanges) -> None:
    values = {"status": changes.status, "notes": changes.notes}
    if values := {name: value for name, value in values.items() if value is not None}:
        connection.execute(update(schema.devices).where(schema.devices.c.id == device_id).values(**values))


def _id_of(connection: Connection, request: Request) -> int:
    name: str = request.path_params["name"]
    d = schema.devices.c
    found = connection.execute(select(d.id).where(schema.is_named(d.gadget_id, name))).scalar()
    return int(found or _raise_unknown(name))


def _raise_unknown(name: str) -> NoReturn:
    raise HTTPException(404, f"unknown device {name}")
