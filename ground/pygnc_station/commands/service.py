"""`pygnc station units`: systemd units.

A station gets a service that logs, and timers that batch, upload, synchronise and prune; a server gets a service.
"""

import getpass
import sys
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from pygnc_station.commands.common import SettingsOption, command
from pygnc_station.settings import StationSettings, find_settings, read_settings

_HARDENED: Final = """NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={folders}
UMask=0077"""

_LOG: Final = """[Unit]
Description=PyGNC station {name}: log devices
After=time-sync.target
Wants=time-sync.target

[Service]
ExecStart={log}
Restart=always
RestartSec=10
TimeoutStopSec=30
User={user}
SupplementaryGroups=dialout
MemoryMax=200M
{hardened}

[Install]
WantedBy=multi-user.target
"""

_JOB: Final = """[Unit]
Description=PyGNC station {name}: {job}
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart={command}
User={user}
{hardened}
"""

_TIMER: Final = """[Unit]
Description=PyGNC station {name}: {job}, timer

[Timer]
OnCalendar={calendar}
RandomizedDelaySec={delay}
Persistent=yes

[Install]
WantedBy=timers.target
"""

_SERVICE: Final = """[Unit]
Description=PyGNC station {name}: {job}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={command}
Restart=always
RestartSec=10
User={user}
{hardened}

[Install]
WantedBy=multi-user.target
"""
_LOW_PORT: Final = 1024
_MAY_BIND: Final = "\nAmbientCapabilities=CAP_NET_BIND_SERVICE"

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
        is_server: return the unit of the server instead of those of the station.
    """
    folders = _writable_folders(settings, is_server=is_server)
    words = {
        "name": _escaped(settings.name),
        "user": _escaped(user),
        "hardened": _HARDENED.format(folders=" ".join(_quoted(str(folder)) for folder in folders)),
    }

    def command(job: str, *more: str) -> str:
        program = str(Path(sys.executable).with_name("pygnc"))
        return " ".join(map(_argument, (program, "station", job, "--settings", str(file.absolute()), *more)))

    if is_server:
        if settings.serve.port < _LOW_PORT:
            words["hardened"] += _MAY_BIND
        return {"pygnc-station-serve.service": _SERVICE.format(job="serve", command=command("serve"), **words)}
    files = {"pygnc-station.service": _LOG.format(log=command("log", "--quiet"), **words)}
    if settings.mqtt.host or settings.influx.url or settings.prometheus.port:
        files["pygnc-station-publish.service"] = _SERVICE.format(job="publish", command=command("publish"), **words)
    for job, (calendar, delay) in JOBS.items():
        if _is_wanted(settings, job):
            name = f"pygnc-station-{job}"
            files[f"{name}.service"] = _JOB.format(job=job, command=command(job), **words)
            files[f"{name}.timer"] = _TIMER.format(job=job, calendar=calendar, delay=delay, **words)
    return files


def _writable_folders(settings: StationSettings, *, is_server: bool) -> list[Path]:
    """Return the folders that a service may write to; all others are read-only for it."""
    files = [url for url in (settings.store_url, settings.central_url) if url and "://" not in url]
    folders = [Path(file).parent for file in files]
    if is_server:
        names = [settings.serve.folder, settings.serve.scp_folder]
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


def _argument(text: str) -> str:
    """Return a quoted argument for a command line, where systemd also expands variables."""
    return _quoted(text.replace("$", "$$"))


def _is_wanted(settings: StationSettings, job: str) -> bool:
    if job in {"batch", "upload"}:
        return bool(settings.upload.url)
    if job == "sync":
        return bool(settings.sync.url)
    return settings.store.keep_days > 0


@command()
def units(
    settings: SettingsOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the files to FOLDER instead of printing them.")
    ] = None,
    user: Annotated[str, typer.Option(help="User that runs the services; by default the current user.")] = "",
    *,
    server: Annotated[bool, typer.Option("--server", help="Create the unit of the server instead.")] = False,
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
        enabled = " ".join(name for name in made if name.endswith(".timer") or f"{name[:-8]}.timer" not in made)
        typer.echo(f"sudo cp {out}/* /etc/systemd/system/ && sudo systemctl enable --now {enabled}")
