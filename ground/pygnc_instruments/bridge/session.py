"""Session of a client: its requests one after the other, its readings, and a bounded queue of messages to send.

A slow client does not delay other clients: readings and events that it does not fetch in time are dropped and counted.
"""

import asyncio
import logging
import math
from collections import deque
from itertools import groupby
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from pygnc_devices.reading import Reading
from pygnc_instruments.bridge.command_handler import CommandHandler
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.messages import (
    READING_COMMANDS,
    BridgeError,
    ErrorCode,
    Event,
    Request,
    Scalar,
    output_values,
)
from pygnc_instruments.bridge.protocols import MessageProtocol

MAX_READINGS: Final = 131_072
"""Readings between two messages to a client."""
QUEUE_DEPTH: Final = 64
"""Events and readings that may wait for a client that receives the newest readings: two seconds."""
STALL_LIMIT_S: Final = 60.0
"""Time after which a client that accepts no data is disconnected, s; the pings of the library do not detect it."""
_log = logging.getLogger(__name__)


class Session:
    """Session of a connected client.

    Args:
        connection: WebSocket connection of the client.
        protocol: message protocol of the client.
        interval_s: time between readings, s.
        link: source of the readings.
        handler: carries out the requests.
        command_refusal: why the client may only read; "" if it may send all commands.

    Attributes:
        dropped: number of readings and events that the client did not fetch in time.
        thinned: number of readings that were left out because the client receives the newest at each interval.
    """

    def __init__(
        self,
        connection: ServerConnection,
        protocol: MessageProtocol,
        interval_s: float,
        link: DeviceLink,
        handler: CommandHandler,
        *,
        command_refusal: str = "",
    ) -> None:
        self.dropped = 0
        self.thinned = 0
        self._connection = connection
        self._protocol = protocol
        self._interval_s = interval_s
        self._link = link
        self._handler = handler
        self._command_refusal = command_refusal
        self._is_streaming = protocol.streams_at_once
        self._readings: deque[Reading] = deque()
        self._sending = 0
        self._first_ns: int | None = None
        # A program that receives all readings loses none before it is disconnected.
        depth = math.ceil(STALL_LIMIT_S / interval_s) if protocol.sends_all else 0
        self._messages: asyncio.Queue[tuple[str, ...]] = asyncio.Queue(max(depth, QUEUE_DEPTH))

    def publish(self, event: Event) -> None:
        """Queue an event for the client, unless its protocol has none of this kind."""
        for message in self._protocol.events(event):
            self._queue((message,))

    async def run(self) -> None:
        """Serve the client until it disconnects."""
        if self._protocol.greets or not self._link.is_connected:
            self.publish(Event("device", self._link.summary()))
        tasks = [asyncio.create_task(self._send_messages()), asyncio.create_task(self._queue_readings())]
        self._link.listeners.append(self._take)
        try:
            # Responses need no queue: the next request is read only after the previous response has been sent.
            async for message in self._connection:
                await self._send(await self._response(message))
        except ConnectionClosed:
            pass
        finally:
            self._link.listeners.remove(self._take)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def disconnect_if_stalled(self) -> None:
        """Abort the connection if the client does not take a message; a closing handshake would not end either."""
        if self._sending:
            self._connection.transport.abort()

    def _take(self, reading: Reading) -> None:
        """Keep a reading until the next message; drop the oldest if there are too many."""
        if not self._is_streaming:
            return
        if len(self._readings) == MAX_READINGS:
            self._readings.popleft()
            self.dropped += 1
        self._readings.append(reading)

    def _queue(self, messages: tuple[str, ...]) -> None:
        """Queue an event, or the readings of an interval; drop the oldest if the queue is full."""
        if self._messages.full():
            self.dropped += len(self._messages.get_nowait())
        self._messages.put_nowait(messages)

    async def _send_messages(self) -> None:
        while True:
            for message in await self._messages.get():
                await self._send(message)

    async def _send(self, message: str) -> None:
        self._sending += 1
        try:
            async with asyncio.timeout(STALL_LIMIT_S):
                await self._connection.send(message)
        except TimeoutError:
            _log.warning("a client has not read for %.0f s; disconnecting it", STALL_LIMIT_S)
            self._connection.transport.abort()
        finally:
            self._sending -= 1

    async def _queue_readings(self) -> None:
        """Queue the new readings, or the newest, at every interval; missed intervals are not made up for."""
        clock = asyncio.get_running_loop().time
        tick_s = clock()
        while True:
            tick_s += self._interval_s
            if clock() > tick_s + self._interval_s:
                tick_s = clock()
            await asyncio.sleep(tick_s - clock())
            for packet, group in groupby(self._new_readings(), lambda reading: reading.packet.name):
                self._queue(self._protocol.output([self._output(reading) for reading in group], packet))

    def _new_readings(self) -> list[Reading]:
        """Return the readings since the last call, or only the newest, as the protocol demands."""
        found = list(self._readings) if self._is_streaming else []
        self._readings.clear()
        if self._protocol.sends_all or not found:
            return found
        self.thinned += len(found) - 1
        return found[-1:]

    def _output(self, reading: Reading) -> dict[str, Scalar]:
        """Return the values of a reading and, as `time`, the seconds since the first one; a value `time` prevails."""
        if self._first_ns is None:
            self._first_ns = reading.t_mono_ns
        return {"time": (reading.t_mono_ns - self._first_ns) / 1e9, **output_values(reading)}

    async def _response(self, message: str | bytes) -> str:
        """Return the response to a message; every error becomes a response."""
        name = ""
        try:
            request = self._protocol.parse(message)
            name = request.name
            return self._protocol.response(request, await self._carry_out(request))
        except BridgeError as error:
            return self._protocol.rejection(name or str(error.details.pop("cmd", "")), error)
        except Exception:  # noqa: BLE001 - the client needs a response, and the other clients must not be disturbed
            _log.exception("the command %s failed", name)
            internal = BridgeError(ErrorCode.DEVICE, "internal error of the bridge; see its log")
            return self._protocol.rejection(name, internal)

    async def _carry_out(self, request: Request) -> Any:  # noqa: ANN401 - each command has its own result
        if self._command_refusal and request.command not in READING_COMMANDS:
            raise BridgeError(ErrorCode.TOKEN, self._command_refusal)
        if request.command in {"start_stream", "stop_stream"}:
            self._is_streaming = request.command == "start_stream"
            return {"on": self._is_streaming}
        result = await self._handler.handle(request)
        if request.command in {"status", "describe"}:
            result |= {
                "dropped": self.dropped,
                "thinned": self.thinned,
                "readings": "all" if self._protocol.sends_all else "newest",
                "interval_ms": round(self._interval_s * 1000),
                "may_command": not self._command_refusal,
            }
        return result
