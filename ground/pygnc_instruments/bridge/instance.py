"""Find, start and stop the bridge of a port from another program.

A request to the port finds the bridge, even if another program has started it. The instance file in `~/.pygnc` names
the bridge's process and contains the token of programs that send commands.
"""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final

from pygnc_system.files import durable_write

SERVER: Final = "pygnc-bridge"
"""Name of the server in the HTTP header."""
STATUS_PATH: Final = "/status"
_HOST: Final = "127.0.0.1"
_TIMEOUT_S: Final = 1.0
_LOG_TAIL_BYTES: Final = 4096


def find_running(port: int) -> tuple[str, dict[str, Any]] | None:
    """Return scheme and status of the bridge that responds at a port, or None; status {} if it requires a token."""
    for scheme in ("http", "https"):
        try:
            return _request_status(scheme, port)
        except TimeoutError:  # a program that does not respond to HTTP will not respond to HTTPS either
            return None
        except (OSError, HTTPException, ValueError):
            continue
    return None


def _request_status(scheme: str, port: int) -> tuple[str, dict[str, Any]] | None:
    connection = HTTPConnection(_HOST, port, timeout=_TIMEOUT_S)
    if scheme == "https":  # the certificate may be self-signed; the request carries no secret
        context = ssl._create_unverified_context()  # noqa: S323, SLF001 - see above
        connection = HTTPSConnection(_HOST, port, timeout=_TIMEOUT_S, context=context)
    with contextlib.closing(connection):
        connection.request("GET", STATUS_PATH)
        response = connection.getresponse()
        if response.getheader("Server") != SERVER:
            return None
        body = json.loads(response.read()) if response.status == 200 else {}
        return scheme, body if isinstance(body, dict) else {}


def instance_path(port: int) -> Path:
    """Return the path of the instance file of a port."""
    return Path.home() / ".pygnc" / f"bridge-{port}.json"


def write_instance_file(pid: int, port: int, url: str, token: str = "") -> None:
    """Write the instance file, readable by its owner only.

    Args:
        pid: process of the bridge.
        port: TCP port of the bridge.
        url: URL of the bridge's page.
        token: token of programs that send commands; "" if none is needed.

    Raises:
        OSError: the file cannot be written.
    """
    path = instance_path(port)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    durable_write(path, json.dumps({"pid": pid, "port": port, "url": url, "token": token}).encode(), mode=0o600)


def read_instance_pid(port: int) -> int | None:
    """Return the process id that the instance file names; None if the file does not exist or is not valid."""
    try:
        return int(json.loads(instance_path(port).read_text())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_instance_file(port: int) -> None:
    """Remove the instance file if it belongs to this process."""
    if read_instance_pid(port) == os.getpid():
        instance_path(port).unlink(missing_ok=True)


class BridgeProcessError(Exception):
    """Error raised when the bridge cannot be started or stopped."""


@dataclass(frozen=True, slots=True)
class BridgeState:
    """State of the bridge of a port.

    Attributes:
        url: URL of the bridge's page; "" if no bridge responds.
        details: device, port, state, rate, CRC errors, log and clients, as texts by label.
        problem: last line of the bridge's log, if the bridge was started here and has failed.
    """

    url: str = ""
    details: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def is_running(self) -> bool:
        """True if a bridge responds."""
        return bool(self.url)


class BridgeProcess:
    """Control of the bridge of one TCP port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._log = instance_path(port).with_suffix(".log")
        self._child: subprocess.Popen[bytes] | None = None
        self._is_wanted = False

    def state(self) -> BridgeState:
        """Return the state of the bridge, even if another program has started it; waits up to 1 s for a response."""
        running = find_running(self._port)
        if running is not None:
            return BridgeState(f"{running[0]}://{_HOST}:{self._port}/", _details(running[1]))
        has_failed = self._is_wanted and self._child is not None and bool(self._child.poll())
        return BridgeState(problem=self._last_log_line() if has_failed else "")

    def start(self, *arguments: str) -> None:
        """Start the bridge with these arguments of `pygnc bridge`; it outlives this program.

        Raises:
            BridgeProcessError: the program cannot be started.
        """
        if self._child is not None and self._child.poll() is None:
            return
        self._log.parent.mkdir(mode=0o700, exist_ok=True)
        # A packed program must unpack again: the files that this process has unpacked vanish when it ends.
        environment = os.environ | {"PYINSTALLER_RESET_ENVIRONMENT": "1"}
        command = [*server_command(), *arguments, "--port", str(self._port)]
        try:
            with self._log.open("wb") as log:
                self._child = subprocess.Popen(  # noqa: S603 - our own program
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
                )
        except OSError as error:
            raise BridgeProcessError(f"{command[0]}: the bridge cannot be started: {error.strerror}") from None
        self._is_wanted = True

    def stop(self) -> None:
        """Send SIGTERM to the bridge, even if another program has started it.

        Raises:
            BridgeProcessError: the bridge belongs to another user or computer.
        """
        self._is_wanted = False
        running = find_running(self._port)
        if running is None:
            return
        pid = read_instance_pid(self._port)
        if pid is None or running[1].get("pid", pid) != pid:
            raise BridgeProcessError(
                f"port {self._port}: another user or another computer has started this bridge; stop it there"
            )
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    def _last_log_line(self) -> str:
        with contextlib.suppress(OSError):
            text = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
            return text.splitlines()[-1] if text else ""
        return ""


def server_command() -> list[str]:
    """Return the command that runs the server: this program if it is packed, else the module."""
    is_packed = getattr(sys, "frozen", False)
    return [sys.executable, *(() if is_packed else ("-m", "pygnc_instruments.bridge")), "serve"]


def _details(status: dict[str, Any]) -> dict[str, str]:
    """Return the texts of a status by label; "–" for an unknown value, such as without the token."""
    device, log, statistics = (status.get(name) or {} for name in ("device", "log", "statistics"))
    rate_hz = statistics.get("rate_hz") if device.get("state") == "streaming" else None
    return {
        "device": str(device.get("id") or device.get("reason") or "–"),
        "port": f"{device['url']}, {device['baud']} baud" if device.get("baud") else "–",
        "state": str(device.get("state", "–")),
        "rate": "–" if rate_hz is None else f"{rate_hz:.1f} Hz, packet {device.get('packet')}",
        "CRC errors": str(statistics.get("damaged", {}).get("checksum", 0)) if statistics else "–",
        "log": str(log.get("file") or "not logging"),
        "clients": str(status.get("clients", "–")),
    }
