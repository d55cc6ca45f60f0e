"""`pygnc station`: devices, store, batches, server, by one settings file."""

from pygnc_station.station import (
    batch_commands,
    cell_commands,
    device_commands,
    output_commands,
    server_commands,
    service_commands,
    store_commands,
    upload_commands,
)
from pygnc_station.station.application import app

__all__ = [
    "app",
    "batch_commands",
    "cell_commands",
    "device_commands",
    "output_commands",
    "server_commands",
    "service_commands",
    "store_commands",
    "upload_commands",
]
"""The modules add their commands to the application when they are imported."""
