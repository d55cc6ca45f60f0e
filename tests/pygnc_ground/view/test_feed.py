"""Batches of a feed."""

import numpy as np

from pygnc_ground.view import feed as feed_module
from pygnc_ground.view.feed import Feed
from tests.pygnc_ground.report.player.unpacking import unpack


def made(rows: int) -> Feed:
    feed = Feed("run")
    feed.declare("orbit", ("x",), ("cause",), precise="x")
    for row in range(rows):
        feed.add("orbit", 1000.0 * row, [float(row)], ("gate" if row == 1 else "",))
        feed.commit()
    return feed


def test_a_page_gets_what_it_does_not_have() -> None:
    feed = made(5)
    tables, about = unpack(feed.since(0))
    assert tables["orbit"]["x"].tolist() == [0, 1, 2, 3, 4]
    assert tables["orbit"]["cause"] == ["", "gate", "", "", ""]
    assert (about["after"], about["number"], about["plots"]) == (0, 5, [])
    tables, about = unpack(feed.since(3))
    assert tables["orbit"]["time"].tolist() == [3000, 4000]
    assert (about["after"], about["number"]) == (3, 5)
    assert "plots" not in about
    tables, _ = unpack(feed.since(5))
    assert tables == {}


def test_a_new_table_brings_the_declarations_again() -> None:
    feed = made(2)
    feed.declare("attitude", ("qw",))
    feed.plots.add("Attitude", "q", "1", "attitude", {"w": "qw"})
    feed.add("attitude", 0.0, [1.0])
    feed.commit()
    assert [group["title"] for group in unpack(feed.since(2))[1]["plots"]] == ["Attitude"]
    assert "plots" not in unpack(feed.since(3))[1]


def test_a_batch_without_content_has_no_number() -> None:
    feed = made(1)
    feed.commit()
    assert feed.number == 1
    feed.tell("ended", "the run has ended")
    feed.commit()
    feed.tell("ended", "the run has ended")
    feed.commit()
    assert feed.number == 2
    assert unpack(feed.since(1))[1]["state"] == ["ended", "the run has ended"]


def test_rows_for_a_slow_page_are_thinned() -> None:
    tables, _ = unpack(made(100).since(0, 10))
    assert tables["orbit"]["time"].tolist() == [10_000.0 * row for row in range(10)]


def test_equal_requests_are_packed_once() -> None:
    feed = made(3)
    assert feed.since(1) is feed.since(1)


def test_a_long_run_keeps_a_bounded_number_of_rows() -> None:
    feed = made(0)
    for row in range(3 * feed_module.ROWS_MAX):
        feed.add("orbit", float(row), [float(row)], ("",))
    feed.commit()
    times = unpack(feed.since(0))[0]["orbit"]["time"]
    assert feed_module.ROWS_MAX / 2 <= len(times) <= feed_module.ROWS_MAX
    steps = np.diff(times)
    assert (np.diff(steps) <= 0).all()  # older rows are farther apart
    assert times[0] == 0
    assert times[-1] == 3 * feed_module.ROWS_MAX - 1


def test_only_the_newest_events_are_kept() -> None:
    feed = made(0)
    for number in range(feed_module.EVENTS_MAX + 5):
        feed.add_event(float(number), "nominal", "a")
    feed.commit()
    assert len(unpack(feed.since(0))[1]["events"]) == feed_module.EVENTS_MAX
