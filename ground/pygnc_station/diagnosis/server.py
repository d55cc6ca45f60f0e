"""Checks of a server: certificate, port, health, and the batches of its stations."""

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
from sqlalchemy import ColumnElement, func, select

from pygnc_station.diagnosis.computer import Finding, bad, good
from pygnc_station.errors import StationError, StoreError
from pygnc_station.server.application import tls_files
from pygnc_station.server.destinations import load_destinations
from pygnc_station.server.fleet import read_fleet
from pygnc_station.server.neighbours import doubts, read_units
from pygnc_station.server.uploads import UploadState
from pygnc_station.server.value_alerts import unused_rules
from pygnc_station.server_settings import Serve
from pygnc_station.settings import StationSettings
from pygnc_station.store import schema
from pygnc_station.store.readings import DAY_MS, HOUR_MS, iso_time
from pygnc_station.store.store import Store

_RENEW_S: Final = 21 * 86_400.0
_TIMEOUT_S: Final = 5.0
_ANY_HOST: Final = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - compared with, not listened on
_MAX_NAMES: Final = 3
_HANDSHAKE_ROUNDS: Final = 3


def examine_server(settings: StationSettings, now_s: float) -> Iterator[Finding]:
    """Yield the results of the checks of a server; `now_s` is in seconds since 1970 (UTC)."""
    try:
        cert, key = tls_files(settings)
    except StationError as error:
        yield bad("server", str(error))
        return
    if cert and key:
        yield _examine_certificate(cert, key, now_s)
    yield _examine_port(settings, cert)
    yield from _examine_destinations(settings)
    try:
        with Store.open(settings.store_url) as store:
            yield good("store", "the database can be opened")
            yield from _examine_uploads(store, int(now_s * 1000))
            yield from _examine_names(store)
            yield from _examine_rules(store, settings.serve)
            yield from _examine_losses(store, int(now_s * 1000))
            yield from _examine_neighbours(store, settings, int(now_s * 1000))
    except StoreError as error:
        yield bad("store", str(error))


def _examine_certificate(cert: str, key: str, now_s: float) -> Finding:
    try:
        details = _certificate(cert, key)
    except ssl.SSLError as error:
        why = getattr(error, "verify_message", "") or error.reason
        return bad("certificate", f"{cert}: {why}; renew it, and restart the server")
    left_s = ssl.cert_time_to_seconds(details["notAfter"]) - now_s
    names = ", ".join(name for _, name in details.get("subjectAltName", ())) or "no host"
    text = f"{cert} is valid for {names} until {details['notAfter']}, {left_s / 86_400:.0f} days"
    return good("certificate", text) if left_s > _RENEW_S else bad("certificate", f"{text}; renew it now")


def _certificate(cert: str, key: str) -> dict[str, Any]:
    """Return the content of a certificate, from a TLS handshake in memory with itself as the trusted authority.

    Raises:
        SSLError: the certificate is not valid now.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(cert, key)
    client.load_verify_locations(cert)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True))
    for end in ends * _HANDSHAKE_ROUNDS:
        with contextlib.suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return ends[0].getpeercert() or {}


def _examine_port(settings: StationSettings, cert: str | None) -> Finding:
    """Check that this server listens, is healthy, and uses the certificate of its file."""
    serve = settings.serve
    if not serve.port:
        return good("server", "its port is chosen when it starts (port = 0 in [serve])")
    host = _ANY_HOST.get(serve.host, serve.host)
    shown = f"[{host}]" if ":" in host else host
    url = f"{'https' if cert else 'http'}://{shown}:{serve.port}/health"
    context = ssl.create_default_context()
    context.check_hostname = False  # the host is this computer, and the certificate is checked above
    context.verify_mode = ssl.CERT_NONE
    try:
        with httpx.Client(verify=context, timeout=_TIMEOUT_S, trust_env=False) as client:
            response = client.get(url)
        answer = response.json()
    except httpx.TransportError as error:
        why = str(error) or type(error).__name__
        remedy = "start it by `pygnc station serve`, or systemctl start pygnc-station-serve"
        return bad("server", f"{url}: no response ({why}); {remedy}")
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not {"status", "error"} & answer.keys():
        return bad("server", f"{url}: another program responds; set another port in [serve]")
    if response.status_code != 200:
        return bad("server", f"{url}: {answer.get('error') or f'HTTP {response.status_code}'}")
    if cert and _is_outdated(host, serve.port, cert):
        return bad("certificate", f"the server still uses an older one than {cert}; restart the server")
    return good("server", f"{url} responds")


def _examine_destinations(settings: StationSettings) -> Iterator[Finding]:
    """Check that notifications of alerts can be sent; `pygnc station alerts test` sends one."""
    try:
        found = load_destinations(settings)
    except StationError as error:
        yield bad("alerts", str(error))
    except ModuleNotFoundError:
        yield bad("alerts", "notifications need the library apprise: pip install 'pygnc-station[alerts]'")
    else:
        if found:
            yield good("alerts", f"are sent to {', '.join(found)}; `pygnc station alerts test` tries them")


def _examine_rules(store: Store, serve: Serve) -> Iterator[Finding]:
    """Check that each rule of an alert on values concerns some value."""
    with store.reads() as connection:
        for name in unused_rules(connection, serve):
            why = "no gadget that it names has such a value; correct values or gadgets of the rule"
            yield bad("alerts", f"rule {name} concerns nothing: {why}")


def _is_outdated(host: str, port: int, cert: str) -> bool:
    """Return True if a server uses another certificate than that of a file."""
    used = ssl.get_server_certificate((host, port), timeout=_TIMEOUT_S)
    text = Path(cert).read_text(encoding="ascii", errors="replace")
    end = "-----END CERTIFICATE-----"
    first = text[text.index("-----BEGIN CERTIFICATE-----") :].partition(end)[0] + end
    return ssl.PEM_cert_to_DER_cert(used) != ssl.PEM_cert_to_DER_cert(first)


def _examine_uploads(store: Store, now_ms: int) -> Iterator[Finding]:
    """Check for rejected batches and for uploads that their stations have not continued for a day."""
    c = schema.uploads.c
    rejected = (c.state == UploadState.REJECTED) & c.changed_ms.between(now_ms - DAY_MS, now_ms + DAY_MS)
    interrupted = (c.state == UploadState.RECEIVING) & (c.changed_ms < now_ms - DAY_MS)
    for condition, text in (
        (rejected, "{} batches of {} were rejected in the last 24 h; the last reason: {}"),
        (interrupted, "{} uploads of {} were interrupted a day ago or earlier; check these stations"),
    ):
        if (found := _count(store, condition))[0]:
            yield bad("batches", text.format(*found))
    with store.reads() as connection:
        newest = connection.execute(select(func.max(c.changed_ms)).where(c.state == UploadState.ACCEPTED)).scalar()
    yield good("batches", f"the newest one was accepted at {iso_time(newest)}" if newest else "none was accepted yet")


def _examine_names(store: Store) -> Iterator[Finding]:
    """Check that valid gateways have different names."""
    g = schema.gateways.c
    query = select(g.name, func.count()).where(g.revoked_ms.is_(None)).group_by(g.name).having(func.count() > 1)
    remedy = "`pygnc station gateways` lists, renames and revokes them"
    with store.reads() as connection:
        for name, count in connection.execute(query.order_by(g.name)):
            yield bad("gateways", f"{count} stations are registered as {name}; {remedy}")


def _examine_losses(store: Store, now_ms: int) -> Iterator[Finding]:
    """Check whether stations have named batches as accepted that are unknown here."""
    g = schema.gateways.c
    query = (
        select(g.name, g.lost_ms).where(g.lost_ms.between(now_ms - DAY_MS, now_ms + DAY_MS)).order_by(g.lost_ms.desc())
    )
    with store.reads() as connection:
        for name, lost_ms in connection.execute(query):
            why = "probably because a backup of the database was restored; the station sends them again"
            yield bad("batches", f"batches of {name} were unknown at {iso_time(lost_ms)} though accepted, {why}")


def _examine_neighbours(store: Store, settings: StationSettings, now_ms: int) -> Iterator[Finding]:
    """Compare particle counters with their neighbours."""
    with store.reads() as connection:
        units = read_units(connection, read_fleet(connection, now_ms, settings.serve.alerts), settings.serve)
    remedy = "check it there, or calibrate it by `pygnc station colocate`"
    for doubt in doubts(units, now_ms // HOUR_MS):
        yield bad(f"gadget {doubt.gadget}", f"{doubt.text}; {remedy}")


def _count(store: Store, condition: ColumnElement[bool]) -> tuple[int, str, str]:
    """Return number, stations and last reason of the uploads that meet a condition."""
    c, g = schema.uploads.c, schema.gateways.c
    query = select(g.name, c.reason).join(schema.gateways, g.id == c.gateway_id).where(condition).order_by(c.changed_ms)
    with store.reads() as connection:
        found = connection.execute(query).all()
    names = sorted({row[0] for row in found})
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return len(found), ", ".join(names[:_MAX_NAMES]) + more, found[-1][1] if found else ""
