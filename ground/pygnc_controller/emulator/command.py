"""The emulator's command line.

The end of a run in tables: the books, the line, the files, the stop.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from statistics import median
from typing import Annotated, Final
from zipfile import BadZipFile

import typer
from rich.console import Console
from rich.table import Table

from pygnc_controller.emulator.controller import Controller, PiReports, SentenceCounters
from pygnc_controller.emulator.display import RichDisplay
from pygnc_controller.emulator.home_check import HomeCheck, check_home
from pygnc_controller.emulator.main_program import MainProgramError
from pygnc_controller.emulator.pty_pi import PtyPi
from pygnc_controller.emulator.scenario import LIVE_TYPES, load_scenario
from pygnc_controller.emulator.scenario_run import RunPlan, RunResult, ScenarioRun
from pygnc_controller.emulator.serial_line import LineFaults, PacedPort, SerialLine, Spans
from pygnc_controller.emulator.shell import Connection, ShellError


def books_table(books: SentenceCounters) -> Table:
    """Return what became of the sentences, by type."""
    table = Table("sentence", "sent", "acknowledged", "reported lost", title="Books", title_justify="left")
    for kind in sorted(books.sent):
        causes = ", ".join(
            f"{count} {cause}" for (lost_kind, cause), count in sorted(books.lost.items()) if lost_kind == kind
        )
        table.add_row(kind, str(books.sent[kind]), str(books.acknowledged[kind]), causes or "0")
    return table


def line_table(cable: PacedPort) -> Table:
    """Return what happened to bytes on the way."""
    table = Table("direction", "bytes written", "delivered", "faults", title="Line", title_justify="left")
    for name, line in (("to the Pi", cable.to_pi), ("to the controller", cable.to_host)):
        table.add_row(name, str(line.written), str(line.delivered), _faults(line))
    return table


def print_summary(console: Console, outcome: RunResult, station: Connection, aftermath: HomeCheck | None) -> None:
    """Print all of it."""
    books = station.controller.books
    if books.sent:
        console.print(books_table(books))
    console.print(line_table(station.cable))
    for text in _figures(outcome, station.controller.heard):
        console.print(text, highlight=False)
    if aftermath is not None:
        live = sum(books.acknowledged[kind] for kind in LIVE_TYPES)
        console.print(
            f"after power-off: {aftermath.journals} journal files read, {aftermath.live} live packets in them"
            f" ({live} were acknowledged)",
            highlight=False,
        )
    found = found_faults(outcome, books, aftermath)
    for text in found:
        console.print(f"[red]wrong:[/] {text}", highlight=False)
    if not found:
        console.print("all in order", style="green")


def found_faults(outcome: RunResult, books: SentenceCounters, aftermath: HomeCheck | None) -> list[str]:
    """Return everything that is not as it should be."""
    found = list(outcome.faults)
    if not books.is_balanced:
        found.append("the books do not balance: sent is not acknowledged + lost")
    if outcome.exit_code not in {0, None}:
        found.append(f"main.py ended with exit code {outcome.exit_code}; docs/interface.md says what it means")
    if aftermath is not None:
        found += aftermath.faults
        acknowledged = sum(books.acknowledged[kind] for kind in LIVE_TYPES)
        if aftermath.live < acknowledged:
            found.append(f"{acknowledged - aftermath.live} acknowledged live packets are in no input journal")
    return found


def _figures(outcome: RunResult, heard: PiReports) -> Iterator[str]:
    if outcome.uploaded_bytes:
        speed = outcome.uploaded_bytes / outcome.uploaded_s
        yield f"uploaded {outcome.uploaded_bytes} bytes in {outcome.uploaded_s:.1f} s, {speed:.0f} bytes/s"
    if outcome.fetched:
        yield f"fetched {len(outcome.fetched)} files, {sum(map(len, outcome.fetched.values()))} bytes"
    if heard.answers_s:
        typical, worst = median(heard.answers_s), max(heard.answers_s)
        count = len(heard.answers_s)
        yield f"status on request: {1e3 * typical:.0f} ms typical, {1e3 * worst:.0f} ms at most, {count} answers"
    yield (
        f"sessions {heard.connections}, line given up {heard.lines_down} times,"
        f" main.py started again {outcome.restarts} times"
    )
    if outcome.exit_s < inf:
        yield f"Ctrl-C to exit: {outcome.exit_s:.2f} s, exit code {outcome.exit_code}"
    if outcome.terminal_restored:
        yield "terminal settings: as they were before the start"


def _faults(line: SerialLine) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(line.injected.items())) or "none"


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
    ] = RunPlan.start,
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
        plan = RunPlan(
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
        faults = LineFaults(lost, flipped, doubled, delayed, cuts=_spans(cut), garbled=_spans(wrong_baud))
        line = LineSettings(baud, faults, seed)
        in_order = _fly_on_port(console, plan, port, line) if port else _fly_on_pty(console, plan, package, line)
    except (OSError, ValueError, BadZipFile, ShellError, MainProgramError) as error:
        console.print(f"pycubed emulator: {error}", style="red", markup=False)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if in_order else 1)


@dataclass(frozen=True)
class LineSettings:
    """How the line is."""

    baud: int
    faults: LineFaults
    seed: int

    def station(self, descriptor: int) -> Connection:
        """Return a controller at a port."""
        session = 1 + int.from_bytes(os.urandom(4)) % 65_535
        return Connection(PacedPort(descriptor, self.baud, self.faults, self.seed), Controller(session))


def _fly_on_pty(console: Console, plan: RunPlan, package: Path | None, line: LineSettings) -> bool:
    with tempfile.TemporaryDirectory(prefix="pygnc-pi-") as folder:
        home = Path(folder)
        with PtyPi(home) as pi:
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
        aftermath = check_home(home, ended_in_order=outcome.exit_code is not None)
        print_summary(console, outcome, station, aftermath)
        return not found_faults(outcome, station.controller.books, aftermath)


def _fly_on_port(console: Console, plan: RunPlan, port: str, line: LineSettings) -> bool:
    import serial  # noqa: PLC0415 - not needed for an emulated Pi

    with serial.Serial(port, line.baud, exclusive=True) as device:
        station = line.station(device.fileno())
        outcome = _fly(console, station, plan)
    console.print("  switch the Pi's power off now: no program can do that from here")
    print_summary(console, outcome, station, None)
    return not found_faults(outcome, station.controller.books, None)


def _fly(console: Console, station: Connection, plan: RunPlan) -> RunResult:
    with RichDisplay(console) as display:
        return ScenarioRun(station, plan, display).fly()


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
