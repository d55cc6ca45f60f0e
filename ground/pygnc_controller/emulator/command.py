"""Command line of the emulator, and the summary that it prints at the end."""

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
from pygnc_controller.emulator.display import ProgressDisplay
from pygnc_controller.emulator.home_check import HomeCheck, check_home
from pygnc_controller.emulator.main_program import MainProgramError
from pygnc_controller.emulator.pty_pi import PtyPi
from pygnc_controller.emulator.scenario import LIVE_TYPES, load_scenario
from pygnc_controller.emulator.scenario_run import RunPlan, RunResult, ScenarioRun
from pygnc_controller.emulator.serial_line import LineFaults, PacedPort, SerialLine, Spans
from pygnc_controller.emulator.shell import Connection, ShellError


def counters_table(counters: SentenceCounters) -> Table:
    """Return a table of the sentences by type."""
    table = Table("sentence", "sent", "acknowledged", "reported lost", title="Sentences", title_justify="left")
    for kind in sorted(counters.sent):
        causes = ", ".join(
            f"{count} {cause}" for (lost_kind, cause), count in sorted(counters.lost.items()) if lost_kind == kind
        )
        table.add_row(kind, str(counters.sent[kind]), str(counters.acknowledged[kind]), causes or "0")
    return table


def line_table(port: PacedPort) -> Table:
    """Return a table of bytes and injected faults by direction."""
    table = Table("direction", "bytes written", "delivered", "faults", title="Line", title_justify="left")
    for name, line in (("to the Pi", port.to_pi), ("to the controller", port.to_host)):
        table.add_row(name, str(line.written), str(line.delivered), _faults(line))
    return table


def print_summary(console: Console, result: RunResult, connection: Connection, check: HomeCheck | None) -> None:
    """Print the summary of a run."""
    counters = connection.controller.counters
    if counters.sent:
        console.print(counters_table(counters))
    console.print(line_table(connection.port))
    for text in _figures(result, connection.controller.reports):
        console.print(text, highlight=False)
    if check is not None:
        live = sum(counters.acknowledged[kind] for kind in LIVE_TYPES)
        console.print(
            f"after power-off: {check.live} live packets in {check.journals} journal files ({live} were acknowledged)",
            highlight=False,
        )
    found = found_faults(result, counters, check)
    for text in found:
        console.print(f"[red]error:[/] {text}", highlight=False)
    if not found:
        console.print("no errors", style="green")


def found_faults(result: RunResult, counters: SentenceCounters, check: HomeCheck | None) -> list[str]:
    """Return the descriptions of all errors."""
    found = list(result.faults)
    if not counters.is_balanced:
        found.append("the counters do not add up: sent is not acknowledged + lost")
    if result.exit_code not in {0, None}:
        found.append(f"main.py ended with exit code {result.exit_code}; see docs/interface.md")
    if check is not None:
        found += check.faults
        acknowledged = sum(counters.acknowledged[kind] for kind in LIVE_TYPES)
        if check.live < acknowledged:
            found.append(f"{acknowledged - check.live} acknowledged live packets are missing from the input journals")
    return found


def _figures(result: RunResult, reports: PiReports) -> Iterator[str]:
    if result.uploaded_bytes:
        speed = result.uploaded_bytes / result.uploaded_s
        yield f"uploaded {result.uploaded_bytes} bytes in {result.uploaded_s:.1f} s, {speed:.0f} bytes/s"
    if result.fetched:
        yield f"downloaded {len(result.fetched)} files, {sum(map(len, result.fetched.values()))} bytes"
    if reports.answers_s:
        typical, worst = median(reports.answers_s), max(reports.answers_s)
        count = len(reports.answers_s)
        yield f"status on request: median {1e3 * typical:.0f} ms, maximum {1e3 * worst:.0f} ms, {count} answers"
    yield (
        f"sessions: {reports.connections}, line down: {reports.lines_down} times,"
        f" main.py restarted: {result.restarts} times"
    )
    if result.exit_s < inf:
        yield f"Ctrl-C to exit: {result.exit_s:.2f} s, exit code {result.exit_code}"
    if result.terminal_restored:
        yield "terminal settings restored"


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
        float,
        typer.Option(min=0.0, help="Minutes at the end of the scenario to stream; the rest is uploaded as the batch."),
    ] = 5.0,
    speed: Annotated[
        float, typer.Option(min=0.0, help="Scenario seconds per second while streaming; 0: as fast as possible.")
    ] = 1.0,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Use only the shell: upload by base64, read the info file by cat, do not stream."),
    ] = False,
    run_for: Annotated[
        float, typer.Option(min=0.0, help="With --plain: seconds until Ctrl-C; 0: until the batch is done.")
    ] = 10.0,
    fetch_kb: Annotated[int, typer.Option(min=0, help="Limit of the downloaded results in kB, newest first.")] = 100,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("build/emulator"),
    off_after: Annotated[float, typer.Option(min=0.5, help="Seconds from Ctrl-C to power-off.")] = 10.0,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Power off as soon as main.py has ended.")] = False,
    timeout_min: Annotated[int, typer.Option(min=0, help="Timeout argument of main.py, minutes.")] = 60,
    port: Annotated[str, typer.Option(help="Serial port to a real Pi.", rich_help_panel=PI)] = "",
    package: Annotated[
        Path | None,
        typer.Option(help="flight.zip for the emulated Pi instead of this working copy.", rich_help_panel=PI),
    ] = None,
    start: Annotated[
        str, typer.Option(help="Command that starts main.py, without its arguments.", rich_help_panel=PI)
    ] = RunPlan.start,
    user: Annotated[str, typer.Option(help="Required user name; empty: any.", rich_help_panel=PI)] = "",
    baud: Annotated[int, typer.Option(min=1200, help="Bit rate of the line in baud.", rich_help_panel=LINE)] = 115_200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fault generator.", rich_help_panel=LINE)] = 0,
    lost: Annotated[float, typer.Option(min=0.0, max=0.1, help="Share of lost bytes.", rich_help_panel=LINE)] = 0.0,
    flipped: Annotated[
        float, typer.Option(min=0.0, max=0.1, help="Share of bytes with a flipped bit.", rich_help_panel=LINE)
    ] = 0.0,
    doubled: Annotated[
        float, typer.Option(min=0.0, max=0.1, help="Share of doubled bytes.", rich_help_panel=LINE)
    ] = 0.0,
    delayed: Annotated[
        float, typer.Option(min=0.0, max=0.1, help="Share of bytes delayed by up to 0.2 s.", rich_help_panel=LINE)
    ] = 0.0,
    cut: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AT:FOR",
            help="Interrupt the line: start after the login and duration, s; repeatable.",
            rich_help_panel=LINE,
        ),
    ] = None,
    wrong_baud: Annotated[
        list[str] | None,
        typer.Option(
            metavar="AT:FOR",
            help="Garble the line as with different speeds: start and duration, s; repeatable.",
            rich_help_panel=LINE,
        ),
    ] = None,
) -> None:
    """Emulate the host controller: log in, upload a batch, start main.py, stream, download results, Ctrl-C, power off.

    Without --port, the Pi is a shell on a pseudo-terminal with its own home folder, which is checked at the end.
    The exit code is 1 if there was any error, 2 if the run could not be completed.
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
        is_good = _run_on_port(console, plan, port, line) if port else _run_on_pty(console, plan, package, line)
    except (OSError, ValueError, BadZipFile, ShellError, MainProgramError) as error:
        console.print(f"pycubed emulator: {error}", style="red", markup=False)
        raise typer.Exit(2) from None
    raise typer.Exit(0 if is_good else 1)


@dataclass(frozen=True)
class LineSettings:
    """Options of the line."""

    baud: int
    faults: LineFaults
    seed: int

    def connect(self, descriptor: int) -> Connection:
        """Return a connection with a new controller."""
        session = 1 + int.from_bytes(os.urandom(4)) % 65_535
        return Connection(PacedPort(descriptor, self.baud, self.faults, self.seed), Controller(session))


def _run_on_pty(console: Console, plan: RunPlan, package: Path | None, line: LineSettings) -> bool:
    with tempfile.TemporaryDirectory(prefix="pygnc-pi-") as folder:
        home = Path(folder)
        with PtyPi(home) as pi:
            if package is None:
                pi.install_from_here()
            else:
                pi.install(package)
            connection = line.connect(pi.master)
            connection.chores.append(pi.ensure_login)
            result = _run(console, connection, plan)
            killed = len(pi.processes())
            pi.power_off()
        console.print(f"  processes killed: {killed}")
        check = check_home(home, was_closed=result.exit_code is not None)
        print_summary(console, result, connection, check)
        return not found_faults(result, connection.controller.counters, check)


def _run_on_port(console: Console, plan: RunPlan, port: str, line: LineSettings) -> bool:
    import serial  # noqa: PLC0415 - not needed for an emulated Pi

    with serial.Serial(port, line.baud, exclusive=True) as device:
        connection = line.connect(device.fileno())
        result = _run(console, connection, plan)
    console.print("  switch off the power of the Pi now")
    print_summary(console, result, connection, None)
    return not found_faults(result, connection.controller.counters, None)


def _run(console: Console, connection: Connection, plan: RunPlan) -> RunResult:
    with ProgressDisplay(console) as display:
        return ScenarioRun(connection, plan, display).run()


def _spans(words: list[str] | None) -> Spans:
    """Parse fault spans of the form AT:FOR.

    Raises:
        ValueError: A word has another form.
    """
    spans = []
    for word in words or []:
        begin, colon, duration = word.partition(":")
        try:
            span = (float(begin), float(begin) + float(duration))
        except ValueError:
            span = (inf, inf)
        if not colon or not 0.0 <= span[0] < span[1] < inf:
            raise ValueError(f"{word!r}: use AT:FOR, start after the login and duration in seconds, as in 20:3")
        spans.append(span)
    return tuple(spans)
