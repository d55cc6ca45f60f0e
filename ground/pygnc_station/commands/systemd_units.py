"""`pygnc station units`: systemd units.

A station gets a service that logs, and timers that batch, upload, synchronise and prune; a server gets a service and
a timer that prunes.
"""

import getpass
import shlex
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from pygnc_station.commands.common import SettingsOption, command
from pygnc_station.settings import StationSettings
from pygnc_station.settings_file import find_settings, read_settings

_UNIT: Final = """[Unit]
Description=PyGNC station {name}: {title}
After={after}
Wants={after}

[Service]
ExecStart={command}
{service}
User={user}
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={folders}
UMask=0077
"""
_RESTART: Final = "Restart=always\nRestartSec=10"
_LOGGER: Final = f"{_RESTART}\nTimeoutStopSec=30\nSupplementaryGroups=dialout\nMemoryMax=200M"
_AT_BOOT: Final = "\n[Install]\nWantedBy=multi-user.target\n"
_TIMER: Final = """[Unit]
Description=PyGNC station {name}: {job}, timer

[Timer]
OnCalendar={calendar}
RandomizedDelaySec={delay}
Persistent=yes

[Install]
WantedBy=timers.target
"""
_LOW_PORT: Final = 1024
_MAY_BIND: Final = "AmbientCapabilities=CAP_NET_BIND_SERVICE"

JOBS: Final = {
    "batch": ("*:00/15", "60"),
    "upload": ("*:05/15", "240"),
    "sync": ("*:0/5", "60"),
    "prune": ("04:10", "600"),
}


def unit_files(settings: StationSettings, file: Path, user: str, *, is_server: bool = False) -> dict[str, str]:
    """Return the texts of the unit files by file name.

    Args:
        settings: settings of the station; jobs that they do not configure get no timer.
        file: path of the settings file.
        user: user that runs the services.
        is_server: return the units of the server instead of those of the station.
    """
    folders = " ".join(_quoted(str(folder)) for folder in _writable_folders(settings, is_server=is_server))
    name = _escaped(settings.name)

    def unit(job: str, service: str, after: str = "network-online.target", *more: str, title: str = "") -> str:
        program = str(Path(sys.executable).with_name("pygnc"))
        words = (program, "station", job, "--settings", str(file.absolute()), *more)
        command = " ".join(_quoted(word.replace("$", "$$")) for word in words)  # systemd expands variables there
        return _UNIT.format(
            name=name, title=title or job, after=after, command=command, service=service, user=_escaped(user),
            folders=folders,
        )  # fmt: skip

    if is_server:
        service = f"{_RESTART}\n{_MAY_BIND}" if settings.serve.port < _LOW_PORT else _RESTART
        files = {"pygnc-station-serve.service": unit("serve", service) + _AT_BOOT}
        jobs = ["prune"]
    else:
        logger = unit("log", _LOGGER, "time-sync.target", "--quiet", title="log devices")
        files = {"pygnc-station.service": logger + _AT_BOOT}
        if settings.outputs:
            files["pygnc-station-publish.service"] = unit("publish", _RESTART) + _AT_BOOT
        urls = {"batch": settings.upload.url, "upload": settings.upload.url, "sync": settings.sync.url}
        jobs = [job for job in JOBS if urls.get(job, "prune")]
    for job in jobs:
        calendar, delay = JOBS[job]
        files[f"pygnc-station-{job}.service"] = unit(job, "Type=oneshot")
        files[f"pygnc-station-{job}.timer"] = _TIMER.format(name=name, job=job, calendar=calendar, delay=delay)
    return files


def _writable_folders(settings: StationSettings, *, is_server: bool) -> list[Path]:
    """Return the folders that a service may write to; all others are read-only for it."""
    files = [url for url in (settings.store_url, settings.central_url) if url and "://" not in url]
    folders = [Path(file).parent for file in files]
    if is_server:
        names = [settings.serve.folder, settings.serve.scp_folder, settings.serve.log_folder]
    else:
        names = [settings.batches.pending, settings.batches.uploaded]
        folders.append(settings.path(settings.upload.key_file).parent)
        if settings.upload.url.startswith("file://"):
            names.append(urlsplit(settings.upload.url).path)
    folders += [settings.path(name) for name in names if name]
    home = Path(settings.folder).resolve()
    others = {folder.resolve() for folder in folders if not folder.resolve().is_relative_to(home)}
    return [home, *sorted(others)]


def _escaped(text: str) -> str:
    """Return a text as one line in which systemd expands no specifiers."""
    return " ".join(text.replace("%", "%%").split())


def _quoted(text: str) -> str:
    """Return a path, quoted if necessary, for a unit file."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if set(text) & set(" \t\\'\"") else text


@command()
def units(
    settings: SettingsOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the files to FOLDER instead of printing them.")
    ] = None,
    user: Annotated[str, typer.Option(help="User that runs the services; by default the current user.")] = "",
    *,
    server: Annotated[bool, typer.Option("--server", help="Create the units of the server instead.")] = False,
) -> None:
    """Create systemd units: a service that logs, and timers for the jobs that the settings configure."""
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
        typer.echo(install_command(out, made))


def install_command(folder: Path, units: Collection[str]) -> str:
    """Return the shell command that installs and starts the units in a folder."""
    enabled = " ".join(name for name in units if name.endswith(".timer") or f"{name[:-8]}.timer" not in units)
    files = f"{shlex.quote(str(folder))}/*"
    return f"sudo cp {files} /etc/systemd/system/ && sudo systemctl enable --now {enabled}"
