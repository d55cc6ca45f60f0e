"""Verdicts: closer to or farther from the truth, lost estimates, other platforms, order of severity."""

import pytest

from pygnc_ground.gate.compare import Change
from pygnc_ground.gate.constants import ConstantChange
from pygnc_ground.gate.outcome import Accuracy
from pygnc_ground.gate.report import (
    TOLERANCE,
    TOLERANCE_FORMATION,
    RunReport,
    Verdict,
    accuracy_changes,
    corpus_lines,
    corpus_verdict,
    source_lines,
    verdict_of,
    worst,
)

LIMIT = 0.01


def accuracy(error: float | None, known: int = 100) -> Accuracy:
    return Accuracy("orbit filter", "position", "m", known, error, 1.0)


@pytest.mark.parametrize(
    ("before", "after", "is_worse"),
    [
        (accuracy(2.0), accuracy(2.01), False),
        (accuracy(2.0), accuracy(2.03), True),
        (accuracy(2.0), accuracy(1.0), False),
        (accuracy(2.0), accuracy(None), True),
        (accuracy(None), accuracy(2.0), False),
        (accuracy(2.0, 100), accuracy(2.0, 99), False),
        (accuracy(2.0, 100), accuracy(2.0, 98), True),
        (accuracy(None, 100), accuracy(None, 0), True),
        (accuracy(None, 0), accuracy(None, 100), False),
    ],
)
def test_an_error_that_grows_beyond_the_limit_is_worse(before: Accuracy, after: Accuracy, is_worse: bool) -> None:  # noqa: FBT001
    (change,) = accuracy_changes([before], [after], LIMIT)
    assert change.is_worse is is_worse


def test_the_share_is_positive_away_from_the_truth() -> None:
    (closer,) = accuracy_changes([accuracy(2.0)], [accuracy(1.0)], LIMIT)
    (farther,) = accuracy_changes([accuracy(2.0)], [accuracy(3.0)], LIMIT)
    assert (closer.share, farther.share) == (-0.5, 0.5)
    assert accuracy_changes([accuracy(2.0)], [accuracy(2.0)], LIMIT) == []


def test_a_solution_that_is_lost_is_worse() -> None:
    (lost,) = accuracy_changes([accuracy(2.0)], [], LIMIT)
    (new,) = accuracy_changes([], [accuracy(2.0)], LIMIT)
    assert (lost.is_worse, new.is_worse) == (True, False)


def change(sigmas: float | None, relative: float | None, table: str = "orbit") -> Change:
    return Change(table, "position", "m", 1, 2, 1.0, relative, sigmas)


SMALL = change(TOLERANCE, 1.0)
SMALL_WITHOUT_SIGMA = change(None, TOLERANCE)
LARGE = change(2.0 * TOLERANCE, 0.0)
LARGE_WITHOUT_SIGMA = change(None, 2.0 * TOLERANCE)
FORMATION = change(TOLERANCE_FORMATION, 0.0, "formation")
LARGE_FORMATION = change(2.0 * TOLERANCE_FORMATION, 0.0, "formation")
COUNTER = change(None, None)


@pytest.mark.parametrize(
    ("changes", "platform", "verdict"),
    [
        ([], [], Verdict.UNCHANGED),
        ([SMALL], [], Verdict.CHANGED),
        ([SMALL, SMALL_WITHOUT_SIGMA], ["numpy"], Verdict.TOLERATED),
        ([SMALL, LARGE], ["numpy"], Verdict.CHANGED),
        ([SMALL, LARGE_WITHOUT_SIGMA], ["numpy"], Verdict.CHANGED),
        ([SMALL, FORMATION], ["numpy"], Verdict.TOLERATED),
        ([SMALL, LARGE_FORMATION], ["numpy"], Verdict.CHANGED),
        ([SMALL, COUNTER], ["numpy"], Verdict.CHANGED),
    ],
)
def test_small_changes_are_tolerated_on_another_platform_only(
    changes: list[Change], platform: list[str], verdict: Verdict
) -> None:
    assert verdict_of(RunReport("run", changes=changes, platform=platform)) is verdict


def test_changed_parts_without_a_table_are_a_change() -> None:
    assert verdict_of(RunReport("run", parts=["orbit messages"])) is Verdict.CHANGED


def test_a_worse_error_outweighs_the_rest() -> None:
    worse = accuracy_changes([accuracy(2.0)], [accuracy(3.0)], LIMIT)
    assert verdict_of(RunReport("run", changes=[SMALL], platform=["numpy"], accuracy=worse)) is Verdict.WORSE


def test_the_worst_verdict_counts() -> None:
    assert worst([]) is Verdict.UNCHANGED
    assert worst([Verdict.CHANGED, Verdict.UNCHANGED]) is Verdict.CHANGED
    assert worst(Verdict) is Verdict.INPUT_ERROR


def test_a_constant_with_another_value_changes_the_corpus() -> None:
    value = RunReport("run", constants=[ConstantChange("module A", ["1.0"], ["1.5"])])
    moved = RunReport("run", constants=[ConstantChange("module A", ["1.0"], []), ConstantChange("b A", [], ["1.0"])])
    assert corpus_verdict([value]) is Verdict.CHANGED
    assert [*corpus_lines([value])] == ["changed: constants or data tables; 1 run (1 unchanged)"]
    assert corpus_verdict([moved]) is Verdict.UNCHANGED


def test_a_changed_data_table_changes_the_corpus_and_is_named() -> None:
    report = RunReport("run", data=["geomagnetic/igrf14.csv"])
    assert corpus_verdict([report]) is Verdict.CHANGED
    assert any("geomagnetic/igrf14.csv" in line for line in source_lines([report]))


def test_rows_are_sorted_by_significance() -> None:
    found = [change(None, 1e-9), change(1e-7, 1e3), change(2.5, 1e-9), COUNTER, change(None, 0.5)]
    found.sort(key=lambda one: one.significance, reverse=True)
    assert [(one.sigmas, one.relative) for one in found] == [
        (None, None),
        (2.5, 1e-9),
        (1e-7, 1e3),
        (None, 0.5),
        (None, 1e-9),
    ]


def test_another_platform_is_explained_unless_the_bits_are_the_same() -> None:
    same = RunReport("run", platform=["numpy"])
    rounded = RunReport("run", Verdict.TOLERATED, platform=["numpy"], changes=[SMALL])
    assert not any("another platform" in line for line in corpus_lines([same]))
    assert any("another platform" in line for line in corpus_lines([same, rounded]))
