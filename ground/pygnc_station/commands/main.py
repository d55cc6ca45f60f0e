"""The command-line application `pygnc station`."""

from typing import Final

from pygnc_cli.application import Application, OnDemand
from pygnc_station.commands.common import registry


class _Station(OnDemand):
    """Commands of `pygnc station`: importing all of them takes seconds on a small computer."""

    registry = registry
    modules = {  # noqa: RUF012 - a constant
        "pygnc_station.commands.backups": ("backup", "restore"),
        "pygnc_station.commands.batches": ("batch", "status", "register", "upload"),
        "pygnc_station.commands.colocation": ("colocate", "calibrations"),
        "pygnc_station.commands.devices": ("families", "test", "read-once", "log", "publish"),
        "pygnc_station.commands.doctor": ("doctor",),
        "pygnc_station.commands.systemd_units": ("units", "install", "uninstall"),
        "pygnc_station.commands.init": ("init",),
        "pygnc_station.commands.readings": ("recent", "watch", "export", "import", "prune", "sync", "cells"),
        "pygnc_station.commands.server": ("serve", "pin", "token", "revoke", "gateways", "alerts"),
        "pygnc_station.commands.users": ("user", "audit"),
    }


app: Final = Application(
    "Log sensors on serial lines and transfer their readings to a server.",
    example="pygnc station init --folder station",
    cls=_Station,
)
app.callback()(lambda: None)
