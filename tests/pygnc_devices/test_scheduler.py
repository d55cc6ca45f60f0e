"""Requests and operations with a simulated clock."""

from dataclasses import replace
from typing import Any

import pytest

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.errors import AbortedError, NoAnswerError, PortGoneError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.reading import Counters, Reading
from pygnc_devices.scheduler import (
    LONGEST_RESPONSE_S,
    Claim,
    Operation,
    Procedure,
    Publish,
    Request,
    Scheduler,
    SetBaud,
    Sleep,
    WaitForPort,
)


def frame(kind: str, payload: bytes = b"") -> Frame:
    return Frame(kind, payload, b"=" + kind.encode() + payload)


def request(kind: str, *, last: int = 1, queue: str = "") -> Request:
    """Return a request whose response is `last` frames of its kind, or one frame with the payload "."."""
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
        self.counters = Counters()
        self.bauds: list[int] = []
        self.readings: list[Reading] = []
        self.scheduler = Scheduler(self.counters, self.bauds.append, self.readings.append)

    def start(self, operation: Operation[Any], now_s: float = 0.0) -> Procedure[Any]:
        procedure = Procedure(operation)
        self.scheduler.start(procedure, now_s)
        return procedure


@pytest.fixture
def world() -> World:
    return World()


async def ask(*requests: Request) -> list[int]:
    return [len(await entry) for entry in requests]


def test_an_echo_of_a_request_is_no_answer_unless_the_device_may_repeat_it(world: World) -> None:
    echo, acknowledgement = Frame("AB", b"", b"AB"), Frame("AB", b"", b"A")
    procedure = world.start(ask(request("AB")))
    world.scheduler.due(0.0)
    assert not world.scheduler.take(echo, 0.1)
    assert not procedure.future.done()
    assert world.scheduler.take(frame("AB"), 0.2)
    for at_s, response, asked in (
        (1.0, echo, replace(request("AB"), may_be_equal=True)),
        (2.0, acknowledgement, request("AB")),
    ):
        other = world.start(ask(asked), at_s)
        world.scheduler.due(at_s)
        assert world.scheduler.take(response, at_s + 0.1)
        assert other.result(0.0) == [1]


def test_an_answer_ends_a_request(world: World) -> None:
    procedure = world.start(ask(request("A")))
    assert world.scheduler.due(0.0) == [b"A"]
    assert not world.scheduler.take(frame("B"), 0.1)
    assert world.scheduler.take(frame("A"), 0.1)
    assert procedure.future.result(0) == [1]
    assert world.scheduler.is_idle
    assert not world.scheduler.take(frame("A"), 0.2)


def test_does_not_accept_a_frame_before_the_request_is_sent(world: World) -> None:
    world.start(ask(request("A")))
    assert not world.scheduler.take(frame("A"), 0.0)


def test_a_request_that_only_waits_accepts_a_frame_of_the_same_read(world: World) -> None:
    """A response and the frame that it announces often arrive in one read."""

    async def operation() -> bytes:
        await request("A")
        return bytes((await replace(request("B"), octets=b""))[0].payload)

    procedure = world.start(operation())
    world.scheduler.due(0.0)
    assert world.scheduler.take(frame("A"), 0.1)
    assert world.scheduler.take(frame("B", b"."), 0.1)
    assert procedure.future.result(0) == b"."


def test_repeats_a_request_and_then_raises(world: World) -> None:
    procedure = world.start(ask(request("A")))
    assert world.scheduler.due(0.0) == [b"A"]
    assert world.scheduler.deadline_s() == 1.0
    assert world.scheduler.due(0.99) == []
    assert world.scheduler.due(1.0) == [b"A"]
    assert world.scheduler.due(2.0) == []
    with pytest.raises(NoAnswerError, match=r"A \(2 attempts, 2.0 s\)"):
        procedure.future.result(0)
    assert world.counters.timeouts == 2
    assert world.scheduler.deadline_s() is None


def test_a_repeated_request_may_have_other_bytes(world: World) -> None:
    world.start(ask(replace(request("A"), again=b"flush A")))
    assert world.scheduler.due(0.0) == [b"A"]
    assert world.scheduler.due(1.0) == [b"flush A"]


def test_waits_for_the_grace_time_after_a_part_of_an_answer(world: World) -> None:
    procedure = world.start(ask(request("A", last=3)))
    world.scheduler.due(0.0)
    world.scheduler.take(frame("A"), 0.5)
    world.scheduler.take(frame("A"), 0.55)
    assert world.scheduler.deadline_s() == pytest.approx(0.65)
    assert not procedure.future.done()
    world.scheduler.due(0.66)
    assert procedure.future.result(0) == [2]
    assert world.counters.timeouts == 0


def test_a_response_that_never_pauses_ends_after_the_longest_time(world: World) -> None:
    procedure = world.start(ask(request("A", last=1000)))
    world.scheduler.due(0.0)
    for k in range(int(LONGEST_RESPONSE_S / 0.09) + 2):
        world.scheduler.take(frame("A"), 0.09 * k)
        world.scheduler.due(0.09 * k)
    assert procedure.future.result(0)[0] > 300


def test_sends_requests_of_one_queue_one_after_the_other(world: World) -> None:
    first = world.start(ask(request("A", queue="Q")))
    second = world.start(ask(request("A", queue="Q")))
    other = world.start(ask(request("B")))
    assert sorted(world.scheduler.due(0.0)) == [b"A", b"B"]
    world.scheduler.take(frame("A"), 0.1)
    assert (first.future.done(), second.future.done(), other.future.done()) == (True, False, False)
    assert world.scheduler.due(0.1) == [b"A"]
    world.scheduler.take(frame("A"), 0.2)
    assert second.future.done()


def test_carries_out_steps_in_order(world: World) -> None:
    async def operation() -> str:
        await SetBaud(9600)
        await Sleep(2.0)
        await request("A")
        return "done"

    procedure = world.start(operation())
    assert world.bauds == [9600]
    assert world.scheduler.due(0.0) == []
    assert world.scheduler.deadline_s() == 2.0
    assert world.scheduler.due(2.0) == [b"A"]
    world.scheduler.take(frame("A"), 2.1)
    assert procedure.future.result(0) == "done"


def test_publishes_readings_of_an_operation(world: World) -> None:
    readings = [Reading(Packet("P", (Field("word", "B"),)), bytes([k]), {"word": k}, k, k) for k in range(2)]

    async def operation() -> None:
        for reading in readings:
            await Publish(reading)

    procedure = world.start(operation())
    world.scheduler.due(0.0)
    assert procedure.future.result(0) is None
    assert world.readings == readings


def test_the_error_of_a_step_is_raised_inside_the_operation() -> None:
    def refuse(_: int) -> None:
        raise RefusedError("no such rate")

    async def operation() -> str:
        try:
            await SetBaud(1)
        except RefusedError as error:
            return str(error)
        return ""

    scheduler, procedure = Scheduler(Counters(), refuse), Procedure(operation())
    scheduler.start(procedure, 0.0)
    assert procedure.future.result(0) == "no such rate"


def test_an_aborted_operation_cleans_up(world: World) -> None:
    async def operation() -> None:
        try:
            await request("A")
        finally:
            await request("Z")

    procedure = world.start(operation())
    world.scheduler.due(0.0)
    world.scheduler.abort(procedure, 0.1)
    assert world.scheduler.due(0.1) == [b"Z"]
    world.scheduler.take(frame("Z"), 0.2)
    with pytest.raises(AbortedError):
        procedure.future.result(0)
    world.scheduler.abort(procedure, 0.3)


def test_a_closed_port_ends_all_operations_even_those_that_retry(world: World) -> None:
    async def retry() -> None:
        for _ in range(3):
            try:
                await request("A")
            except PortGoneError:
                continue

    procedures = [world.start(retry()), world.start(ask(request("B")))]
    world.scheduler.due(0.0)
    world.scheduler.fail_all(PortGoneError("gone"))
    assert all(procedure.future.done() for procedure in procedures)
    with pytest.raises(PortGoneError):
        procedures[1].future.result(0)
    assert world.scheduler.is_idle
    assert world.scheduler.due(5.0) == []


async def wait_for_port(seen: list[str]) -> str:
    try:
        await request("A")
    except PortGoneError:
        seen.append("gone")
        await WaitForPort(10.0)
        await request("B")
    return "continued"


def test_an_operation_that_waits_for_the_port_continues_after_reconnection(world: World) -> None:
    seen: list[str] = []
    procedure = world.start(wait_for_port(seen))
    world.scheduler.port_lost(PortGoneError("unplugged"))
    assert (seen, world.scheduler.due(9.0), procedure.future.done()) == (["gone"], [], False)
    world.scheduler.port_lost(PortGoneError("still"))
    world.scheduler.port_opened(9.5)
    assert world.scheduler.due(9.5) == [b"B"]
    assert world.scheduler.take(frame("B"), 9.6)
    assert procedure.future.result(0) == "continued"
    assert world.scheduler.deadline_s() is None


def test_waiting_for_the_port_ends_at_its_limit(world: World) -> None:
    procedure = world.start(wait_for_port([]))
    world.scheduler.port_lost(PortGoneError("unplugged"))
    world.scheduler.due(10.5)
    with pytest.raises(PortGoneError, match="in time"):
        procedure.future.result(0)


def test_closing_ends_waiting_for_the_port(world: World) -> None:
    seen: list[str] = []
    procedure = world.start(wait_for_port(seen))
    world.scheduler.fail_all(PortGoneError("closed"))
    with pytest.raises(PortGoneError, match="closed"):
        procedure.future.result(0)
    assert (seen, world.scheduler.is_idle) == (["gone"], True)


async def wait_for_open_port() -> str:
    await WaitForPort(10.0)
    return "open"


def test_waiting_for_an_open_port_ends_soon(world: World) -> None:
    procedure = world.start(wait_for_open_port())
    assert procedure.future.done() is False
    world.scheduler.due(0.1)
    assert procedure.future.result(0) == "open"


def test_waiting_goes_on_if_the_port_turns_out_to_be_lost(world: World) -> None:
    procedure = world.start(wait_for_open_port())
    world.scheduler.port_lost(PortGoneError("unplugged"))
    world.scheduler.due(5.0)
    assert not procedure.future.done()
    world.scheduler.port_opened(6.0)
    assert procedure.future.result(0) == "open"
