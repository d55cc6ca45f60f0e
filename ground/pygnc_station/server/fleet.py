"""State of all gateways: last request, newest report, alerts and gadgets of each, for the operator of the server."""

from enum import StrEnum
from itertools import chain
from operator import attrgetter
from typing import Final

import msgspec
from sqlalchemy import Connection, func, select

from pygnc_station.server_settings import Alerts
from pygnc_station.settings_types import Location
from pygnc_station.station_state import Reported, StationState
from pygnc_station.store import schema
from pygnc_station.store.query import last_times_ms
from pygnc_station.store.readings import MINUTE_MS
from pygnc_station.store.store import put_row

SERVER: Final = 0
"""Number of this server among the gateways of alerts."""
_REPORTED: Final = Reported.__struct_fields__


class GatewayState(StrEnum):
    """State of a gateway by the time of its last request, or of its registration if it has sent none."""

    FINE = "fine"
    LATE = "late"
    """It has sent no request for `late_min`."""
    SILENT = "silent"
    """It has sent no request for `silent_min`."""
    REVOKED = "revoked"
    """The key of the gateway was revoked."""


class Alert(msgspec.Struct, frozen=True):
    """Alert that is raised: its name, the time of its beginning, and a description."""

    name: str
    since_ms: int
    text: str


class Gadget(msgspec.Struct, frozen=True):
    """Gadget of a gateway: name on this server, kind of device, time of its newest reading, place if it is known."""

    name: str
    kind: str
    last_reading_ms: int | None
    location: Location | None


class Gateway(Reported, frozen=True, kw_only=True):
    """State of a gateway, with the values that it has reported.

    Attributes:
        id: number of the gateway.
        name: name of the gateway; several may have the same.
        state: state by the time of its last request.
        registered_ms: time of its registration; all times are in milliseconds since 1970 (UTC).
        last_seen_ms: time of its last request with a valid key.
        refused_ms: time of its last request with a revoked key.
        lost_ms: time of its last request that named batches as accepted which are unknown here.
        reported_ms: time at which the reported values arrived.
        clock_offset_s: clock of the station minus clock of the server; the time of the transfer is included.
        alerts: its alerts, the oldest first.
        gadgets: its gadgets by name.
    """

    id: int
    name: str
    state: GatewayState
    registered_ms: int
    last_seen_ms: int | None
    refused_ms: int | None
    lost_ms: int | None
    reported_ms: int | None
    clock_offset_s: float | None
    alerts: list[Alert]
    gadgets: list[Gadget]


class Fleet(msgspec.Struct, frozen=True):
    """State of a fleet: current time, alerts of the server itself, gateways, gadgets that belong to no gateway."""

    time_ms: int
    alerts: list[Alert]
    gateways: list[Gateway]
    gadgets: list[Gadget]


def store_state(connection: Connection, gateway: int, state: StationState, received_ms: int) -> None:
    """Store the state that a gateway has sent, which replaces the one before."""
    row = {"gateway_id": gateway, "received_ms": received_ms, "content": msgspec.json.encode(state).decode()}
    put_row(connection, schema.station_states, row)


def read_fleet(connection: Connection, now_ms: int, settings: Alerts) -> Fleet:
    """Return the state of the fleet, gateways in the order of their registration."""
    g = schema.gateways.c
    query = select(g.id, g.name, g.created_ms, g.seen_ms, g.revoked_ms, g.refused_ms, g.lost_ms).order_by(g.id)
    reports, raised = _reports(connection), raised_alerts(connection)
    gadgets = _gadgets_by_owner(connection, reports)
    found = []
    for row in connection.execute(query):
        received_ms, state = reports.get(row.id, (None, None))
        gateway = Gateway(
            id=row.id,
            name=row.name,
            state=_state(
                abs(now_ms - (row.seen_ms or row.created_ms)), settings, is_revoked=row.revoked_ms is not None
            ),
            registered_ms=row.created_ms,
            last_seen_ms=row.seen_ms,
            refused_ms=row.refused_ms,
            lost_ms=row.lost_ms,
            reported_ms=received_ms,
            clock_offset_s=None if state is None or received_ms is None else (state.time_ms - received_ms) / 1000,
            alerts=raised.get(row.id, []),
            gadgets=gadgets.get(row.id, []),
            **{name: getattr(state, name) for name in _REPORTED if state},
        )
        found.append(gateway)
    return Fleet(now_ms, raised.get(SERVER, []), found, gadgets.get(None, []))


def raised_alerts(connection: Connection) -> dict[int, list[Alert]]:
    """Return the alerts that are raised, by gateway and the oldest first; those of this server have the key SERVER."""
    c = schema.alerts.c
    found: dict[int, list[Alert]] = {}
    query = select(c.gateway_id, c.name, c.since_ms, c.text)
    for gateway, *alert in connection.execute(query):
        found.setdefault(gateway, []).append(Alert(*alert))
    s, d = schema.rule_states.c, schema.devices.c
    of_values = select(d.gateway_id, d.gadget_id, s.rule, s.raised_ms, s.text).where(s.raised_ms.is_not(None))
    for row in connection.execute(of_values.join_from(schema.rule_states, schema.devices)):
        # The parentheses keep the name apart from those of the other alerts.
        value_alert = Alert(f"{row.rule} ({row.gadget_id})", row.raised_ms, row.text)
        found.setdefault(row.gateway_id or SERVER, []).append(value_alert)
    for alerts in found.values():
        alerts.sort(key=attrgetter("since_ms", "name"))
    return found


def _state(quiet_ms: int, settings: Alerts, *, is_revoked: bool) -> GatewayState:
    if is_revoked:
        return GatewayState.REVOKED
    quiet_min = quiet_ms / MINUTE_MS
    if 0 < settings.silent_min < quiet_min:
        return GatewayState.SILENT
    return GatewayState.LATE if quiet_min > settings.late_min else GatewayState.FINE


def places(connection: Connection) -> dict[str, Location]:
    """Return the places of the gadgets that their stations report, by name of the gadget."""
    gadgets = chain.from_iterable(_gadgets_by_owner(connection, _reports(connection)).values())
    return {gadget.name: gadget.location for gadget in gadgets if gadget.location is not None}


def _reports(connection: Connection) -> dict[int, tuple[int, StationState]]:
    c = schema.station_states.c
    rows = connection.execute(select(c.gateway_id, c.received_ms, c.content))
    return {row[0]: (row[1], msgspec.json.decode(row[2], type=StationState)) for row in rows}


def _gadgets_by_owner(
    connection: Connection, reports: dict[int, tuple[int, StationState]]
) -> dict[int | None, list[Gadget]]:
    d = schema.devices.c
    last_ms = last_times_ms(connection)
    places = {
        (gateway, name.lower()): place
        for gateway, (_, state) in reports.items()
        for name, place in state.locations.items()
    }
    found: dict[int | None, list[Gadget]] = {}
    query = select(d.id, d.gadget_id, d.family, d.gateway_id, d.local_name).order_by(func.lower(d.gadget_id))
    for row in connection.execute(query):
        place = places.get((row.gateway_id, (row.local_name or row.gadget_id).lower()))
        found.setdefault(row.gateway_id, []).append(Gadget(row.gadget_id, row.family, last_ms.get(row.id), place))
    return found
