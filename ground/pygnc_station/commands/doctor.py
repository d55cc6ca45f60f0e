"""`pygnc station doctor`: checks of a station or server, with remedies."""

import time
from collections.abc import Iterator
from pathlib import Path

import typer

from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.text import printable
from pygnc_station.commands.common import SettingsOption, command
from pygnc_station.diagnosis.backups import examine_backup
from pygnc_station.diagnosis.computer import Finding, bad, examine_clock, examine_disks, examine_modes
from pygnc_station.settings import StationSettings
from pygnc_station.settings_file import find_settings, read_settings


@command()
def doctor(settings: SettingsOption = None) -> None:
    """Check the station, or the server if the settings contain [serve]; exit with code 1 if there is a problem."""
    file = settings or find_settings()
    is_well = True
    for finding in examine(read_settings(file), time.time(), file):
        typer.echo(f"{'ok     ' if finding.is_good else 'PROBLEM'}  {finding.subject}: {printable(finding.text)}")
        is_well &= finding.is_good
    if not is_well:
        raise typer.Exit(ExitCode.FAILURE)


def examine(settings: StationSettings, now_s: float, file: Path | None = None) -> Iterator[Finding]:
    """Yield the results of all checks: those of a server if the settings contain [serve], those of a station otherwise.

    Settings with both [serve] and devices are checked as both.

    Args:
        settings: settings of the station or server.
        now_s: current time, seconds since 1970 (UTC).
        file: file of the settings; None does not check who can read it.
    """
    if settings.device or not settings.is_server:
        from pygnc_station.diagnosis.station import examine_station  # noqa: PLC0415 - servers do not need the drivers

        yield from examine_station(settings, now_s)
        if not settings.device:
            yield bad("settings", "the settings contain no device; add a [[device]] table")
    if settings.is_server:
        from pygnc_station.diagnosis.server import examine_server  # noqa: PLC0415 - stations do not need HTTP servers

        yield from examine_server(settings, now_s)
    yield from examine_backup(settings, int(now_s * 1000))
    yield examine_clock(now_s)
    folders = [] if "://" in settings.store_url else [Path(settings.store_url).parent]
    if settings.is_server:
        folders += [settings.path(name) for name in (settings.serve.folder, settings.serve.log_folder) if name]
    yield from examine_disks(folders)
    yield from examine_modes(settings, file)
