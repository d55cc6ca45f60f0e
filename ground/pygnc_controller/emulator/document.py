"""Document of the emulator's `--json`."""

from collections.abc import Sequence
from math import isfinite
from statistics import median

from pygnc.host.sentence_types import LIVE_TYPES
from pygnc_cli.document import Document, WrittenFile
from pygnc_controller.emulator.controller import SentenceCounters
from pygnc_controller.emulator.home_check import HomeFigures
from pygnc_controller.emulator.scenario_run import RunResult
from pygnc_controller.emulator.serial_line import PacedPort
from pygnc_controller.emulator.shell import Connection


class SentenceFigures(Document, frozen=True):
    """Sentences of one type."""

    sent: int
    acknowledged: int
    lost: dict[str, int]


class LineFigures(Document, frozen=True):
    """One direction of the line."""

    written_bytes: int
    delivered_bytes: int
    faults: dict[str, int]


class LineDirections(Document, frozen=True):
    """Both directions of the line."""

    to_pi: LineFigures
    to_controller: LineFigures


class ResponseFigures(Document, frozen=True):
    """Times from the request of a status to its arrival."""

    count: int
    median_s: float
    max_s: float


class EmulatorDocument(Document, frozen=True):
    """Result of a run."""

    errors: list[str]
    sentences: dict[str, SentenceFigures]
    line: LineDirections
    uploaded_bytes: int
    uploaded_s: float
    downloaded: list[WrittenFile]
    responses: ResponseFigures | None
    sessions: int
    lines_down: int
    restarts: int
    exit_code: int | None
    exit_after_s: float | None
    terminal_restored: bool | None
    home: HomeFigures | None


def emulator_document(
    result: RunResult, connection: Connection, home: HomeFigures | None = None, home_faults: Sequence[str] = ()
) -> EmulatorDocument:
    """Return the document of a completed run, with the home folder of an emulated Pi."""
    reports, ended = connection.controller.reports, result.ended
    times_s = reports.response_times_s
    return EmulatorDocument(
        errors=_errors(result, connection.controller.counters, home, home_faults),
        sentences=_sentences(connection.controller.counters),
        line=_line(connection.port),
        uploaded_bytes=result.uploaded_bytes,
        uploaded_s=result.uploaded_s,
        downloaded=WrittenFile.all_of(result.fetched),
        responses=ResponseFigures(count=len(times_s), median_s=median(times_s), max_s=max(times_s))
        if times_s
        else None,
        sessions=reports.connections,
        lines_down=reports.lines_down,
        restarts=result.restarts,
        exit_code=ended.code,
        exit_after_s=ended.after_s if isfinite(ended.after_s) else None,
        terminal_restored=ended.terminal_restored,
        home=home,
    )


def _errors(
    result: RunResult, counters: SentenceCounters, home: HomeFigures | None, home_faults: Sequence[str]
) -> list[str]:
    found = list(result.faults)
    if not counters.is_balanced:
        found.append("the counters do not add up: sent is not acknowledged + lost")
    if result.ended.code not in {0, None}:
        found.append(f"main.py ended with exit code {result.ended.code}; see docs/interface.md")
    found += home_faults
    if home is not None:
        missing = sum(counters.acknowledged[kind] for kind in LIVE_TYPES) - home.live_packets
        if missing > 0:
            found.append(f"{missing} acknowledged live packets are missing from the input journals")
    return found


def _sentences(counters: SentenceCounters) -> dict[str, SentenceFigures]:
    return {
        kind: SentenceFigures(
            sent=sent,
            acknowledged=counters.acknowledged[kind],
            lost={cause: count for (lost, cause), count in sorted(counters.lost.items()) if lost == kind},
        )
        for kind, sent in sorted(counters.sent.items())
    }


def _line(port: PacedPort) -> LineDirections:
    to_pi, to_controller = (
        LineFigures(written_bytes=line.written, delivered_bytes=line.delivered, faults=dict(line.injected))
        for line in (port.to_pi, port.to_host)
    )
    return LineDirections(to_pi=to_pi, to_controller=to_controller)
