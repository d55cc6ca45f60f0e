"""Readings reach those who wait for them, whatever ends the waiting."""

import contextlib
import gc
import sys
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest

from pygnc_devices.errors import PortGoneError
from pygnc_devices.opc_n3.packets import HISTOGRAM
from pygnc_devices.reading import Counts, Reading
from pygnc_devices.scheduler import Procedure, Task
from pygnc_devices.subscriptions import Feed, Subscription

AT_ONCE_S = 10.0
"""Nothing here takes longer, or it hangs."""


class SignalError(BaseException):
    """What a handler of a signal raises."""


def reading(number: int) -> Reading:
    return Reading(HISTOGRAM, bytes([number]), {}, number, 0)


def struck(work: Callable[[], object], step: int) -> bool:
    """Do some work, raise an exception before its `step`th bytecode, and tell whether it had as many."""
    left = step

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - itself
        nonlocal left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                raise SignalError
        return trace

    gc.disable()  # what is called when it collects is not the work, and lets nothing out
    sys.settrace(trace)
    try:
        work()
    except SignalError:
        return True
    finally:
        sys.settrace(None)
        gc.enable()
    return False


def ends(work: Callable[[], object]) -> bool:
    """Tell whether another thread can do some work."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(AT_ONCE_S)
    return not thread.is_alive()


@pytest.mark.parametrize("is_lossless", [False, True])
@pytest.mark.parametrize("waiting", [0, 1])
def test_wherever_a_signal_strikes_a_reader_the_port_is_still_read(waiting: int, *, is_lossless: bool) -> None:
    for step in range(1, 1000):
        feed = Feed(Counts(), is_lossless=is_lossless)
        subscription = feed.subscribe(depth=2)
        for number in range(waiting):
            feed.put(reading(number))
        was_struck = struck(partial(subscription.take, 0.001), step)
        assert ends(partial(feed.put, reading(9)))
        assert ends(feed.close)
        if not was_struck:
            assert step > 20
            return
    pytest.fail("taking a reading has no end")


def test_wherever_a_signal_strikes_who_waits_for_a_procedure_it_comes_to_its_end() -> None:
    def nothing() -> Procedure[int]:
        yield from ()
        return 7

    def wait_for(task: Task[int]) -> None:
        with contextlib.suppress(TimeoutError):
            task.result(0.0)

    for step in range(1, 1000):
        task = Task(nothing())
        was_struck = struck(partial(wait_for, task), step)
        assert ends(partial(task.start, lambda _: None))
        assert task.result(AT_ONCE_S) == 7
        if not was_struck:
            return
    pytest.fail("waiting has no end")


def test_who_waits_is_woken_by_a_reading_and_by_the_end() -> None:
    feed = Feed(Counts(), is_lossless=False)
    subscriptions = [feed.subscribe() for _ in range(2)]
    taken: list[Reading | None] = []

    def take(subscription: Subscription, timeout_s: float | None) -> None:
        taken.append(subscription.take(timeout_s))

    threads = [threading.Thread(target=take, args=(each, AT_ONCE_S)) for each in subscriptions]
    for thread in threads:
        thread.start()
    feed.put(reading(1))
    for thread in threads:
        thread.join(AT_ONCE_S)
    assert taken == [reading(1)] * 2
    threads = [threading.Thread(target=take, args=(subscriptions[0], None), daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    feed.put(reading(2))
    feed.close()
    for thread in threads:
        thread.join(AT_ONCE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(entry is None for entry in taken[2:]) == [False, True, True]


def test_what_came_before_the_end_is_taken_then_its_fault_is_raised() -> None:
    feed = Feed(Counts(), is_lossless=False)
    subscription = feed.subscribe(depth=2)
    for number in range(3):
        feed.put(reading(number))
    feed.close(PortGoneError("gone"))
    assert (subscription.drops, subscription.is_over) == (1, False)
    assert [subscription.take(0), subscription.take(0)] == [reading(1), reading(2)]
    with pytest.raises(PortGoneError, match="gone"):
        subscription.take(None)
    assert subscription.is_over


def test_a_recording_waits_for_its_readers() -> None:
    feed = Feed(Counts(), is_lossless=True)

    def put() -> None:
        for number in range(100):
            feed.put(reading(number))

    thread = threading.Thread(target=put, daemon=True)
    thread.start()
    subscription = feed.subscribe(depth=3)
    assert [subscription.take(AT_ONCE_S) for _ in range(100)] == [reading(number) for number in range(100)]
    assert subscription.drops == 0
