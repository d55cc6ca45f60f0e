"""Verdicts on replays: unchanged, changed, or farther from the truth."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from pygnc_ground.gate.compare import Change
from pygnc_ground.gate.constants import ConstantChange
from pygnc_ground.gate.outcome import Accuracy

TOLERANCE: Final = 1e-5
"""Largest change that another platform explains: in standard deviations, or else relative to the RMS of a quantity"""
TOLERANCE_FORMATION: Final = 1e-2
"""The same for formations, whose iterations end with a remainder. docs/benchmarks.md has the measurements."""


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

    Args:
        before: Accepted accuracy.
        after: Present accuracy.
        limit: Share by which an error may grow, and of the estimates that may be lost, before that is worse.
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
    return size is not None and size <= (TOLERANCE_FORMATION if change.table == "formation" else TOLERANCE)
