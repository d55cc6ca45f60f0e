"""`pygnc station units | install | uninstall`: services of systemd.

A station gets a service that logs, and timers that batch, upload, synchronise, back up and prune; a server gets a
service, and timers that back up and prune. The services report to systemd from their main loops, and systemd restarts
a service that hangs.
"""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from pygnc_station.commands.common import SettingsOption, command
from pygnc_station.settings import StationSettings
from pygnc_station.settings_file import find_settings, read_settings
from pygnc_system.service_unit import (
    NO_DEVICES,
    NO_SCHEDULING,
    SANDBOX,
    SERIAL_DEVICES,
    command_line,
    escaped,
    invoking_user,
    quoted,
)
from pygnc_system.service_unit import install as install_units
from pygnc_system.service_unit import uninstall as uninstall_units

_UNIT: Final = """[Unit]
Description=PyGNC station{name}: {title}
After={after}
Wants={after}

[Service]
ExecStart={command}
{service}
User={user}
UMask=0077
ReadWritePaths={folders}
{sandbox}
"""
_WATCHED: Final = """Type=notify
WatchdogSec={watchdog_s}
Restart=always
RestartSec=10
TimeoutStartSec=900
TimeoutStopSec=30
MemoryMax={memory_mb}M"""
"""The start may take minutes, because it brings a store of an older version up to date. A stop switches devices off and
writes the readings that wait."""
_JOB: Final = "Type=oneshot\nTimeoutStartSec=3600\nMemoryMax=400M\nNice=5"
_AT_BOOT: Final = "\n[Install]\nWantedBy=multi-user.target\n"
_TIMER: Final = """[Unit]
Description=PyGNC station{name}: {job}, timer

[Timer]
OnCalendar={calendar}
RandomizedDelaySec={delay}
Persistent=yes

[Install]
WantedBy=timers.target
"""
_LOW_PORT: Final = 1024
_BIND: Final = "CAP_NET_BIND_SERVICE"
_NETWORK: Final = "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"
_NO_NETWORK: Final = "RestrictAddressFamilies=AF_UNIX\nPrivateNetwork=yes"
_FILE_SYSTEM: Final = ("/", "usb://", "spi://", "file://")
"""Beginnings of ports that need no network."""

JOBS: Final = {
    "batch": ("*:00/15", "60"),
    "upload": ("*:05/15", "240"),
    "sync": ("*:0/5", "60"),
    "backup": ("03:10", "1800"),
    "prune": ("04:10", "600"),
}


def unit_files(
    settings: StationSettings, file: Path, user: str, *, is_server: bool = False, program: Path | None = None
) -> dict[str, str]:
    """Return the texts of the unit files by file name.

    Args:
        settings: settings of the station; jobs that they do not configure get no timer.
        file: path of the settings file.
        user: user that runs the services.
        is_server: return the units of the server instead of those of the station.
        program: the command `pygnc`; by default that of this installation.
    """
    program = program or Path(sys.executable).with_name("pygnc")
    folders = " ".join(quoted(str(folder)) for folder in _writable_folders(settings, is_server=is_server))
    name = "" if settings.name == "station" else f" {escaped(settings.name)}"

    def unit(
        job: str, service: str, sandbox: str, *more: str, after: str = "network-online.target", title: str = ""
    ) -> str:
        words = (str(program), "station", job, "--settings", str(file.absolute()), *more)
        return _UNIT.format(
            name=name, title=title or job, after=after, command=command_line(words), service=service,
            user=escaped(user), folders=folders, sandbox=sandbox,
        )  # fmt: skip

    plain = f"{_sandbox()}\n{NO_DEVICES}\n{_NETWORK}"
    if is_server:
        serve = plain
        if settings.serve.port < _LOW_PORT:
            serve = "\n".join((_sandbox(_BIND), f"AmbientCapabilities={_BIND}", NO_DEVICES, _NETWORK))
        watched = _WATCHED.format(watchdog_s=60, memory_mb=800)
        files = {"pygnc-station-serve.service": unit("serve", watched, serve) + _AT_BOOT}
        jobs = {"server-prune": "prune"} | ({"server-backup": "backup"} if settings.backup.url else {})
    else:
        watched = _WATCHED.format(watchdog_s=180, memory_mb=200)
        logger = unit(
            "log", watched, _logger_sandbox(settings), "--quiet", after="time-sync.target", title="log devices"
        )
        files = {"pygnc-station.service": logger + _AT_BOOT}
        if settings.sinks:
            watched = _WATCHED.format(watchdog_s=300, memory_mb=200)
            files["pygnc-station-publish.service"] = unit("publish", watched, plain) + _AT_BOOT
        urls = {"batch": settings.upload.url, "upload": settings.upload.url, "sync": settings.sync.url}
        urls["backup"] = settings.backup.url
        jobs = {job: job for job in JOBS if urls.get(job, "prune")}
    for title, job in jobs.items():
        calendar, delay = JOBS[job]
        files[f"pygnc-station-{title}.service"] = unit(job, _JOB, plain)
        files[f"pygnc-station-{title}.timer"] = _TIMER.format(name=name, job=job, calendar=calendar, delay=delay)
    return files


def _sandbox(capability: str = "") -> str:
    # /proc shows processes only, and of these only the user's own.
    return f"{SANDBOX.format(capability=capability)}\n{NO_SCHEDULING}\nProcSubset=pid"


def _logger_sandbox(settings: StationSettings) -> str:
    """Return the restrictions of the logger: serial ports, and a network only if its settings need one."""
    groups = ["dialout", *(["spi"] if any(device.port.startswith("spi://") for device in settings.device) else [])]
    is_local = "://" not in settings.store_url and all(
        device.port.startswith(_FILE_SYSTEM) for device in settings.device
    )
    network = _NO_NETWORK if is_local else _NETWORK
    return "\n".join((_sandbox(), SERIAL_DEVICES, f"SupplementaryGroups={' '.join(groups)}", network))


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
    if settings.backup.url.startswith("file://") or "://" not in settings.backup.url:
        names.append(settings.backup.url.removeprefix("file://"))
    folders += [settings.path(name) for name in names if name]
    home = Path(settings.folder).resolve()
    others = {folder.resolve() for folder in folders if not folder.resolve().is_relative_to(home)}
    return [home, *sorted(others)]


UserOption = Annotated[str, typer.Option(help="User that runs the services; by default the one who calls this.")]
ServerOption = Annotated[bool, typer.Option("--server", help="Use the services of the server instead.")]
RootOption = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Folder of the system, such as a mounted card; nothing is started there.")
]


@command(example="pygnc station units --out units")
def units(
    settings: SettingsOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the files to FOLDER instead of printing them.")
    ] = None,
    user: UserOption = "",
    *,
    server: ServerOption = False,
) -> None:
    """Show the systemd units that `install` writes: a service that logs, and timers for the configured jobs."""
    file = settings or find_settings()
    made = unit_files(read_settings(file), file, user or invoking_user(), is_server=server)
    for name, text in made.items():
        if out is None:
            typer.echo(f"# {name}\n{text}")
            continue
        out.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)
        typer.echo(str(out / name))


@command(example="sudo pygnc station install --settings station.toml")
def install(
    settings: SettingsOption = None,
    user: UserOption = "",
    root: RootOption = Path("/"),
    *,
    server: ServerOption = False,
) -> None:
    """Install the services of this station with systemd, and start them now and at boot; needs sudo."""
    file = settings or find_settings()
    made = unit_files(read_settings(file), file, user or invoking_user(), is_server=server)
    # A service with a timer is started by the timer, not at boot.
    at_boot = [name for name in made if name.endswith(".timer") or f"{name.removesuffix('.service')}.timer" not in made]
    typer.echo("\n".join(install_units(_owner(server=server), made, at_boot, root)))


@command()
def uninstall(root: RootOption = Path("/"), *, server: ServerOption = False) -> None:
    """Stop and remove the services that `install` has installed; settings and readings stay. Needs sudo."""
    typer.echo("\n".join(uninstall_units(_owner(server=server), root)))


def install_command(file: Path) -> str:
    """Return the shell command that installs the services of a settings file."""
    program = Path(sys.executable).with_name("pygnc")
    return shlex.join(["sudo", str(program), "station", "install", "--settings", str(file)])


def _owner(*, server: bool) -> str:
    return f"pygnc station install{' --server' if server else ''}"
