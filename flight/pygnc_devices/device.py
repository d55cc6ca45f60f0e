"""Base classes of the drivers: a synchronous and an asyncio API over one engine.

A driver defines `open` and its operations once; `Opener` and `method` turn them into the methods of both APIs.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from pygnc_devices.engine import Engine
from pygnc_devices.errors import SilenceError
from pygnc_devices.reading import Reading, Statistics
from pygnc_devices.scheduler import Operation
from pygnc_devices.subscriptions import QUEUE_DEPTH, Subscription

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)
BlockingT = TypeVar("BlockingT", bound="BlockingDevice")
AsyncT = TypeVar("AsyncT", bound="AsyncDevice")


class Device:
    """Base class of the synchronous and asyncio devices.

    Args:
        engine: open connection; the device closes it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def url(self) -> str:
        """URL or path of the port."""
        return self.engine.url

    @property
    def baud(self) -> int:
        """Baud rate of the line."""
        return self.engine.baud

    @property
    def is_connected(self) -> bool:
        """True if the port is open. A port that is lost is reopened automatically, until the device is closed."""
        return self.engine.is_connected

    @property
    def statistics(self) -> Statistics:
        """Statistics of the connection."""
        return self.engine.counters.snapshot()

    def latest(self, max_age_s: float = 1.0) -> Reading | None:
        """Return the newest reading, or None if it is older than `max_age_s` seconds."""
        return self.engine.publisher.latest(max_age_s)

    def subscribe(self, depth: int = QUEUE_DEPTH, notify: Callable[[], None] | None = None) -> Subscription:
        """Return a queue that gets all readings from now on.

        Args:
            depth: number of readings that the queue holds; the oldest are dropped and counted.
            notify: called in the thread that owns the port when a reading can be taken.
        """
        return self.engine.publisher.subscribe(depth, notify)


class UnitDevice(Device, Generic[U]):
    """Device whose operations need the driver's state of the unit; see `method`.

    Args:
        engine: open connection; the device closes it.
        unit: state of the unit in the driver; usually its interpreter.
    """

    def __init__(self, engine: Engine, unit: U) -> None:
        super().__init__(engine)
        self.unit = unit


class BlockingDevice(Device):
    """Synchronous API: a call returns when the operation has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port; may be called twice."""
        self.engine.close()

    def __iter__(self) -> Iterator[Reading]:
        return self.readings()

    def readings(self, silence_s: float | None = None, depth: int = QUEUE_DEPTH) -> Generator[Reading, None, None]:
        """Yield readings as they arrive, until the device is closed or its recording ends.

        Args:
            silence_s: longest time in seconds without a reading; None: no limit.
            depth: number of readings that may wait; the oldest are dropped and counted.

        Raises:
            SilenceError: no reading arrived for `silence_s`. `readings` may be called again.
        """
        with contextlib.closing(self.subscribe(depth)) as subscription:
            while True:
                reading = subscription.take(silence_s)
                if reading is not None:
                    yield reading
                elif subscription.is_over:
                    return
                else:
                    raise _silence_error(self.url, silence_s)

    def read(self, timeout_s: float = 1.0) -> Reading | None:
        """Return the next reading, or None if none arrives within `timeout_s` seconds."""
        with contextlib.closing(self.subscribe()) as subscription:
            return subscription.take(timeout_s)

    def run(self, operation: Operation[T]) -> T:
        """Carry out an operation. Ctrl-C aborts it; its clean-up continues in the engine's thread."""
        procedure = self.engine.start(operation)
        try:
            return procedure.result()
        except BaseException:
            self.engine.abort(procedure)
            raise


class AsyncDevice(Device):
    """API for asyncio."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the port; may be called twice."""
        await asyncio.to_thread(self.engine.close)

    def __aiter__(self) -> AsyncIterator[Reading]:
        return self.readings()

    async def readings(self, silence_s: float | None = None, depth: int = QUEUE_DEPTH) -> AsyncGenerator[Reading, None]:
        """Yield readings as they arrive; see `BlockingDevice.readings`."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        is_waking = False

        def wake() -> None:
            nonlocal is_waking
            is_waking = False
            changed.set()

        def notify() -> None:
            # One call at a time: while the loop is busy, hundreds would fill its pipe, which then loses signals.
            nonlocal is_waking
            if not is_waking:
                is_waking = True
                with contextlib.suppress(RuntimeError):  # the loop was closed before the device
                    loop.call_soon_threadsafe(wake)

        with contextlib.closing(self.subscribe(depth, notify)) as subscription:
            while True:
                changed.clear()
                reading = subscription.take(0)
                if reading is not None:
                    yield reading
                elif subscription.is_over:
                    return
                else:
                    await _wait(changed, silence_s, self.url)

    async def read(self, timeout_s: float = 1.0) -> Reading | None:
        """Return the next reading, or None if none arrives within `timeout_s` seconds."""
        async with contextlib.aclosing(self.readings(timeout_s)) as readings:
            with contextlib.suppress(SilenceError, StopAsyncIteration):
                return await anext(readings)
        return None

    async def run(self, operation: Operation[T]) -> T:
        """Carry out an operation. Cancelling aborts it; its clean-up continues in the engine's thread."""
        procedure = self.engine.start(operation)
        try:
            return await asyncio.wrap_future(procedure.future)
        except BaseException:
            self.engine.abort(procedure)
            raise


async def _wait(changed: asyncio.Event, silence_s: float | None, url: str) -> None:
    try:
        await asyncio.wait_for(changed.wait(), silence_s)
    except TimeoutError:
        raise _silence_error(url, silence_s) from None


def _silence_error(url: str, silence_s: float | None) -> SilenceError:
    return SilenceError(f"{url}: no reading for {silence_s} s; check that the device is switched on and streams")


class Method(Protocol[P, T_co]):
    """Type of a method made by `method`: the result is awaitable in an asyncio device."""

    @overload
    def __get__(self, device: BlockingDevice, owner: Any = ..., /) -> Callable[P, T_co]: ...  # noqa: ANN401 - any class
    @overload
    def __get__(self, device: AsyncDevice, owner: Any = ..., /) -> Callable[P, Awaitable[T_co]]: ...  # noqa: ANN401 - any class


def method(operation: Callable[Concatenate[Any, P], Operation[T]]) -> Method[P, T]:
    """Return the method that carries out an operation in both APIs; the operation gets the device's `unit` first."""

    @wraps(operation)
    def call(device: Any, /, *args: P.args, **kwargs: P.kwargs) -> T | Awaitable[T]:  # noqa: ANN401 - either API
        result: T | Awaitable[T] = device.run(operation(device.unit, *args, **kwargs))
        return result

    return cast("Method[P, T]", call)


class Opener(Generic[P]):
    """Class method `open` of both APIs; its parameters and its docstring are those of `connect`.

    Args:
        connect: opens the port; returns the engine and the driver's state of the unit.
        prepare: called first, in the thread of the caller.
    """

    def __init__(self, connect: Callable[P, tuple[Engine, Any]], prepare: Callable[[], None] | None = None) -> None:
        self._connect = connect
        self._prepare = prepare or (lambda: None)

    @overload
    def __get__(self, device: object, owner: type[BlockingT]) -> Callable[P, BlockingT]: ...
    @overload
    def __get__(self, device: object, owner: type[AsyncT]) -> Callable[P, Coroutine[Any, Any, AsyncT]]: ...
    def __get__(self, device: object, owner: Any) -> Callable[P, Any]:
        """Return the class method of a driver class."""

        @wraps(self._connect)
        def open_blocking(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - the owner
            self._prepare()
            return owner(*self._connect(*args, **kwargs))

        @wraps(self._connect)
        async def open_async(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - the owner
            self._prepare()
            return owner(*await asyncio.to_thread(self._connect, *args, **kwargs))

        return open_async if issubclass(owner, AsyncDevice) else open_blocking
