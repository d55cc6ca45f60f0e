"""Destinations of notifications: e-mail, webhooks and chats by Apprise, and the delivery of notices of alerts to them.

URLs contain secrets and are never logged.
"""

import logging
import re
import sys
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from sqlalchemy import Row, delete, func, select, update

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store import schema
from pygnc_station.store.readings import DAY_MS
from pygnc_station.store.schema import MAX_NAME_LENGTH
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import retry_delay_ms, waiting_ms
from pygnc_system.files import others_have_access

_LEAST_SECRET: Final = 4
"""Shorter parts of a URL are not masked in messages, which would become illegible."""
_SEPARATORS: Final = re.compile(r"[:/@?&=#,\s]+")
_ABBREVIATED: Final = re.compile(r"\w?\.\.\.\w?")
"""A secret as Apprise shows it."""
_IN_A_MESSAGE: Final = 100
_MAX_AGE_MS: Final = 7 * DAY_MS
_N: Final = schema.notices.c
_log: Final = logging.getLogger(__name__)


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
            why = f"the URL of {name} in [serve.alerts] is invalid{_reason(records, _secrets_of(url, ''))}"
            raise StationError(f"{why}; an example: mailtos://user:password@host")
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
        if others_have_access(path):
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


def deliver(store: Store, destinations: Mapping[str, Destination], server_name: str, now_ms: int) -> int | None:
    """Send the notices that are due, those for one destination in one message.

    A notice is deleted after its destination has accepted it. The attempt is recorded before, so a server that is
    killed in between sends it once more, after the delay of a failure, and never in a loop.

    Args:
        store: store of the server.
        destinations: destinations by name; notices for others are dropped.
        server_name: name of this server in the messages.
        now_ms: current time, milliseconds since 1970 (UTC).

    Returns:
        The time of the next attempt after a failure, None if nothing waits.
    """
    _drop_undeliverable(store, destinations, now_ms)
    # Quiet hours are shorter than a day, so a later end was computed under a clock set ahead.
    is_free = (_N.held_until_ms <= now_ms) | (_N.held_until_ms > now_ms + DAY_MS)
    for name, destination in destinations.items():
        with store.reads() as connection:
            query = select(schema.notices).where(_N.destination == name, is_free).order_by(_N.id).limit(_IN_A_MESSAGE)
            rows = connection.execute(query).all()
        if rows and not waiting_ms(rows[0].next_try_ms, now_ms) and _claim(store, rows[0], now_ms):
            _send(store, name, destination, rows, server_name)
    with store.reads() as connection:  # the first of a destination decides when its others are sent
        first = select(func.min(_N.id)).where(is_free).group_by(_N.destination)
        return connection.execute(select(func.min(_N.next_try_ms)).where(_N.id.in_(first))).scalar()


def _claim(store: Store, row: Row[Any], now_ms: int) -> bool:
    """Record an attempt; return False if another process has done so."""
    attempts = row.attempts + 1
    values = {"attempts": attempts, "next_try_ms": now_ms + retry_delay_ms(attempts)}
    claimed = update(schema.notices).where(_N.id == row.id, _N.attempts == row.attempts).values(**values)
    with store.writes() as connection:
        return connection.execute(claimed).rowcount == 1


def _send(store: Store, name: str, destination: Destination, rows: Sequence[Row[Any]], server_name: str) -> None:
    title = rows[0].title if len(rows) == 1 else f"{len(rows)} changes of alerts"
    text = "\n".join(f"{row.title}: {row.text}" for row in rows)
    try:
        destination.send(f"{server_name}: {title}", text)
    except TransferError as error:
        _log.warning("notification to %s: %s; it is sent again later", name, error)
        return
    with store.writes() as connection:
        connection.execute(delete(schema.notices).where(_N.id.in_([row.id for row in rows])))


def _drop_undeliverable(store: Store, destinations: Mapping[str, Destination], now_ms: int) -> None:
    useless = _N.destination.not_in(list(destinations)) | (_N.created_ms < now_ms - _MAX_AGE_MS)
    with store.reads() as connection:
        names = connection.execute(select(_N.destination).where(useless).distinct()).scalars().all()
    if names:
        with store.writes() as connection:
            count = connection.execute(delete(schema.notices).where(useless)).rowcount
        why = "the destination is not in [serve.alerts], or was not reached for 7 days"
        _log.warning("%d notices for %s were dropped: %s", count, ", ".join(names), why)


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
