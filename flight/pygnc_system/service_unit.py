"""Units of systemd: the sandbox that all services share, and their installation."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

from pygnc_system.files import durable_write

UNITS: Final = Path("/etc/systemd/system")
_RUNNING: Final = Path("/run/systemd/system")
"""Folder that exists only while systemd is the service manager, see sd_booted(3)."""
_ORIGIN: Final = "# Written by `{}`."

SANDBOX: Final = """NoNewPrivileges=yes
CapabilityBoundingSet={capability}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
LockPersonality=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM"""
"""Restrictions of every service; it writes only to its ReadWritePaths.

MemoryDenyWriteExecute is missing, because libffi needs writable code for Python's callbacks.
"""
NO_SCHEDULING: Final = "SystemCallFilter=~@resources"
"""Forbids changes of scheduling; programs with ZeroMQ cannot use it, because ZeroMQ sets that of its threads."""
SERIAL_DEVICES: Final = "\n".join(
    ["DevicePolicy=closed", *(f"DeviceAllow=char-{major} rw" for major in (4, 153, 166, 188, 204))]
)
"""Serial ports (ttyS, ttyACM, ttyUSB, ttyAMA) and SPI buses.

The numbers of Linux' devices.txt are used, because systemd resolves a name only if its driver is loaded at the start
of the service, and a USB adapter may be plugged in later.
"""
NO_DEVICES: Final = "PrivateDevices=yes"


class ServiceError(Exception):
    """Error raised when units cannot be installed or removed; the message names the remedy."""


def escaped(text: str) -> str:
    """Return a text as one line in which systemd expands no specifiers."""
    return " ".join(text.replace("%", "%%").split())


def quoted(text: str) -> str:
    """Return a path for a unit file: quoted if necessary, without specifiers that systemd would expand."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if set(text) & set(" \t\\'\"") else text


def command_line(words: Iterable[str]) -> str:
    """Return the value of ExecStart for a program and its arguments; systemd passes the words unchanged."""
    return " ".join(quoted(word.replace("$", "$$")) for word in words)  # systemd expands variables in ExecStart


def invoking_user() -> str:
    """Return the name of the user who calls this program, possibly by sudo."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def install(owner: str, units: Mapping[str, str], enabled: Collection[str], root: Path = Path("/")) -> list[str]:
    """Write the units of a program, replace those of an earlier installation, and start them if systemd runs.

    Args:
        owner: Command that installs the units, such as `pygnc station install`.
        units: Texts of the unit files by file name.
        enabled: Names of the units that start at boot, and now.
        root: Folder of the system; nothing is started in a folder other than `/`, such as a mounted card.

    Returns:
        What was done, as lines of text.

    Raises:
        ServiceError: The user may not do this, or systemd refuses.
    """
    folder = root / UNITS.relative_to("/")
    outdated = [name for name in _installed(owner, folder) if name not in units]
    done = _remove(outdated, root) if outdated else []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in units.items():
            durable_write(folder / name, f"{_ORIGIN.format(owner)}\n{text}".encode())
    except OSError as error:
        raise _not_permitted(error) from None
    done += [f"{folder / name} written" for name in units]
    is_running = _is_running(root)
    if is_running:
        _systemctl("daemon-reload")
    if enabled:
        _systemctl(*_place(root), "enable", *enabled)
        done.append(f"starting at boot: {' '.join(enabled)}")
    if enabled and is_running:
        _systemctl("restart", *enabled)  # a running service of an earlier installation must use the new unit
        done.append("started now")
    return done


def uninstall(owner: str, root: Path = Path("/")) -> list[str]:
    """Stop, disable and delete the units that `install` has written; return what was done.

    Raises:
        ServiceError: The user may not do this, systemd refuses, or no units are installed.
    """
    folder = root / UNITS.relative_to("/")
    names = _installed(owner, folder)
    if not names:
        raise ServiceError(f"{folder}: no units that `{owner}` has written")
    return _remove(names, root)


def _remove(names: Collection[str], root: Path) -> list[str]:
    folder = root / UNITS.relative_to("/")
    is_running = _is_running(root)
    _systemctl(*_place(root), "disable", *(["--now"] if is_running else []), *names)
    try:
        for name in names:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise _not_permitted(error) from None
    if is_running:
        _systemctl("daemon-reload")
    return [f"{folder / name} removed" for name in names]


def _installed(owner: str, folder: Path) -> list[str]:
    """Return the names of the units that `install` has written; units written by a user are not included."""
    origin = _ORIGIN.format(owner)
    found = [path for kind in ("service", "timer") for path in folder.glob(f"pygnc-*.{kind}") if path.is_file()]
    return sorted(path.name for path in found if path.read_text(errors="replace").startswith(origin))


def _is_running(root: Path) -> bool:
    return root == Path("/") and _RUNNING.is_dir()


def _place(root: Path) -> list[str]:
    return [] if root == Path("/") else [f"--root={root}"]


def _not_permitted(error: OSError) -> ServiceError:
    remedy = "; run this with sudo" if isinstance(error, PermissionError) else ""
    return ServiceError(f"{error.filename}: {error.strerror}{remedy}")


def _systemctl(*words: str) -> None:
    program = shutil.which("systemctl")
    if program is None:
        raise ServiceError("systemctl is missing: services need systemd, which this system does not have")
    done = subprocess.run([program, "--quiet", *words], capture_output=True, text=True, check=False)  # noqa: S603 - the arguments are names of our own units
    if done.returncode:
        raise ServiceError(f"systemctl {' '.join(words)}: {done.stderr.strip() or f'exit code {done.returncode}'}")
