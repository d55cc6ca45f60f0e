"""Upload of finished log files to an object store, with a spool for those that could not be sent yet.

A store is a URL: `az://container/prefix`, `s3://bucket/prefix`, `gs://bucket/prefix`, `file:///folder`. Its credentials
come from the environment, under the names that the stores' own tools use (AZURE_STORAGE_CONNECTION_STRING,
AZURE_STORAGE_ACCOUNT_NAME and _KEY, AWS_ACCESS_KEY_ID ...), or from the message that starts a log. They are never
written to a file.

The spool is a folder with one job file per log file that is still to be sent. A job holds paths and names, no
credentials; a program that starts later continues with it.
"""

import json
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from pygnc_system.backoff import Backoff
from pygnc_system.files import durable_write

STORE_VARIABLE: Final = "PYGNC_STORE_URL"
USER_VARIABLE: Final = "PYGNC_STORE_USER"
TOKEN_VARIABLE: Final = "PYGNC_STORE_TOKEN"  # noqa: S105 - the name of a variable, no secret
RETRY_DELAYS_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
_CONNECTION_STRING: Final = "AZURE_STORAGE_CONNECTION_STRING"
_USER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_AZURE: Final = frozenset({"az", "azure", "adl", "abfs", "abfss"})
_SCHEMES: Final = _AZURE | {"s3", "s3a", "gs", "file", "memory"}
_SECRET_IN_URL: Final = re.compile(r"(sig|signature|token|x-amz-[a-z-]+)=[^&\s\"']+", re.IGNORECASE)
_REASONS: Final = (re.compile(r"<Message>([^<\n]*)"), re.compile(r"status code: ([^:\n]*)"))
_CLIENT: Final = {"connect_timeout": "5s", "timeout": "60s"}
_JOB: Final = ".job.json"
_TYPES: Final = {".csv": "text/csv", ".json": "application/json"}

_log = logging.getLogger(__name__)


class DestinationError(Exception):
    """Error raised when a store cannot be used or an upload failed; the message contains no credentials."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Object store and a user's prefix in the store.

    Attributes:
        url: URL of the store.
        user: name that prefixes the keys of the files; "" for none.
        token: shared access signature or bearer token of Azure; "" for credentials from the environment.

    Raises:
        DestinationError: URL, user or token cannot be used.
    """

    url: str
    user: str = ""
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in _SCHEMES:
            raise DestinationError(
                f"{_without_secrets(self.url)!r} is not the URL of a store; use az://, s3://, gs:// or file:///"
            )
        if parts.password or parts.query:
            raise DestinationError("the URL of a store must not contain secrets; set the secrets in the environment")
        if self.user and (_USER.fullmatch(self.user) is None or ".." in self.user):
            raise DestinationError(f"user name {self.user!r} is not allowed; use letters, digits and any of . _ @ -")
        if self.token and parts.scheme not in _AZURE:
            raise DestinationError(
                "access tokens apply to Azure stores only; set the credentials of other stores in the environment"
            )

    def key(self, name: str) -> str:
        """Return the key of a file in the store."""
        return f"{self.user}/{name}" if self.user else name

    def open(self) -> Any:  # noqa: ANN401 - obstore has a type for each store
        """Return the store as an obstore object.

        Raises:
            DestinationError: the store cannot be opened.
        """
        from obstore.store import LocalStore, from_url  # noqa: PLC0415 - an optional library

        scheme = urlsplit(self.url).scheme
        config = _azure_config(self.token) if scheme in _AZURE else {}
        endpoint = config.get("endpoint", os.environ.get("AWS_ENDPOINT", ""))
        is_local = endpoint.startswith(("http://127.0.0.1", "http://localhost"))
        client = _CLIENT | ({"allow_http": True} if is_local else {})
        try:
            if scheme == "file":
                return LocalStore(urlsplit(self.url).path, mkdir=True)
            if scheme == "memory":
                return from_url(self.url)
            options: dict[str, Any] = {"config": config, "client_options": client, "retry_config": {"max_retries": 2}}
            return from_url(self.url, **options)
        except Exception as error:  # noqa: BLE001 - obstore raises errors of its own and those of its libraries
            raise DestinationError(f"{self.url}: the store cannot be opened: {self.reason(error)}") from None

    def reason(self, error: Exception) -> str:
        """Return the reason of a store's error as a single line, without credentials."""
        text = str(error).partition("\n\nDebug source")[0]
        match = next(filter(None, (pattern.search(text) for pattern in _REASONS)), None)
        reason = match[1] if match else text.splitlines()[0] if text else type(error).__name__
        settings = _connection_string()
        for secret in (self.token, settings.get("AccountKey"), settings.get("SharedAccessSignature")):
            reason = reason.replace(secret, "***") if secret else reason
        return _without_secrets(reason)


def destination(url: str = "", user: str = "", token: str = "") -> Destination | None:
    """Return the destination by the arguments, or else by the environment; None if neither names a URL.

    Args:
        url: URL of the store; "" for the variable PYGNC_STORE_URL.
        user: name that prefixes the keys of the files; "" for PYGNC_STORE_USER.
        token: access token; "" for PYGNC_STORE_TOKEN.

    Raises:
        DestinationError: the destination cannot be used.
    """
    url = url or os.environ.get(STORE_VARIABLE, "")
    if not url:
        return None
    return Destination(url, user or os.environ.get(USER_VARIABLE, ""), token or os.environ.get(TOKEN_VARIABLE, ""))


@dataclass(frozen=True, slots=True)
class Job:
    """File that is still to be sent.

    Attributes:
        note: path of the job file in the spool.
        path: path of the file to send.
        url: URL of the store.
        key: key of the file in the store.
    """

    note: Path
    path: Path
    url: str
    key: str


class Spool:
    """Folder of the files that are still to be sent.

    Args:
        folder: folder of the job files, created if missing, with access for its owner only; None for PYGNC_SPOOL in the
            environment, else `~/.pygnc_spool`.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(os.environ.get("PYGNC_SPOOL", "~/.pygnc_spool")).expanduser()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def add(self, path: Path, to: Destination) -> Job:
        """Add a file and return its job, whose job file is then on the disk."""
        note = self.folder / f"{time.time_ns()}-{uuid4().hex[:8]}{_JOB}"
        job = Job(note, path.resolve(), to.url, to.key(path.name))
        durable_write(note, json.dumps({"path": str(job.path), "url": job.url, "key": job.key}).encode(), mode=0o600)
        return job

    def jobs(self) -> list[Job]:
        """Return the jobs, oldest first; delete unreadable job files and those whose log file no longer exists."""
        jobs = []
        for note in sorted(self.folder.glob(f"*{_JOB}")):
            try:
                content = json.loads(note.read_text())
                job = Job(note, Path(content["path"]), str(content["url"]), str(content["key"]))
            except (OSError, ValueError, KeyError, TypeError):
                note.unlink(missing_ok=True)
                continue
            if job.path.is_file():
                jobs.append(job)
            else:
                _log.warning("%s: the file no longer exists; its upload is cancelled", job.path)
                note.unlink(missing_ok=True)
        return jobs


def send(job: Job, to: Destination) -> None:
    """Send one file and remove its job from the spool.

    Raises:
        DestinationError: the file did not arrive; its job stays in the spool.
    """
    if job.url != to.url:
        raise DestinationError(f"{job.path.name}: the file is for {job.url}, not for {to.url}; name the first store")
    store = to.open()
    keeps_type = urlsplit(to.url).scheme not in {"file", "memory"}
    attributes = {"Content-Type": _TYPES.get(job.path.suffix, "application/octet-stream")} if keeps_type else None
    from obstore import put  # noqa: PLC0415 - an optional library

    try:
        put(store, job.key, job.path, attributes=attributes)
    except Exception as error:  # noqa: BLE001 - obstore raises errors of its own and those of its libraries
        raise DestinationError(f"{job.path.name}: upload to {to.url} failed: {to.reason(error)}") from None
    job.note.unlink(missing_ok=True)


class Uploader:
    """Thread that sends files one after the other, beginning with the files in the spool for this destination.

    Args:
        to: destination of the files.
        spool: record of the files that have not arrived yet.
        on_event: function that the thread calls with a line of text for each success and failure.
    """

    def __init__(self, to: Destination, spool: Spool, on_event: Callable[[str], None] = _log.info) -> None:
        self._to = to
        self._spool = spool
        self._on_event = on_event
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._closing = threading.Event()
        for job in self.pending():
            self._jobs.put(job)
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    def add(self, path: Path) -> None:
        """Add a file to the spool and to the queue."""
        self._jobs.put(self._spool.add(path, self._to))

    def close(self, timeout_s: float = 30.0) -> int:
        """Try each remaining file once more, and return the number of files that stay in the spool."""
        self._closing.set()
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return len(self.pending())

    def pending(self) -> list[Job]:
        """Return the spool's jobs for this store and user; other jobs may need other credentials."""
        return [job for job in self._spool.jobs() if job.url == self._to.url and job.key == self._to.key(job.path.name)]

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            backoff = Backoff(RETRY_DELAYS_S)
            while not self._try_to_send(job) and not self._closing.is_set():
                self._closing.wait(backoff.next())

    def _try_to_send(self, job: Job) -> bool:
        try:
            send(job, self._to)
        except DestinationError as error:
            self._on_event(f"not sent, kept in the spool: {error}")
            return False
        self._on_event(f"sent: {job.path.name} to {self._to.url} as {job.key}")
        return True


def _azure_config(token: str) -> dict[str, str]:
    """Return obstore's options from the connection string and a token; obstore reads other variables itself."""
    settings = _connection_string()
    config = {
        option: settings[name]
        for name, option in (
            ("AccountName", "account_name"),
            ("AccountKey", "account_key"),
            ("BlobEndpoint", "endpoint"),
            ("SharedAccessSignature", "sas_key"),
        )
        if name in settings
    }
    if not token:
        return config
    config.pop("account_key", None)
    return config | ({"sas_key": token.removeprefix("?")} if "sig=" in token else {"token": token})


def _connection_string() -> dict[str, str]:
    return dict(part.split("=", 1) for part in os.environ.get(_CONNECTION_STRING, "").split(";") if "=" in part)


def _without_secrets(text: str) -> str:
    return _SECRET_IN_URL.sub(r"\1=***", text)
