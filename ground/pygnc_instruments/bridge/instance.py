"""Whether a bridge runs already: asked at its port; which process it is: said by a file of one's own.

Starts and stops the bridge from another program, and finds out by itself whether one runs.
"""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

from pygnc_instruments.bridge.pages import SERVER, STATUS_PATH

_ANSWER_S: Final = 1.0
_OWN: Final = 0o600


@dataclass(frozen=True, slots=True)
class RunningBridge:
    """A bridge that answers.

    Attributes:
        status: what it says of itself; empty if it wants a token first.
        scheme: that it speaks.
    """

    status: dict[str, Any]
    scheme: str


def find_running(port: int, host: str = "127.0.0.1") -> RunningBridge | None:
    """Return the bridge that answers at a port, None if none does."""
    for scheme in ("http", "https"):
        try:
            return _ask(scheme, host, port)
        except TimeoutError:  # it does not talk at all
            return None
        except (OSError, HTTPException, ValueError):
            continue
    return None


def _ask(scheme: str, host: str, port: int) -> RunningBridge | None:
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
        return RunningBridge(body if isinstance(body, dict) else {}, scheme)


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """What a bridge writes down of itself for those who want to end it."""

    pid: int
    port: int
    url: str


def instance_path(port: int) -> Path:
    """Return where the bridge of a port writes it."""
    return Path.home() / ".pygnc" / f"bridge-{port}.json"


def write_instance_file(note: InstanceFile) -> None:
    """Write it, for one's own eyes."""
    path = instance_path(note.port)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWN), "w") as file:
        json.dump(asdict(note), file)
    temporary.replace(path)


def read_instance_file(port: int) -> InstanceFile | None:
    """Return what is written, None if nothing is, or nothing that makes sense."""
    try:
        content = json.loads(instance_path(port).read_text())
        return InstanceFile(int(content["pid"]), int(content["port"]), str(content["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_instance_file(port: int) -> None:
    """Remove one's own."""
    note = read_instance_file(port)
    if note is not None and note.pid == os.getpid():
        instance_path(port).unlink(missing_ok=True)


_LAST_BYTES: Final = 4096


class BridgeProcessError(Exception):
    """The bridge cannot be started or stopped; the message says why."""


@dataclass(frozen=True, slots=True)
class BridgeState:
    """What was found.

    Attributes:
        is_running: whether a bridge answers.
        url: of its page; "" if none answers.
        lines: what it says of unit, rate, damage, log and clients, by name.
        problem: why it is not running, if it was started here and has ended by itself.
    """

    is_running: bool
    url: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    problem: str = ""


class BridgeProcess:
    """The bridge of one port.

    Args:
        port: that it listens on.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._child: subprocess.Popen[bytes] | None = None
        self._is_wanted = False

    @property
    def log(self) -> Path:
        """What the bridge that was started here prints."""
        return instance_path(self._port).with_suffix(".log")

    def look(self) -> BridgeState:
        """Find out whether the bridge runs, whoever has started it."""
        running = find_running(self._port)
        if running is not None:
            return BridgeState(
                is_running=True, url=f"{running.scheme}://127.0.0.1:{self._port}/", lines=_lines(running.status)
            )
        code = None if self._child is None else self._child.poll()
        is_over = self._is_wanted and code is not None
        return BridgeState(is_running=False, problem=self._last_words() if is_over and code else "")

    def start(self, *arguments: str) -> None:
        """Start it; it goes on when this program ends.

        Raises:
            ControlError: it cannot be started.
        """
        if self._child is not None and self._child.poll() is None:
            return
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        # Packed into one file, it must unpack anew: what this program has unpacked goes when this program does.
        environment = os.environ | {"PYINSTALLER_RESET_ENVIRONMENT": "1"}
        command = [*server_command(), *arguments, "--port", str(self._port)]
        try:
            with self.log.open("wb") as log:
                self._child = subprocess.Popen(  # noqa: S603 - our own program
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
                )
        except OSError as error:
            raise BridgeProcessError(f"{command[0]}: {error.strerror}") from None
        self._is_wanted = True

    def stop(self) -> None:
        """Ask it to end, whoever has started it.

        Raises:
            ControlError: it is another user's.
        """
        self._is_wanted = False
        running = find_running(self._port)
        if running is None:
            return
        note = read_instance_file(self._port)
        if note is None or running.status.get("pid", note.pid) != note.pid:
            raise BridgeProcessError("this bridge was started by another user, or on another computer: end it there")
        with contextlib.suppress(ProcessLookupError):
            os.kill(note.pid, signal.SIGTERM)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            text = self.log.read_bytes()[-_LAST_BYTES:].decode(errors="replace").strip()
            return text.splitlines()[-1] if text else ""
        return ""


def server_command() -> list[str]:
    """Return what starts a bridge: this very program if it was packed into one file, else the module."""
    is_packed = getattr(sys, "frozen", False)
    return [sys.executable, "serve"] if is_packed else [sys.executable, "-m", "pygnc_instruments.bridge", "serve"]


def _lines(status: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return what people want to see of a status; a bridge that wants a token tells nothing."""
    device, log, statistics = (status.get(name) or {} for name in ("device", "log", "statistics"))
    rate_hz = statistics.get("rate_hz") if device.get("state") == "streaming" else None
    return (
        ("unit", str(device.get("id") or device.get("reason") or "–")),
        ("port", f"{device['url']}, {device['baud']} baud" if device.get("baud") else "–"),
        ("state", str(device.get("state", "–"))),
        ("rate", "–" if rate_hz is None else f"{rate_hz:.1f} Hz, packet {device.get('packet')}"),
        ("CRC errors", str(statistics.get("damaged", {}).get("checksum", 0)) if statistics else "–"),
        ("log", str(log.get("file") or "not logging")),
        ("clients", str(status.get("clients", "–"))),
    )
