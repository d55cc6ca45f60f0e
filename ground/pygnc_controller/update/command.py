"""The updater's command line.

How a package reaches a Pi: by network (scp, ssh), or over the serial line's shell where there is no network.
"""

import hashlib
import shlex
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NamedTuple
from zipfile import BadZipFile, ZipFile

import typer

from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.serial_line import PacedPort
from pygnc_controller.emulator.shell import Connection, Shell, ShellError
from pygnc_controller.update import installer
from pygnc_controller.update.installer import DAMAGED

INSTALLER: Final = Path(installer.__file__)
PACKAGE: Final = ".pygnc_update.zip"
PROGRAM: Final = ".pygnc_update.py"
INSTALL_MAX_S: Final = 900.0
"""A Pi Zero takes minutes to install libraries."""


class TransportError(Exception):
    """The Pi cannot be reached; the message says why and what to do."""


class Answer(NamedTuple):
    """What the installer has said, and its exit code."""

    text: str
    code: int


class Transport(ABC):
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


class SshTransport(Transport):
    """By scp and ssh. Host keys are checked as ssh is set up to; nothing is ever asked.

    Args:
        host: as ssh takes it, `pi@raspberrypi.local`.
        config: a configuration file for ssh; None: the user's.
    """

    def __init__(self, host: str, config: Path | None = None) -> None:
        if host.startswith("-"):
            raise TransportError(f"{host!r} is no host")
        self._host = host
        self._options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        if config is not None:
            self._options = ["-F", str(config), *self._options]

    def send(self, package: Path) -> None:
        """See `Way`."""
        done = self._run(["scp", *self._options, str(package.absolute()), f"{self._host}:{PACKAGE}"], b"")
        if done.returncode:
            raise TransportError(self._complaint(done.stderr))

    def _call(self, words: Sequence[str]) -> Answer:
        done = self._run(
            ["ssh", *self._options, self._host, shlex.join(["python3", "-", *words])], INSTALLER.read_bytes()
        )
        if done.returncode == _SSH_FAILED:
            raise TransportError(self._complaint(done.stderr))
        return Answer((done.stdout + done.stderr).decode(errors="replace").strip(), done.returncode)

    def _run(self, words: list[str], given: bytes) -> "subprocess.CompletedProcess[bytes]":
        program = shutil.which(words[0])
        if program is None:
            raise TransportError(f"{words[0]} is not installed here: install OpenSSH's client")
        return subprocess.run([program, *words[1:]], input=given, capture_output=True, check=False)  # noqa: S603

    def _complaint(self, stderr: bytes) -> str:
        said = stderr.decode(errors="replace").strip() or "no word of why"
        return f"{self._host}: {said}; see that `ssh {self._host} true` works without being asked anything"


class SerialTransport(Transport):
    """Over a serial line with a shell at its end.

    Args:
        descriptor: of the port.
        baud: its speed.
    """

    def __init__(self, descriptor: int, baud: int) -> None:
        self._shell = Shell(Connection(PacedPort(descriptor, baud), Controller(1)))
        self._shell.wake()

    def send(self, package: Path) -> None:
        """See `Way`."""
        self._shell.put(PACKAGE, package.read_bytes())

    def _call(self, words: Sequence[str]) -> Answer:
        self._shell.put(PROGRAM, INSTALLER.read_bytes())
        found = self._shell.ask(f"cd; python3 {PROGRAM} {shlex.join(words)}", INSTALL_MAX_S)
        return Answer(found.text, found.code)


_SSH_FAILED: Final = 255


app: Final = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
TRIES: Final = 3
HOST: Final = "pi@raspberrypi.local"
PACKER: Final = Path(__file__).parents[3] / "package_flight_code.sh"


@app.command()
def update(
    *,
    host: Annotated[str, typer.Option(help="Computer, as ssh takes it.")] = HOST,
    port: Annotated[str, typer.Option(help="Serial port with the Pi's shell, in place of the network.")] = "",
    baud: Annotated[int, typer.Option(min=1200, help="Speed of the serial port.")] = 115_200,
    package: Annotated[
        Path | None, typer.Option(help="flight.zip to send; without it, one is made of this working copy.")
    ] = None,
    wheels: Annotated[
        str, typer.Option(metavar="MACHINE", help="Pack the libraries for MACHINE: aarch64 or x86_64.")
    ] = "",
    python: Annotated[
        str, typer.Option(help="A Python on the Pi that has the libraries; else those sent by --wheels.")
    ] = "",
    roll_back: Annotated[bool, typer.Option("--roll-back", help="Switch back to the version before.")] = False,
    ssh_config: Annotated[Path | None, typer.Option(help="ssh configuration file in place of your own.")] = None,
) -> None:
    """Put new flight code onto a Pi: pack, send, verify, unpack beside the old, try, switch; back if it fails.

    The exit code is 0 when the new version is in use, 4 when the old one still is, 3 when the package never got
    through undamaged, 2 when nothing could be done.
    """
    try:
        with _way(host, port, baud, ssh_config) as way, tempfile.TemporaryDirectory() as folder:
            if roll_back:
                code = _tell(way.roll_back())
            else:
                code = _update(way, package or _packed(Path(folder), wheels), python)
    except (OSError, BadZipFile, ShellError, TransportError) as error:
        typer.echo(f"update: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


@contextmanager
def _way(host: str, port: str, baud: int, ssh_config: Path | None) -> Iterator[Transport]:
    if not port:
        yield SshTransport(host, ssh_config)
        return
    import serial  # noqa: PLC0415 - by network, none is needed

    with serial.Serial(port, baud, exclusive=True) as device:
        yield SerialTransport(device.fileno(), baud)


def _packed(folder: Path, wheels: str) -> Path:
    """Pack the flight code of this working copy."""
    if not PACKER.exists():
        raise TransportError("there is no working copy here to pack: name a package (--package)")
    file = folder / "flight.zip"
    words = [str(PACKER), "--output", str(file), *(["--wheels", wheels] if wheels else [])]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own program
    if done.returncode:
        raise TransportError("packing failed, as said above")
    return file


def _update(way: Transport, package: Path, python: str) -> int:
    with ZipFile(package) as archive:
        fault = archive.testzip()
    if fault is not None:
        raise TransportError(f"{package}: {fault} in it is damaged; pack it again")
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    code = DAMAGED
    for _ in range(TRIES):
        if code == DAMAGED:
            typer.echo(f"sending {package.stat().st_size} bytes")
            way.send(package)
            code = _tell(way.install(digest, python))
    return code


def _tell(answer: Answer) -> int:
    typer.echo(answer.text)
    return answer.code
