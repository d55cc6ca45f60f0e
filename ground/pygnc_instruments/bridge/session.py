"""One client: its commands one after the other, readings at its pace; nobody else ever waits for it.

What waits to be sent to one client: bounded, so that a client that does not read costs only itself.
"""

import asyncio
import logging
from collections import deque
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from pygnc_devices.reading import Reading
from pygnc_instruments.bridge.command_handler import CommandHandler
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.messages import (
    BridgeError,
    Describe,
    ErrorCode,
    Event,
    Request,
    Status,
    Stream,
    output_values,
)
from pygnc_instruments.bridge.protocols import MessageProtocol

QUEUE_DEPTH: Final = 64
"""Messages: two seconds of readings."""


class SendQueue:
    """A bounded queue; answers are never dropped, of the rest the oldest is.

    Answers need no bound: a client's next command is taken when the answer to the one before has been sent.

    Attributes:
        dropped: messages that were dropped because the client did not read in time.
    """

    def __init__(self, depth: int = QUEUE_DEPTH) -> None:
        self._depth = depth
        self._messages: deque[str] = deque()
        self._answers: deque[str] = deque()
        self._news = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_closed = False
        self.dropped = 0

    def put(self, message: str) -> None:
        """Add a message that the client did not ask for."""
        if len(self._messages) >= self._depth:
            self._messages.popleft()
            self.dropped += 1
        self._messages.append(message)
        self._news.set()

    async def answer(self, message: str) -> None:
        """Add an answer, and wait until it has been sent."""
        if self._is_closed:
            return
        self._answers.append(message)
        self._idle.clear()
        self._news.set()
        await self._idle.wait()

    def close(self) -> None:
        """Let go of whoever waits, and of who will: nothing will be sent any more."""
        self._is_closed = True
        self._idle.set()

    async def take(self) -> str:
        """Return what is to be sent next: answers first."""
        if not self._answers:
            self._idle.set()
        while not self._answers and not self._messages:
            self._news.clear()
            await self._news.wait()
        return self._answers.popleft() if self._answers else self._messages.popleft()


STALL_LIMIT_S: Final = 60.0
"""A client that takes nothing for so long is let go. The library's own pings wait for it without end."""
_NS_PER_S: Final = 1e9
_log = logging.getLogger(__name__)


class Session:
    """A client and its queue.

    Args:
        connection: to it.
        dialect: that it speaks.
        interval_s: between readings.
        link: where readings come from.
        actions: what it can ask for.
    """

    def __init__(
        self,
        connection: ServerConnection,
        dialect: MessageProtocol,
        interval_s: float,
        link: DeviceLink,
        actions: CommandHandler,
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._interval_s = interval_s
        self._link = link
        self._actions = actions
        self._is_streaming = True
        self._is_sending = False
        self._last: Reading | None = link.latest
        self._first_ns: int | None = None
        self._outbox = SendQueue()

    @property
    def dropped(self) -> int:
        """Messages that the client did not fetch in time."""
        return self._outbox.dropped

    def tell(self, event: Event) -> None:
        """Put an event into the client's queue."""
        self._outbox.put(self._dialect.event(event))

    async def run(self) -> None:
        """Serve the client until it goes."""
        if not self._link.is_connected:
            self.tell(Event("device", self._link.summary()))
        helpers = [asyncio.create_task(self._send()), asyncio.create_task(self._push())]
        try:
            async for message in self._connection:
                await self._outbox.answer(await self._obey(message))
        except ConnectionClosed:
            pass
        finally:
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    def hang_up(self) -> None:
        """Let go of a client that takes nothing: no farewell would reach it either."""
        if self._is_sending:
            self._connection.transport.abort()

    async def _send(self) -> None:
        try:
            while True:
                message = await self._outbox.take()
                self._is_sending = True
                async with asyncio.timeout(STALL_LIMIT_S):
                    await self._connection.send(message)
                self._is_sending = False
        except TimeoutError:
            _log.warning("a client has read nothing for %.0f s and is let go", STALL_LIMIT_S)
            self.hang_up()
        except ConnectionClosed:
            pass
        finally:
            self._outbox.close()

    async def _push(self) -> None:
        """Put the newest reading into the queue at every tick; none twice, none that is missed made up for."""
        clock = asyncio.get_running_loop().time
        tick_s = clock()
        while True:
            tick_s += self._interval_s
            if clock() > tick_s + self._interval_s:
                tick_s = clock()
            await asyncio.sleep(tick_s - clock())
            reading = self._link.latest
            if reading is not None and reading is not self._last:
                self._last = reading
                if self._is_streaming:
                    self._outbox.put(self._dialect.output(output_values(reading), self._elapsed_s(reading)))

    def _elapsed_s(self, reading: Reading) -> float:
        if self._first_ns is None:
            self._first_ns = reading.t_mono_ns
        return (reading.t_mono_ns - self._first_ns) / _NS_PER_S

    async def _obey(self, message: str | bytes) -> str:
        """Return the answer to a message, whatever is wrong with it."""
        word = ""
        try:
            asked = self._dialect.parse(message)
            word = asked.word
            return self._dialect.answer(asked, await self._do(asked))
        except BridgeError as error:
            return self._dialect.refuse(word or str(error.details.pop("cmd", "")), error)
        except Exception:  # noqa: BLE001 - a client must hear something, and the others must not notice
            _log.exception("the command %s has failed", word)
            return self._dialect.refuse(word, BridgeError(ErrorCode.DEVICE, "the bridge has failed; its log says more"))

    async def _do(self, asked: Request) -> Any:  # noqa: ANN401 - each command has its own result
        if isinstance(asked.command, Stream):
            self._is_streaming = asked.command.on
        result = await self._actions.do(asked.command)
        if isinstance(asked.command, Status | Describe):
            result |= {"dropped": self.dropped, "interval_ms": round(self._interval_s * 1000)}
        return result
