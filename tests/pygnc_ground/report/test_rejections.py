from dataclasses import replace

import numpy as np
import pytest

from pygnc.estimators.orbit.gps_fix import RejectCause
from pygnc.tasks.orbit.tracker import TIME_INCONSISTENT
from pygnc_ground.replay.result import ReplayResult, UntimedRecord
from pygnc_ground.report.rejections import books_by_cause, meaning, rejected_records, rejected_rows
from tests.pygnc_ground.report import samples

POSITIONS = ("", "gate", "gate", "", "position_status")
VELOCITIES = ("", "gate", "", "no_velocity", "velocity_status")


def result() -> ReplayResult:
    clean = samples.clean(5)
    fixes = replace(clean.fixes, position_cause=POSITIONS, velocity_cause=VELOCITIES)
    fixes.t_spacecraft_s[1] = -1
    untimed = (UntimedRecord(9, "sense.bin", 0, None, "no_time"),)
    return replace(clean, fixes=fixes, untimed=untimed)


def test_books_are_kept_by_cause_the_most_frequent_first() -> None:
    books = books_by_cause(result())
    assert [book.cause for book in books] == ["gate", "no_time", "no_velocity", "position_status", "velocity_status"]
    assert (books[0].positions.tolist(), books[0].velocities.tolist(), books[0].untimed) == ([1, 2], [1], 0)
    assert (len(books[1].positions), books[1].untimed, books[1].total) == (0, 1, 1)
    assert books_by_cause(samples.clean(4)) == ()


def test_the_table_says_what_was_not_used_of_each_record_and_why() -> None:
    assert rejected_rows(result()) == [1, 2, 3, 4]
    records = rejected_records(result(), 100)
    assert [record.part for record in records] == ["both", "position", "velocity", "both"]
    assert [record.t_spacecraft_s is None for record in records] == [True, False, False, False]
    assert records[0].cause == meaning("gate")
    assert records[3].cause == f"{meaning('position_status')}; {meaning('velocity_status')}"
    assert (records[1].seq, records[1].source, records[1].offset) == (3, "sense.bin", 502)
    assert records[1].gps_ms == samples.BEGIN_MS + 50_000
    assert len(rejected_records(result(), 2)) == 2


@pytest.mark.parametrize("cause", [*RejectCause, TIME_INCONSISTENT])
def test_every_cause_of_the_flight_is_put_into_words(cause: str) -> None:
    assert meaning(cause) != cause.replace("_", " ")


def test_an_unknown_cause_is_told_as_it_is() -> None:
    assert meaning("cosmic_ray") == "cosmic ray"


def test_no_records_make_no_books() -> None:
    nothing = samples.clean(0)
    assert books_by_cause(nothing) == ()
    assert rejected_records(nothing, 10) == []
    assert np.array_equal(rejected_rows(nothing), [])
