"""Names that a server uses for a station and its gadgets, where they differ from what the operator expects."""

from collections.abc import Iterator

from pygnc_station.station_state import ServerIdentity
from pygnc_station.store.readings import iso_time


def name_conflicts(server: ServerIdentity) -> Iterator[str]:
    """Yield a remark for each other station of the same name, and for each gadget that it has displaced."""
    for other in server.namesakes:
        seen = f"last request {iso_time(other.seen_ms)}" if other.seen_ms else "without a request yet"
        yield (
            f"another station is registered as {server.name} (gateway {other.id}, {seen}); if this one replaces it,"
            f" register with a PIN of `pygnc station pin --gateway {other.id}` on the server, otherwise choose another"
            " name in the settings and register again"
        )
    for gadget in server.gadgets:
        if gadget.owner == server.name:
            yield f"{gadget.name} is stored as {gadget.stored}: the other {gadget.owner} has a gadget of this name"


def renamed(server: ServerIdentity) -> Iterator[str]:
    """Yield a remark for each gadget that is stored under another name because of a station with another name."""
    for gadget in server.gadgets:
        if gadget.owner != server.name:
            yield f"{gadget.name} is stored as {gadget.stored}: {gadget.owner} has a gadget of this name"
