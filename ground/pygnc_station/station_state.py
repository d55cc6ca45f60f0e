"""State of a station, which it sends to its server with each upload, and the identity that the server reports to it."""

from typing import Annotated, Final, TypeAlias

import msgspec

from pygnc_station.settings_types import Location
from pygnc_station.store.schema import MAX_NAME_LENGTH

STATE_PATH: Final = "api/v1/state/"
"""Path at which a server receives it."""
IDENTITY_PATH: Final = "api/v1/gateway/"
"""Path of the server's identity."""
UNKNOWN_PATH: Final = "api/v1/unknown_batches/"
"""Path at which a server names the batches that it does not know as accepted."""
MAX_IDS: Final = 500
"""Maximum number of identifiers in such a request."""
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=10**18)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_LENGTH)]


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """Values that a station reports; those that it does not report are null.

    Attributes:
        version: version of PyGNC.
        uptime_s: time since the boot of the station's computer, in seconds.
        backlog_readings: readings of the store that the server has not accepted yet.
        backlog_batches: batches that are not decided by the server.
        rejected_batches: batches that the server has rejected.
        disk_free_bytes: free space of the disk of the store, or of the batches if the store is on another computer.
        disk_total_bytes: size of that disk.
    """

    version: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    uptime_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    backlog_readings: _Count | None = None
    backlog_batches: _Count | None = None
    rejected_batches: _Count | None = None
    disk_free_bytes: _Count | None = None
    disk_total_bytes: _Count | None = None


class StationState(Reported, frozen=True):
    """State of a station. A server ignores fields that it does not know.

    Attributes:
        time_ms: clock of the station when it sends this, milliseconds since 1970 (UTC).
        locations: places of the gadgets by name.
    """

    time_ms: Annotated[int, msgspec.Meta(ge=0, lt=10**15)]
    locations: Annotated[dict[_Name, Location], msgspec.Meta(max_length=1000)] = {}


class Namesake(msgspec.Struct, frozen=True):
    """Another gateway with the same name: its number, and the time of its last request (null: none)."""

    id: int
    seen_ms: int | None


class StoredGadget(msgspec.Struct, frozen=True):
    """Gadget that a server stores under another name, because another gateway, `owner`, has a gadget of its name."""

    name: str
    stored: str
    owner: str


class ServerIdentity(msgspec.Struct, frozen=True):
    """Identity of a server, and the names that it uses for the gateway that asks.

    Attributes:
        server: identifier of its database, which its backups share.
        epoch: identifier that changes when a backup is restored.
        time_ms: clock of the server, milliseconds since 1970 (UTC).
        name: name of the gateway.
        namesakes: other gateways with this name whose keys are valid.
        gadgets: gadgets of the gateway that are stored under other names.
    """

    server: str
    epoch: str
    time_ms: int
    name: str
    namesakes: list[Namesake]
    gadgets: list[StoredGadget]
