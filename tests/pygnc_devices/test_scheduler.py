"""Requests and procedures in a time that the test makes."""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from pygnc_devices.errors import AbortedError, NoAnswerError, PortGoneError
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counts
from pygnc_devices.scheduler import Agenda, Claim, Pause, Procedure, Request, SetBaud, Task, WaitForPort


def frame(kind: str, payload: bytes = b"") -> Frame:
    return Frame(kind, payload, kind.encode() + payload)


def request(kind: str, *, last: int = 1, queue: str = "") -> Request:
    """Answered by `last` frames of its kind, or by the one whose payload is "."."""
    taken = 0

    def accept(answer: Frame) -> Claim:
        nonlocal taken
        if answer.kind != kind:
            return Claim.NO
        taken += 1
        return Claim.LAST if taken == last or answer.payload == b"." else Claim.PART

    return Request(kind.encode(), accept, queue or kind, timeout_s=1.0, tries=2, grace_s=0.1)


class World:
    def __init__(self) -> None:
        self.counts = Counts()
        self.bauds: list[int] = []
        self.agenda = Agenda(self.counts, self.bauds.append)

    def start(self, procedure: Procedure[Any], now_s: float = 0.0) -> Task[Any]:
        task = Task(procedure)
        self.agenda.start(task, now_s)
        return task


@pytest.fixture
def world() -> World:
    return World()


def ask(*requests: Request) -> Generator[Any, Any, list[int]]:
    counts = [0] * len(requests)
    for index, entry in enumerate(requests):
        counts[index] = len((yield entry))
    return counts


def test_an_answer_ends_a_request(world: World) -> None:
    task = world.start(ask(request("A")))
    assert world.agenda.due(0.0) == [b"A"]
    assert not world.agenda.take(frame("B"), 0.1)
    assert world.agenda.take(frame("A"), 0.1)
    assert task.future.result(0) == [1]
    assert world.agenda.is_empty
    assert not world.agenda.take(frame("A"), 0.2)


def test_a_frame_before_the_question_is_no_answer(world: World) -> None:
    world.start(ask(request("A")))
    assert not world.agenda.take(frame("A"), 0.0)


def test_who_only_waits_hears_what_comes_in_the_same_breath(world: World) -> None:
    """An answer and what was announced by it often come in one piece."""

    def procedure() -> Generator[Any, Any, bytes]:
        yield request("A")
        return bytes((yield replace(request("B"), octets=b""))[0].payload)

    task = world.start(procedure())
    world.agenda.due(0.0)
    assert world.agenda.take(frame("A"), 0.1)
    assert world.agenda.take(frame("B", b"."), 0.1)
    assert task.future.result(0) == b"."


def test_silence_is_asked_again_and_then_told(world: World) -> None:
    task = world.start(ask(request("A")))
    assert world.agenda.due(0.0) == [b"A"]
    assert world.agenda.deadline_s() == 1.0
    assert world.agenda.due(0.99) == []
    assert world.agenda.due(1.0) == [b"A"]
    assert world.agenda.due(2.0) == []
    with pytest.raises(NoAnswerError, match=r"no answer to A, asked 2 times within 2.0 s"):
        task.future.result(0)
    assert world.counts.timeouts == 2
    assert world.agenda.deadline_s() is None


def test_asking_again_may_take_other_words(world: World) -> None:
    world.start(ask(replace(request("A"), again=b"flush A")))
    assert world.agenda.due(0.0) == [b"A"]
    assert world.agenda.due(1.0) == [b"flush A"]


def test_after_a_part_the_rest_is_waited_for_shortly(world: World) -> None:
    task = world.start(ask(request("A", last=3)))
    world.agenda.due(0.0)
    world.agenda.take(frame("A"), 0.5)
    world.agenda.take(frame("A"), 0.55)
    assert world.agenda.deadline_s() == pytest.approx(0.65)
    assert not task.future.done()
    world.agenda.due(0.66)
    assert task.future.result(0) == [2]
    assert world.counts.timeouts == 0


def test_requests_of_one_queue_are_asked_one_after_the_other(world: World) -> None:
    first = world.start(ask(request("A", queue="Q")))
    second = world.start(ask(request("A", queue="Q")))
    other = world.start(ask(request("B")))
    assert sorted(world.agenda.due(0.0)) == [b"A", b"B"]
    world.agenda.take(frame("A"), 0.1)
    assert (first.future.done(), second.future.done(), other.future.done()) == (True, False, False)
    assert world.agenda.due(0.1) == [b"A"]
    world.agenda.take(frame("A"), 0.2)
    assert second.future.done()


def test_steps_are_taken_in_order(world: World) -> None:
    def procedure() -> Generator[Any, Any, str]:
        yield SetBaud(9600)
        yield Pause(2.0)
        yield request("A")
        return "done"

    task = world.start(procedure())
    assert world.bauds == [9600]
    assert world.agenda.due(0.0) == []
    assert world.agenda.deadline_s() == 2.0
    assert world.agenda.due(2.0) == [b"A"]
    world.agenda.take(frame("A"), 2.1)
    assert task.future.result(0) == "done"


def test_an_aborted_procedure_cleans_up(world: World) -> None:
    def procedure() -> Generator[Any, Any, None]:
        try:
            yield request("A")
        finally:
            yield request("Z")

    task = world.start(procedure())
    world.agenda.due(0.0)
    world.agenda.abort(task, 0.1)
    assert world.agenda.due(0.1) == [b"Z"]
    world.agenda.take(frame("Z"), 0.2)
    with pytest.raises(AbortedError):
        task.future.result(0)
    world.agenda.abort(task, 0.3)


def test_a_port_that_is_gone_ends_all_procedures_even_the_stubborn(world: World) -> None:
    def stubborn() -> Generator[Any, Any, None]:
        for _ in range(3):
            try:
                yield request("A")
            except PortGoneError:
                continue

    tasks = [world.start(stubborn()), world.start(ask(request("B")))]
    world.agenda.due(0.0)
    world.agenda.fail_all(PortGoneError("gone"))
    assert all(task.future.done() for task in tasks)
    with pytest.raises(PortGoneError):
        tasks[1].future.result(0)
    assert world.agenda.is_empty
    assert world.agenda.due(5.0) == []


def wait_for_port(heard: list[str]) -> Procedure[str]:
    try:
        yield request("A")
    except PortGoneError:
        heard.append("gone")
        yield WaitForPort(10.0)
        yield request("B")
    return "went on"


def test_what_waits_for_the_port_goes_on_when_it_is_back(world: World) -> None:
    heard: list[str] = []
    task = world.start(wait_for_port(heard))
    world.agenda.port_lost(PortGoneError("unplugged"))
    assert (heard, world.agenda.due(9.0), task.future.done()) == (["gone"], [], False)
    world.agenda.port_lost(PortGoneError("still"))
    world.agenda.port_opened(9.5)
    assert world.agenda.due(9.5) == [b"B"]
    assert world.agenda.take(frame("B"), 9.6)
    assert task.future.result(0) == "went on"
    assert world.agenda.deadline_s() is None


def test_patience_with_a_port_ends(world: World) -> None:
    task = world.start(wait_for_port([]))
    world.agenda.port_lost(PortGoneError("unplugged"))
    world.agenda.due(10.5)
    with pytest.raises(PortGoneError, match="in time"):
        task.future.result(0)


def test_closing_ends_the_wait_for_a_port(world: World) -> None:
    heard: list[str] = []
    task = world.start(wait_for_port(heard))
    world.agenda.fail_all(PortGoneError("closed"))
    with pytest.raises(PortGoneError, match="closed"):
        task.future.result(0)
    assert (heard, world.agenda.is_empty) == (["gone"], True)


def test_the_wait_for_an_open_port_ends_soon(world: World) -> None:
    def wait() -> Procedure[str]:
        yield WaitForPort(10.0)
        return "open"

    task = world.start(wait())
    assert task.future.done() is False
    world.agenda.due(0.1)
    assert task.future.result(0) == "open"
