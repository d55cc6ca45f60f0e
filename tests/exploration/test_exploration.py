"""Bounded parts of the exploration, and faults that it must find."""

from unittest.mock import patch

import msgspec
import pytest

from pygnc.host.retransmission import Arrival, QueuedSentence, UnorderedReceiver
from tests.exploration.campaign import search_of
from tests.exploration.protocol import Link
from tests.exploration.supervision import Tasks


@pytest.mark.parametrize(
    ("scenario", "states"),
    [
        (Link(host_sends="i", faults=2), 4_000),
        (Link(host_sends="r", faults=4, restarts=1, kinds="o"), 4_000),
        (Link(transfer="upload", faults=1, restarts=1), 2_000),
        (Link("controller", host_sends="r", faults=1, restarts=1), 4_000),
        (Link("controller", transfer="upload", faults=1, restarts=1), 2_000),
        (Tasks(tasks=("source", "status"), restarts_max=0), 600),
    ],
    ids=str,
)
def test_every_order_of_faults_within_the_bounds_is_survived(scenario: Link | Tasks, states: int) -> None:
    search = search_of(scenario)
    search.run(states)
    assert len(search.visited) >= states


def test_the_search_finds_a_sentence_that_is_delivered_twice() -> None:
    with patch.object(UnorderedReceiver, "accept", lambda *_: Arrival.NEW):
        violation, _ = search_of(Link(host_sends="i", faults=1)).shortest()
    assert "received twice" in violation


def test_the_search_finds_a_sentence_that_is_never_sent_again() -> None:
    with patch.object(QueuedSentence, "mark_sent", lambda *_: None):
        violation, steps = search_of(Link(host_sends="r", faults=1, kinds="l")).shortest()
    assert violation == "Violation: never ends without a further fault"
    assert steps[-1] == "loss before the Pi"


def test_the_search_finds_a_task_that_is_given_up_without_a_state() -> None:
    with patch.object(msgspec.structs, "replace", lambda old, **_: old):
        violation, steps = search_of(Tasks(tasks=("source", "status"), faults=1, restarts_max=0, kinds="e")).shortest()
    assert "the status shows set()" in violation
    assert "source ends 1" in steps
