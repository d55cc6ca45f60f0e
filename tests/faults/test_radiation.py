"""Tests of the comparison of results in the radiation campaign."""

from pygnc.formats.status import OrbitMode, Phase, Value
from tests.faults.radiation import judge, last_values
from tests.faults.task_bench import Flown


def final(**changes: Value) -> str:
    values: dict[str, Value] = {"phase": Phase.STOPPED, "fixes_accepted": 209, "samples_used": 704}
    return last_values(values | {"orbit_mode": OrbitMode.AT_FIX} | changes)


def test_a_run_that_ends_later_has_the_same_last_values() -> None:
    assert final() == final(orbit_mode=OrbitMode.PREDICTED)


def test_other_counts_and_other_origins_of_the_orbit_differ() -> None:
    assert final() != final(samples_used=703)
    assert final() != final(orbit_mode=OrbitMode.ELEMENTS)
    assert final() != final(phase=Phase.FAILED)


def test_the_end_of_another_task_reports_no_wrong_estimate() -> None:
    right: dict[object, bytes] = {("orbit", 1): b"a", ("orbit", 2): b"b"}
    wrong: dict[object, bytes] = {("orbit", 1): b"c", ("orbit", 2): b"d"}
    reference = Flown(right, "", {}, [])
    for reports, outcome in (
        (["exit 9", "failed batch_writer", "restart orbit", "limited status"], "one step"),
        (["exit 9", "estimates_wrong orbit"], "flagged"),
        (["failed orbit"], "flagged"),
    ):
        assert judge(("memory", "", 1), Flown(wrong, "", {}, reports), reference).outcome == outcome
