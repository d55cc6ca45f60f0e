"""Accounts: people with roles who sign in by password and, if they wish, a second factor; their sessions; audit log.

The store contains hashes of passwords (argon2id) and of session tokens. Only the secret of a second factor is stored
as it is, because codes are computed from it.
"""

import base64
import getpass
import hashlib
import hmac
import secrets
import threading
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from pygnc_station.errors import StationError
from pygnc_station.server.access import printable
from pygnc_station.store import schema
from pygnc_station.store.readings import DAY_MS, HOUR_MS, MINUTE_MS
from pygnc_station.store.store import Store

IDLE_MS: Final = 12 * HOUR_MS
"""A session ends after this time without a request."""
LONGEST_MS: Final = 7 * DAY_MS
SHORTEST_PASSWORD: Final = 10
ACCOUNTS_REMEDY: Final = "pip install 'pygnc-station[accounts]'"
_LONGEST_PASSWORD: Final = 1000
_SEEN_MS: Final = 5 * MINUTE_MS
"""A request is recorded at most this often, so that reading writes little."""
_STEP_S: Final = 30
_DJANGO: Final = "pbkdf2_sha256"
_MOST_ITERATIONS: Final = 5_000_000
_MEMORY_KIB: Final = 19_456
"""With two passes, the least memory that OWASP advises; a thousand times what a hash without memory costs a guesser."""
_hashing: Final = threading.Lock()
"""One password is hashed at a time: many at once would need much memory."""
_U: Final = schema.users.c
_SE: Final = schema.sessions.c


class Role(StrEnum):
    """Role of a user; each one may do what those before it may do."""

    VIEWER = "viewer"
    """Reads."""
    OPERATOR = "operator"
    """Changes notes, rules of alerts, names and owners, and issues PINs."""
    ADMINISTRATOR = "administrator"
    """Revokes keys, manages users and tokens, and reads the audit log."""

    def permits(self, least: "Role") -> bool:
        """Return True if a user of this role may do what a user of the role `least` may do."""
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(least)


class User(NamedTuple):
    """User of the page."""

    name: str
    role: Role
    has_second_factor: bool
    created_ms: int


class Session(NamedTuple):
    """Session of a user; requests that change something contain `csrf`, which only the own page can read."""

    user_id: int
    name: str
    role: Role
    host: str
    csrf: str


def add_user(connection: Connection, name: str, password: str, role: Role, now_ms: int) -> None:
    """Add a user.

    Raises:
        StationError: the name is invalid or taken, or the password is too short.
        ModuleNotFoundError: argon2 is not installed.
    """
    if not name or name != printable(name):
        raise StationError(f"name {name!r:.80} must have 1 to {schema.MAX_NAME_LENGTH} printable characters")
    if is_user(connection, name):
        raise StationError(f"a user {name} exists already; choose another name")
    row = {"name": name, "role": role, "password_hash": hash_of(password), "created_ms": now_ms}
    connection.execute(insert(schema.users), row)


def change_user(
    connection: Connection,
    name: str,
    *,
    role: Role | None = None,
    password: str | None = None,
    totp_secret: str | None = None,
) -> None:
    """Change what is not None, and end the sessions of a user; `totp_secret` "" removes the second factor.

    Raises:
        StationError: the user is unknown or the last administrator, or the password is too short.
    """
    user = _user_named(connection, name)
    if role is not None and role is not Role.ADMINISTRATOR:
        _require_other_administrator(connection, user)
    values: dict[str, object] = {"role": role, "totp_secret": totp_secret}
    values["password_hash"] = None if password is None else hash_of(password)
    if chosen := {key: value for key, value in values.items() if value is not None}:
        connection.execute(update(schema.users).where(_U.id == user.id).values(**chosen))
        connection.execute(delete(schema.sessions).where(_SE.user_id == user.id))


def remove_user(connection: Connection, name: str) -> None:
    """Remove a user and the user's sessions.

    Raises:
        StationError: the user is unknown or the last administrator.
    """
    user = _user_named(connection, name)
    _require_other_administrator(connection, user)
    connection.execute(delete(schema.sessions).where(_SE.user_id == user.id))
    connection.execute(delete(schema.users).where(_U.id == user.id))


def list_users(connection: Connection) -> list[User]:
    """Return all users by name."""
    rows = connection.execute(select(_U.name, _U.role, _U.totp_secret, _U.created_ms).order_by(func.lower(_U.name)))
    return [User(row.name, Role(row.role), bool(row.totp_secret), row.created_ms) for row in rows]


def is_user(connection: Connection, name: str) -> bool:
    """Return True if a user has this name, in any case of its letters."""
    return connection.execute(select(_U.id).where(schema.is_named(_U.name, name))).first() is not None


def sign_in(store: Store, name: str, password: str, code: str, *, host: str, now_ms: int) -> str | None:
    """Return the token of a new session; None if name, password or code are wrong.

    Raises:
        ModuleNotFoundError: argon2 is not installed.
    """
    with store.reads() as connection:
        user = connection.execute(select(schema.users).where(schema.is_named(_U.name, name))).first()
    # An unknown name takes as long as a wrong password.
    known = user.password_hash if user else _DUMMY
    if not verifies(known, password) or user is None:
        return None
    token = secrets.token_urlsafe(32)
    with store.writes() as connection:
        if user.totp_secret and not _use_code(connection, user, code, now_ms):
            return None
        if known.startswith(_DJANGO):
            connection.execute(update(schema.users).where(_U.id == user.id).values(password_hash=_hashed(password)))
        connection.execute(delete(schema.sessions).where(_SE.created_ms < now_ms - LONGEST_MS))
        row = {"token_hash": _digest(token), "user_id": user.id, "host": host[: schema.MAX_NAME_LENGTH]}
        connection.execute(insert(schema.sessions), row | {"created_ms": now_ms, "seen_ms": now_ms})
    return token


def session_of(store: Store, token: str, now_ms: int) -> Session | None:
    """Return the session of a token and record that it is used; None if it is unknown or has expired."""
    columns = (_SE.host, _SE.created_ms, _SE.seen_ms, _U.id, _U.name, _U.role)
    query = select(*columns).join_from(schema.sessions, schema.users).where(_SE.token_hash == _digest(token))
    with store.reads() as connection:
        row = connection.execute(query).first()
    if row is None or not -HOUR_MS <= now_ms - row.seen_ms <= IDLE_MS or now_ms - row.created_ms > LONGEST_MS:
        return None
    if now_ms - row.seen_ms > _SEEN_MS:
        with store.writes() as connection:
            seen = update(schema.sessions).where(_SE.token_hash == _digest(token))
            connection.execute(seen.values(seen_ms=now_ms))
    return Session(row.id, row.name, Role(row.role), row.host, _digest(f"csrf {token}"))


def sign_out(store: Store, token: str) -> None:
    """End a session."""
    with store.writes() as connection:
        connection.execute(delete(schema.sessions).where(_SE.token_hash == _digest(token)))


def new_totp_secret() -> str:
    """Return the secret of a new second factor, in base 32."""
    import pyotp  # noqa: PLC0415 - an extra that only servers with users need

    return pyotp.random_base32()


def totp_uri(secret: str, name: str, server: str) -> str:
    """Return the address that an authenticator reads as a QR code or text."""
    import pyotp  # noqa: PLC0415 - likewise

    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=server)


def totp_step(secret: str, code: str, now_ms: int) -> int | None:
    """Return the step of a code of the present, the step before or the next one; None if the code is wrong."""
    import pyotp  # noqa: PLC0415 - likewise

    totp, now = pyotp.TOTP(secret, interval=_STEP_S), now_ms // 1000 // _STEP_S
    given = code.replace(" ", "").encode()
    steps = (step for step in (now, now - 1, now + 1) if hmac.compare_digest(totp.generate_otp(step).encode(), given))
    return next(steps, None)


def hash_of(password: str) -> str:
    """Return the hash of a new password.

    Raises:
        StationError: the password is too short or too long.
        ModuleNotFoundError: argon2 is not installed.
    """
    if not SHORTEST_PASSWORD <= len(password) <= _LONGEST_PASSWORD:
        raise StationError(f"the password must have {SHORTEST_PASSWORD} to {_LONGEST_PASSWORD} characters")
    return _hashed(password)


def verifies(known: str, password: str) -> bool:
    """Return True if a hash of argon2, or of Django's PBKDF2, is that of a password."""
    import argon2  # noqa: PLC0415 - an extra that only servers with users need

    if len(password) > _LONGEST_PASSWORD:
        return False
    with _hashing:
        if known.startswith(_DJANGO):
            return _verifies_django(known, password)
        try:
            return argon2.PasswordHasher().verify(known, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False


def is_django_hash(text: object) -> bool:
    """Return True for a hash of Django's default kind, as `pygnc station user import` accepts it."""
    parts = text.split("$") if isinstance(text, str) else []
    if len(parts) != 4 or parts[0] != _DJANGO or not parts[1].isdecimal():
        return False
    return 0 < int(parts[1]) <= _MOST_ITERATIONS


def note(connection: Connection, who: str, origin: str, action: str, now_ms: int) -> None:
    """Write a change into the audit log: who has made it, the address of the client, and what was changed."""
    row = {"t_utc_ms": now_ms, "who": printable(who), "origin": printable(origin), "action": action}
    connection.execute(insert(schema.audit_log), row)


def note_command(connection: Connection, action: str, now_ms: int) -> None:
    """Write a change by a command into the audit log."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # a user of a container without a name
        who = "unknown"
    note(connection, who, "command line", action, now_ms)


def audited(
    connection: Connection, limit: int, before: int | None = None
) -> Iterator[Row[tuple[int, int, str, str, str]]]:
    """Yield the newest entries of the audit log, or those before an entry: id, time, who, origin, action."""
    c = schema.audit_log.c
    query: Select[Any] = select(c.id, c.t_utc_ms, c.who, c.origin, c.action).order_by(c.id.desc()).limit(limit)
    yield from connection.execute(query if before is None else query.where(c.id < before))


def _user_named(connection: Connection, name: str) -> Row[Any]:
    query: Select[Any] = select(_U.id, _U.role).where(schema.is_named(_U.name, name))
    found = connection.execute(query).first()
    if found is None:
        raise StationError(f"unknown user {name!r:.80}; `pygnc station user list` lists all")
    return found


def _require_other_administrator(connection: Connection, user: Row[Any]) -> None:
    others = select(_U.id).where(_U.role == Role.ADMINISTRATOR, _U.id != user.id).with_for_update()
    if user.role == Role.ADMINISTRATOR and connection.execute(others).first() is None:
        raise StationError("this is the last administrator; make another user administrator first")


def _use_code(connection: Connection, user: Row[Any], code: str, now_ms: int) -> bool:
    """Return True if a code is right and newer than the last one that was used, and record it."""
    step = totp_step(user.totp_secret, code, now_ms)
    if step is None:
        return False
    used = update(schema.users).where(_U.id == user.id, _U.totp_step < step)
    return connection.execute(used.values(totp_step=step)).rowcount == 1


def _hashed(password: str) -> str:
    import argon2  # noqa: PLC0415 - an extra that only servers with users need

    with _hashing:
        return argon2.PasswordHasher(time_cost=2, memory_cost=_MEMORY_KIB, parallelism=1).hash(password)


def _verifies_django(known: str, password: str) -> bool:
    _, iterations, salt, text = known.split("$")
    found = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), int(iterations))
    return hmac.compare_digest(base64.b64encode(found).decode(), text)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


_DUMMY: Final = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""Hash that no password has."""
