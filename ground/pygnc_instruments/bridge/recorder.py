"""Log files that clients start and stop: one at a time, written in a thread, uploaded when they are complete."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pygnc_system
from pygnc_devices.errors import DeviceError
from pygnc_devices.reading import Reading
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.messages import BridgeError, ErrorCode, Event
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.log_files import LogError, checked_log_name
from pygnc_instruments.device.log_recovery import recover_logs
from pygnc_instruments.device.upload import Destination, DestinationError, Spool, Uploader, destination

_FIRST_READING_S: Final = 3.0
_QUEUE_DEPTH: Final = 20_000
"""Readings that may wait for a slow disk: 100 s at 200 Hz."""
_LOCAL_STORES: Final = ("file", "memory")


class Recorder:
    """Writer of log files: one log at a time, in a thread, so that a slow disk does not delay the event loop.

    Args:
        link: source of the readings.
        folder: folder of the log files.
        publish: function that is called with a `log` event at start and stop of a log and for the result of its upload.
    """

    def __init__(self, link: DeviceLink, folder: Path, publish: Callable[[Event], None]) -> None:
        self._link = link
        self._folder = folder
        self._publish = publish
        self._writer: _Writer | None = None
        self._uploads: set[asyncio.Task[None]] = set()

    def summary(self) -> dict[str, Any]:
        """Return the state of the log as JSON."""
        writer = self._writer
        if writer is None:
            return {"active": False, "file": "", "rows": 0, "lost": 0}
        return {"active": True, "file": writer.name, "rows": writer.csv.rows, "lost": writer.lost}

    async def start(
        self, file_name: str = "", user: str = "", access_token: str = "", storage: str = ""
    ) -> dict[str, Any]:
        """Start a log and return its summary once its first row has been written.

        Args:
            file_name: name of the file; "" to name it by local time.
            user: user name, for the head of the file and as prefix in the store; "" for none.
            access_token: credentials of this user for the upload; never shown.
            storage: URL of the store for the upload; "" for the bridge's own setting.

        Raises:
            BridgeError: a log is active, no readings arrive, or name, folder or store cannot be used.
        """
        self._link.connected_device()
        if self._writer is not None:
            name = self._writer.name or "another log"
            raise BridgeError(ErrorCode.LOGGING, f"{name} is active already; stop it first")
        try:
            name = checked_log_name(file_name) if file_name else ""
            store = _destination(storage, user, access_token)
            writer = _Writer(CsvLog(self._folder, name), store, asyncio.get_running_loop(), self._fail)
        except LogError as error:
            raise BridgeError(ErrorCode.LOGGING, str(error)) from None
        except DestinationError as error:
            raise BridgeError(ErrorCode.STORAGE, str(error)) from None
        self._writer = writer
        try:
            await self._begin(writer, user)
        except BaseException:
            await self._end(writer)
            raise
        self._publish(Event("log", self.summary()))
        return self.summary()

    async def stop(self) -> dict[str, Any]:
        """Complete the log and return its summary; its upload continues.

        Raises:
            BridgeError: no log is active.
        """
        writer = self._writer
        if writer is None:
            raise BridgeError(ErrorCode.LOGGING, "no log is active; start a log first")
        await self._end(writer)
        self._publish(Event("log", self.summary()))
        if writer.store is not None and writer.closed:
            task = asyncio.create_task(self._upload(writer.store, writer.closed))
            self._uploads.add(task)
            task.add_done_callback(self._uploads.discard)
        return {**self.summary(), "closed": [path.name for path in writer.closed], "rows": writer.csv.rows}

    async def close(self) -> None:
        """Complete the log, and wait until its upload has succeeded or is left in the spool."""
        if self._writer is not None:
            await self.stop()
        if self._uploads:
            await asyncio.wait(self._uploads)

    async def _begin(self, writer: "_Writer", user: str) -> None:
        try:
            writer.csv.head = await self._head(user)
            await asyncio.to_thread(self._folder.mkdir, parents=True, exist_ok=True)
            await asyncio.to_thread(recover_logs, self._folder)
        except OSError as error:
            message = f"{self._folder}: the folder cannot be used: {error.strerror}"
            raise BridgeError(ErrorCode.LOGGING, message) from None
        writer.start()
        self._link.listeners.append(writer.put)
        try:
            await asyncio.wait_for(writer.has_begun.wait(), _FIRST_READING_S)
        except TimeoutError:
            message = f"no reading for {_FIRST_READING_S:.0f} s; the log was not started; check the device's rate"
            raise BridgeError(ErrorCode.LOGGING, message) from None
        if writer.error:
            raise BridgeError(ErrorCode.LOGGING, writer.error)

    async def _head(self, user: str) -> Mapping[str, str]:
        head = {"software": f"pygnc {pygnc_system.__version__}", "port": self._link.connected_device().url}
        if self._link.family is not None:
            head["family"] = self._link.family.name
        if user:
            head["user"] = user
        with contextlib.suppress(DeviceError):  # a log without the device's description is better than none
            head = await self._link.describe() | head
        return head

    async def _end(self, writer: "_Writer") -> None:
        self._writer = None
        with contextlib.suppress(ValueError):
            self._link.listeners.remove(writer.put)
        await asyncio.to_thread(writer.stop)

    def _fail(self, writer: "_Writer", reason: str) -> None:
        """End a log that cannot be written; called in the event loop."""
        writer.error = reason
        writer.has_begun.set()
        if self._writer is writer:
            self._writer = None
            self._link.listeners.remove(writer.put)
            self._publish(Event("log", {**self.summary(), "error": reason}))

    async def _upload(self, store: Destination, paths: list[Path]) -> None:
        loop = asyncio.get_running_loop()

        def on_event(text: str) -> None:
            loop.call_soon_threadsafe(lambda: self._publish(Event("log", {**self.summary(), "upload": text})))

        def upload() -> None:
            uploader = Uploader(store, Spool(), on_event)
            for path in paths:
                uploader.add(path)
            uploader.close()

        await asyncio.to_thread(upload)


class _Writer:
    """A log and the thread that writes it."""

    def __init__(
        self,
        csv: CsvLog,
        store: Destination | None,
        loop: asyncio.AbstractEventLoop,
        on_failure: "Callable[[_Writer, str], None]",
    ) -> None:
        self.csv = csv
        self.store = store
        self.closed: list[Path] = []
        self.lost = 0
        self.error = ""
        self.has_begun = asyncio.Event()
        self._loop = loop
        self._on_failure = on_failure
        self._readings: queue.Queue[Reading | None] = queue.Queue(_QUEUE_DEPTH + 1)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        csv.on_closed = self.closed.append

    @property
    def name(self) -> str:
        """Name of the file; "" before the first row."""
        return "" if self.csv.current is None else self.csv.current.name

    def start(self) -> None:
        self._thread.start()

    def put(self, reading: Reading) -> None:
        """Queue a reading; count it as lost if the queue is full. One place is reserved for the end mark."""
        if self._readings.qsize() < _QUEUE_DEPTH:
            self._readings.put_nowait(reading)
        else:
            self.lost += 1

    def stop(self) -> None:
        """Write the queued readings and close the log; may be called twice, and before `start`."""
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
            self._loop.call_soon_threadsafe(self._on_failure, self, str(error))


def _destination(storage: str, user: str, access_token: str) -> Destination | None:
    """Return the store that the message names, or else the store that the environment names."""
    if urlsplit(storage).scheme in _LOCAL_STORES:
        raise DestinationError(
            "the store is a folder of the bridge's computer; name a remote store: az://, s3:// or gs://"
        )
    return destination(storage, user, access_token)
