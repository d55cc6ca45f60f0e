"""Cutting fixes into arcs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pygnc.estimators.orbit.gps_fix import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.batch.solve import ARC_MAX_MS, cut_fixes, nearest_arcs

SETTINGS = OrbitSettings()
HOUR_MS = 3_600_000


def fixes_at(*hours: float) -> list[Fix]:
    vector = np.zeros(3)
    return [Fix(round(hour * HOUR_MS), vector, vector, None, None, 0.0) for hour in hours]


def hours_of(arcs: list[list[Fix]]) -> list[list[float]]:
    return [[fix.gps_ms / HOUR_MS for fix in arc] for arc in arcs]


def cut(fixes: list[Fix], *restarts_hours: float) -> list[list[Fix]]:
    restarts = [round(hour * HOUR_MS) for hour in restarts_hours]
    return [list(arc) for arc in cut_fixes(fixes, SETTINGS, restarts)]


def test_fixes_are_cut_where_there_is_none_for_longer_than_the_setting() -> None:
    assert hours_of(cut(fixes_at(0, 1, 13, 25.1, 26))) == [[0, 1, 13], [25.1, 26]]


def test_a_restart_begins_an_arc_with_the_first_fix_from_then_on() -> None:
    assert hours_of(cut(fixes_at(0, 1, 2, 3), 2, 2.5)) == [[0, 1], [2], [3]]
    assert hours_of(cut(fixes_at(0, 1), -5, 0, 9)) == [[0, 1]]


def test_a_long_arc_is_cut_evenly() -> None:
    arcs = hours_of(cut(fixes_at(*range(101))))
    assert [len(arc) for arc in arcs] == [34, 33, 34]


@given(st.lists(st.integers(0, 2_000), max_size=60), st.lists(st.integers(0, 2_000), max_size=4))
def test_every_fix_is_in_one_arc_and_no_arc_is_too_long(hours: list[int], restarts: list[int]) -> None:
    fixes = fixes_at(*sorted(hours))
    arcs = cut(fixes, *restarts)
    assert [fix for arc in arcs for fix in arc] == fixes
    assert all(arc and arc[-1].gps_ms - arc[0].gps_ms <= ARC_MAX_MS for arc in arcs)


def test_a_time_belongs_to_the_nearest_arc_unless_all_are_too_far() -> None:
    arcs = cut(fixes_at(0, 1, 20, 21))
    times = np.array([-13, -11, 0.5, 10, 11, 20, 32, 34]) * HOUR_MS
    assert nearest_arcs(times.astype(np.int64), arcs, SETTINGS).tolist() == [-1, 0, 0, 0, 1, 1, 1, -1]


def test_without_arcs_no_time_belongs_to_one() -> None:
    assert nearest_arcs(np.zeros(2, dtype=np.int64), [], SETTINGS).tolist() == [-1, -1]
