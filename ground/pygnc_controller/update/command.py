"""Command line of the update of a Pi, and the transports: network (scp, ssh) or serial line."""

import hashlib
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, TypeAlias
from zipfile import BadZipFile, ZipFile

import typer

from pygnc_cli.text import printable, reason_of
from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.serial_line import PacedPort
from pygnc_controller.emulator.shell import CommandResult, Connection, PiError, Shell
from pygnc_system import installer
from pygnc_system.installer import DAMAGED

app: Final = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
TRIES: Final = 3
HOST: Final = "pi@raspberrypi.local"
PACKER: Final = Path(__file__).parents[3] / "package_flight_code.sh"
INSTALLER: Final = Path(installer.__file__)
PACKAGE: Final = ".pygnc_update.zip"
PROGRAM: Final = ".pygnc_update.py"
INSTALL_MAX_S: Final = 900.0
"""Time limit of the installation; a Pi Zero needs minutes for the libraries."""
_SSH_FAILED: Final = 255
"""Exit code of ssh if the connection failed."""


class SshTransport:
    """Transport by scp and ssh, without any interactive question. Host keys are checked as ssh is configured.

    All methods raise PiError if the Pi cannot be reached.

    Args:
        host: Host name for ssh, such as `pi@raspberrypi.local`.
        config: Configuration file for ssh; None: the user's.
    """

    def __init__(self, host: str, config: Path | None = None) -> None:
        if host.startswith("-"):
            raise PiError(f"{host!r}: not a host name; use a name such as {HOST}")
        self._host = host
        self._options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        if config is not None:
            self._options = ["-F", str(config), *self._options]

    def send(self, file: Path, name: str) -> None:
        """Copy a file to the home folder of the Pi."""
        done = self._run(["scp", *self._options, str(file.absolute()), f"{self._host}:{name}"], b"")
        if done.returncode:
            raise PiError(self._error_text(done.stderr))

    def install(self, *words: str) -> CommandResult:
        """Run the installer on the Pi with these arguments."""
        done = self._run(
            ["ssh", *self._options, self._host, shlex.join(["python3", "-", *words])], INSTALLER.read_bytes()
        )
        if done.returncode == _SSH_FAILED:
            raise PiError(self._error_text(done.stderr))
        return CommandResult((done.stdout + done.stderr).decode(errors="replace").strip(), done.returncode)

    def _run(self, words: list[str], given: bytes) -> "subprocess.CompletedProcess[bytes]":
        program = shutil.which(words[0])
        if program is None:
            raise PiError(f"{words[0]}: program not found; install the OpenSSH client")
        return subprocess.run([program, *words[1:]], input=given, capture_output=True, check=False)  # noqa: S603

    def _error_text(self, stderr: bytes) -> str:
        message = stderr.decode(errors="replace").strip() or "no error message"
        return f"{self._host}: {message}; make sure that `ssh {self._host} true` works without a prompt"


class SerialTransport:
    """Transport by the shell on a serial line.

    Args:
        descriptor: File descriptor of the port.
        baud: Speed of the port, bit/s.
    """

    def __init__(self, descriptor: int, baud: int) -> None:
        self._shell = Shell(Connection(PacedPort(descriptor, baud), Controller(1)))
        self._shell.wake()

    def send(self, file: Path, name: str) -> None:
        """See `SshTransport`."""
        self._shell.put(name, file.read_bytes())

    def install(self, *words: str) -> CommandResult:
        """See `SshTransport`."""
        self._shell.put(PROGRAM, INSTALLER.read_bytes())
        return self._shell.run(f"cd; python3 {PROGRAM} {shlex.join(words)}", INSTALL_MAX_S)


Transport: TypeAlias = SshTransport | SerialTransport


@app.command()
def update(
    *,
    host: Annotated[str, typer.Option(help="Host name of the Pi for ssh.")] = HOST,
    port: Annotated[str, typer.Option(help="Serial port to the shell of the Pi, instead of the network.")] = "",
    baud: Annotated[int, typer.Option(min=1200, help="Speed of the serial port, bit/s.")] = 115_200,
    package: Annotated[
        Path | None, typer.Option(help="flight.zip to install; default: made from this working copy.")
    ] = None,
    wheels: Annotated[
        str, typer.Option(metavar="MACHINE", help="Include the libraries for MACHINE: aarch64 or x86_64.")
    ] = "",
    python: Annotated[
        str,
        typer.Option(help="Path of a Python on the Pi with the libraries; default: use the libraries in the package."),
    ] = "",
    sign: Annotated[
        Path | None,
        typer.Option(metavar="SECRET_KEY", help="Sign the package that is made from this working copy by minisign."),
    ] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help="Do not verify the signature of the package.")] = False,
    older: Annotated[
        bool, typer.Option("--older", help="Permit a package that is older than an installed version.")
    ] = False,
    roll_back: Annotated[bool, typer.Option("--roll-back", help="Switch back to the previous version.")] = False,
    add_key: Annotated[
        Path | None, typer.Option(metavar="PUBLIC_KEY", help="Permit this key of minisign to sign packages.")
    ] = None,
    revoke: Annotated[str, typer.Option(metavar="ID", help="Reject packages signed by the key with this id.")] = "",
    ssh_config: Annotated[
        Path | None, typer.Option(help="Configuration file for ssh and scp; default: the user's ~/.ssh/config.")
    ] = None,
) -> None:
    """Install new flight code on a Pi: pack, sign, send, verify, unpack beside the old version, test, switch over.

    Exit codes: 0: the new version is in use; 4: the new version failed its test and the old version stays in use;
    3: the package was damaged in every transfer; 2: the update was impossible.
    """
    try:
        with _transport(host, port, baud, ssh_config) as transport, tempfile.TemporaryDirectory() as folder:
            if roll_back:
                code = _print(transport.install("--roll-back"))
            elif add_key is not None:
                code = _print(transport.install("--add-key", _public_key(add_key)))
            elif revoke:
                code = _print(transport.install("--revoke", revoke))
            else:
                words = [*(["--python", python] if python else []), *(["--older"] if older else [])]
                words += ["--unsigned"] if unsigned else []
                given = package or _packed(Path(folder), wheels, sign, is_signed=not unsigned)
                code = _update(transport, given, words, is_signed=not unsigned)
    except (OSError, BadZipFile, PiError) as error:
        place = f"{package}: " if isinstance(error, BadZipFile) else ""
        typer.echo(f"update: {printable(place + reason_of(error))}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


@contextmanager
def _transport(host: str, port: str, baud: int, ssh_config: Path | None) -> Iterator[Transport]:
    if not port:
        yield SshTransport(host, ssh_config)
        return
    import serial  # noqa: PLC0415 - only needed for a serial port

    with serial.Serial(port, baud, exclusive=True) as device:
        yield SerialTransport(device.fileno(), baud)


def _public_key(file: Path) -> str:
    keys = [line for line in file.read_text(errors="replace").splitlines() if installer.decode_key(line) is not None]
    if len(keys) != 1:
        raise PiError(
            f"{file}: not a public key of minisign; give the file minisign.pub that `minisign -G` has written"
        )
    return keys[0]


def _packed(folder: Path, wheels: str, sign: Path | None, *, is_signed: bool) -> Path:
    if not PACKER.exists():
        raise PiError("this installation has no working copy to pack; name a package: --package FILE")
    if is_signed and sign is None:
        raise PiError("the new package would have no signature; use --sign SECRET_KEY, or --unsigned")
    file = folder / "flight.zip"
    words = [str(PACKER), "--output", str(file), *(["--wheels", wheels] if wheels else [])]
    words += ["--sign", str(sign)] if sign is not None else []
    done = subprocess.run(words, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - fixed program
    if done.returncode:
        raise PiError(f"{PACKER}: packing failed with exit code {done.returncode}; see its messages above")
    return file


def _update(transport: Transport, package: Path, words: list[str], *, is_signed: bool) -> int:
    with ZipFile(package) as archive:
        fault = archive.testzip()
    if fault is not None:
        raise PiError(f"{package}: the entry {fault} fails its check sum; make the package again")
    signature = installer.signature_of(package)
    if is_signed and not signature.exists():
        raise PiError(f"{signature}: no signature; sign the package (minisign -Sm {package.name}), or use --unsigned")
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    code = DAMAGED
    for _ in range(TRIES):
        if code == DAMAGED:
            typer.echo(f"sending {package.stat().st_size} bytes")
            transport.send(package, PACKAGE)
            if is_signed:
                transport.send(signature, f"{PACKAGE}{installer.SIGNATURE_SUFFIX}")
            code = _print(transport.install(PACKAGE, digest, *words))
    return code


def _print(answer: CommandResult) -> int:
    typer.echo(answer.text)
    return answer.code
