"""Destinations of notifications: e-mail, webhooks and chats by Apprise. URLs contain secrets and are never logged."""

import logging
import re
import stat
import sys
import tomllib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.schema import MAX_NAME_LENGTH

_FOR_OTHERS: Final = 0o077
_LEAST_SECRET: Final = 4
"""Shorter parts of a URL are not masked in messages, which would become illegible."""
_SEPARATORS: Final = re.compile(r"[:/@?&=#,\s]+")
_ABBREVIATED: Final = re.compile(r"\w?\.\.\.\w?")
"""A secret as Apprise shows it."""
_EXAMPLE: Final = "an example: mailtos://user:password@host"


class Destination:
    """Receiver of notifications.

    Args:
        name: name in the settings.
        url: URL in the form of Apprise.

    Raises:
        StationError: the URL is invalid.
        ModuleNotFoundError: Apprise is not installed.
    """

    def __init__(self, name: str, url: str) -> None:
        with _records() as records, warnings.catch_warnings():
            import apprise  # noqa: PLC0415 - an extra that only servers with destinations need

            self._client = apprise.Apprise()
            warnings.simplefilter("ignore", DeprecationWarning)  # of modules of services, which are all imported here
            is_valid = bool(url) and self._client.add(url) and len(self._client) == 1
        if not is_valid:
            why = f"the URL of {name} in [serve.alerts] is invalid"
            raise StationError(f"{why}{_reason(records, _secrets_of(url, ''))}; {_EXAMPLE}")
        self._secrets = _secrets_of(url, " ".join(self._client.urls(privacy=True)))

    def send(self, title: str, text: str) -> None:
        """Send a notification.

        Raises:
            TransferError: the destination does not accept it now.
        """
        with _records() as records:
            is_sent = self._client.notify(body=text, title=title, body_format="text", interpret_escapes=False)
        if not is_sent:
            raise TransferError(f"it was not accepted{_reason(records, self._secrets)}")


def load_destinations(settings: StationSettings) -> dict[str, Destination]:
    """Return the destinations of [serve.alerts] by name.

    Raises:
        StationError: a URL is invalid, or the file of URLs is missing, invalid or readable by others.
        ModuleNotFoundError: there are destinations, and Apprise is not installed.
    """
    alerts = settings.serve.alerts
    urls = dict(alerts.urls)
    if alerts.urls_file:
        urls |= _read_urls(settings.path(alerts.urls_file))
    for name in urls:
        if len(name) > MAX_NAME_LENGTH or not name.isprintable():
            raise StationError(f"{name!r:.80} in [serve.alerts]: a name has at most {MAX_NAME_LENGTH} characters")
    return {name: Destination(name, url) for name, url in urls.items()}


def _read_urls(path: Path) -> dict[str, str]:
    try:
        if stat.S_IMODE(path.stat().st_mode) & _FOR_OTHERS:
            raise StationError(f"{path}: other users can read the passwords in this file; run chmod 600 {path}")
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StationError(f"{path}: {error.strerror}; correct urls_file in [serve.alerts]") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):  # their messages may contain a part of a URL
        raise StationError(f'{path}: not valid TOML; write lines such as `mail = "mailtos://..."`') from None
    for name, url in table.items():
        if not isinstance(url, str):
            raise StationError(f"{path}: {name} must be a URL in quotes")
    return table


def _secrets_of(url: str, public: str) -> list[str]:
    """Return the parts of a URL that may not be shown, the longest first.

    Args:
        url: the URL.
        public: the URL as Apprise shows it, whose scheme and host may be shown; services in the web get tokens as host
            too, which Apprise abbreviates. The path of a webhook is a secret as well.
    """
    split = urlsplit(public)
    parts = {part for piece in _SEPARATORS.split(url) for part in (piece, unquote(piece))}
    secrets = parts - {split.scheme, split.hostname}
    return sorted((part for part in secrets if len(part) >= _LEAST_SECRET), key=len, reverse=True)


@contextmanager
def _records() -> Iterator[list[logging.LogRecord]]:
    """Collect the log records of Apprise; they reach no log of this program, because they may contain URLs."""
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    handler = BufferingHandler(sys.maxsize)
    logger.addHandler(handler)
    try:
        yield handler.buffer
    finally:
        logger.removeHandler(handler)


def _reason(records: list[logging.LogRecord], secrets: list[str]) -> str:
    """Return warnings, and the causes that Apprise logs as details, in parentheses and without the secrets."""
    texts = [(record.levelno, " ".join(record.getMessage().split())) for record in records]
    shown = [text for level, text in texts if level >= logging.WARNING or "Exception" in text]
    masked = _ABBREVIATED.sub("***", "; ".join(shown))
    for secret in secrets:
        masked = masked.replace(secret, "***")
    return f" ({masked})" if masked else ""
