"""Interface of packages that serve the stations and clients of another program; docs/plugins.md describes it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pygnc_station.server.context import FlatJson
from pygnc_station.server.ingest import BatchFormat
from pygnc_station.server.operations import Operation
from pygnc_station.server_settings import Serve

GROUP: Final = "pygnc.server"
"""Group of the entry points of server plug-ins."""


@dataclass(frozen=True)
class ServerPlugin:
    """Stations and clients of another program at the server.

    Attributes:
        batch_format: returns the format of its batches for the settings of the server; raises StationError if they are
            invalid.
        flat_json: converts a reading for its clients.
        operations: its requests; `Operation.access` is checked as for all others.
    """

    batch_format: Callable[[Serve], BatchFormat]
    flat_json: FlatJson
    operations: tuple[Operation, ...]
