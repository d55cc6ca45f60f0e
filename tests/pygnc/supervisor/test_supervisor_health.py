"""Tasks that are silent, late or busy, with a fake clock and fake task processes."""

import signal

from pygnc.bus import control
from pygnc.supervisor.process import (
    BUSY_LIMIT_S,
    LATE_S,
    START_LIMIT_S,
)
from pygnc.supervisor.supervisor import PING_INTERVAL_S
from tests.pygnc.supervisor.harness import SILENCE_LIMIT_S, Harness


def test_pings_count_up_and_wait_for_the_answer(harness: Harness) -> None:
    child = harness.children["estimator"]
    child.answers_pings = False
    pings = []
    for _ in range(4):
        harness.now_s += PING_INTERVAL_S
        harness.supervisor.step()
        pings += [m.counter for m in child.received() if isinstance(m, control.Ping)]
    assert pings == [1]
    child.send(control.Pong(1, control.Progress()))
    harness.now_s += PING_INTERVAL_S
    harness.supervisor.step()
    assert [m.counter for m in child.received() if isinstance(m, control.Ping)] == [2]


def test_kills_a_task_that_is_silent_for_longer_than_its_limit(harness: Harness) -> None:
    harness.bring_up()
    harness.children["estimator"].answers_pings = False
    harness.advance(SILENCE_LIMIT_S)
    assert harness.children["estimator"].signals == []
    harness.advance(2 * PING_INTERVAL_S)
    assert harness.children["estimator"].signals == [signal.SIGKILL]
    assert harness.names("estimator") == ["silent"]
    assert harness.children["writer"].signals == []


def test_a_task_that_uses_or_awaits_a_processor_is_not_silent(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.answers_pings = False
    for _ in range(int(6 * SILENCE_LIMIT_S / PING_INTERVAL_S)):
        child.used_s += 0.2 * PING_INTERVAL_S
        child.awaited_s += 0.8 * PING_INTERVAL_S
        harness.advance(PING_INTERVAL_S)
    assert child.signals == []
    harness.advance(SILENCE_LIMIT_S + LATE_S)
    assert child.signals == [signal.SIGKILL]


def test_a_thread_that_ends_does_not_make_its_task_silent(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.other_threads = {2: (5.0, 20.0)}
    child.answers_pings = False
    for _ in range(int(2 * LATE_S / PING_INTERVAL_S)):
        child.used_s += PING_INTERVAL_S
        harness.advance(PING_INTERVAL_S)
    child.other_threads = {}
    child.used_s += PING_INTERVAL_S
    harness.advance(PING_INTERVAL_S)
    assert child.signals == []


def test_a_task_in_an_endless_loop_is_killed(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.answers_pings = False
    while child.used_s < BUSY_LIMIT_S:
        assert child.signals == []
        child.used_s += PING_INTERVAL_S
        harness.advance(PING_INTERVAL_S)
    for _ in range(int(2 * LATE_S / PING_INTERVAL_S)):
        child.used_s += PING_INTERVAL_S
        harness.advance(PING_INTERVAL_S)
    assert child.signals == [signal.SIGKILL]


def test_a_start_has_more_time_than_a_response(harness: Harness) -> None:
    child = harness.children["estimator"]
    child.answers_pings = False
    for name in ("line", "source", "writer", "status"):
        harness.children[name].report()
    harness.advance(START_LIMIT_S)
    assert child.signals == []
    harness.advance(2 * PING_INTERVAL_S)
    assert child.signals == [signal.SIGKILL]


def test_unsolicited_reports_do_not_count_as_answers(harness: Harness) -> None:
    harness.bring_up()
    child = harness.children["estimator"]
    child.answers_pings = False
    for _ in range(8):
        child.report(1)
        harness.advance(PING_INTERVAL_S)
    assert child.signals == [signal.SIGKILL]


def test_does_not_blame_tasks_when_the_supervisor_itself_was_held_up(harness: Harness) -> None:
    harness.bring_up()
    harness.advance(1.0)
    harness.now_s += 10 * SILENCE_LIMIT_S
    harness.supervisor.step()
    assert all(not child.signals for child in harness.children.values())


def test_syncs_events_with_every_ping(harness: Harness) -> None:
    harness.advance(4 * PING_INTERVAL_S)
    assert harness.events.syncs == 4
