"""Report of the gate: verdicts on runs and corpus, as text for people and as JSON for programs."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from pygnc_cli.text import printable
from pygnc_ground.gate.compare import Change
from pygnc_ground.gate.constants import ConstantChange, only_moved
from pygnc_ground.gate.outcome import Accuracy
from pygnc_ground.wording import plural, whole

TOLERANCE: Final = 1e-5
"""Largest change that another platform explains: in standard deviations, or else relative to the RMS of a quantity"""
TOLERANCE_FORMATION: Final = 1e-2
"""Largest such change of a formation, whose iterations end with a remainder; measured in docs/benchmarks/gate.md."""
_LINES_MAX: Final = 12
"""Largest number of constants that are listed"""
_SAME_ERROR: Final = 1e-6
"""Smallest share of an error whose change is shown"""


class Verdict(StrEnum):
    """Verdict on a run or on the corpus, from best to worst.

    Attributes:
        UNCHANGED: Every bit is the same.
        TOLERATED: Another platform explains the changes.
        CHANGED: Estimates, or the constants of the estimators, differ.
        WORSE: Estimates are farther from the truth, are lost, or the replay fails.
        INPUT_ERROR: A file is missing or damaged, so that the run was not compared.
    """

    UNCHANGED = "unchanged"
    TOLERATED = "within tolerance"
    CHANGED = "changed"
    WORSE = "worse"
    INPUT_ERROR = "input error"


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst of the verdicts; UNCHANGED for none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.UNCHANGED)


class AccuracyChange(msgspec.Struct, frozen=True):
    """Accuracy of one solution before and after.

    Attributes:
        name: Solution and quantity.
        unit: Unit of the errors.
        before: Accepted error; None without a truth or an estimate.
        after: Present error.
        share: Change of the error as a share of the accepted one; positive if it is farther from the truth.
        known_before: Accepted number of estimates.
        known_after: Present number of estimates.
        is_worse: True if the error or the number of lost estimates exceeds the limit.
    """

    name: str
    unit: str
    before: float | None
    after: float | None
    share: float | None
    known_before: int
    known_after: int
    is_worse: bool


def accuracy_changes(before: list[Accuracy], after: list[Accuracy], limit: float) -> list[AccuracyChange]:
    """Return the solutions whose accuracy differs.

    `limit` is the share by which an error may grow, and of the estimates that may be lost, before that is worse.
    """
    old, new = {one.name: one for one in before}, {one.name: one for one in after}
    found = []
    for name in {**old, **new}:
        then, now = old.get(name), new.get(name)
        if then != now:
            found.append(_accuracy_change(name, then, now, limit))
    return found


def _accuracy_change(name: str, then: Accuracy | None, now: Accuracy | None, limit: float) -> AccuracyChange:
    before, after = (None if one is None else one.error for one in (then, now))
    known_before, known_after = (0 if one is None else one.known for one in (then, now))
    share = None if before is None or after is None or before <= 0.0 else after / before - 1.0
    is_farther = share is not None and share > limit
    is_lost = known_after < (1.0 - limit) * known_before or (before is not None and after is None)
    unit = next(one.unit for one in (now, then) if one is not None)
    return AccuracyChange(name, unit, before, after, share, known_before, known_after, is_farther or is_lost)


class RunReport(msgspec.Struct):
    """Result of the gate for one run.

    Attributes:
        name: Name of the run.
        verdict: Verdict on the run.
        reason: Reason if the run was not compared or its replay fails.
        seconds: Duration of replay and comparison.
        accepted_utc: Time at which the reference was accepted.
        platform: Differences from the platform of the reference; empty if bits were compared.
        data: Data tables of the package that differ from those of the reference.
        constants: Constants that differ from those of the reference.
        tables: Number of tables compared.
        rows: Number of their rows.
        changes: Changes of the tables.
        parts: Results without a table that differ.
        accuracy: Solutions whose accuracy differs.
        judged: True if there is a truth.
        page: Address of the report of the replay at the first difference; empty without a report.
    """

    name: str
    verdict: Verdict = Verdict.UNCHANGED
    reason: str = ""
    seconds: float = 0.0
    accepted_utc: str = ""
    platform: list[str] = []
    data: list[str] = []
    constants: list[ConstantChange] = []
    tables: int = 0
    rows: int = 0
    changes: list[Change] = []
    parts: list[str] = []
    accuracy: list[AccuracyChange] = []
    judged: bool = False
    page: str = ""


def verdict_of(report: RunReport) -> Verdict:
    """Return the verdict on a run that was compared."""
    if any(change.is_worse for change in report.accuracy):
        return Verdict.WORSE
    if not report.changes and not report.parts:
        return Verdict.UNCHANGED
    if report.platform and report.changes and all(map(_is_explained, report.changes)):
        return Verdict.TOLERATED
    return Verdict.CHANGED


def _is_explained(change: Change) -> bool:
    """Return True if another platform explains a change."""
    size = change.relative if change.sigmas is None else change.sigmas
    return size is not None and size <= (TOLERANCE_FORMATION if change.table in {"formation", "ranges"} else TOLERANCE)


def corpus_verdict(reports: Sequence[RunReport]) -> Verdict:
    """Return the verdict on a corpus: the worst of its runs, at least CHANGED if a constant or a data table changed."""
    verdict = worst(report.verdict for report in reports)
    changed = any(report.data or not only_moved(report.constants) for report in reports)
    return worst((verdict, Verdict.CHANGED)) if changed else verdict


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
    if report.verdict is Verdict.TOLERATED:
        largest = max(report.changes, key=lambda of: of.sigmas or 0.0)
        yield f"largest change: {largest.sigmas or 0.0:.2g} sigma, {largest.table}: {largest.quantity}"
        return
    yield from _accuracy(report)
    yield from _table(_change_row(change) for change in report.changes)
    if report.parts:
        yield f"without a table, changed too: {', '.join(report.parts)}"
    if report.page:
        yield f"first difference in the player: {report.page}"


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


def source_lines(reports: Sequence[RunReport]) -> Iterator[str]:
    """Yield the lines about constants and data tables that differ from those of the references."""
    constants = sorted({change.place: change for report in reports for change in report.constants}.items())
    moved = all(only_moved(report.constants) for report in reports)
    if constants and moved:
        yield f"constants: {plural(len(constants), 'place')} in the source with other numbers, which only moved"
    elif constants:
        yield f"constants: {plural(len(constants), 'place')} in the source with other numbers"
        yield from (f"    {_constant(change)}" for _, change in constants[:_LINES_MAX])
        if len(constants) > _LINES_MAX:
            yield f"    and {len(constants) - _LINES_MAX} more (--json lists all)"
    tables = sorted({name for report in reports for name in report.data})
    if tables:
        yield f"data tables with other content: {', '.join(tables)}"


def corpus_lines(reports: Sequence[RunReport]) -> Iterator[str]:
    """Yield the lines about the corpus as a whole: the platform, and the verdict."""
    if any(report.platform and report.verdict is not Verdict.UNCHANGED for report in reports):
        yield (
            "The references come from another platform, so that bits cannot be compared. Changes by up to"
            f" {TOLERANCE:g} sigma, or {TOLERANCE:g} of quantities without a sigma, are tolerated; for formations"
            f" {TOLERANCE_FORMATION:g}."
            " Accept the runs on this platform to compare bits."
        )
    counts = ", ".join(
        f"{count} {verdict}" for verdict in Verdict if (count := sum(one.verdict is verdict for one in reports))
    )
    verdict = corpus_verdict(reports)
    is_of_run = verdict is not Verdict.CHANGED or any(report.verdict is verdict for report in reports)
    cause = "" if is_of_run else "constants or data tables; "
    yield f"{verdict}: {cause}{plural(len(reports), 'run')} ({counts})"


def _constant(change: ConstantChange) -> str:
    before, after = (", ".join(numbers) or "none" for numbers in (change.before, change.after))
    if change.units is None:
        return f"{change.place}: {before} -> {after}"
    return f"{change.place}: {before} -> {after} ({plural(abs(change.units), 'unit')} in the last place)"
