"""Report of the gate as text for people and as JSON for programs."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from pygnc_cli.text import printable
from pygnc_ground.gate.compare import Change
from pygnc_ground.gate.constants import ConstantChange, only_moved
from pygnc_ground.gate.verdict import (
    TOLERANCE,
    TOLERANCE_FORMATION,
    AccuracyChange,
    RunReport,
    Verdict,
    worst,
)
from pygnc_ground.report.wording import plural, whole

_LINES_MAX: Final = 12
"""Largest number of constants that are listed"""
_SAME_ERROR: Final = 1e-6
"""Smallest share of an error whose change is shown"""


def corpus_verdict(reports: Sequence[RunReport]) -> Verdict:
    """Return the verdict on a corpus: the worst of its runs, and at least CHANGED if a constant has another value."""
    verdict = worst(report.verdict for report in reports)
    constants_changed = any(not only_moved(report.constants) for report in reports)
    return worst((verdict, Verdict.CHANGED)) if constants_changed else verdict


def as_json(reports: Sequence[RunReport]) -> dict[str, Any]:
    """Return the report as one JSON object: the verdict, the number of runs by verdict, and every run."""
    counts = {str(verdict): sum(report.verdict is verdict for report in reports) for verdict in Verdict}
    runs = [msgspec.to_builtins(report) for report in reports]
    return {"verdict": str(corpus_verdict(reports)), "counts": counts, "runs": runs}


def run_lines(report: RunReport) -> Iterator[str]:
    """Yield the lines about one run; the first has its name and its verdict."""
    size = f"{whole(report.rows)} rows in {plural(report.tables, 'table')}, {report.seconds:.1f} s"
    head = f"{printable(report.name)}: {report.verdict}"
    if report.reason:
        yield f"{head}: {printable(report.reason)}"
    elif report.verdict is Verdict.UNCHANGED:
        yield f"{head}, bit for bit ({size})"
    else:
        yield f"{head}, results accepted at {report.accepted_utc} ({size})"
        yield from (f"    {line}" for line in _details(report))


def _details(report: RunReport) -> Iterator[str]:
    yield from (f"other platform: {difference}" for difference in report.platform)
    yield from (f"other data table: {name}" for name in report.data)
    if report.verdict is Verdict.TOLERATED:
        largest = max(report.changes, key=lambda of: of.sigmas or 0.0)
        yield f"largest change: {largest.sigmas or 0.0:.2g} sigma, {largest.table}: {largest.quantity}"
        return
    yield from _accuracy(report)
    yield from _table(_change_row(change) for change in report.changes)
    if report.parts:
        yield f"without a table, changed too: {', '.join(report.parts)}"


def _accuracy(report: RunReport) -> Iterator[str]:
    if not report.judged:
        yield "no truth: the gate cannot tell whether the estimates came closer to it"
    for change in report.accuracy:
        if change.known_before != change.known_after:
            lost = "; WORSE" if change.is_worse else ""
            yield f"{change.name}: {whole(change.known_before)} -> {plural(change.known_after, 'estimate')}{lost}"
        if change.before != change.after and (change.share is None or abs(change.share) >= _SAME_ERROR):
            yield _error(change)
    same = sum(change.share is not None and abs(change.share) < _SAME_ERROR for change in report.accuracy)
    if same:
        yield f"errors against the truth that changed by less than {_SAME_ERROR:g} of their size: {same}"


def _error(change: AccuracyChange) -> str:
    errors = (change.before, change.after)
    before, after = ("none" if error is None else f"{error:.7g} {change.unit}" for error in errors)
    text = f"error of {change.name}: {before} -> {after}"
    if change.share is not None:
        text += f", {100.0 * abs(change.share):.2g} % {'farther from' if change.share > 0.0 else 'closer to'} the truth"
    return f"{text}; WORSE" if change.is_worse else text


def _change_row(change: Change) -> tuple[str, ...]:
    size = "" if change.largest is None else f"{change.largest:.3g} {change.unit}".rstrip()
    sigmas = "" if change.sigmas is None else f"{change.sigmas:.2g} sigma"
    rows = f"{whole(change.rows)} of {plural(change.of_rows, 'row')}"
    return f"{change.table}: {change.quantity}", size, sigmas, rows, change.at or ""


def _table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows of text in columns, with a heading."""
    cells = list(rows)
    if not cells:
        return
    cells.insert(0, ("quantity", "largest change", "", "changed", "at"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def corpus_lines(reports: Sequence[RunReport]) -> Iterator[str]:
    """Yield the lines about the corpus as a whole: changed constants, and the verdict."""
    constants = sorted({change.place: change for report in reports for change in report.constants}.items())
    moved = all(only_moved(report.constants) for report in reports)
    if constants and moved:
        yield f"constants: {plural(len(constants), 'place')} in the source with other numbers, which only moved"
    elif constants:
        yield f"constants: {plural(len(constants), 'place')} in the source with other numbers"
        yield from (f"    {_constant(change)}" for _, change in constants[:_LINES_MAX])
        if len(constants) > _LINES_MAX:
            yield f"    and {len(constants) - _LINES_MAX} more (--json lists all)"
    if any(report.platform for report in reports):
        yield (
            "The references come from another platform, so that bits cannot be compared. Changes by up to"
            f" {TOLERANCE:g} sigma, or {TOLERANCE:g} of quantities without a sigma, are tolerated; for formations"
            f" {TOLERANCE_FORMATION:g}."
            " Accept the runs on this platform to compare bits."
        )
    counts = ", ".join(
        f"{count} {verdict}" for verdict in Verdict if (count := sum(one.verdict is verdict for one in reports))
    )
    yield f"{corpus_verdict(reports)}: {plural(len(reports), 'run')} ({counts})"


def _constant(change: ConstantChange) -> str:
    before, after = (", ".join(numbers) or "none" for numbers in (change.before, change.after))
    if change.units is None:
        return f"{change.place}: {before} -> {after}"
    return f"{change.place}: {before} -> {after} ({plural(abs(change.units), 'unit')} in the last place)"
