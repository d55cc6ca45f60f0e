"""Command line of the emulator, and the summary that it prints at the end."""

import os
import tempfile
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias
from zipfile import BadZipFile

import typer
from rich.console import Console
from rich.table import Table

from pygnc.host.sentence_types import LIVE_TYPES
from pygnc_cli.document import echo_document
from pygnc_cli.text import printable, reason_of
from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.document import EmulatorDocument, LineDirections, SentenceFigures, emulator_document
from pygnc_controller.emulator.home_check import check_home
from pygnc_controller.emulator.pty_pi import PtyPi
from pygnc_controller.emulator.scenario import load_scenario
from pygnc_controller.emulator.scenario_run import RunPlan, ScenarioRun
from pygnc_controller.emulator.serial_line import LineFaults, PacedPort, Spans
from pygnc_controller.emulator.shell import Connection, PiError


def _sentence_table(sentences: dict[str, SentenceFigures]) -> Table:
    table = Table("sentence", "sent", "acknowledged", "reported lost", title="Sentences", title_justify="left")
    for kind, of in sentences.items():
        causes = ", ".join(f"{count} {cause}" for cause, count in of.lost.items())
        table.add_row(kind, str(of.sent), str(of.acknowledged), causes or "0")
    return table


def _line_table(line: LineDirections) -> Table:
    table = Table("direction", "bytes written", "delivered", "faults", title="Line", title_justify="left")
    for name, of in (("to the Pi", line.to_pi), ("to the controller", line.to_controller)):
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(of.faults.items())) or "none"
        table.add_row(name, str(of.written_bytes), str(of.delivered_bytes), faults)
    return table


def _print_summary(console: Console, run: EmulatorDocument) -> None:
    if run.sentences:
        console.print(_sentence_table(run.sentences))
    console.print(_line_table(run.line))
    for text in _figures(run):
        console.print(text, highlight=False)
    for text in run.errors:
        console.print(f"[red]error:[/] {text}", highlight=False)
    if not run.errors:
        console.print("no errors", style="green")


def _figures(run: EmulatorDocument) -> Iterator[str]:
    if run.uploaded_bytes:
        speed = run.uploaded_bytes / run.uploaded_s
        yield f"uploaded {run.uploaded_bytes} bytes in {run.uploaded_s:.1f} s, {speed:.0f} bytes/s"
    if run.downloaded:
        yield f"downloaded {len(run.downloaded)} files, {sum(file.size_bytes for file in run.downloaded)} bytes"
    if times := run.responses:
        spread = f"median {1e3 * times.median_s:.0f} ms, maximum {1e3 * times.max_s:.0f} ms"
        yield f"status on request: {spread}, {times.count} responses"
    yield f"sessions: {run.sessions}, line down: {run.lines_down} times, main.py restarted: {run.restarts} times"
    if run.exit_after_s is not None:
        yield f"Ctrl-C to exit: {run.exit_after_s:.2f} s, exit code {run.exit_code}"
    if run.terminal_restored:
        yield "terminal settings restored"
    if run.home is not None:
        acknowledged = sum(of.acknowledged for kind, of in run.sentences.items() if kind in LIVE_TYPES)
        packets = f"{run.home.live_packets} live packets in {run.home.journals} journal files"
        yield f"after power-off: {packets} ({acknowledged} were acknowledged)"


Connect: TypeAlias = Callable[[int], Connection]
app: Final = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
LINE: Final = "Line"
PI: Final = "Pi"


def _fraction_option(quantity: str) -> Any:  # noqa: ANN401 - type of typer's options
    return typer.Option(min=0.0, max=0.1, help=f"Fraction of {quantity}.", rich_help_panel=LINE)


def _spans_option(action: str) -> Any:  # noqa: ANN401 - type of typer's options
    text = f"{action}; AT: time after the login, s; FOR: duration, s; repeatable."
    return typer.Option(metavar="AT:FOR", help=text, rich_help_panel=LINE)


@app.command()
def emulate(
    scenario: Annotated[
        Path, typer.Argument(help="Folder with sense.bin and range/, as written by `pygnc scenario make`.")
    ],
    *,
    live_min: Annotated[
        float,
        typer.Option(min=0.0, help="Minutes streamed at the end of the scenario; all data before them are the batch."),
    ] = 5.0,
    speed: Annotated[
        float,
        typer.Option(min=0.0, help="Time factor while streaming, scenario seconds per second; 0: as fast as possible."),
    ] = 1.0,
    plain: Annotated[
        bool,
        typer.Option("--plain", help="Use only the shell: upload by base64, read the info file by cat, do not stream."),
    ] = False,
    run_for: Annotated[
        float,
        typer.Option(min=0.0, help="With --plain: duration of main.py until Ctrl-C, s; 0: until the batch is done."),
    ] = 10.0,
    fetch_kb: Annotated[
        int,
        typer.Option(min=0, help="Maximum size of the downloaded results, kB; the newest files are downloaded first."),
    ] = 100,
    out: Annotated[Path, typer.Option(help="Folder for the downloaded files.")] = Path("build/emulator"),
    off_after: Annotated[float, typer.Option(min=0.5, help="Time from Ctrl-C to power-off, s.")] = 10.0,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Power off as soon as main.py has ended.")] = False,
    timeout_min: Annotated[int, typer.Option(min=0, help="Timeout argument of main.py, minutes.")] = 60,
    port: Annotated[str, typer.Option(help="Serial port to a real Pi; empty: emulate a Pi.", rich_help_panel=PI)] = "",
    package: Annotated[
        Path | None,
        typer.Option(help="flight.zip for the emulated Pi instead of this working copy.", rich_help_panel=PI),
    ] = None,
    start: Annotated[
        str, typer.Option(help="Shell command on the Pi that starts main.py, without arguments.", rich_help_panel=PI)
    ] = RunPlan.start,
    user: Annotated[str, typer.Option(help="User that must be logged in; empty: any.", rich_help_panel=PI)] = "",
    baud: Annotated[int, typer.Option(min=1200, help="Speed of the line, bit/s.", rich_help_panel=LINE)] = 115_200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fault generator.", rich_help_panel=LINE)] = 0,
    lost: Annotated[float, _fraction_option("lost bytes")] = 0.0,
    flipped: Annotated[float, _fraction_option("bytes with a flipped bit")] = 0.0,
    doubled: Annotated[float, _fraction_option("doubled bytes")] = 0.0,
    delayed: Annotated[float, _fraction_option("bytes delayed by up to 0.2 s")] = 0.0,
    cut: Annotated[list[str] | None, _spans_option("Interrupt the line")] = None,
    wrong_baud: Annotated[list[str] | None, _spans_option("Garble the line as with different speeds")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs; steps go to standard error.")
    ] = False,
) -> None:
    """Emulate the host controller: log in, upload a batch, start main.py, stream, download results, Ctrl-C, power off.

    Without --port, the Pi is a shell on a pseudo-terminal with its own home folder, which is checked at the end.
    Exit codes: 0: no error; 1: the run found errors; 2: the run could not be completed.
    """
    console = Console(highlight=False, stderr=as_json)
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

        def connect(descriptor: int) -> Connection:
            controller = Controller(1 + int.from_bytes(os.urandom(4)) % 65_535)
            return Connection(PacedPort(descriptor, baud, faults, seed), controller)

        run = _run_on_port(console, plan, port, baud, connect) if port else _run_on_pty(console, plan, package, connect)
    except (OSError, ValueError, BadZipFile, PiError) as error:
        place = f"{package}: " if isinstance(error, BadZipFile) else ""
        console.print(f"pycubed emulator: {printable(place + reason_of(error))}", style="red", markup=False)
        raise typer.Exit(2) from None
    if as_json:
        echo_document(run)
    else:
        _print_summary(console, run)
    raise typer.Exit(1 if run.errors else 0)


def _run_on_pty(console: Console, plan: RunPlan, package: Path | None, connect: Connect) -> EmulatorDocument:
    with tempfile.TemporaryDirectory(prefix="pygnc-pi-") as folder:
        home = Path(folder)
        with PtyPi(home) as pi:
            if package is None:
                pi.install_from_here()
            else:
                pi.install(package)
            connection = connect(pi.master)
            connection.chores.append(pi.ensure_login)
            result = ScenarioRun(connection, plan, console).run()
            killed = len(pi.processes())
            pi.power_off()
        console.print(f"  processes killed: {killed}")
        return emulator_document(result, connection, *check_home(home, was_closed=result.ended.code is not None))


def _run_on_port(console: Console, plan: RunPlan, port: str, baud: int, connect: Connect) -> EmulatorDocument:
    import serial  # noqa: PLC0415 - not needed for an emulated Pi

    with serial.Serial(port, baud, exclusive=True) as device:
        connection = connect(device.fileno())
        result = ScenarioRun(connection, plan, console).run()
    console.print("  switch off the power of the Pi now")
    return emulator_document(result, connection)


def _spans(words: list[str] | None) -> Spans:
    """Parse fault spans of the form AT:FOR.

    Raises:
        ValueError: A word has another form.
    """
    spans = []
    for word in words or []:
        begin, _, duration = word.partition(":")
        try:
            span = (float(begin), float(begin) + float(duration))
        except ValueError:
            span = (inf, inf)
        if not 0.0 <= span[0] < span[1] < inf:
            raise ValueError(
                f"{word!r}: not a time span; write AT:FOR, time after the login and duration in s, as in 20:3"
            )
        spans.append(span)
    return tuple(spans)
