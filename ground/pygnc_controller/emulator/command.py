"""The emulator's command line."""

import os
import tempfile
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Final
from zipfile import BadZipFile

import typer
from rich.console import Console

from pygnc_controller.emulator.aftermath import look_into
from pygnc_controller.emulator.cable import Cable
from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.display import RichDisplay
from pygnc_controller.emulator.line import Faults, Spans
from pygnc_controller.emulator.mission import Mission, Outcome, Plan
from pygnc_controller.emulator.packets import load_scenario
from pygnc_controller.emulator.pi import PiOnPty
from pygnc_controller.emulator.run import RunError
from pygnc_controller.emulator.shell import ShellError
from pygnc_controller.emulator.station import Station
from pygnc_controller.emulator.summary import found_faults, print_summary

app: Final = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
LINE: Final = "Line"
PI: Final = "Pi"


@app.command()
def emulate(
    scenario: Annotated[Path, typer.Argument(help="Folder with sense.bin and range/, as pygnc scenario makes it.")],
    *,
    live_min: Annotated[
        float, typer.Option(min=0.0, help="Stream the last so many minutes; the rest is uploaded as the batch.")
    ] = 5.0,
    speed: Annotated[
        float, typer.Option(min=0.0, help="Seconds of the scenario per second of streaming; 0: as fast as it goes.")
    ] = 1.0,
    plain: Annotated[
        bool, typer.Option("--plain", help="Use the shell alone: upload by base64, cat of the info file, no stream.")
    ] = False,
    run_for: Annotated[float, typer.Option(min=0.0, help="With --plain: seconds until Ctrl-C; 0: until done.")] = 10.0,
    fetch_kb: Annotated[int, typer.Option(min=0, help="Fetch results, newest first, up to so many kB.")] = 100,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("build/emulator"),
    off_after: Annotated[float, typer.Option(min=0.5, help="Power off so many seconds after Ctrl-C.")] = 10.0,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Power off as soon as main.py has ended.")] = False,
    timeout_min: Annotated[int, typer.Option(min=0, help="Timeout that main.py is told, minutes.")] = 60,
    port: Annotated[str, typer.Option(help="Serial port with a Pi at its other end.", rich_help_panel=PI)] = "",
    package: Annotated[
        Path | None,
        typer.Option(help="flight.zip for the emulated Pi, in place of this working copy.", rich_help_panel=PI),
    ] = None,
    start: Annotated[
        str, typer.Option(help="How main.py is started, without its arguments.", rich_help_panel=PI)
    ] = Plan.start,
    user: Annotated[str, typer.Option(help="Who must be logged in; empty: anybody.", rich_help_panel=PI)] = "",
    baud: Annotated[int, typer.Option(min=1200, help="Speed of the line.", rich_help_panel=LINE)] = 115_200,
    seed: Annotated[int, typer.Option(min=0, help="Of the faults.", rich_help_panel=LINE)] = 0,
    lost: Annotated[float, typer.Option(min=0.0, max=0.1, help="Share of bytes lost.", rich_help_panel=LINE)] = 0.0,
    flipped: Annotated[float, typer.Option(min=0.0, max=0.1, help="With a bit flipped.", rich_help_panel=LINE)] = 0.0,
    doubled: Annotated[float, typer.Option(min=0.0, max=0.1, help="That come twice.", rich_help_panel=LINE)] = 0.0,
    delayed: Annotated[
        float, typer.Option(min=0.0, max=0.1, help="That come up to 0.2 s late.", rich_help_panel=LINE)
    ] = 0.0,
    cut: Annotated[
        list[str] | None,
        typer.Option(metavar="AT:FOR", help="Cut the line, s after the login; repeatable.", rich_help_panel=LINE),
    ] = None,
    wrong_baud: Annotated[
        list[str] | None,
        typer.Option(metavar="AT:FOR", help="Both ends at different speeds: noise.", rich_help_panel=LINE),
    ] = None,
) -> None:
    """Be the host controller: log in, upload a batch, start main.py, watch, stream, fetch results, Ctrl-C, power off.

    Without --port, the Pi is a shell on a pseudo-terminal in a home of its own, which is looked into at the end.
    The exit code is 1 if anything is not as it should be.
    """
    console = Console(highlight=False)
    try:
        plan = Plan(
            load_scenario(scenario, 0.0 if plain else 60.0 * live_min),
            out,
            speed=speed or inf,
            plain=plain,
            plain_run_s=run_for,
            fetch_bytes=1000 * fetch_kb,
            off_after_s=off_after,
            waits=not no_wait,
            timeout_min=timeout_min,
            start=start,
            user=user,
        )
        faults = Faults(lost, flipped, doubled, delayed, cuts=_spans(cut), garbled=_spans(wrong_baud))
        line = LineSettings(baud, faults, seed)
        in_order = _fly_on_port(console, plan, port, line) if port else _fly_on_pty(console, plan, package, line)
    except (OSError, ValueError, BadZipFile, ShellError, RunError) as error:
        console.print(f"pycubed emulator: {error}", style="red", markup=False)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if in_order else 1)


@dataclass(frozen=True)
class LineSettings:
    """How the line is."""

    baud: int
    faults: Faults
    seed: int

    def station(self, descriptor: int) -> Station:
        """Return a controller at a port."""
        session = 1 + int.from_bytes(os.urandom(4)) % 65_535
        return Station(Cable(descriptor, self.baud, self.faults, self.seed), Controller(session))


def _fly_on_pty(console: Console, plan: Plan, package: Path | None, line: LineSettings) -> bool:
    with tempfile.TemporaryDirectory(prefix="pygnc-pi-") as folder:
        home = Path(folder)
        with PiOnPty(home) as pi:
            if package is None:
                pi.install_from_here()
            else:
                pi.install(package)
            station = line.station(pi.master)
            station.chores.append(pi.look_after)
            outcome = _fly(console, station, plan)
            killed = len(pi.processes())
            pi.power_off()
        console.print(f"  processes killed: {killed}")
        aftermath = look_into(home, ended_in_order=outcome.exit_code is not None)
        print_summary(console, outcome, station, aftermath)
        return not found_faults(outcome, station.controller.books, aftermath)


def _fly_on_port(console: Console, plan: Plan, port: str, line: LineSettings) -> bool:
    import serial  # noqa: PLC0415 - not needed for an emulated Pi

    with serial.Serial(port, line.baud, exclusive=True) as device:
        station = line.station(device.fileno())
        outcome = _fly(console, station, plan)
    console.print("  switch the Pi's power off now: no program can do that from here")
    print_summary(console, outcome, station, None)
    return not found_faults(outcome, station.controller.books, None)


def _fly(console: Console, station: Station, plan: Plan) -> Outcome:
    with RichDisplay(console) as display:
        return Mission(station, plan, display).fly()


def _spans(words: list[str] | None) -> Spans:
    """Understand AT:FOR.

    Raises:
        ValueError: it is not that.
    """
    spans = []
    for word in words or []:
        begin, colon, duration = word.partition(":")
        try:
            span = (float(begin), float(begin) + float(duration))
        except ValueError:
            span = (inf, inf)
        if not colon or not 0.0 <= span[0] < span[1] < inf:
            raise ValueError(f"{word!r} is not AT:FOR, seconds after the login and seconds it lasts, as in 20:3")
        spans.append(span)
    return tuple(spans)
