"""How a package reaches a Pi: by network (scp, ssh), or over the serial line's shell where there is no network."""

import shlex
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pygnc_controller.emulator.cable import Cable
from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.shell import Shell
from pygnc_controller.emulator.station import Station
from pygnc_controller.update import installer

INSTALLER: Final = Path(installer.__file__)
PACKAGE: Final = ".pygnc_update.zip"
PROGRAM: Final = ".pygnc_update.py"
INSTALL_MAX_S: Final = 900.0
"""A Pi Zero takes minutes to install libraries."""


class WayError(Exception):
    """The Pi cannot be reached; the message says why and what to do."""


class Answer(NamedTuple):
    """What the installer has said, and its exit code."""

    text: str
    code: int


class Way(ABC):
    """Carries a package, and what to do with it."""

    @abstractmethod
    def send(self, package: Path) -> None:
        """Put a package into the Pi's home.

        Raises:
            WayError: it does not get there.
        """

    def install(self, sha256: str, python: str) -> Answer:
        """Switch to the package that was sent.

        Raises:
            WayError: the installer does not run.
        """
        return self._call([PACKAGE, sha256, *(["--python", python] if python else [])])

    def roll_back(self) -> Answer:
        """Switch to the version before.

        Raises:
            WayError: the installer does not run.
        """
        return self._call(["--roll-back"])

    @abstractmethod
    def _call(self, words: Sequence[str]) -> Answer: ...


class SshWay(Way):
    """By scp and ssh. Host keys are checked as ssh is set up to; nothing is ever asked.

    Args:
        host: as ssh takes it, `pi@raspberrypi.local`.
        config: a configuration file for ssh; None: the user's.
    """

    def __init__(self, host: str, config: Path | None = None) -> None:
        if host.startswith("-"):
            raise WayError(f"{host!r} is no host")
        self._host = host
        self._options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        if config is not None:
            self._options = ["-F", str(config), *self._options]

    def send(self, package: Path) -> None:
        """See `Way`."""
        done = self._run(["scp", *self._options, str(package.absolute()), f"{self._host}:{PACKAGE}"], b"")
        if done.returncode:
            raise WayError(self._complaint(done.stderr))

    def _call(self, words: Sequence[str]) -> Answer:
        done = self._run(
            ["ssh", *self._options, self._host, shlex.join(["python3", "-", *words])], INSTALLER.read_bytes()
        )
        if done.returncode == _SSH_FAILED:
            raise WayError(self._complaint(done.stderr))
        return Answer((done.stdout + done.stderr).decode(errors="replace").strip(), done.returncode)

    def _run(self, words: list[str], given: bytes) -> "subprocess.CompletedProcess[bytes]":
        program = shutil.which(words[0])
        if program is None:
            raise WayError(f"{words[0]} is not installed here: install OpenSSH's client")
        return subprocess.run([program, *words[1:]], input=given, capture_output=True, check=False)  # noqa: S603

    def _complaint(self, stderr: bytes) -> str:
        said = stderr.decode(errors="replace").strip() or "no word of why"
        return f"{self._host}: {said}; see that `ssh {self._host} true` works without being asked anything"


class UartWay(Way):
    """Over a serial line with a shell at its end.

    Args:
        descriptor: of the port.
        baud: its speed.
    """

    def __init__(self, descriptor: int, baud: int) -> None:
        self._shell = Shell(Station(Cable(descriptor, baud), Controller(1)))
        self._shell.wake()

    def send(self, package: Path) -> None:
        """See `Way`."""
        self._shell.put(PACKAGE, package.read_bytes())

    def _call(self, words: Sequence[str]) -> Answer:
        self._shell.put(PROGRAM, INSTALLER.read_bytes())
        found = self._shell.ask(f"cd; python3 {PROGRAM} {shlex.join(words)}", INSTALL_MAX_S)
        return Answer(found.text, found.code)


_SSH_FAILED: Final = 255
