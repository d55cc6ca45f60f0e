"""Messages of a session to a client that reads slowly."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.reading import Reading
from pygnc_instruments.bridge import session as session_module
from pygnc_instruments.bridge.command_handler import CommandHandler, FirmwareUpgrader
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.messages import Event
from pygnc_instruments.bridge.protocols import MessageProtocol, ProtocolV2
from pygnc_instruments.bridge.recorder import Recorder
from pygnc_instruments.bridge.session import QUEUE_DEPTH, Session
from pygnc_instruments.device.connection import DeviceSelection


class Connection:
    """A connection that sends only while `is_read` is set."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.is_read = asyncio.Event()
        self.requests: asyncio.Queue[str | None] = asyncio.Queue()
        self.is_aborted = asyncio.Event()
        self.transport = SimpleNamespace(abort=self.abort)

    async def send(self, message: str) -> None:
        await self.is_read.wait()
        self.sent.append(message)

    def abort(self) -> None:
        self.is_aborted.set()
        self.requests.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[str]:
        while (request := await self.requests.get()) is not None:
            yield request


PACKET = Packet("A", (Field("number", "I"),))


def session_of(connection: Connection, protocol: MessageProtocol | None = None) -> Session:
    link = DeviceLink(DeviceSelection("/dev/none", "ucb", 115200), lambda _: None)
    recorder = Recorder(link, Path("none"), lambda _: None)
    handler = CommandHandler(link, recorder, FirmwareUpgrader(link, lambda _: None), Path("none"))
    interval_s = 0.033 if protocol is None else 0.002
    return Session(cast("Any", connection), protocol or MessageProtocol(), interval_s, link, handler)


def test_a_slow_client_loses_the_oldest_messages_but_no_response() -> None:
    async def run() -> None:
        connection = Connection()
        protocol = MessageProtocol()
        protocol.sends_all = False
        session = session_of(connection, protocol)
        serving = asyncio.create_task(session.run())
        connection.requests.put_nowait('{"cmd":"list_files"}')
        await asyncio.sleep(0)
        for number in range(QUEUE_DEPTH + 5):
            session.publish(Event("log", {"number": number}))
        assert session.dropped == 6  # the state of the device comes first
        connection.is_read.set()
        async with asyncio.timeout(10):
            while len(connection.sent) < QUEUE_DEPTH + 1:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)
        assert any('"list_files"' in message for message in connection.sent)
        assert '"number":4}' not in "".join(connection.sent)
        connection.requests.put_nowait(None)
        await serving

    asyncio.run(run())


def test_a_program_that_pauses_loses_no_reading() -> None:
    async def run() -> list[int]:
        connection = Connection()
        session = session_of(connection, MessageProtocol())
        serving = asyncio.create_task(session.run())
        await asyncio.sleep(0)
        for number in range(3000):  # more intervals than a page may miss, and more readings in one of them
            for listener in session._link.listeners:
                listener(Reading(PACKET, b"", {"number": number}, number, 0))
            if 1000 <= number < 1200:
                await asyncio.sleep(0.004)
        connection.is_read.set()
        async with asyncio.timeout(10):
            while '"number":2999' not in "".join(connection.sent):  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0.01)
        connection.requests.put_nowait(None)
        await serving
        assert session.dropped == 0
        return [int(number) for text in connection.sent for number in re.findall(r'"number":(\d+)', text)]

    assert asyncio.run(run()) == list(range(3000))


def test_a_program_gets_each_reading_and_a_page_the_newest_with_the_others_counted() -> None:
    async def run(path: str) -> tuple[list[int], int]:
        connection = Connection()
        connection.is_read.set()
        session = session_of(connection, ProtocolV2() if path == "v2" else MessageProtocol())
        serving = asyncio.create_task(session.run())
        await asyncio.sleep(0)
        for number in range(300):  # three readings per interval
            for listener in session._link.listeners:
                listener(Reading(PACKET, b"", {"number": number}, number, 0))
            if number % 3 == 2:
                await asyncio.sleep(0.002)
        await asyncio.sleep(0.05)
        connection.requests.put_nowait(None)
        await serving
        assert session.dropped == 0
        return [
            int(found[1]) for text in connection.sent if (found := re.search(r'"number":(\d+)', text))
        ], session.thinned

    numbers, thinned = asyncio.run(run("envelope"))
    assert (numbers, thinned) == (list(range(300)), 0)
    numbers, thinned = asyncio.run(run("v2"))
    assert numbers[-1] == 299
    assert len(numbers) + thinned == 300
    assert thinned > 100


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch: Any) -> None:  # noqa: ANN401 - pytest's
    monkeypatch.setattr(session_module, "STALL_LIMIT_S", 0.05)

    async def run() -> None:
        connection = Connection()
        async with asyncio.timeout(10):
            await session_of(connection).run()
        assert connection.is_aborted.is_set()

    asyncio.run(run())
