"""What all device commands share: their arguments, how results and errors are shown, how they end."""

import contextlib
import json
import signal
import sys
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pygnc_cli.text import printable
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import Setting
from pygnc_devices.reading import Statistics
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.upload import DestinationError

Port: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="[PORT]", help="Path or URL; without it, the only device at the serial adapters."),
]
NeededPort: TypeAlias = Annotated[str, typer.Argument(metavar="PORT", help="Path or URL.")]
FamilyName: TypeAlias = Annotated[str, typer.Option("--family", help="ucb, gx2, monodrive ...; else found out.")]
Baud: TypeAlias = Annotated[int, typer.Option("--baud", min=0, help="Speed of the line; found out if not given.")]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
UserPackets: TypeAlias = Annotated[
    Path | None, typer.Option("--user-packets", metavar="FILE", help="JSON description of packets of one's own (ucb).")
]
Count: TypeAlias = Annotated[int, typer.Option("--count", min=0, help="End after so many readings.")]
Seconds: TypeAlias = Annotated[float, typer.Option("--seconds", min=0.0, help="End after so long.")]

console: Final = Console(highlight=False)
notes: Final = Console(stderr=True, highlight=False)
INTERRUPTED: Final = 130


@contextlib.contextmanager
def told_plainly() -> Generator[None, None, None]:
    """Show errors that a user can do something about in a line; end with code 1."""
    try:
        yield
    except (DeviceError, DestinationError, LogError) as error:
        complain(str(error))
        raise typer.Exit(1) from None
    except BrokenPipeError:  # whoever read the output has seen enough
        with contextlib.suppress(OSError):
            sys.stdout = None
        raise typer.Exit(0) from None
    except OSError as error:
        complain(f"{error.filename or ''}: {error.strerror}".removeprefix(": "))
        raise typer.Exit(1) from None


@contextlib.contextmanager
def until_interrupted() -> Generator[None, None, None]:
    """Take Ctrl-C and SIGTERM for the end that the user wishes."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


def complain(text: str) -> None:
    """Print an error."""
    typer.echo(f"pygnc device: {printable(text)}", err=True)


def say(text: str) -> None:
    """Print a remark where it does not get between results."""
    notes.print(Text(printable(text)), soft_wrap=True)


def show_json(content: Any) -> None:  # noqa: ANN401 - any JSON
    """Print one object in one line."""
    typer.echo(json.dumps(content, ensure_ascii=False))


def show_pairs(title: str, pairs: Mapping[str, str]) -> None:
    """Print names and values."""
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in pairs.items():
        table.add_row(Text(name), Text(printable(value)))
    console.print(table)


def show_settings(title: str, settings: Iterable[Setting]) -> None:
    """Print settings with what they mean."""
    table = Table("setting", "value", "", "meaning", title=title, title_justify="left")
    for setting in settings:
        table.add_row(
            setting.name, printable(str(setting.value)), Text(printable(setting.text)), Text(setting.meaning, "dim")
        )
    console.print(table)


def settings_json(settings: Iterable[Setting]) -> dict[str, dict[str, Any]]:
    """Return settings for programs."""
    return {entry.name: {"value": entry.value, "text": entry.text, "meaning": entry.meaning} for entry in settings}


def statistics_json(seen: Statistics) -> dict[str, Any]:
    """Return statistics for programs."""
    return {name: getattr(seen, name) for name in seen.__dataclass_fields__}


def statistics_line(seen: Statistics) -> str:
    """Return statistics for people, in a line."""
    rate = "no rate yet" if seen.rate_hz is None else f"{seen.rate_hz:.1f} Hz"
    parts = [f"{seen.readings} readings", rate, f"{seen.lost_readings} missing"]
    parts += [f"{seen.damaged.get('checksum', 0)} bad checksums", f"{seen.skipped_bytes} bytes skipped"]
    parts += [f"{seen.reconnects} reconnects"] if seen.reconnects else []
    return ", ".join(parts)
