"""Alerts: rules for gateways and for this server, and the record of the alerts that are raised.

An alert is raised at its limit and cleared well inside it, so that a value near the limit changes it once. The record
and the notices of a change are written in one transaction, so each change is notified once, also after a restart.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from operator import itemgetter
from typing import Final, NamedTuple

from sqlalchemy import Connection, delete, insert, select

from pygnc_station.server.fleet import SERVER, Alert, Fleet, Gateway, GatewayState
from pygnc_station.server.neighbours import Doubt
from pygnc_station.server_settings import Alerts
from pygnc_station.store import schema
from pygnc_station.store.readings import DAY_MS, HOUR_MS, MINUTE_MS, iso_time
from pygnc_station.store.store import Store

_EVENT_RAISE_MS: Final = HOUR_MS
"""The alert of an event, such as the use of a revoked key, is raised if the event has happened within this time."""
_EVENT_CLEAR_MS: Final = DAY_MS
"""The alert of an event is cleared if the event has not happened within this time."""
_DISK_MARGIN: Final = 1.25
"""A disk is no longer full when it has this multiple of the limit free."""

_STORAGE_MARGIN: Final = 0.95
"""A storage is no longer full when less than this part of the limit is used."""
_SENSOR: Final = "sensor "
"""Begin of the names of alerts of doubted units."""


class Level(Enum):
    """Result of a rule: raise the alert, leave it as it is, or clear it."""

    RAISE = 1
    LEAVE = 2
    CLEAR = 3


class Verdict(NamedTuple):
    """Result of the rule of an alert; `text` describes the problem."""

    alert: str
    level: Level
    text: str


class Change(NamedTuple):
    """Alert of a gateway that is raised or cleared: id and name of the gateway, the alert, its text."""

    gateway: int
    gateway_name: str
    alert: str
    is_raised: bool
    text: str

    @property
    def title(self) -> str:
        """Short description."""
        return f"{self.gateway_name}: {self.alert} {'raised' if self.is_raised else 'cleared'}"


def judge_gateway(gateway: Gateway, now_ms: int, settings: Alerts, served_since_ms: int = 0) -> Iterator[Verdict]:
    """Yield the results of all rules for a gateway.

    Args:
        gateway: state of the gateway.
        now_ms: current time, milliseconds since 1970 (UTC).
        settings: limits.
        served_since_ms: time since which the server has been running; it could receive no requests before.
    """
    if gateway.state is GatewayState.REVOKED:
        level = _judge_event(gateway.refused_ms, now_ms)
        last = iso_time(gateway.refused_ms) if gateway.refused_ms is not None else ""
        yield Verdict("revoked", level, f"its key is revoked, but it is still used; the last request was at {last}")
        for alert in ("silent", "backlog", "clock", "disk", "restored"):
            yield Verdict(alert, Level.CLEAR, "")
        return
    yield Verdict("revoked", Level.CLEAR, "")
    seen_ms = gateway.last_seen_ms or gateway.registered_ms
    # A time ahead of the present one was recorded under a wrong clock, which hides no silence.
    silent = _judge_excess(abs(now_ms - seen_ms) / MINUTE_MS, settings.silent_min)
    if silent is Level.RAISE and now_ms - served_since_ms <= settings.silent_min * MINUTE_MS:
        silent = Level.LEAVE
    yield Verdict("silent", silent, f"no request since {iso_time(seen_ms)} (limit {settings.silent_min:g} min)")
    count, limit = gateway.backlog_readings, settings.backlog_readings
    backlog = f"{count} readings are not uploaded (limit {limit}), and {gateway.backlog_batches} batches wait"
    yield Verdict("backlog", _judge_excess(count, limit), backlog)
    offset_s, limit_s = gateway.clock_offset_s, settings.clock_offset_s
    clock = f"differs from the server's by {offset_s or 0:.1f} s (limit {limit_s:g} s)"
    yield Verdict("clock", _judge_excess(None if offset_s is None else abs(offset_s), limit_s), clock)
    yield _judge_disk(gateway.disk_free_bytes, settings.disk_free_bytes)
    lost = "batches that were accepted are unknown here, as after the restoration of a backup; they are sent again"
    yield Verdict("restored", _judge_event(gateway.lost_ms, now_ms), lost)


def _judge_event(last_ms: int | None, now_ms: int) -> Level:
    """Judge an event by the time at which it last happened; None: never."""
    age_ms = _EVENT_CLEAR_MS if last_ms is None else abs(now_ms - last_ms)
    return Level.RAISE if age_ms < _EVENT_RAISE_MS else Level.CLEAR if age_ms >= _EVENT_CLEAR_MS else Level.LEAVE


def _judge_excess(value: float | None, limit: float) -> Level:
    if not limit:
        return Level.CLEAR
    if value is None or limit / 2 <= value <= limit:
        return Level.LEAVE
    return Level.RAISE if value > limit else Level.CLEAR


def _judge_disk(free_bytes: int | None, limit: int) -> Verdict:
    text = f"{(free_bytes or 0) / 1e6:.0f} MB free (limit {limit / 1e6:.0f} MB)"
    if not limit:
        return Verdict("disk", Level.CLEAR, text)
    if free_bytes is None or limit <= free_bytes < _DISK_MARGIN * limit:
        return Verdict("disk", Level.LEAVE, text)
    return Verdict("disk", Level.RAISE if free_bytes < limit else Level.CLEAR, text)


def _judge_storage(used_percent: Mapping[str, float], limit_percent: float) -> Verdict:
    """Return the result of the rule for the storage that is fullest."""
    if not limit_percent:
        return Verdict("storage", Level.CLEAR, "")
    name, percent = max(used_percent.items(), key=itemgetter(1))
    level = Level.RAISE if percent > limit_percent else Level.LEAVE
    if percent < _STORAGE_MARGIN * limit_percent:
        level = Level.CLEAR
    return Verdict("storage", level, f"{name} is used to {percent:.0f} % (limit {limit_percent:g} %)")


class Room(NamedTuple):
    """Room of a server: free space of the disk of the received batches, and the use of each storage by its name."""

    free_bytes: int
    used_percent: Mapping[str, float]


def changes(fleet: Fleet, settings: Alerts, server_name: str, room: Room, served_since_ms: int = 0) -> Iterator[Change]:
    """Yield the alerts that have to be raised or cleared.

    Args:
        fleet: state of the fleet with the alerts that are raised.
        settings: limits.
        server_name: name of this server in notifications.
        room: room of this server, with at least one storage.
        served_since_ms: see `judge_gateway`.
    """
    own = [
        _judge_disk(room.free_bytes, settings.server_disk_free_bytes),
        _judge_storage(room.used_percent, settings.storage_percent),
    ]
    yield from _changes(SERVER, server_name, fleet.alerts, own, fleet.time_ms)
    for gateway in fleet.gateways:
        verdicts = judge_gateway(gateway, fleet.time_ms, settings, served_since_ms)
        yield from _changes(gateway.id, gateway.name, gateway.alerts, verdicts, fleet.time_ms)


def sensor_changes(raised: Sequence[Alert], found: Iterable[Doubt], server_name: str, now_ms: int) -> Iterator[Change]:
    """Yield the alerts of doubted units that have to be raised or cleared.

    Args:
        raised: alerts of this server that are raised.
        found: units that differ from their neighbours.
        server_name: name of this server in notifications.
        now_ms: current time, milliseconds since 1970 (UTC).
    """
    texts: dict[str, str] = {}
    for doubt in found:
        name = f"{_SENSOR}{doubt.gadget}"
        texts[name] = f"{texts[name]}; {doubt.text}" if name in texts else f"{doubt.gadget} {doubt.text}"
    over = [alert.name for alert in raised if alert.name.startswith(_SENSOR) and alert.name not in texts]
    verdicts = [Verdict(name, Level.RAISE, text) for name, text in texts.items()]
    yield from _changes(SERVER, server_name, raised, [*verdicts, *(Verdict(n, Level.CLEAR, "") for n in over)], now_ms)


def _changes(
    gateway: int, name: str, raised: Sequence[Alert], verdicts: Iterable[Verdict], now_ms: int
) -> Iterator[Change]:
    since_ms = {alert.name: alert.since_ms for alert in raised}
    for verdict in verdicts:
        if verdict.level is Level.RAISE and verdict.alert not in since_ms:
            yield Change(gateway, name, verdict.alert, True, verdict.text)  # noqa: FBT003 - is_raised
        elif verdict.level is Level.CLEAR and verdict.alert in since_ms:
            minutes = (now_ms - since_ms[verdict.alert]) / MINUTE_MS
            yield Change(gateway, name, verdict.alert, False, f"after {minutes:.0f} min")  # noqa: FBT003 - likewise


def record(store: Store, change: Change, destinations: Iterable[str], now_ms: int) -> bool:
    """Record a change of an alert, and a notice of it for each destination; return False if it was recorded before."""
    a = schema.alerts.c
    meant = (a.gateway_id == change.gateway, a.name == change.alert)
    with store.writes() as connection:
        if change.is_raised:
            if connection.execute(select(a.name).where(*meant)).first():
                return False
            row = {"gateway_id": change.gateway, "name": change.alert, "since_ms": now_ms, "text": change.text}
            connection.execute(insert(schema.alerts), row)
        elif not connection.execute(delete(schema.alerts).where(*meant)).rowcount:
            return False
        add_notices(connection, change, destinations, now_ms)
    return True


def add_notices(
    connection: Connection, change: Change, destinations: Iterable[str], now_ms: int, held_until_ms: int = 0
) -> None:
    """Record a notice of a change for each destination.

    Notices are held in the quiet hours, which end at `held_until_ms`. A change that reverts one whose notice is held
    needs no notice, and neither does the other one.
    """
    n = schema.notices.c
    notice = {"created_ms": now_ms, "title": change.title, "text": change.text, "attempts": 0, "next_try_ms": 0}
    opposite = change._replace(is_raised=not change.is_raised).title
    for destination in destinations:
        held = (n.destination == destination, n.title == opposite, n.held_until_ms > now_ms)
        if not connection.execute(delete(schema.notices).where(*held)).rowcount:
            row = notice | {"destination": destination, "held_until_ms": held_until_ms}
            connection.execute(insert(schema.notices), row)
