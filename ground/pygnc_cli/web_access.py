"""Rules for requests to servers of one user on this computer: names of the computer, and origins of pages."""

import ipaddress
from typing import Final
from urllib.parse import urlsplit

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "::1")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_loopback(host: str) -> bool:
    """Return True if only this computer can reach an address to listen on."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_own_name(host: str, *names: str) -> bool:
    """Return True if the header Host has a name of the loopback or one of `names`, with any port.

    Another name is a sign of DNS rebinding: a foreign name that resolves to this computer makes a foreign page
    same-origin.
    """
    return name_and_port(f"//{host}", "")[0] in (*LOOPBACK_NAMES, *names)


def is_own_origin(origin: str, scheme: str, port: int, *names: str) -> bool:
    """Return True if the header Origin is that of a page of this server, under a name as in `is_own_name`."""
    found = name_and_port(origin, scheme)
    return origin.startswith(f"{scheme}://") and found[0] in (*LOOPBACK_NAMES, *names) and found[1] == port


def name_and_port(url: str, scheme: str) -> tuple[str | None, int | None]:
    """Return name and port of a URL, the port by default that of the scheme; None for what is missing or invalid."""
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or _DEFAULT_PORTS.get(scheme)
    except ValueError:
        return None, None
