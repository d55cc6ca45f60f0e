"""Tests of the comparison of results in the radiation campaign."""

from pygnc.formats.status import OrbitMode, Phase, Value
from tests.faults.radiation import last_values


def final(**changes: Value) -> str:
    values: dict[str, Value] = {"phase": Phase.STOPPED, "fixes_accepted": 209, "samples_used": 704}
    return last_values(values | {"orbit_mode": OrbitMode.AT_FIX} | changes)


def test_a_run_that_ends_later_has_the_same_last_values() -> None:
    assert final() == final(orbit_mode=OrbitMode.PREDICTED)


def test_other_counts_and_other_origins_of_the_orbit_differ() -> None:
    assert final() != final(samples_used=703)
    assert final() != final(orbit_mode=OrbitMode.ELEMENTS)
    assert final() != final(phase=Phase.FAILED)
