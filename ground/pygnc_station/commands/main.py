"""The command-line application `pygnc station`; importing the modules below registers their subcommands."""

from pygnc_station.commands import (
    backups,
    batches,
    colocation,
    devices,
    doctor,
    init,
    readings,
    server,
    systemd_units,
    users,
)
from pygnc_station.commands.common import app

__all__ = [
    "app",
    "backups",
    "batches",
    "colocation",
    "devices",
    "doctor",
    "init",
    "readings",
    "server",
    "systemd_units",
    "users",
]
