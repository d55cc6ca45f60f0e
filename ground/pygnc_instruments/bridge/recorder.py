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
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.messages import BridgeError, ErrorCode, Event, StartLog
from pygnc_instruments.device.log_files import CsvLog, LogError, checked_log_name, recover_logs
from pygnc_instruments.device.upload import Destination, DestinationError, Spool, Uploader, default_spool, destination

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

    def __init__(self, link: DeviceLink, folder: Path, tell: _Tell) -> None:
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
            raise BridgeError(
                ErrorCode.LOGGING, f"{self._writer.name or 'a log'} is being written already; stop it first"
            )
        try:
            name = checked_log_name(command.file_name) if command.file_name else ""
            writer = _Writer(CsvLog(self._folder, name), _place(command), asyncio.get_running_loop(), self._fail)
        except (LogError, DestinationError) as error:
            code = ErrorCode.STORAGE if isinstance(error, DestinationError) else ErrorCode.LOGGING
            raise BridgeError(code, str(error)) from None
        self._writer = writer
        try:
            await self._begin(writer, command.user)
        except BaseException:
            await self._drop(writer)
            raise
        self._tell(Event("log", self.summary()))
        return self.summary()

    async def _begin(self, writer: "_Writer", user: str) -> None:
        """Return when the first row is written."""
        try:
            writer.csv.head = await self._head(user)
            await asyncio.to_thread(_prepare, self._folder)
        except OSError as error:
            raise BridgeError(ErrorCode.LOGGING, f"{self._folder}: {error.strerror}") from None
        writer.start()
        self._link.taps.append(writer.take)
        try:
            await asyncio.wait_for(writer.has_begun.wait(), _FIRST_READING_S)
        except TimeoutError:
            raise BridgeError(ErrorCode.LOGGING, f"nothing to log: no reading for {_FIRST_READING_S:.0f} s") from None
        if writer.error:
            raise BridgeError(ErrorCode.LOGGING, writer.error)

    async def stop(self) -> dict[str, Any]:
        """Close the log; its upload goes on.

        Raises:
            BridgeError: none is being written.
        """
        writer = self._writer
        if writer is None:
            raise BridgeError(ErrorCode.LOGGING, "no log is being written")
        await self._drop(writer)
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
        head = {"software": f"pygnc {pygnc.__version__}", "port": self._link.need().url}
        if self._link.family is not None:
            head["family"] = self._link.family.name
        if user:
            head["user"] = user
        with contextlib.suppress(DeviceError):  # a log without a head is better than none
            head = await self._link.describe() | head
        return head

    async def _drop(self, writer: "_Writer") -> None:
        """Have no log any more."""
        self._writer = None
        with contextlib.suppress(ValueError):
            self._link.taps.remove(writer.take)
        await asyncio.to_thread(writer.stop)

    def _fail(self, writer: "_Writer", why: str) -> None:
        """Take note that a log could not be written; in the loop's thread."""
        writer.error = why
        writer.has_begun.set()
        if self._writer is writer:
            self._writer = None
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
        self,
        csv: CsvLog,
        place: Destination | None,
        loop: asyncio.AbstractEventLoop,
        fail: "Callable[[_Writer, str], None]",
    ) -> None:
        self.csv = csv
        self.place = place
        self.closed: list[Path] = []
        self.lost = 0
        self.error = ""
        self.has_begun = asyncio.Event()
        self._loop = loop
        self._fail = fail
        self._readings: queue.Queue[Reading | None] = queue.Queue(_QUEUE_DEPTH + 1)
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
        if self._readings.qsize() < _QUEUE_DEPTH:  # one place is kept for the end
            self._readings.put_nowait(reading)
        else:
            self.lost += 1

    def stop(self) -> None:
        """Write what waits, and close; may be called twice, and without having begun."""
        if self._thread.is_alive():
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
            self._loop.call_soon_threadsafe(self._fail, self, str(error))


def _place(command: StartLog) -> Destination | None:
    """Return where the log is to be sent: what the message says, else the environment."""
    if urlsplit(command.storage).scheme in _LOCAL_STORES:
        raise DestinationError("a client names a store, az://, s3:// or gs://, and no place on the bridge's own disk")
    said = {"storage": command.storage, "id": command.user, "access_token": command.access_token}
    return destination({name: value for name, value in said.items() if value})


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    recover_logs(folder)
