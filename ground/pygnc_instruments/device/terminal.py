"""Options, output and error handling that all `pygnc device` commands share."""

import contextlib
import json
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.files import report_user_errors
from pygnc_cli.signals import interruptible
from pygnc_cli.text import printable
from pygnc_devices.errors import DeviceError, NoAnswerError, PortGoneError
from pygnc_devices.family import Setting, family_names
from pygnc_devices.reading import Statistics
from pygnc_devices.ucb.firmware import ImageError
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.time_base import PulseError
from pygnc_instruments.device.upload import DestinationError

Port: TypeAlias = Annotated[
    str, typer.Argument(metavar="PORT", help="Path or URL of the port; default: the only device that is found.")
]
NeededPort: TypeAlias = Annotated[str, typer.Argument(metavar="PORT", help="Path or URL of the port.")]


def known_family(name: str) -> str:
    """Return the name of a family of devices; report an unknown one as an error of usage."""
    if name and name not in family_names():
        raise typer.BadParameter(f"unknown device family {name!r}; choose from {', '.join(family_names())}")
    return name


FamilyName: TypeAlias = Annotated[
    str,
    typer.Option(
        "--family",
        metavar="NAME",
        callback=known_family,
        help="Device family (ucb, gx2, monodrive ...); default: detected.",
    ),
]
Baud: TypeAlias = Annotated[
    int, typer.Option("--baud", min=0, help="Baud rate, bit/s; default: detected.", show_default=False)
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
UserPackets: TypeAlias = Annotated[
    Path | None,
    typer.Option("--user-packets", metavar="FILE", help="JSON description of user-defined packets (family ucb)."),
]
Server: TypeAlias = Annotated[str, typer.Option(help="Host of monoDrive's simulator.")]
Count: TypeAlias = Annotated[
    int, typer.Option("--count", min=0, help="Number of readings after which to stop; 0: no limit.")
]
Seconds: TypeAlias = Annotated[
    float, typer.Option("--seconds", min=0.0, help="Time after which to stop, s; 0: no limit.")
]

_WHOLE_LINE: Final = 10_000
"""Characters of a line in a file or pipe, which programs search by lines."""
DRAWS_PER_S: Final = 10
"""Updates of a display that shows readings or their number."""
console: Final = Console(highlight=False)
stderr_console: Final = Console(stderr=True, highlight=False)


_EXIT_CODES: Final[Mapping[type[Exception], ExitCode]] = {
    ImageError: ExitCode.INPUT,
    DeviceError: ExitCode.DEVICE,
    PulseError: ExitCode.DEVICE,
    DestinationError: ExitCode.NETWORK,
    LogError: ExitCode.INPUT,
    OSError: ExitCode.INPUT,
}
reported_errors: Final = partial(report_user_errors, "pygnc device", _EXIT_CODES)
"""Context that prints an expected error and ends the command with the exit code of its type."""


def print_note(text: str) -> None:
    """Print progress or a remark to standard error; standard output carries results only."""
    stderr_console.print(Text(printable(text)), soft_wrap=True)


def print_json(content: Any) -> None:  # noqa: ANN401 - any JSON
    """Print a JSON value as a single line."""
    typer.echo(json.dumps(content, ensure_ascii=False))


def print_table(table: Table) -> None:
    """Print a table: long values are folded on a terminal and whole lines elsewhere, never truncated."""
    for column in table.columns:
        column.overflow = "fold"
    shown = console if console.is_terminal else Console(file=console.file, width=_WHOLE_LINE, highlight=False)
    shown.print(table)


def print_report(title: str, pairs: Mapping[str, str], *, as_json: bool) -> None:
    """Print names and values as a table, or as a JSON object."""
    if as_json:
        print_json(pairs)
        return
    table = Table(title=title, show_header=False, title_justify="left")
    for name, value in pairs.items():
        table.add_row(Text(name), Text(printable(value)))
    print_table(table)


def print_settings(title: str, settings: Iterable[Setting], *, as_json: bool) -> None:
    """Print settings and their meaning as a table, or as a JSON object with the names of the settings as keys."""
    if as_json:
        print_json(
            {entry.name: {"value": entry.value, "text": entry.text, "meaning": entry.meaning} for entry in settings}
        )
        return
    table = Table("setting", "value", "", "meaning", title=title, title_justify="left")
    for entry in settings:
        table.add_row(entry.name, printable(str(entry.value)), Text(printable(entry.text)), Text(entry.meaning, "dim"))
    print_table(table)


@contextlib.contextmanager
def reports_partial_changes(port: str) -> Generator[None, None, None]:
    """Say that settings may be partly written if Ctrl-C, a signal or the device interrupts their change."""
    note = f"{port}: interrupted; settings may be partly written: repeat the command, or show them with get and read"
    try:
        with interruptible():
            yield
    except KeyboardInterrupt:
        print_note(note)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (NoAnswerError, PortGoneError):
        print_note(note)
        raise


@contextlib.contextmanager
def read_progress(title: str, size: int) -> Generator[Callable[[int], object], None, None]:
    """Show a progress bar on a terminal; yield the function that takes the number of bytes read of `size`."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr_console, disable=not stderr_console.is_terminal, transient=True) as progress:
        bar = progress.add_task(title, total=size)
        yield lambda done: progress.update(bar, completed=done)


def statistics_line(statistics: Statistics) -> str:
    """Return number and rate of readings, losses, errors and reconnections as a single line."""
    rate = "rate unknown" if statistics.rate_hz is None else f"{statistics.rate_hz:.1f} Hz"
    parts = [f"{statistics.readings} readings", rate, f"{statistics.lost_readings} missing"]
    parts += [f"{statistics.damaged.get('checksum', 0)} bad checksums", f"{statistics.skipped_bytes} bytes skipped"]
    parts += [f"{statistics.reconnects} reconnects"] if statistics.reconnects else []
    parts += [f"{statistics.queue_drops} received but dropped"] if statistics.queue_drops else []
    return ", ".join(parts)
