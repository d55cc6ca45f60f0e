"""Log files of the server: `access.log` with a line per request, and `failures.log` with warnings and errors."""

import logging
import logging.handlers
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus

from pygnc_station.server_settings import Serve

_FAILURES: Final = "failures.log"
_FORMAT: Final = "%(asctime)sZ %(levelname)s %(name)s: %(message)s"
_ACCESS_FORMAT: Final = "%(asctime)sZ %(message)s"
_SECRET: Final = re.compile("key|token|pin|pass|secret|auth", re.IGNORECASE)
_REPEATS: Final = 5
_WINDOW_S: Final = 60.0
_KIND_LENGTH: Final = 200
_MAX_KINDS: Final = 1000


def start_logs(serve: Serve, folder: Path | None) -> None:
    """Write warnings of this process to standard error, and access and failures to files.

    Args:
        serve: settings of the server.
        folder: folder of the log files, which is created if missing; None writes no files.
    """
    root = logging.getLogger()
    root.addHandler(logging.StreamHandler())
    access = logging.getLogger("uvicorn.access")
    access.propagate = False
    if folder:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.addHandler(_private_file(folder / _FAILURES, serve, _FORMAT))
        access.addHandler(_private_file(folder / "access.log", serve, _ACCESS_FORMAT))
        access.addFilter(mask_secrets)
        access.setLevel(logging.INFO)
    repetitions = _Repetitions()
    for handler in root.handlers:
        handler.addFilter(repetitions)


@contextmanager
def failure_log(folder: Path) -> Iterator[None]:
    """Write warnings to standard error, and to the failure log that the server has begun in a folder.

    The server alone begins and renames the file, so that it remains its owner.

    Raises:
        OSError: the file cannot be written.
    """
    root = logging.getLogger()
    handlers: list[logging.Handler] = [logging.StreamHandler()]
    if (folder / _FAILURES).exists():
        handlers.append(_private_file(folder / _FAILURES, Serve(log_bytes=sys.maxsize), _FORMAT))
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def _private_file(path: Path, serve: Serve, line: str) -> logging.Handler:
    handler = _PrivateFile(path, maxBytes=serve.log_bytes, backupCount=serve.log_files, encoding="utf-8")
    formatter = logging.Formatter(line, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    return handler


def mask_secrets(record: logging.LogRecord) -> bool:
    """Replace the secrets in the URL, the third argument of a line of uvicorn's access log; return True."""
    if isinstance(record.args, tuple) and len(record.args) == 5:
        client, method, target, version, status = record.args
        record.args = (client, method, masked(str(target)), version, status)
    return True


def masked(target: str) -> str:
    """Return the target of a request with `***` for the values of parameters that may be secrets."""
    path, mark, query = target.partition("?")
    fields = [field.partition("=") for field in query.split("&")]
    return path + mark + "&".join(
        f"{name}=***" if _SECRET.search(unquote_plus(name)) else f"{name}{sign}{value}"
        for name, sign, value in fields
    )  # fmt: skip


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """Log file that only this user can read."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - declared by logging
        """Drop the line: a report of a full disk for each line would fill the system's log too."""


class _Repetitions(logging.Filter):
    """Filter that drops messages of the same kind after the fifth in a minute, and reports their number later."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if "is_shown" not in record.__dict__:  # the record passes once per handler
            record.__dict__["is_shown"] = self._shows(record)
        return bool(record.__dict__["is_shown"])

    def _shows(self, record: logging.LogRecord) -> bool:
        kind, now_s = str(record.msg)[:_KIND_LENGTH], time.monotonic()
        since_s, count = self._seen.get(kind, (now_s, 0))
        if now_s - since_s >= _WINDOW_S:
            if count > _REPEATS:
                record.msg = f"{record.getMessage()} ({count - _REPEATS} more of these were not logged)"
                record.args = None
            since_s, count = now_s, 0
        if len(self._seen) >= _MAX_KINDS:
            self._seen.clear()
        self._seen[kind] = (since_s, count + 1)
        return count < _REPEATS
