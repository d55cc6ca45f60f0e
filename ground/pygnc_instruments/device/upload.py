"""Sends finished logs to an object store, in a thread; what cannot be sent is kept and tried again.

The spool is a folder of its own with a link to each file that is still to be sent, so that a program that starts later
goes on with them. It holds names and places, nothing that opens a store.

Where logs go: an object store, a user's own place in it, and what opens it.

A store is a URL: `az://container/prefix`, `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder`. Its credentials
come from the environment, by the names that the stores' own tools use (AZURE_STORAGE_CONNECTION_STRING,
AZURE_STORAGE_ACCOUNT_NAME and _KEY, AWS_ACCESS_KEY_ID ...), or with the message that starts a log. They are never
written anywhere.
"""

import json
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import obstore
import obstore.store

STORE_VARIABLE: Final = "PYGNC_STORE_URL"
USER_VARIABLE: Final = "PYGNC_STORE_USER"
TOKEN_VARIABLE: Final = "PYGNC_STORE_TOKEN"  # noqa: S105 - the name of a variable, no secret
_CONNECTION_STRING: Final = "AZURE_STORAGE_CONNECTION_STRING"
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_AZURE: Final = frozenset({"az", "azure", "adl", "abfs", "abfss"})
_SCHEMES: Final = _AZURE | {"s3", "s3a", "gs", "file", "memory"}
_SECRET_IN_URL: Final = re.compile(r"(sig|signature|token|x-amz-[a-z-]+)=[^&\s\"']+", re.IGNORECASE)
_REASONS: Final = (re.compile(r"<Message>([^<\n]*)"), re.compile(r"status code: ([^:\n]*)"))
_CLIENT: Final = {"connect_timeout": "5s", "timeout": "60s"}


class DestinationError(Exception):
    """A place that cannot be used; the message says why, and never what opens it."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where logs go.

    Attributes:
        url: of the store.
        user: whose prefix they get; "" for none.
        token: what opens the user's place: a shared access signature or a bearer token of Azure; "" for what is in the
            environment.
    """

    url: str
    user: str = ""
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in _SCHEMES:
            raise DestinationError(f"{_without_secrets(self.url)!r}: a store is az://, s3://, gs:// or file:///")
        if parts.password or parts.query:
            raise DestinationError("the URL of a store carries no secrets: they come from the environment")
        if self.user and (_USER.fullmatch(self.user) is None or ".." in self.user):
            raise DestinationError(f"{self.user!r} is no user: letters, digits, and any of . _ @ -")
        if self.token and parts.scheme not in _AZURE:
            raise DestinationError("access tokens open Azure's stores alone; for others use the environment")

    def key(self, name: str) -> str:
        """Return the name of a file in the store."""
        return f"{self.user}/{name}" if self.user else name

    @property
    def takes_attributes(self) -> bool:
        """Whether the store keeps a content type; folders do not."""
        return urlsplit(self.url).scheme not in {"file", "memory"}

    def open(self) -> Any:  # noqa: ANN401 - obstore has a type for each store
        """Return the store.

        Raises:
            DestinationError: it cannot be opened.
        """
        scheme = urlsplit(self.url).scheme
        config = _azure(self.token) if scheme in _AZURE else {}
        endpoint = config.get("endpoint", os.environ.get("AWS_ENDPOINT", ""))
        client = _CLIENT | (
            {"allow_http": True} if endpoint.startswith(("http://127.0.0.1", "http://localhost")) else {}
        )
        try:
            if scheme == "file":
                return obstore.store.LocalStore(urlsplit(self.url).path, mkdir=True)
            if scheme == "memory":
                return obstore.store.from_url(self.url)
            options: dict[str, Any] = {"config": config, "client_options": client, "retry_config": {"max_retries": 2}}
            return obstore.store.from_url(self.url, **options)
        except Exception as error:  # noqa: BLE001 - obstore raises errors of its own and those of its libraries
            raise DestinationError(f"{self.url}: {self.reason(error)}") from None

    def reason(self, error: Exception) -> str:
        """Return why a store did not do something, without what opens it."""
        text = str(error).partition("\n\nDebug source")[0]
        told = next(filter(None, (pattern.search(text) for pattern in _REASONS)), None)
        short = told[1] if told else text.splitlines()[0] if text else type(error).__name__
        for secret in (self.token, *_secrets()):
            short = short.replace(secret, "***") if secret else short
        return _without_secrets(short)


def destination(message: Mapping[str, str] | None = None) -> Destination | None:
    """Return where a log goes: as the message that starts it says, else the environment; None for nowhere.

    Args:
        message: may have `storage` (URL), `id` (user) and `access_token`.

    Raises:
        DestinationError: it is said, and cannot be used.
    """
    said = message or {}
    url = said.get("storage") or os.environ.get(STORE_VARIABLE, "")
    if not url:
        return None
    user = said.get("id") or os.environ.get(USER_VARIABLE, "")
    return Destination(url, user, said.get("access_token") or os.environ.get(TOKEN_VARIABLE, ""))


def _azure(token: str) -> dict[str, str]:
    """Return the store's options out of a connection string and a token; what is missing obstore finds itself."""
    words = dict(part.split("=", 1) for part in os.environ.get(_CONNECTION_STRING, "").split(";") if "=" in part)
    config = {
        option: words[name]
        for name, option in (
            ("AccountName", "account_name"),
            ("AccountKey", "account_key"),
            ("BlobEndpoint", "endpoint"),
            ("SharedAccessSignature", "sas_key"),
        )
        if name in words
    }
    if not token:
        return config
    config.pop("account_key", None)
    return config | ({"sas_key": token.removeprefix("?")} if "sig=" in token else {"token": token})


def _secrets() -> list[str]:
    return [
        part.split("=", 1)[1]
        for part in os.environ.get(_CONNECTION_STRING, "").split(";")
        if part.startswith(("AccountKey=", "SharedAccessSignature="))
    ]


def _without_secrets(text: str) -> str:
    return _SECRET_IN_URL.sub(r"\1=***", text)


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
