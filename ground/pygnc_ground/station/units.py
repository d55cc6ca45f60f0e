"""systemd units of a station: a service that logs, timers that batch, upload, synchronise and prune."""

import sys
from pathlib import Path
from typing import Final

from pygnc_ground.station.settings import Settings

_HARDENED: Final = """NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ReadWritePaths={folder}
UMask=0077"""

_LOG: Final = """[Unit]
Description=PyGNC station {name}: log devices
After=time-sync.target
Wants=time-sync.target

[Service]
ExecStart={program} station log --settings {settings} --quiet
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
ExecStart={program} station {job} --settings {settings}
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
ExecStart={program} station {job} --settings {settings}
Restart=always
RestartSec=10
User={user}
{hardened}

[Install]
WantedBy=multi-user.target
"""

JOBS: Final = {
    "batch": ("*:00/15", "60"),
    "upload": ("*:05/15", "240"),
    "sync": ("*:0/5", "60"),
    "prune": ("04:10", "600"),
}


def units(settings: Settings, file: Path, user: str, *, is_server: bool = False) -> dict[str, str]:
    """Return the unit files by name.

    Args:
        settings: of the station; jobs that they do not ask for get no timer.
        file: where the settings are.
        user: who runs it.
        is_server: the server's unit in place of the station's.
    """
    words = {
        "name": settings.name,
        "program": str(Path(sys.executable).with_name("pygnc")),
        "settings": str(file.absolute()),
        "user": user,
        "hardened": _HARDENED.format(folder=settings.folder),
    }
    if is_server:
        return {"pygnc-station-serve.service": _SERVICE.format(job="serve", **words)}
    files = {"pygnc-station.service": _LOG.format(**words)}
    if settings.mqtt.host or settings.influx.url or settings.prometheus.port:
        files["pygnc-station-publish.service"] = _SERVICE.format(job="publish", **words)
    for job, (calendar, delay) in JOBS.items():
        if _is_wanted(settings, job):
            name = f"pygnc-station-{job}"
            files[f"{name}.service"] = _JOB.format(job=job, **words)
            files[f"{name}.timer"] = _TIMER.format(job=job, calendar=calendar, delay=delay, **words)
    return files


def _is_wanted(settings: Settings, job: str) -> bool:
    if job in {"batch", "upload"}:
        return bool(settings.upload.url)
    if job == "sync":
        return bool(settings.sync.url)
    return settings.store.keep_days > 0
