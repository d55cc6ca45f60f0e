"""Observations of the formation: damaged times, long gaps, few observations."""

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.bus.messages import BatchEnd, GnssFix, Message
from pygnc.common.clock import MS_PER_WEEK
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.settings import ScreeningSettings
from pygnc.navigation.formation_arc import FormationArc
from tests.pygnc.navigation.test_range_clock import START_MS, fix, groups

ARC_MS = 1000 * round(FormationSettings().arc_max_s)
PARTNER = 75


def fixes(count: int, *, first_ms: int = START_MS, satellite_id: int = 0) -> list[GnssFix]:
    """One fix per minute."""
    each = (fix(first_ms + 60_000 * k, satellite_id=satellite_id) for k in range(count))
    return [msgspec.structs.replace(packet, position_ecef_m=(6.9e6, 0.0, 0.0)) for packet in each]


def collected(messages: Iterable[Message]) -> tuple[FormationArc, list[RangeObservation | SatelliteFix]]:
    arc, new = FormationArc(FormationSettings(), ScreeningSettings()), []
    for message in messages:
        new += [observation for observation, _ in arc.process(message)]
    arc.remove_old()
    return arc, new


def minutes(observations: Iterable[RangeObservation | SatelliteFix]) -> list[float]:
    return [(observation.gps_ms - START_MS) / 60_000 for observation in observations]


@given(place=st.integers(0, 20), bit=st.sampled_from([0, 1, 4, 6]))
def test_a_wrong_week_ends_no_arc(place: int, bit: int) -> None:
    partner = fixes(20, satellite_id=PARTNER)
    wrong = msgspec.structs.replace(partner[0], gps_ms=(partner[0].gps_ms or 0) + (MS_PER_WEEK << bit))
    arc, new = collected([*partner[:place], wrong, *partner[place:], BatchEnd(seq=99, cause="")])
    assert minutes(new) == minutes(arc.fixes) == [*range(20)]
    assert arc.newest_gps_ms == (partner[-1].gps_ms or 0)
    assert [time.partner for time in arc.times] == [PARTNER] * 20


@pytest.mark.parametrize("number", [3, 5, 9])
@pytest.mark.parametrize("satellite_id", [0, PARTNER])
def test_wrong_weeks_of_the_first_fixes_end_no_arc(number: int, satellite_id: int) -> None:
    wrong = fixes(number, first_ms=START_MS + MS_PER_WEEK, satellite_id=satellite_id)
    right = fixes(30, satellite_id=PARTNER)
    arc, _ = collected([*wrong, *right, BatchEnd(seq=99, cause="")])
    assert minutes(arc.fixes) == [*range(30)]
    assert arc.newest_gps_ms == right[-1].gps_ms
    assert len(arc.times) == 30


def test_wrong_weeks_of_the_first_ranges_end_no_arc() -> None:
    late = [
        msgspec.structs.replace(m, gps_ms=m.gps_ms + MS_PER_WEEK) if isinstance(m, GnssFix) and m.gps_ms else m
        for m in groups(30)[:10]
    ]
    arc, _ = collected([*late, *groups(30)[10:], BatchEnd(seq=99, cause="")])
    assert 0 < len(arc.ranges) <= 30
    assert max(minutes(arc.ranges)) < 60.0
    assert (
        arc.counts["ranges_received"]
        == len(arc.ranges)
        + arc.counts["ranges_no_time"]
        + arc.counts["ranges_held"]
        + arc.counts["ranges_old"]
        + arc.counts["ranges_repeated"]
    )


def test_ranges_that_await_confirmation_count_as_held() -> None:
    # Fixes without a position only map the clock, so that nothing but the ranges confirms the ranges.
    alone = groups(3)
    arc, new = collected(alone[:5])
    assert (len(new), arc.counts["ranges_held"]) == (0, 2)
    arc, new = collected([*alone[:5], BatchEnd(seq=99, cause="")])
    assert (len(new), arc.counts["ranges_held"]) == (2, 0)
    assert arc.counts["ranges_received"] == len(arc.ranges)


def test_a_wrong_week_discards_no_range() -> None:
    partner = fixes(1, satellite_id=PARTNER)[0]
    wrong = msgspec.structs.replace(partner, gps_ms=(partner.gps_ms or 0) + 16 * MS_PER_WEEK)
    arc, new = collected([*groups(10), wrong, *groups(10)[6:], BatchEnd(seq=99, cause="")])
    assert minutes(arc.ranges) == minutes(new) == [*range(10)]
    assert arc.counts["ranges_old"] == 0


def test_after_a_gap_longer_than_the_arc_three_observations_begin_another() -> None:
    before, after = (fixes(5, first_ms=START_MS + k * 2 * ARC_MS, satellite_id=PARTNER) for k in (0, 1))
    arc, new = collected([*before, *after[:2]])
    assert len(new) == len(arc.fixes) == 5
    arc, new = collected([*before, *after[:3]])
    assert len(new) == 8
    assert minutes(arc.fixes) == pytest.approx([2 * ARC_MS / 60_000 + k for k in range(3)])


def test_fewer_than_three_observations_are_used_at_the_end_of_the_batch() -> None:
    arc, new = collected(fixes(2, satellite_id=PARTNER))
    assert (new, arc.newest_gps_ms) == ([], None)
    arc, new = collected([*fixes(2, satellite_id=PARTNER), BatchEnd(seq=9, cause="")])
    assert minutes(new) == [0, 1]
    assert arc.newest_gps_ms == START_MS + 60_000
