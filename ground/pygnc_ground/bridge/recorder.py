"""Logs that clients start and stop: one at a time, written by a thread of its own, sent to a store when it is whole."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pygnc
from pygnc_devices.errors import DeviceError
from pygnc_devices.reading import Reading
from pygnc_ground.bridge.commands import StartLog
from pygnc_ground.bridge.errors import BridgeError, Code
from pygnc_ground.bridge.events import Event
from pygnc_ground.bridge.link import Link
from pygnc_ground.device.csv_log import CsvLog, LogError, checked_name, recover
from pygnc_ground.device.destination import Destination, DestinationError, destination
from pygnc_ground.device.upload import Spool, Uploader, default_spool

_FIRST_READING_S: Final = 3.0
_QUEUE_DEPTH: Final = 20_000
"""Readings that may wait for a slow disk: 100 s at 200 Hz."""
_LOCAL_STORES: Final = ("file", "memory")
_Tell = Callable[[Event], None]


class Recorder:
    """Logs, one after the other.

    Args:
        link: where readings come from.
        folder: of log files.
        tell: told when a log begins and ends, and what became of its upload.
    """

    def __init__(self, link: Link, folder: Path, tell: _Tell) -> None:
        self._link = link
        self._folder = folder
        self._tell = tell
        self._writer: _Writer | None = None
        self._uploads: set[asyncio.Task[None]] = set()

    def summary(self) -> dict[str, Any]:
        """Return whether a log is being written, and which."""
        writer = self._writer
        if writer is None:
            return {"active": False, "file": "", "rows": 0, "lost": 0}
        return {"active": True, "file": writer.name, "rows": writer.csv.rows, "lost": writer.lost}

    async def start(self, command: StartLog) -> dict[str, Any]:
        """Begin a log; return its summary once its first row is written.

        Raises:
            BridgeError: one is being written, the unit is silent, name or store cannot be.
        """
        self._link.need()
        if self._writer is not None:
            raise BridgeError(Code.LOGGING, f"{self._writer.name or 'a log'} is being written already; stop it first")
        try:
            name = checked_name(command.file_name) if command.file_name else ""
            place = _place(command)
            csv = CsvLog(self._folder, name)
            self._writer = writer = _Writer(csv, place, asyncio.get_running_loop(), self._fail)
            csv.head = await self._head(command.user)
            await asyncio.to_thread(_prepare, self._folder)
        except (LogError, DestinationError, OSError) as error:
            self._writer = None
            code = Code.STORAGE if isinstance(error, DestinationError) else Code.LOGGING
            raise BridgeError(code, str(error)) from None
        writer.start()
        self._link.taps.append(writer.take)
        try:
            await asyncio.wait_for(writer.has_begun.wait(), _FIRST_READING_S)
        except TimeoutError:
            await self.stop()
            raise BridgeError(Code.LOGGING, f"nothing to log: no reading for {_FIRST_READING_S:.0f} s") from None
        self._tell(Event("log", self.summary()))
        return self.summary()

    async def stop(self) -> dict[str, Any]:
        """Close the log; its upload goes on.

        Raises:
            BridgeError: none is being written.
        """
        writer, self._writer = self._writer, None
        if writer is None:
            raise BridgeError(Code.LOGGING, "no log is being written")
        with contextlib.suppress(ValueError):
            self._link.taps.remove(writer.take)
        await asyncio.to_thread(writer.stop)
        self._tell(Event("log", self.summary()))
        if writer.place is not None and writer.closed:
            task = asyncio.create_task(self._send(writer.place, writer.closed))
            self._uploads.add(task)
            task.add_done_callback(self._uploads.discard)
        return {**self.summary(), "closed": [path.name for path in writer.closed], "rows": writer.csv.rows}

    async def close(self) -> None:
        """Close the log, and wait until what is on its way to a store has come or is in the spool."""
        if self._writer is not None:
            await self.stop()
        if self._uploads:
            await asyncio.wait(self._uploads)

    async def _head(self, user: str) -> Mapping[str, str]:
        """Return what is known of the unit, for the head of the file."""
        device, family = self._link.need(), self._link.family
        head = {"software": f"pygnc {pygnc.__version__}", "port": device.url}
        if user:
            head["user"] = user
        if family is None:
            return head
        head["family"] = family.name
        if family.controls.describe is not None and not self._link.is_recording:
            with contextlib.suppress(DeviceError):  # a log without a head is better than none
                head = await device.run(family.controls.describe(self._link.unit)) | head
        return head

    def _fail(self, why: str) -> None:
        """Take note that a log could not be written; in the loop's thread."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(ValueError):
                self._link.taps.remove(writer.take)
        self._tell(Event("log", {**self.summary(), "error": why}))

    async def _send(self, place: Destination, paths: list[Path]) -> None:
        loop = asyncio.get_running_loop()

        def pass_on(what: str) -> None:
            loop.call_soon_threadsafe(lambda: self._tell(Event("log", {**self.summary(), "upload": what})))

        def send() -> None:
            uploader = Uploader(place, Spool(default_spool()), pass_on)
            for path in paths:
                uploader.add(path)
            uploader.close()

        await asyncio.to_thread(send)


class _Writer:
    """A log and the thread that writes it: a disk that takes its time keeps nobody waiting."""

    def __init__(
        self, csv: CsvLog, place: Destination | None, loop: asyncio.AbstractEventLoop, fail: Callable[[str], None]
    ) -> None:
        self.csv = csv
        self.place = place
        self.closed: list[Path] = []
        self.lost = 0
        self.has_begun = asyncio.Event()
        self._loop = loop
        self._fail = fail
        self._readings: queue.Queue[Reading | None] = queue.Queue(_QUEUE_DEPTH)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        csv.on_closed = self.closed.append

    @property
    def name(self) -> str:
        """Of the file; "" before the first row."""
        return "" if self.csv.current is None else self.csv.current.name

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def take(self, reading: Reading) -> None:
        """Have a reading written."""
        try:
            self._readings.put_nowait(reading)
        except queue.Full:
            self.lost += 1

    def stop(self) -> None:
        """Write what waits, and close."""
        self._readings.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while (reading := self._readings.get()) is not None:
                self.csv.write(reading)
                if not self.has_begun.is_set():
                    self._loop.call_soon_threadsafe(self.has_begun.set)
            self.csv.close()
        except LogError as error:
            self._loop.call_soon_threadsafe(self._fail, str(error))


def _place(command: StartLog) -> Destination | None:
    """Return where the log is to be sent: what the message says, else the environment."""
    if urlsplit(command.storage).scheme in _LOCAL_STORES:
        raise DestinationError("a client names a store, az://, s3:// or gs://, and no place on the bridge's own disk")
    said = {"storage": command.storage, "id": command.user, "access_token": command.access_token}
    return destination({name: value for name, value in said.items() if value})


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    recover(folder)
