"""The updater's command line."""

import hashlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final
from zipfile import BadZipFile, ZipFile

import typer

from pygnc_controller.emulator.shell import ShellError
from pygnc_controller.update.installer import DAMAGED
from pygnc_controller.update.ways import Answer, SshWay, UartWay, Way, WayError

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
    except (OSError, BadZipFile, ShellError, WayError) as error:
        typer.echo(f"update: {error}", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


@contextmanager
def _way(host: str, port: str, baud: int, ssh_config: Path | None) -> Iterator[Way]:
    if not port:
        yield SshWay(host, ssh_config)
        return
    import serial  # noqa: PLC0415 - by network, none is needed

    with serial.Serial(port, baud, exclusive=True) as device:
        yield UartWay(device.fileno(), baud)


def _packed(folder: Path, wheels: str) -> Path:
    """Pack the flight code of this working copy."""
    if not PACKER.exists():
        raise WayError("there is no working copy here to pack: name a package (--package)")
    file = folder / "flight.zip"
    words = [str(PACKER), "--output", str(file), *(["--wheels", wheels] if wheels else [])]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, check=False)  # noqa: S603 - our own program
    if done.returncode:
        raise WayError("packing failed, as said above")
    return file


def _update(way: Way, package: Path, python: str) -> int:
    with ZipFile(package) as archive:
        fault = archive.testzip()
    if fault is not None:
        raise WayError(f"{package}: {fault} in it is damaged; pack it again")
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
