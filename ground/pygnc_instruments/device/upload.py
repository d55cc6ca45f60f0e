"""Sends finished logs to an object store, in a thread; what cannot be sent is kept and tried again.

The spool is a folder of its own with a link to each file that is still to be sent, so that a program that starts later
goes on with them. It holds names and places, nothing that opens a store.
"""

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import obstore

from pygnc_instruments.device.destination import Destination, DestinationError

PAUSES_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""Between tries of one file; the last one repeats."""
_JOB: Final = ".job.json"
_TYPES: Final = {".csv": "text/csv", ".json": "application/json"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A file that is to be sent.

    Attributes:
        note: its entry in the spool.
        path: of the file.
        url: of the store.
        key: its name there.
    """

    note: Path
    path: Path
    url: str
    key: str


def default_spool() -> Path:
    """Return the folder of what is still to be sent: PYGNC_SPOOL in the environment, else one of the user's own."""
    return Path(os.environ.get("PYGNC_SPOOL", "~/.pygnc_spool")).expanduser()


class Spool:
    """What is still to be sent.

    Args:
        folder: made if missing, readable by its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def add(self, path: Path, to: Destination) -> Job:
        """Note a file; the note is on the disk when this returns."""
        job = Job(self.folder / f"{time.time_ns()}-{uuid4().hex[:8]}{_JOB}", path.resolve(), to.url, to.key(path.name))
        part = job.note.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"path": str(job.path), "url": job.url, "key": job.key}, file)
            file.flush()
            os.fsync(file.fileno())
        part.rename(job.note)
        return job

    def jobs(self) -> list[Job]:
        """Return what is to be sent, the oldest first. What cannot be read, or whose file is gone, is dropped."""
        found = []
        for note in sorted(self.folder.glob(f"*{_JOB}")):
            try:
                content = json.loads(note.read_text())
                job = Job(note, Path(content["path"]), str(content["url"]), str(content["key"]))
            except (OSError, ValueError, KeyError, TypeError):
                note.unlink(missing_ok=True)
                continue
            if job.path.is_file():
                found.append(job)
            else:
                _log.warning("%s is gone and cannot be sent", job.path)
                note.unlink(missing_ok=True)
        return found


def send(job: Job, to: Destination) -> None:
    """Send one file and take it off the spool.

    Raises:
        DestinationError: it did not arrive; the message says why.
    """
    if job.url != to.url:
        raise DestinationError(f"{job.path.name} is meant for {job.url}, not for {to.url}")
    store = to.open()
    kind = {"Content-Type": _TYPES.get(job.path.suffix, "application/octet-stream")}
    try:
        obstore.put(store, job.key, job.path, attributes=kind if to.takes_attributes else None)
    except Exception as error:  # noqa: BLE001 - obstore raises errors of its own and those of its libraries
        raise DestinationError(f"{job.path.name}: {to.url}: {to.reason(error)}") from None
    job.note.unlink(missing_ok=True)


class Uploader:
    """Sends files one after the other.

    Args:
        to: where they go.
        spool: what was left before is sent first, if it goes to the same store.
        on_event: is told what was sent, and what was not and why; in the thread that sends.
    """

    def __init__(self, to: Destination, spool: Spool, on_event: Callable[[str], None] = _log.info) -> None:
        self._to = to
        self._spool = spool
        self._on_event = on_event
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        for job in self._left():
            self._jobs.put(job)
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    def add(self, path: Path) -> None:
        """Send a file when those before it are through."""
        self._jobs.put(self._spool.add(path, self._to))

    def close(self, limit_s: float = 30.0) -> int:
        """Send what is left, each file once more, and return how many stay in the spool."""
        self._hurry.set()
        self._jobs.put(None)
        self._thread.join(limit_s)
        return len(self._left())

    def _left(self) -> list[Job]:
        """Return what the spool has for this place; another user's files are sent by who may open theirs."""
        return [job for job in self._spool.jobs() if job.url == self._to.url and job.key == self._to.key(job.path.name)]

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            attempt = 0
            while not self._is_sent(job) and not self._hurry.is_set():
                self._hurry.wait(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
                attempt += 1

    def _is_sent(self, job: Job) -> bool:
        try:
            send(job, self._to)
        except DestinationError as error:
            self._on_event(f"not sent, kept for later: {error}")
            return False
        self._on_event(f"sent: {job.path.name} to {self._to.url} as {job.key}")
        return True
