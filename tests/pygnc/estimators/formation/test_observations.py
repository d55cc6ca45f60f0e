"""Selection of the observations of an arc."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix, select_arc
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.measurement import Fix

NOW_MS = 1_400_000_000_000
FIX = Fix(NOW_MS, np.zeros(3), np.ones(3), None, None, 0.0)
HOUR_MS = 3_600_000
SETTINGS = FormationSettings(own_id=74, arc_max_s=3_600.0)


def entry(satellite: int, gps_ms: int) -> SatelliteFix:
    return SatelliteFix(satellite, replace(FIX, gps_ms=gps_ms))


def test_uses_duplicates_once_and_both_directions() -> None:
    fixes = [entry(75, NOW_MS), entry(75, NOW_MS), entry(74, NOW_MS)]
    ranges = [RangeObservation(NOW_MS, 74, 75, 1.0)] * 2 + [RangeObservation(NOW_MS, 75, 74, 2.0)]
    arc = select_arc(SETTINGS, NOW_MS, fixes, ranges)
    assert arc is not None
    assert {satellite: len(fixes) for satellite, fixes in arc.fixes.items()} == {74: 1, 75: 1}
    assert [seen.range_m for seen in arc.ranges[74, 75]] == [1.0, 2.0]


def test_rejects_old_observations_and_wrong_times() -> None:
    times = [NOW_MS - 3 * HOUR_MS, NOW_MS - HOUR_MS // 2, NOW_MS, NOW_MS + HOUR_MS // 4, NOW_MS + 90 * HOUR_MS]
    arc = select_arc(SETTINGS, NOW_MS, [entry(75, gps_ms) for gps_ms in times], [])
    assert arc is not None
    assert [fix.gps_ms for fix in arc.fixes[75]] == times[1:4]
    assert arc.span_ms == (times[1], times[3])


def test_rejects_ranges_to_itself_and_not_finite() -> None:
    ranges = [RangeObservation(NOW_MS, 74, 74, 1.0), RangeObservation(NOW_MS, 74, 75, float("nan"))]
    assert select_arc(SETTINGS, NOW_MS, [], ranges) is None


@given(
    st.lists(
        st.builds(
            RangeObservation,
            st.integers(NOW_MS - 2 * HOUR_MS, NOW_MS + 2 * HOUR_MS),
            st.integers(74, 77),
            st.integers(74, 77),
            st.floats(),
        )
    ),
    st.randoms(use_true_random=False),
)
def test_arc_does_not_depend_on_the_order(ranges: list[RangeObservation], shuffler: np.random.Generator) -> None:
    unique = list({(seen.gps_ms, seen.one, seen.other): seen for seen in ranges}.values())
    mixed = unique.copy()
    shuffler.shuffle(mixed)
    one, other = (select_arc(SETTINGS, NOW_MS, [], ranges) for ranges in (unique, mixed))
    assert (one is None) == (other is None)
    if one is not None and other is not None:
        assert one.ranges == other.ranges
        assert one.satellites == other.satellites
