"""Messages of a session to a client that reads slowly."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pygnc_instruments.bridge import session as session_module
from pygnc_instruments.bridge.command_handler import CommandHandler, FirmwareUpgrader
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.messages import Event
from pygnc_instruments.bridge.protocols import MessageProtocol
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


def session_of(connection: Connection) -> Session:
    link = DeviceLink(DeviceSelection("/dev/none", "ucb", 115200), lambda _: None)
    recorder = Recorder(link, Path("none"), lambda _: None)
    handler = CommandHandler(link, recorder, FirmwareUpgrader(link, lambda _: None), Path("none"))
    return Session(cast("Any", connection), MessageProtocol(), 0.033, link, handler)


def test_a_slow_client_loses_the_oldest_messages_but_no_response() -> None:
    async def run() -> None:
        connection = Connection()
        session = session_of(connection)
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


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch: Any) -> None:  # noqa: ANN401 - pytest's
    monkeypatch.setattr(session_module, "STALL_LIMIT_S", 0.05)

    async def run() -> None:
        connection = Connection()
        async with asyncio.timeout(10):
            await session_of(connection).run()
        assert connection.is_aborted.is_set()

    asyncio.run(run())
