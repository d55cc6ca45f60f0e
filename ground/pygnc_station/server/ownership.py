"""Owners of gadgets: each belongs to the gateway that uploads its readings, and only that gateway may add to it.

The name of a gadget is unique per gateway. Another gateway's gadget of the same name is stored as `NAME@GATEWAY`.
Readings are identified by the origin of the store that numbered them, which only that store and this server know; so
an origin that another gateway has used proves a forgery, or a copy of that gateway's store.
"""

import logging
from collections.abc import Iterable
from itertools import chain, count
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, insert, or_, select, update

from pygnc_station.errors import BadBatchError, StationError
from pygnc_station.station_state import Namesake, StoredGadget
from pygnc_station.store import schema
from pygnc_station.store.schema import MAX_NAME_LENGTH
from pygnc_station.store.store import make_device

_D: Final = schema.devices.c
_G: Final = schema.gateways.c
# Statements of each upload: SQLAlchemy takes as long to build one as SQLite to execute it.
_NAME: Final = select(_G.name).where(_G.id == bindparam("gateway"))
_NAMESAKES: Final = (
    select(_G.id, _G.seen_ms)
    .where(_G.name == _NAME.scalar_subquery(), _G.id != bindparam("gateway"), _G.revoked_ms.is_(None))
    .order_by(_G.id)
)
_OWNERS: Final = (
    select(_D.gateway_id)
    .join_from(schema.streams, schema.devices)
    .where(schema.streams.c.origin == bindparam("origin"), _D.gateway_id.is_not(None))
    .distinct()
)
_GADGET: Final[Select[Any]] = select(_D.id, _D.gadget_id, _D.gateway_id, _D.local_name)
_OWN_GADGET: Final = _GADGET.where(
    _D.gateway_id == bindparam("gateway"), schema.is_named(_D.local_name, bindparam("name"))
)
_GADGET_NAMED: Final = _GADGET.where(schema.is_named(_D.gadget_id, bindparam("name")))
_log: Final = logging.getLogger(__name__)


class ForeignOriginError(BadBatchError):
    """Error raised when a gateway uploads readings of another gateway's store.

    Attributes:
        origin: identifier of that store.
    """

    def __init__(self, origin: str, owner: str) -> None:
        super().__init__(
            f"readings of origin {origin} belong to gateway {owner}; a copy of its store gets a new origin and is"
            " uploaded under that; if this gateway replaces it, transfer its gadgets on the server:"
            " pygnc station gateways transfer"
        )
        self.origin = origin


def owned_gadget(connection: Connection, gateway: int, name: str, origin: str, family: str) -> str:
    """Return the name under which a gateway's gadget is stored; the gadget is created if it is new.

    A gadget without an owner, from a store of an older version, is given to the gateway that continues its readings.

    Args:
        connection: write transaction.
        gateway: id of the gateway that uploads.
        name: name of the gadget at the gateway; upper and lower case are not distinguished.
        origin: identifier of the store that numbered the readings.
        family: kind of a new device.

    Raises:
        ForeignOriginError: another gateway's gadget has readings of this origin, and no gadget of this gateway has.
    """
    _require_own_origin(connection, gateway, origin)
    if (mine := _own_gadget(connection, gateway, name)) is not None:
        return str(mine.gadget_id)
    same_name = _gadget_named(connection, name)
    if same_name is None or (same_name.gateway_id is None and _may_claim(connection, same_name.id, origin)):
        stored = name if same_name is None else str(same_name.gadget_id)
        # Another gateway may claim it at the same time.
        is_free = or_(_D.gateway_id.is_(None), _D.gateway_id == gateway)
        if _give(connection, make_device(connection, stored, family), gateway, name, is_free):
            return stored
    stored = _free_name(connection, gateway, name)
    _give(connection, make_device(connection, stored, family), gateway, name)
    _log.warning(
        "gateway %s: its gadget %s is stored as %s, because another owner has a gadget of this name",
        name_of_gateway(connection, gateway), name, stored,
    )  # fmt: skip
    return stored


def namesakes(connection: Connection, gateway: int) -> list[Namesake]:
    """Return the other gateways with the name of a gateway whose keys are valid."""
    return [Namesake(*row) for row in connection.execute(_NAMESAKES, {"gateway": gateway})]


def renamed_gadgets(connection: Connection, gateway: int, names: Iterable[str]) -> list[StoredGadget]:
    """Return those of a gateway's gadgets that are, or would be, stored under another name; `names` may be new."""
    found = []
    for name in names:
        same_name = _gadget_named(connection, name)
        if same_name is None or same_name.gateway_id in {None, gateway}:
            continue
        mine = _own_gadget(connection, gateway, name)
        stored = _free_name(connection, gateway, name) if mine is None else str(mine.gadget_id)
        found.append(StoredGadget(name, stored, name_of_gateway(connection, same_name.gateway_id)))
    return found


def stored_name(connection: Connection, name: str) -> str:
    """Return the name of the stored gadget with this name in any case, or the name itself if there is none."""
    found = _gadget_named(connection, name)
    return name if found is None else str(found.gadget_id)


def transfer(connection: Connection, gadget: str, gateway_name: str, now_ms: int) -> str:
    """Give a gadget to another gateway and write that into the gadget's log; return the name of its last owner.

    If the gateway has a gadget of this name, that one gets no further readings.

    Raises:
        StationError: gadget or gateway are unknown.
    """
    found = _gadget_named(connection, gadget)
    if found is None:
        raise StationError(f"unknown gadget {gadget}; the page of the server lists all")
    gateway = gateway_named(connection, gateway_name)
    name = found.local_name or found.gadget_id
    present = _own_gadget(connection, gateway, name)
    if present is not None and present.id != found.id:
        _give(connection, present.id, gateway, None)
        _log_action(connection, present, f"replaced by {found.gadget_id}; gets no further readings", now_ms)
    last = name_of_gateway(connection, found.gateway_id)
    _give(connection, found.id, gateway, name)
    _log_action(connection, found, f"transferred from gateway {last or 'none'} to {gateway_name}", now_ms)
    return last


def gateway_named(connection: Connection, name: str) -> int:
    """Return the id of the gateway with a name.

    Raises:
        StationError: no gateway has this name, or several have it.
    """
    ids = connection.execute(select(_G.id).where(_G.name == name)).scalars().all()
    if len(ids) != 1:
        reason = "several gateways have it; name it by its number" if ids else "`pygnc station gateways list` lists all"
        if name.isdecimal() and connection.execute(select(_G.id).where(_G.id == int(name))).first():
            return int(name)
        raise StationError(f"no single gateway {name!r}: {reason}")
    return int(ids[0])


def name_of_gateway(connection: Connection, gateway: int | None) -> str:
    """Return the name of a gateway, its number if it has none, or "" for None."""
    if gateway is None:
        return ""
    return str(connection.execute(_NAME, {"gateway": gateway}).scalar() or gateway)


def _require_own_origin(connection: Connection, gateway: int, origin: str) -> None:
    owners = connection.execute(_OWNERS, {"origin": origin}).scalars().all()
    if owners and gateway not in owners:  # after a transfer, gadgets with readings of one store have several owners
        raise ForeignOriginError(origin, name_of_gateway(connection, owners[0]))


def _may_claim(connection: Connection, device_id: int, origin: str) -> bool:
    """Return True if a gadget without an owner has no readings yet, or readings of this origin."""
    s = schema.streams.c
    origins = set(connection.execute(select(s.origin).where(s.device_id == device_id)).scalars())
    return not origins or origin in origins


def _free_name(connection: Connection, gateway: int, name: str) -> str:
    suffixes = (f"@{name_of_gateway(connection, gateway)}"[: MAX_NAME_LENGTH // 2], f"@{gateway}")
    for suffix in chain(suffixes, (f"@{gateway}-{rank}" for rank in count(2))):
        stored = name[: MAX_NAME_LENGTH - len(suffix)] + suffix
        if _gadget_named(connection, stored) is None:
            break
    return stored


def _own_gadget(connection: Connection, gateway: int, name: str) -> Row[Any] | None:
    """Return the gadget of a gateway with this name at the gateway."""
    return connection.execute(_OWN_GADGET, {"gateway": gateway, "name": name}).first()


def _gadget_named(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(_GADGET_NAMED, {"name": name}).first()


def _give(
    connection: Connection, device_id: int, gateway: int, local_name: str | None, *conditions: ColumnElement[bool]
) -> bool:
    """Give a gadget to a gateway if it meets the conditions; return False if it does not."""
    statement = update(schema.devices).where(_D.id == device_id, *conditions)
    return connection.execute(statement.values(gateway_id=gateway, local_name=local_name)).rowcount == 1


def _log_action(connection: Connection, gadget: Row[Any], action: str, now_ms: int) -> None:
    entry = {"device_id": gadget.id, "t_utc_ms": now_ms, "action_type": "Updated", "notes": "", "place": "", "who": ""}
    connection.execute(insert(schema.gadget_log), entry | {"action": action})
    _log.warning("gadget %s: %s", gadget.gadget_id, action)
