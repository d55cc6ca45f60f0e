"""Emulated Pi: a pseudo-terminal as serial console, a login shell, a home folder and a power switch."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
import zipfile
from pathlib import Path
from typing import Final, Self

import pygnc

_LOGIN_MAX_S: Final = 20.0
_POWER_OFF_MAX_S: Final = 10.0
_POLL_S: Final = 0.002
_KEPT: Final = ("LANG", "LC_ALL", "OPENBLAS_NUM_THREADS", "PYTHONDONTWRITEBYTECODE", "TZ")
_SESSION_FIELD: Final = 3
"""Index of the session in /proc/PID/stat, counted after the process name."""


class PtyPi:
    """Emulated Pi; a context manager.

    Args:
        home: Home folder of the login.

    Attributes:
        master: The controller's end of the serial console.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._shell: subprocess.Popen[bytes] | None = None
        self._sessions: list[int] = []
        self.master, self._slave = os.openpty()
        attributes = termios.tcgetattr(self._slave)
        attributes[4] = attributes[5] = termios.B115200
        termios.tcsetattr(self._slave, termios.TCSANOW, attributes)

    def __enter__(self) -> Self:
        self.ensure_login()
        # Ctrl-C before the first prompt would kill the shell.
        select.select([self.master], [], [], _LOGIN_MAX_S)
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()
        os.close(self.master)
        os.close(self._slave)

    def install(self, package: Path) -> None:
        """Unpack a flight.zip as `~/pygnc`, with the libraries of this Python.

        Raises:
            OSError: Reading or writing failed.
            zipfile.BadZipFile: The package is not a zip file.
        """
        folder = self.home / "pygnc"
        with zipfile.ZipFile(package) as archive:
            archive.extractall(folder)
        (folder / ".venv").symlink_to(sys.prefix)
        shutil.copy(folder / "pygnc_version.info", self.home)

    def install_from_here(self) -> None:
        """Link `~/pygnc` to the flight code of this working copy."""
        folder = self.home / "pygnc"
        folder.mkdir()
        flight = Path(pygnc.__file__).parents[1]
        for name in ("main.py", "pygnc", "pygnc_devices"):
            (folder / name).symlink_to(flight / name)
        (folder / ".venv").symlink_to(sys.prefix)
        (self.home / "pygnc_version.info").write_text(f"working-copy {pygnc.__version__}\n")

    def ensure_login(self) -> None:
        """Start the login shell, and again whenever it has ended, like a console with automatic login."""
        if self._shell is not None and self._shell.poll() is None:
            return
        shell = shutil.which("bash") or shutil.which("sh") or "/bin/sh"
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {"HOME": str(self.home), "PATH": os.defpath, "TERM": "vt220", "SHELL": shell}
        self._shell = subprocess.Popen(  # noqa: S603 - fixed command
            ["setsid", "--ctty", shell, "-l"],  # noqa: S607 - of every Linux
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            cwd=self.home,
            env=environment,
        )
        self._sessions.append(self._shell.pid)

    def processes(self) -> list[int]:
        """Return the processes of all logins, including those with sessions of their own."""
        return [
            int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal() and self._belongs_here(path)
        ]

    def power_off(self) -> None:
        """Kill all processes at once.

        Raises:
            TimeoutError: A process survives.
        """
        deadline = time.monotonic() + _POWER_OFF_MAX_S
        while alive := self.processes():
            if time.monotonic() >= deadline:
                raise TimeoutError(f"processes {alive} survive SIGKILL for {_POWER_OFF_MAX_S:g} s; end them by hand")
            for pid in alive:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL_S)
        if self._shell is not None:
            self._shell.wait()

    def _belongs_here(self, process: Path) -> bool:
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if fields[0] == "Z":
                return False
            home = f"HOME={self.home}".encode()
            return int(fields[_SESSION_FIELD]) in self._sessions or home in (process / "environ").read_bytes().split(
                b"\0"
            )
        except OSError:
            return False  # the process has ended, or belongs to another user
