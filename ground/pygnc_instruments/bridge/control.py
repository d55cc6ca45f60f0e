"""Starts and stops the bridge from another program, and finds out by itself whether one runs."""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pygnc_instruments.bridge.instance import find_running, note_path, read_note

_LAST_BYTES: Final = 4096


class ControlError(Exception):
    """The bridge cannot be started or stopped; the message says why."""


@dataclass(frozen=True, slots=True)
class Look:
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


class Control:
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
        return note_path(self._port).with_suffix(".log")

    def look(self) -> Look:
        """Find out whether the bridge runs, whoever has started it."""
        running = find_running(self._port)
        if running is not None:
            return Look(
                is_running=True, url=f"{running.scheme}://127.0.0.1:{self._port}/", lines=_lines(running.status)
            )
        code = None if self._child is None else self._child.poll()
        is_over = self._is_wanted and code is not None
        return Look(is_running=False, problem=self._last_words() if is_over and code else "")

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
            raise ControlError(f"{command[0]}: {error.strerror}") from None
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
        note = read_note(self._port)
        if note is None or running.status.get("pid", note.pid) != note.pid:
            raise ControlError("this bridge was started by another user, or on another computer: end it there")
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
    return [sys.executable, "serve"] if is_packed else [sys.executable, "-m", "pygnc_instruments.bridge.command"]


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
