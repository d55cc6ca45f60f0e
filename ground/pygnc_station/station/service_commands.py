"""`pygnc station doctor | units`."""

import getpass
import time
from pathlib import Path
from typing import Annotated

import typer

from pygnc_station.station.application import SettingsOption, app, told
from pygnc_station.station.doctor import examine
from pygnc_station.station.settings_file import find_settings, read_settings
from pygnc_station.station.units import units as unit_files


@app.command()
def doctor(settings: SettingsOption = None) -> None:
    """Say in plain words what is wrong (port, permission, device, clock, disk, store); exit code 1 if something is."""
    with told("doctor"):
        is_well = True
        for finding in examine(read_settings(settings), time.time()):
            typer.echo(f"{'ok     ' if finding.is_good else 'PROBLEM'}  {finding.what}: {finding.text}")
            is_well &= finding.is_good
        if not is_well:
            raise typer.Exit(1)


@app.command()
def units(
    settings: SettingsOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write files there; without it they are shown.")
    ] = None,
    user: Annotated[str, typer.Option(help="Who runs the services.")] = "",
    *,
    server: Annotated[bool, typer.Option("--server", help="The server's in place of the station's.")] = False,
) -> None:
    """Make systemd units: a service that logs, and timers for what the settings ask for."""
    with told("units"):
        file = settings or find_settings()
        made = unit_files(read_settings(file), file, user or getpass.getuser(), is_server=server)
        for name, text in made.items():
            if out is None:
                typer.echo(f"# {name}\n{text}")
                continue
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text)
            typer.echo(str(out / name))
        if out is not None:
            enabled = " ".join(name for name in made if name.endswith(".timer") or f"{name[:-8]}.timer" not in made)
            typer.echo(f"sudo cp {out}/* /etc/systemd/system/ && sudo systemctl enable --now {enabled}")
