"""One client: its commands one after the other, readings at its pace; nobody else ever waits for it."""

import asyncio
import logging
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from pygnc_devices.reading import Reading
from pygnc_instruments.bridge.actions import Actions
from pygnc_instruments.bridge.commands import Asked, Describe, Status, Stream
from pygnc_instruments.bridge.dialect import Dialect
from pygnc_instruments.bridge.errors import BridgeError, Code
from pygnc_instruments.bridge.events import Event, output_of
from pygnc_instruments.bridge.link import Link
from pygnc_instruments.bridge.outbox import Outbox

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
        self, connection: ServerConnection, dialect: Dialect, interval_s: float, link: Link, actions: Actions
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
        self._outbox = Outbox()

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
                    self._outbox.put(self._dialect.output(output_of(reading), self._elapsed_s(reading)))

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
            return self._dialect.refuse(word, BridgeError(Code.DEVICE, "the bridge has failed; its log says more"))

    async def _do(self, asked: Asked) -> Any:  # noqa: ANN401 - each command has its own result
        if isinstance(asked.command, Stream):
            self._is_streaming = asked.command.on
        result = await self._actions.do(asked.command)
        if isinstance(asked.command, Status | Describe):
            result |= {"dropped": self.dropped, "interval_ms": round(self._interval_s * 1000)}
        return result
