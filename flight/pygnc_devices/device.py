"""The two faces of every device, over one engine: for plain scripts, and for asyncio."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from pygnc_devices.engine import Engine
from pygnc_devices.errors import SilenceError
from pygnc_devices.reading import Reading, Statistics
from pygnc_devices.scheduler import Procedure
from pygnc_devices.subscriptions import QUEUE_DEPTH

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)


class Device:
    """What both faces have.

    Args:
        engine: an open connection; the device closes it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def url(self) -> str:
        """Where the device is."""
        return self.engine.url

    @property
    def baud(self) -> int:
        """Speed of the line."""
        return self.engine.baud

    @property
    def is_connected(self) -> bool:
        """Whether the port is open; one that has gone is looked for until the device is closed."""
        return self.engine.is_connected

    @property
    def statistics(self) -> Statistics:
        """What the connection has seen so far."""
        return self.engine.counts.snapshot()

    def latest(self, max_age_s: float = 1.0) -> Reading | None:
        """Return the newest reading, or None if it is older than that: an old value never passes for a new one."""
        return self.engine.feed.latest(max_age_s)


class UnitDevice(Device, Generic[U]):
    """What both faces of a family have whose procedures need to know of a unit; its methods stand once, see `method`.

    Args:
        engine: see `Device`.
        unit: what the driver knows of the device, its interpreter.
    """

    def __init__(self, engine: Engine, unit: U) -> None:
        super().__init__(engine)
        self.unit = unit


class BlockingDevice(Device):
    """A device for plain scripts: calls return when they are done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the port back; may be called twice."""
        self.engine.close()

    def __iter__(self) -> Iterator[Reading]:
        return self.readings()

    def readings(self, silence_s: float | None = None, depth: int = QUEUE_DEPTH) -> Generator[Reading, None, None]:
        """Yield readings as they come, until the device is closed or its recording ends.

        Args:
            silence_s: how long none may come; None: however long.
            depth: readings that may wait; older ones are dropped and counted.

        Raises:
            SilenceError: none came for that long. The device may be asked for readings again.
        """
        subscription = self.engine.feed.subscribe(depth)
        with contextlib.closing(subscription):
            while True:
                reading = subscription.take(silence_s)
                if reading is not None:
                    yield reading
                elif subscription.is_over:
                    return
                else:
                    raise SilenceError(f"{self.url}: no reading for {silence_s} s")

    def read(self, timeout_s: float = 1.0) -> Reading | None:
        """Return the next reading to come, or None if none comes in that time."""
        with contextlib.closing(self.engine.feed.subscribe()) as subscription:
            return subscription.take(timeout_s)

    def run(self, procedure: Procedure[T]) -> T:
        """Carry a procedure out. Ctrl-C ends it in order: its clean-up goes on behind the caller's back."""
        task = self.engine.start(procedure)
        try:
            return task.result()
        except BaseException:
            self.engine.abort(task)
            raise


class AsyncDevice(Device):
    """A device for asyncio."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the port back; may be called twice."""
        await asyncio.to_thread(self.engine.close)

    def __aiter__(self) -> AsyncIterator[Reading]:
        return self.readings()

    async def readings(self, silence_s: float | None = None, depth: int = QUEUE_DEPTH) -> AsyncGenerator[Reading, None]:
        """Yield readings as they come; see `BlockingDevice.readings`."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the device
                loop.call_soon_threadsafe(news.set)

        with contextlib.closing(self.engine.feed.subscribe(depth, tell)) as subscription:
            while True:
                news.clear()
                reading = subscription.take(0)
                if reading is not None:
                    yield reading
                elif subscription.is_over:
                    return
                else:
                    await _wait(news, silence_s, self.url)

    async def read(self, timeout_s: float = 1.0) -> Reading | None:
        """Return the next reading to come, or None if none comes in that time."""
        async with contextlib.aclosing(self.readings(timeout_s)) as readings:
            with contextlib.suppress(SilenceError, StopAsyncIteration):
                return await anext(readings)
        return None

    async def run(self, procedure: Procedure[T]) -> T:
        """Carry a procedure out; cancelling ends it in order, its clean-up goes on behind the caller's back."""
        task = self.engine.start(procedure)
        try:
            return await asyncio.wrap_future(task.future)
        except BaseException:
            self.engine.abort(task)
            raise


async def _wait(news: asyncio.Event, silence_s: float | None, url: str) -> None:
    try:
        await asyncio.wait_for(news.wait(), silence_s)
    except TimeoutError:
        raise SilenceError(f"{url}: no reading for {silence_s} s") from None


class Method(Protocol[P, T_co]):
    """How a method is seen by type checkers: what it returns follows from the face that has it."""

    @overload
    def __get__(self, device: BlockingDevice, face: Any = ..., /) -> Callable[P, T_co]: ...  # noqa: ANN401 - any class
    @overload
    def __get__(self, device: AsyncDevice, face: Any = ..., /) -> Callable[P, Awaitable[T_co]]: ...  # noqa: ANN401 - likewise


def method(procedure: Callable[Concatenate[Any, P], Procedure[T]]) -> Method[P, T]:
    """Make a method of both faces out of a procedure, whose first argument is the device's `unit`."""

    @wraps(procedure)
    def call(device: Any, /, *args: P.args, **kwargs: P.kwargs) -> T | Awaitable[T]:  # noqa: ANN401 - any family's face
        done: T | Awaitable[T] = device.run(procedure(device.unit, *args, **kwargs))
        return done

    return cast("Method[P, T]", call)
