import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.bus.messages import SourceFile
from pygnc.estimators.attitude.mekf import AttitudeRejectCause
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc.navigation.attitude import NO_TIME
from pygnc_ground.replay.result import ReplayResult, UntimedRecord
from pygnc_ground.report.html import render_report
from pygnc_ground.report.rejections import balanced, counts_by_cause, rejected_rows, strip
from pygnc_ground.wording import meaning, utc
from tests.pygnc_ground.report import samples
from tests.pygnc_ground.report.page import Page

POSITIONS = ("", "gate", "gate", "", "position_status")
VELOCITIES = ("", "gate", "", "no_velocity", "velocity_status")


def result() -> ReplayResult:
    clean = samples.clean(5)
    fixes = replace(clean.fixes, position_cause=POSITIONS, velocity_cause=VELOCITIES)
    fixes.t_spacecraft_s[1] = -1
    untimed = (UntimedRecord(9, "sense.bin", 0, None, "no_time"),)
    return replace(clean, fixes=fixes, untimed=untimed)


def test_causes_are_counted_the_most_frequent_first() -> None:
    causes = counts_by_cause(result())
    assert [one.cause for one in causes] == ["gate", "no_time", "no_velocity", "position_status", "velocity_status"]
    assert (causes[0].positions.tolist(), causes[0].velocities.tolist(), causes[0].untimed) == ([1, 2], [1], 0)
    assert (len(causes[1].positions), causes[1].untimed, causes[1].total) == (0, 1, 1)
    assert counts_by_cause(samples.clean(4)) == ()


def test_the_table_lists_rejected_parts_and_causes() -> None:
    assert rejected_rows(result()) == [1, 2, 3, 4]
    page = render_report(result())
    table = page[page.index("<caption>Rejected records") : page.index("<caption>Records without a GPS time")]
    rows = re.findall("<tr><td.*</tr>", table)
    records = [[Page(cell).text for cell in re.findall("<td.*?>(.*?)</td>", row)] for row in rows]
    assert [record[5] for record in records] == ["both", "position", "velocity", "both"]
    assert [record[4] == "–" for record in records] == [True, False, False, False]
    assert records[0][6] == meaning("gate")
    assert records[3][6] == f"{meaning('position_status')}; {meaning('velocity_status')}"
    assert records[1][:3] == ["3", "sense.bin", "502"]
    assert records[1][3] == utc(samples.BEGIN_MS + 50_000)


@pytest.mark.parametrize("cause", RejectCause)
def test_every_cause_of_the_flight_has_a_meaning(cause: str) -> None:
    assert meaning(cause) != cause.replace("_", " ")


@pytest.mark.parametrize("cause", [*AttitudeRejectCause, NO_TIME])
def test_every_cause_of_the_attitude_has_a_meaning(cause: str) -> None:
    assert meaning(cause, "attitude") != cause.replace("_", " ")


def test_an_unknown_cause_is_shown_as_text() -> None:
    assert meaning("cosmic_ray") == "cosmic ray"


def test_no_causes_without_records() -> None:
    nothing = samples.clean(0)
    assert counts_by_cause(nothing) == ()
    assert np.array_equal(rejected_rows(nothing), [])


RANGES = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=200)


@given(RANGES, st.integers(0, 10**9))
def test_every_damaged_range_is_visible_on_the_strip(ranges: list[tuple[int, int]], size: int) -> None:
    damage = tuple((min(pair), max(pair), "content") for pair in ranges)
    drawn = strip(SourceFile(seq=1, name="a", size_bytes=size, damage=damage))
    assert bool(drawn) == bool(damage)
    for x, width in drawn:
        assert width >= 4.0
        assert 0.0 <= x <= x + width <= 1000.1


def test_ranges_stand_where_they_are_in_the_file() -> None:
    damage = ((500, 750, "fill"), (100, 100, "content"), (505, 506, "content"))
    drawn = strip(SourceFile(seq=1, name="a", size_bytes=1000, damage=damage))
    assert drawn == [(100.0, 4.0), (500.0, 250.0)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (SourceFile(seq=1, name="a", size_bytes=10, delivered_bytes=7, damaged_bytes=3), True),
        (SourceFile(seq=1, name="a", size_bytes=10, delivered_bytes=7, damaged_bytes=2), False),
        (SourceFile(seq=1, name="a", fault="is a folder"), True),
    ],
)
def test_counters_add_up_if_every_byte_is_delivered_or_damaged(source: SourceFile, expected: bool) -> None:  # noqa: FBT001
    assert balanced(source) is expected
