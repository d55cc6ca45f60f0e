"""Runs the server: uvicorn, with TLS on request, on the loopback unless told otherwise."""

import errno
import socket
import ssl
from collections.abc import Callable
from typing import Final

import uvicorn

from pygnc_station.server.application import application
from pygnc_station.station.errors import StationError
from pygnc_station.station.settings import Settings
from pygnc_station.store.store import Store

_GRACE_S: Final = 5
_REMEDIES: Final = {
    errno.EADDRINUSE: "another program listens there; set another port in [serve]",
    errno.EACCES: "ports below 1024 need a right, which the unit of `pygnc station units --server` gives",
    errno.EADDRNOTAVAIL: "this computer has no such address; set another host in [serve]",
}


def serve(settings: Settings, store: Store, tell: Callable[[str], None]) -> None:
    """Serve until a signal comes.

    Args:
        settings: of the server.
        store: where readings go.
        tell: gets the address when the server listens.

    Raises:
        StationError: it may not or cannot listen there.
    """
    chosen = settings.serve
    cert, key = _tls(settings)
    if not chosen.is_local and not (cert or chosen.behind_proxy or chosen.insecure):
        raise StationError(
            f"{chosen.host} can be reached from elsewhere, and keys would travel in the clear: set tls_cert and tls_key"
            " in [serve], or behind_proxy, or insecure"
        )
    app = application(store, chosen, settings.path(chosen.folder))
    try:
        listener = socket.create_server((chosen.host, chosen.port), family=_family(chosen.host))
    except OSError as error:
        why = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
        raise StationError(f"{chosen.host}:{chosen.port}: {why}") from None
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        ssl_certfile=cert,
        ssl_keyfile=key,
        proxy_headers=chosen.behind_proxy,
        forwarded_allow_ips="127.0.0.1",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    host, port = listener.getsockname()[:2]
    tell(f"{'https' if cert else 'http'}://{host}:{port}/")
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _tls(settings: Settings) -> tuple[str | None, str | None]:
    chosen = settings.serve
    if bool(chosen.tls_cert) != bool(chosen.tls_key):
        raise StationError("TLS needs both tls_cert and tls_key in [serve]")
    if not chosen.tls_cert:
        return None, None
    paths = settings.path(chosen.tls_cert), settings.path(chosen.tls_key)
    for path in paths:
        if not path.is_file():
            raise StationError(f"{path}: no such file")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(*paths)
    except OSError as error:  # an SSLError is one
        why = error.strerror or error
        raise StationError(f"{paths[0]} and {paths[1]} are no certificate and its key, PEM: {why}") from None
    return str(paths[0]), str(paths[1])


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
