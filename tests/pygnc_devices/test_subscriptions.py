"""Readings reach waiting threads, even if an exception interrupts the waiting.

Two tests raise an exception before every single bytecode of the waiting code. That is stricter than a signal handler,
which runs between certain bytecodes only: an exception before the bytecode that ends an `except` block leaves the
handled IndexError ("pop from an empty deque") or RuntimeError ("release unlocked lock") as the thread's current
exception, and all later exceptions of that thread get it as their context. Therefore each attempt has its own thread.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType, SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from pygnc_devices.declaration import Packet
from pygnc_devices.device import AsyncDevice
from pygnc_devices.errors import PortGoneError
from pygnc_devices.opc_n3.packets import HISTOGRAM
from pygnc_devices.reading import Counters, Reading
from pygnc_devices.scheduler import Procedure
from pygnc_devices.subscriptions import Publisher, Subscription

LIMIT_S = 10.0
"""Time limit that only a deadlock reaches."""


class SignalError(BaseException):
    """Exception of a signal handler."""


def reading(number: int) -> Reading:
    return Reading(HISTOGRAM, bytes([number]), {}, number, 0)


def struck(work: Callable[[], object], step: int) -> bool:
    """Call `work` in a thread and raise an exception before bytecode `step`; return False if it has fewer bytecodes."""
    left, was_struck = step, False

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - itself
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise SignalError
        return trace

    def run() -> None:
        nonlocal was_struck
        sys.settrace(trace)
        try:
            work()
        except SignalError:
            was_struck = True
        finally:
            sys.settrace(None)

    gc.disable()  # otherwise the exception may be raised in a finaliser of the garbage collector, which ignores it
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    gc.enable()
    return was_struck


def ends(work: Callable[[], object]) -> bool:
    """Return True if another thread can complete `work`."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(LIMIT_S)
    return not thread.is_alive()


@pytest.mark.parametrize("is_lossless", [False, True])
@pytest.mark.parametrize("waiting", [0, 1])
def test_a_signal_in_a_subscriber_never_blocks_the_reading_thread(waiting: int, *, is_lossless: bool) -> None:
    for step in range(1, 1000):
        publisher = Publisher(Counters(), is_lossless=is_lossless)
        subscription = publisher.subscribe(depth=2)
        for number in range(waiting):
            publisher.publish(reading(number))
        was_struck = struck(partial(subscription.take, 0.001), step)
        assert ends(partial(publisher.publish, reading(9)))
        assert ends(publisher.close)
        if not was_struck:
            assert step > 20
            return
    pytest.fail("take has more than 1000 bytecodes")


def test_a_signal_in_a_waiting_caller_never_blocks_an_operation() -> None:
    async def nothing() -> int:
        return 7

    def wait_for(procedure: Procedure[int]) -> None:
        with contextlib.suppress(TimeoutError):
            procedure.result(0.0)

    for step in range(1, 1000):
        procedure = Procedure(nothing())
        was_struck = struck(partial(wait_for, procedure), step)
        assert ends(partial(procedure.resume, None))
        assert procedure.result(LIMIT_S) == 7
        if not was_struck:
            return
    pytest.fail("result has more than 1000 bytecodes")


def test_waiting_threads_are_woken_by_a_reading_and_by_closing() -> None:
    publisher = Publisher(Counters(), is_lossless=False)
    subscriptions = [publisher.subscribe() for _ in range(2)]
    taken: list[Reading | None] = []

    def take(subscription: Subscription, timeout_s: float | None) -> None:
        taken.append(subscription.take(timeout_s))

    threads = [threading.Thread(target=take, args=(each, LIMIT_S)) for each in subscriptions]
    for thread in threads:
        thread.start()
    publisher.publish(reading(1))
    for thread in threads:
        thread.join(LIMIT_S)
    assert taken == [reading(1)] * 2
    threads = [threading.Thread(target=take, args=(subscriptions[0], None), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    publisher.publish(reading(2))
    publisher.close()
    for thread in threads:
        thread.join(LIMIT_S)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(entry is None for entry in taken[2:]) == [False, True, True]


def test_readings_before_the_end_are_returned_before_its_error_is_raised() -> None:
    publisher = Publisher(Counters(), is_lossless=False)
    subscription = publisher.subscribe(depth=2)
    for number in range(3):
        publisher.publish(reading(number))
    publisher.close(PortGoneError("gone"))
    assert (subscription.drops, subscription.is_over) == (1, False)
    assert [subscription.take(0), subscription.take(0)] == [replace(reading(1), lost_before=1), reading(2)]
    with pytest.raises(PortGoneError, match="gone"):
        subscription.take(None)
    assert subscription.is_over


def test_a_recording_waits_for_its_subscribers() -> None:
    publisher = Publisher(Counters(), is_lossless=True)

    def put() -> None:
        for number in range(100):
            publisher.publish(reading(number))

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    subscription = publisher.subscribe(depth=3)
    assert [subscription.take(LIMIT_S) for _ in range(100)] == [reading(number) for number in range(100)]
    assert subscription.drops == 0


def test_a_minute_of_readings_waits_for_a_slow_logger() -> None:
    publisher = Publisher(Counters(), is_lossless=False)
    subscription = publisher.subscribe()
    for number in range(6000):
        publisher.publish(reading(number % 256))
    assert len(subscription.queue) == 6000
    assert subscription.drops == 0


def test_the_next_reading_of_a_kind_counts_the_dropped_readings() -> None:
    publisher = Publisher(Counters(), is_lossless=False)
    subscription = publisher.subscribe(depth=3)
    other = Packet("other", ())
    for number in range(10):
        publisher.publish(replace(reading(number), lost_before=2 * (number == 4), gap_ns=5 * (number == 4)))
        if number == 1:
            assert subscription.take(0) == reading(0)
        if number in {4, 8}:
            publisher.publish(Reading(other, b"", {}, number, 0))
    taken = [subscription.take(0) for _ in range(3)]
    assert taken == [
        replace(reading(8), lost_before=9, gap_ns=5),
        Reading(other, b"", {}, 8, 0, lost_before=1),
        reading(9),
    ]
    assert subscription.drops == 8


def test_a_busy_loop_loses_no_signal_and_no_reading() -> None:
    publisher = Publisher(Counters(), is_lossless=False)
    device = AsyncDevice(cast("Any", SimpleNamespace(publisher=publisher, url="x")))

    def publish() -> None:
        for number in range(2000):
            publisher.publish(reading(number % 256))

    async def run() -> int:
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, stopping.set)
        readings = device.readings()
        first = asyncio.ensure_future(anext(readings))
        await asyncio.sleep(0)
        thread = threading.Thread(target=publish)
        thread.start()
        thread.join()  # the loop is busy meanwhile
        os.kill(os.getpid(), signal.SIGUSR1)
        await first
        async with asyncio.timeout(LIMIT_S):
            await stopping.wait()
        count = 1
        async for _ in readings:
            count += 1
            if count == 2000:
                break
        await readings.aclose()
        return count

    assert asyncio.run(run()) == 2000
