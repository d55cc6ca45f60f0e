"""HTTP operations of the administration: accounts, PINs, owners, rules of alerts, co-location, tokens, audit log."""

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from sqlalchemy import select
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pygnc_station.errors import StationError
from pygnc_station.server import access, accounts
from pygnc_station.server.accounts import Role, Session, session_of
from pygnc_station.server.colocation import Comparison, compare
from pygnc_station.server.context import (
    SESSION_COOKIE,
    context_of,
    forgive_attempt,
    require_attempt,
    require_same_page,
)
from pygnc_station.server.operations import Access, Name, Natural, Operation
from pygnc_station.server.ownership import gateway_named, transfer
from pygnc_station.server.value_alerts import put_rule, rules_of
from pygnc_station.server_settings import ValueRule
from pygnc_station.store import calibrations, schema
from pygnc_station.store.query import Span, streams_of
from pygnc_station.store.readings import HOUR_MS, MINUTE_MS, clock_ms, parse_time
from pygnc_station.store.store import Store

_MOST_ENTRIES: Final = 500
Password: TypeAlias = Annotated[str, msgspec.Meta(max_length=1000)]
Minutes: TypeAlias = Annotated[float, msgspec.Meta(ge=0.1, le=access.MAX_PIN_MINUTES)]


class NewPin(msgspec.Struct, frozen=True):
    """Request for a PIN; `gateway` is the name of the gateway that gets a new key, "" for a new gateway."""

    minutes: Minutes = 10.0
    gateway: str = ""


class Rename(msgspec.Struct, frozen=True):
    """New name of a gateway."""

    name: Name


class Transfer(msgspec.Struct, frozen=True):
    """Gadget and the gateway that becomes its owner, by name or number."""

    gadget: Name
    gateway: Name


class NewToken(msgspec.Struct, frozen=True):
    """Request for a token; `days` is its validity, 0 for unlimited."""

    name: Name
    may_write: bool = False
    days: Annotated[float, msgspec.Meta(ge=0, le=100_000)] = 0.0


class NewUser(msgspec.Struct, frozen=True):
    """Request to add a user."""

    name: Name
    password: Password
    role: Role = Role.VIEWER


class UserChanges(msgspec.Struct, frozen=True):
    """Request to change a user; None leaves the old value."""

    role: Role | None = None
    password: Password | None = None
    remove_second_factor: bool = False


class OwnPassword(msgspec.Struct, frozen=True):
    """Request of a user to change the own password; `password` is the present one."""

    password: Password
    new_password: Password


class SecondFactor(msgspec.Struct, frozen=True):
    """Request of a user to use a secret as second factor, with its present code; both are "" to remove it."""

    password: Password
    secret: Annotated[str, msgspec.Meta(max_length=64)] = ""
    code: str = ""


class Pairing(msgspec.Struct, frozen=True):
    """Unit, the reference beside it, their values, and the period in ISO 8601; `until` is exclusive, "" is unlimited.

    `reference_value` is "" if the reference's value has the same name; `humidity` fits a correction for humidity, too.
    """

    gadget: Name
    reference: Name
    value: Name
    reference_value: str = ""
    since: str = ""
    until: str = ""
    humidity: bool = True

    def compare(self, store: Store) -> Comparison:
        """Return the fit of the unit to the reference."""
        span = Span(_time_of(self.since), _time_of(self.until))
        names = (self.gadget, self.reference, self.value, self.reference_value)
        return compare(store, *names, span, with_humidity=self.humidity)


class NewCalibration(Pairing, frozen=True, kw_only=True):
    """Request to correct the values of a unit by the fit, from a time in ISO 8601 on."""

    apply_from: Annotated[str, msgspec.Meta(min_length=1)]


class AuditFilter(msgspec.Struct, frozen=True):
    """Selection of entries of the audit log: the newest ones, or those before an entry."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=_MOST_ENTRIES)] = 50
    before: Natural | None = None


def session(request: Request) -> object:
    """Return the user who is signed in, with the value of the header X-CSRF-Token; empty if nobody is."""
    found = _session_of(request)
    if found is None:
        return {"name": "", "role": "", "csrf": "", "has_second_factor": False}
    with context_of(request).store.reads() as connection:
        users = {user.name: user for user in accounts.list_users(connection)}
    has_second_factor = found.name in users and users[found.name].has_second_factor
    return {
        "name": found.name, "role": found.role, "csrf": found.csrf, "has_second_factor": has_second_factor
    }  # fmt: skip


def sign_out(request: Request) -> Response:
    """Sign out."""
    _own_session(request)
    accounts.sign_out(context_of(request).store, request.cookies[SESSION_COOKIE])
    response = Response(status_code=204)
    response.delete_cookie(SESSION_COOKIE, httponly=True, samesite="strict")
    return response


def change_password(request: Request, body: OwnPassword) -> object:
    """Change the own password, which ends all sessions of the user."""
    user = _confirmed(request, body.password)
    with context_of(request).store.writes() as connection:
        accounts.change_user(connection, user.name, password=body.new_password)
    return {"changed": user.name}


def propose_second_factor(request: Request) -> Response:
    """Return a new secret for a second factor, which is used once it is confirmed."""
    user = _own_session(request)
    secret = accounts.new_totp_secret()
    uri = accounts.totp_uri(secret, user.name, request.url.hostname or "station server")
    return JSONResponse({"secret": secret, "uri": uri}, headers={"cache-control": "no-store"})


def change_second_factor(request: Request, body: SecondFactor) -> object:
    """Use a secret as second factor after its code was confirmed, or remove the second factor."""
    user = _confirmed(request, body.password)
    if body.secret and accounts.totp_step(body.secret, body.code, clock_ms()) is None:
        raise HTTPException(400, "the code is wrong; check the clock of the device that computes it")
    with context_of(request).store.writes() as connection:
        accounts.change_user(connection, user.name, totp_secret=body.secret)
    return {"has_second_factor": bool(body.secret)}


def administration(request: Request) -> object:
    """Return gateways, gadgets and rules of alerts; for an administrator also users, tokens."""
    context, now_ms = context_of(request), clock_ms()
    gateways = [each._asdict() for each in access.list_gateways(context.store)]
    d, g, p = schema.devices.c, schema.gateways.c, schema.pins.c
    with context.store.reads() as connection:
        columns = (d.gadget_id, d.status, d.notes, g.name)
        owned = select(*columns).join_from(schema.devices, schema.gateways, d.gateway_id == g.id, isouter=True)
        gadgets = [
            {"gadget": row.gadget_id, "status": row.status, "notes": row.notes, "gateway": row.name or ""}
            for row in connection.execute(owned.order_by(d.gadget_id))
        ]
        in_file = context.serve.alerts.rules
        rules = [
            {"name": name, "rule": msgspec.to_builtins(rule), "is_in_file": name in in_file}
            for name, rule in rules_of(connection, context.serve.alerts).items()
        ]
        values: dict[str, list[str]] = {}
        for stream in streams_of(connection):
            known = values.setdefault(stream.gadget_id, [])
            known += [name for name in stream.layout.names if name not in known]
        pins = connection.execute(select(p.expires_ms).where(p.expires_ms > now_ms)).scalars().all()
        found: dict[str, Any] = {
            "gateways": gateways, "gadgets": gadgets, "rules": rules, "valid_pins": len(pins), "values": values,
            "calibrations": [each.to_json() for each in calibrations.calibrations(connection)],
        }  # fmt: skip
        signed_in: Session | None = getattr(request.state, "session", None)
        if signed_in is not None and signed_in.role is Role.ADMINISTRATOR:
            found["users"] = [user._asdict() for user in accounts.list_users(connection)]
            tokens = access.list_tokens(connection)
            found["tokens"] = [dict(row._mapping) for row in tokens]  # noqa: SLF001 - public in SQLAlchemy
    return found


def new_pin(request: Request, body: NewPin) -> Response:
    """Create a PIN for the registration of a station."""
    now_ms = clock_ms()
    pin = access.new_pin(context_of(request).store, now_ms, body.minutes, body.gateway)
    content = {"pin": pin, "expires_ms": now_ms + int(body.minutes * MINUTE_MS)}
    return JSONResponse(content, 201, headers={"cache-control": "no-store"})


def rename_gateway(request: Request, body: Rename) -> object:
    """Rename a gateway."""
    access.rename(context_of(request).store, request.path_params["gateway"], body.name)
    return {"name": body.name}


def revoke_gateway(request: Request) -> object:
    """Revoke the key of a gateway."""
    store, gateway = context_of(request).store, request.path_params["gateway"]
    with store.reads() as connection:
        gateway_named(connection, gateway)
    return {"revoked": access.revoke(store, gateway, clock_ms())}


def transfer_gadget(request: Request, body: Transfer) -> object:
    """Give a gadget to another gateway."""
    with context_of(request).store.writes() as connection:
        last = transfer(connection, body.gadget, body.gateway, clock_ms())
    return {"gadget": body.gadget, "gateway": body.gateway, "last_gateway": last}


def change_rule(request: Request, body: ValueRule) -> object:
    """Store a rule of an alert on values."""
    with context_of(request).store.writes() as connection:
        put_rule(connection, context_of(request).serve.alerts, request.path_params["name"], body)
    return msgspec.to_builtins(body)


def remove_rule(request: Request) -> Response:
    """Delete a rule of an alert on values."""
    with context_of(request).store.writes() as connection:
        put_rule(connection, context_of(request).serve.alerts, request.path_params["name"], None)
    return Response(status_code=204)


def co_location(request: Request, body: Pairing) -> Response:
    """Fit gain, offset and humidity correction of a unit to a reference beside it; nothing is changed.

    `pairs` are [time, value as stored, value of the reference, corrected value] of each hour.
    """
    compared = body.compare(context_of(request).store)
    fit = compared.found.fit
    pairs = [(pair.hour * HOUR_MS, pair.value, pair.reference, fit.apply(pair)) for pair in compared.pairs]
    content = msgspec.to_builtins(compared.found) | {"is_wet": compared.is_wet, "pairs": pairs}
    return Response(msgspec.json.encode(content), media_type="application/json")  # null for an unknown correlation


def new_calibration(request: Request, body: NewCalibration) -> object:
    """Calibrate a gadget by a reference beside it."""
    since_ms, store = _time_of(body.apply_from), context_of(request).store
    return {"calibration": body.compare(store).apply(store, since_ms or 0)}


def remove_calibration(request: Request) -> Response:
    """Remove a calibration; readings are unchanged."""
    calibrations.remove(context_of(request).store, request.path_params["number"])
    return Response(status_code=204)


def new_token(request: Request, body: NewToken) -> Response:
    """Create a token for a person or program; an older token of the name is replaced."""
    store, days = context_of(request).store, body.days or None
    token = access.new_token(store, body.name, clock_ms(), may_write=body.may_write, days=days)
    return JSONResponse({"token": token}, 201, headers={"cache-control": "no-store"})


def remove_token(request: Request) -> Response:
    """Revoke a token."""
    with context_of(request).store.writes() as connection:
        access.remove_token(connection, request.path_params["name"])
    return Response(status_code=204)


def new_user(request: Request, body: NewUser) -> object:
    """Add a user."""
    with context_of(request).store.writes() as connection:
        accounts.add_user(connection, body.name, body.password, body.role, clock_ms())
    return {"name": body.name, "role": body.role}


def change_user(request: Request, body: UserChanges) -> object:
    """Change role or password of a user, or remove the second factor."""
    secret = "" if body.remove_second_factor else None
    with context_of(request).store.writes() as connection:
        name = request.path_params["name"]
        accounts.change_user(connection, name, role=body.role, password=body.password, totp_secret=secret)
    return {"name": name}


def remove_user(request: Request) -> Response:
    """Remove a user."""
    with context_of(request).store.writes() as connection:
        accounts.remove_user(connection, request.path_params["name"])
    return Response(status_code=204)


def audit(request: Request, query: AuditFilter) -> object:
    """Return entries of the audit log, the newest first."""
    with context_of(request).store.reads() as connection:
        rows = accounts.audited(connection, query.limit, query.before)
        return {"results": [dict(row._mapping) for row in rows]}  # noqa: SLF001 - public in SQLAlchemy


def _time_of(text: str) -> int | None:
    try:
        return parse_time(text) if text else None
    except ValueError:
        raise StationError(f"invalid time {text!r:.80}; use ISO 8601, such as 2026-11-21T17:00:00Z") from None


def _session_of(request: Request) -> Session | None:
    token = request.cookies.get(SESSION_COOKIE, "")
    return session_of(context_of(request).store, token, clock_ms()) if token else None


def _own_session(request: Request) -> Session:
    """Return the session of a request by which a user changes something of the own account."""
    found = _session_of(request)
    if found is None:
        raise HTTPException(401, "nobody is signed in; sign in on the page")
    require_same_page(request, found, is_change=True)
    request.state.actor = found.name
    return found


def _confirmed(request: Request, password: str) -> Session:
    """Return the session of a user who has given the own password again."""
    found = _own_session(request)
    require_attempt(request, found.name)
    with context_of(request).store.reads() as connection:
        u = schema.users.c
        known = connection.execute(select(u.password_hash).where(u.id == found.user_id)).scalar() or ""
    if not accounts.verifies(known, password):
        raise StationError("the present password is wrong")
    forgive_attempt(request, found.name)
    return found


_ADMIN: Final = "/api/v1/admin"
OPERATIONS: Final = (
    Operation("GET", "/api/v1/session/", session),
    Operation("DELETE", "/api/v1/session/", sign_out, Access.NONE, 204),
    Operation("PUT", "/api/v1/session/password/", change_password, Access.NONE),
    Operation("POST", "/api/v1/session/second-factor/", propose_second_factor, Access.NONE, is_audited=False),
    Operation("PUT", "/api/v1/session/second-factor/", change_second_factor, Access.NONE),
    Operation("GET", f"{_ADMIN}/", administration, Access.WRITE),
    Operation("POST", f"{_ADMIN}/pins/", new_pin, Access.WRITE, 201),
    Operation("PATCH", f"{_ADMIN}/gateways/{{gateway}}/", rename_gateway, Access.WRITE),
    Operation("POST", f"{_ADMIN}/transfers/", transfer_gadget, Access.WRITE),
    Operation("PUT", f"{_ADMIN}/rules/{{name}}/", change_rule, Access.WRITE),
    Operation("DELETE", f"{_ADMIN}/rules/{{name}}/", remove_rule, Access.WRITE, 204),
    Operation("POST", f"{_ADMIN}/co-locations/", co_location, Access.WRITE, is_audited=False),
    Operation("POST", f"{_ADMIN}/calibrations/", new_calibration, Access.WRITE, 201),
    Operation("DELETE", f"{_ADMIN}/calibrations/{{number:int}}/", remove_calibration, Access.WRITE, 204),
    Operation("DELETE", f"{_ADMIN}/gateways/{{gateway}}/key/", revoke_gateway, Access.ADMINISTER),
    Operation("POST", f"{_ADMIN}/tokens/", new_token, Access.ADMINISTER, 201),
    Operation("DELETE", f"{_ADMIN}/tokens/{{name:path}}/", remove_token, Access.ADMINISTER, 204),
    Operation("POST", f"{_ADMIN}/users/", new_user, Access.ADMINISTER, 201),
    Operation("PATCH", f"{_ADMIN}/users/{{name:path}}/", change_user, Access.ADMINISTER),
    Operation("DELETE", f"{_ADMIN}/users/{{name:path}}/", remove_user, Access.ADMINISTER, 204),
    Operation("GET", f"{_ADMIN}/audit/", audit, Access.ADMINISTER),
)
