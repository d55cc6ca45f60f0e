"""Access control: PINs register stations as gateways, keys permit gateways to upload, tokens permit reading or writing.

The store contains only hashes of these secrets. A PIN is valid for minutes and for one registration;
`context.RateLimit` limits the attempts to guess a PIN.
"""

import hashlib
import secrets
import string
from typing import Final, NamedTuple

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from pygnc_station.errors import StationError
from pygnc_station.server.ownership import gateway_named
from pygnc_station.store import schema
from pygnc_station.store.readings import DAY_MS, MINUTE_MS
from pygnc_station.store.store import Store

KEY_LENGTH: Final = 20
"""Number of characters of a key, as batonopc expects it."""
MAX_PIN_MINUTES: Final = 100_000
"""Longest validity of a PIN. One that would be valid for longer was created under a clock set ahead."""
_PIN_DIGITS: Final = 8
_VISIT_MS: Final = 10_000
_G: Final = schema.gateways.c
_VISITOR: Final = select(_G.id, _G.revoked_ms, _G.seen_ms, _G.refused_ms).where(_G.key_hash == bindparam("key_hash"))
"""Gateway of a key; every request of a station needs it, and SQLAlchemy takes as long to build it as to run it."""
_ALPHABET: Final = string.ascii_letters + string.digits


def new_pin(store: Store, now_ms: int, minutes: float, gateway: str = "") -> str:
    """Create a PIN for the registration of one station.

    Args:
        store: store of the server.
        now_ms: current time, milliseconds since 1970 (UTC).
        minutes: validity of the PIN.
        gateway: name of the registered gateway that gets a new key and keeps its gadgets; "" for a new gateway.

    Raises:
        StationError: no gateway has this name, or several have it.
    """
    pin = "".join(secrets.choice(string.digits) for _ in range(_PIN_DIGITS))
    with store.writes() as connection:
        connection.execute(delete(schema.pins).where(schema.pins.c.expires_ms < now_ms))
        row = {"pin_hash": _hash(pin), "expires_ms": now_ms + int(minutes * MINUTE_MS)}
        row["gateway_id"] = gateway_named(connection, gateway) if gateway else None
        connection.execute(insert(schema.pins), row)
    return pin


def register(store: Store, pin: str, device_id: str, name: str, now_ms: int, *, old_key: str = "") -> str | None:
    """Return a new key for a station and delete the PIN; None if the PIN is wrong, used or expired.

    A station that presents a valid key of its name keeps this key: a new key would lock out the station whose card was
    copied. A PIN for a gateway replaces the key of that gateway. The gadgets stay with the gateway in both cases.
    """
    key = "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))
    table, c = schema.gateways, schema.pins.c
    with store.writes() as connection:
        gateway = connection.execute(select(c.gateway_id).where(c.pin_hash == _hash(pin))).scalar()
        is_valid = c.expires_ms.between(now_ms, now_ms + MAX_PIN_MINUTES * MINUTE_MS)
        used = connection.execute(delete(schema.pins).where(c.pin_hash == _hash(pin), is_valid))
        if used.rowcount != 1:
            return None
        row = {"device_id": printable(device_id), "key_hash": _hash(key), "revoked_ms": None, "refused_ms": None}
        is_own = (table.c.name == printable(name), table.c.key_hash == _hash(old_key), table.c.revoked_ms.is_(None))
        if gateway is None and connection.execute(select(table.c.id).where(*is_own)).first():
            return old_key
        if gateway is None:
            connection.execute(insert(table), row | {"name": printable(name), "created_ms": now_ms})
        else:
            connection.execute(update(table).where(table.c.id == gateway).values(**row))
    return key


def visit(store: Store, key: str, now_ms: int) -> int | None:
    """Return the id of the gateway of a key and record the time of its visit; None if the key is unknown or revoked.

    A visit is recorded at most every 10 s, because the requests of an upload would wait for other uploads to be stored.
    """
    with store.reads() as connection:
        found = connection.execute(_VISITOR, {"key_hash": _hash(key)}).first()
    if found is None:
        return None
    name = "seen_ms" if found.revoked_ms is None else "refused_ms"
    last_ms = getattr(found, name)
    if last_ms is None or not 0 <= now_ms - last_ms <= _VISIT_MS:
        visited = update(schema.gateways).where(_G.id == found.id).values({name: now_ms})
        with store.writes() as connection:
            connection.execute(visited)
    return int(found.id) if found.revoked_ms is None else None


def revocation_of(store: Store, key: str) -> tuple[str, int] | None:
    """Return the gateway whose key was revoked, and when, milliseconds since 1970 (UTC); None for any other key."""
    c = schema.gateways.c
    query = select(c.name, c.revoked_ms).where(c.key_hash == _hash(key), c.revoked_ms.is_not(None))
    with store.reads() as connection:
        found = connection.execute(query).first()
    return None if found is None else (found.name, found.revoked_ms)


class Gateway(NamedTuple):
    """A registered station: times in milliseconds since 1970 (UTC), names of its gadgets on this server."""

    id: int
    name: str
    created_ms: int
    seen_ms: int | None
    revoked_ms: int | None
    gadgets: list[str]


def list_gateways(store: Store) -> list[Gateway]:
    """Return all gateways in the order of their registration."""
    c, d = schema.gateways.c, schema.devices.c
    gadgets: dict[int, list[str]] = {}
    with store.reads() as connection:
        for owner, name in connection.execute(select(d.gateway_id, d.gadget_id).order_by(d.gadget_id)):
            gadgets.setdefault(owner, []).append(name)
        rows = connection.execute(select(c.id, c.name, c.created_ms, c.seen_ms, c.revoked_ms).order_by(c.id))
        return [Gateway(*row, gadgets.get(row.id, [])) for row in rows]


def rename(store: Store, gateway: str, name: str) -> None:
    """Rename a gateway.

    Raises:
        StationError: the gateway is unknown, or the new name is invalid or another gateway's.
    """
    if not name or name != printable(name):
        raise StationError(f"name {name!r:.80} must have 1 to {schema.MAX_NAME_LENGTH} printable characters")
    table = schema.gateways
    with store.writes() as connection:
        id_ = gateway_named(connection, gateway)
        if connection.execute(select(table.c.id).where(table.c.name == name, table.c.id != id_)).first():
            raise StationError(f"another gateway has the name {name}; choose another name")
        connection.execute(update(table).where(table.c.id == id_).values(name=name))


def revoke(store: Store, name: str, now_ms: int) -> int:
    """Revoke the keys of a station, by its name or number; return their number."""
    table = schema.gateways
    with store.writes() as connection:
        is_meant = table.c.name == name
        if name.isdecimal() and connection.execute(select(table.c.id).where(is_meant)).first() is None:
            is_meant = table.c.id == int(name)
        condition = (is_meant, table.c.revoked_ms.is_(None))
        return int(connection.execute(update(table).where(*condition).values(revoked_ms=now_ms)).rowcount)


def new_token(store: Store, name: str, now_ms: int, *, may_write: bool, days: float | None = None) -> str:
    """Create a token, which replaces an older token of the same name; it is valid for `days`, None means unlimited."""
    token = secrets.token_urlsafe(30)
    expires_ms = None if days is None else now_ms + int(days * DAY_MS)
    row = {"token_hash": _hash(token), "name": name, "may_write": int(may_write), "expires_ms": expires_ms}
    with store.writes() as connection:
        connection.execute(delete(schema.tokens).where(schema.tokens.c.name == name))
        connection.execute(insert(schema.tokens), row)
    return token


def holder_of(store: Store, token: str, now_ms: int, *, to_write: bool) -> str:
    """Return the name of a token that permits reading (or writing); "" if it does not, is unknown or has expired."""
    c = schema.tokens.c
    query = select(c.name, c.may_write, c.expires_ms).where(c.token_hash == _hash(token))
    with store.reads() as connection:
        found = connection.execute(query).first()
    if found is None or (found.expires_ms is not None and found.expires_ms < now_ms):
        return ""
    return str(found.name) if found.may_write or not to_write else ""


def list_tokens(connection: Connection) -> list[Row[tuple[str, int, int | None]]]:
    """Return name, permission to write and time of expiry of all tokens by name."""
    c = schema.tokens.c
    return list(connection.execute(select(c.name, c.may_write, c.expires_ms).order_by(c.name)))


def remove_token(connection: Connection, name: str) -> None:
    """Remove a token.

    Raises:
        StationError: no token has this name.
    """
    if not connection.execute(delete(schema.tokens).where(schema.tokens.c.name == name)).rowcount:
        raise StationError(f"no token has the name {name!r:.80}")


def printable(name: str) -> str:
    """Return a name that a station has sent, as it may be logged and shown on a terminal."""
    return "".join(filter(str.isprintable, name))[: schema.MAX_NAME_LENGTH]


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
