"""Whether a bridge runs already: asked at its port; which process it is: said by a file of one's own."""

import contextlib
import json
import os
import ssl
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

from pygnc_instruments.bridge.pages import SERVER, STATUS_PATH

_ANSWER_S: Final = 1.0
_OWN: Final = 0o600


@dataclass(frozen=True, slots=True)
class Running:
    """A bridge that answers.

    Attributes:
        status: what it says of itself; empty if it wants a token first.
        scheme: that it speaks.
    """

    status: dict[str, Any]
    scheme: str


def find_running(port: int, host: str = "127.0.0.1") -> Running | None:
    """Return the bridge that answers at a port, None if none does."""
    for scheme in ("http", "https"):
        try:
            return _ask(scheme, host, port)
        except TimeoutError:  # it does not talk at all
            return None
        except (OSError, HTTPException, ValueError):
            continue
    return None


def _ask(scheme: str, host: str, port: int) -> Running | None:
    if scheme == "https":  # whoever it is: nothing secret is sent, and nothing is believed but that it is there
        context = ssl._create_unverified_context()  # noqa: S323, SLF001 - likewise
        connection: HTTPConnection = HTTPSConnection(host, port, timeout=_ANSWER_S, context=context)
    else:
        connection = HTTPConnection(host, port, timeout=_ANSWER_S)
    with contextlib.closing(connection):
        connection.request("GET", STATUS_PATH)
        response = connection.getresponse()
        if response.getheader("Server") != SERVER:
            return None
        body = json.loads(response.read()) if response.status == 200 else {}
        return Running(body if isinstance(body, dict) else {}, scheme)


@dataclass(frozen=True, slots=True)
class Note:
    """What a bridge writes down of itself for those who want to end it."""

    pid: int
    port: int
    url: str


def note_path(port: int) -> Path:
    """Return where the bridge of a port writes it."""
    return Path.home() / ".pygnc" / f"bridge-{port}.json"


def write_note(note: Note) -> None:
    """Write it, for one's own eyes."""
    path = note_path(note.port)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWN), "w") as file:
        json.dump(asdict(note), file)
    temporary.replace(path)


def read_note(port: int) -> Note | None:
    """Return what is written, None if nothing is, or nothing that makes sense."""
    try:
        content = json.loads(note_path(port).read_text())
        return Note(int(content["pid"]), int(content["port"]), str(content["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_note(port: int) -> None:
    """Remove one's own."""
    note = read_note(port)
    if note is not None and note.pid == os.getpid():
        note_path(port).unlink(missing_ok=True)
