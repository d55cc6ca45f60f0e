"""The end of a run in tables: the books, the line, the files, the stop."""

from collections.abc import Iterator
from math import inf
from statistics import median

from rich.console import Console
from rich.table import Table

from pygnc_controller.emulator.aftermath import Aftermath
from pygnc_controller.emulator.books import Books
from pygnc_controller.emulator.cable import Cable
from pygnc_controller.emulator.controller import Heard
from pygnc_controller.emulator.line import SerialLine
from pygnc_controller.emulator.mission import Outcome
from pygnc_controller.emulator.packets import LIVE_TYPES
from pygnc_controller.emulator.station import Station


def books_table(books: Books) -> Table:
    """Return what became of the sentences, by type."""
    table = Table("sentence", "sent", "acknowledged", "reported lost", title="Books", title_justify="left")
    for kind in sorted(books.sent):
        causes = ", ".join(
            f"{count} {cause}" for (lost_kind, cause), count in sorted(books.lost.items()) if lost_kind == kind
        )
        table.add_row(kind, str(books.sent[kind]), str(books.acknowledged[kind]), causes or "0")
    return table


def line_table(cable: Cable) -> Table:
    """Return what happened to bytes on the way."""
    table = Table("direction", "bytes written", "delivered", "faults", title="Line", title_justify="left")
    for name, line in (("to the Pi", cable.to_pi), ("to the controller", cable.to_host)):
        table.add_row(name, str(line.written), str(line.delivered), _faults(line))
    return table


def print_summary(console: Console, outcome: Outcome, station: Station, aftermath: Aftermath | None) -> None:
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


def found_faults(outcome: Outcome, books: Books, aftermath: Aftermath | None) -> list[str]:
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


def _figures(outcome: Outcome, heard: Heard) -> Iterator[str]:
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
