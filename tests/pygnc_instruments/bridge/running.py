"""Helpers: a bridge in a separate process and its clients."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 30.0


def until(condition: Callable[[], Any], what: str, limit_s: float = PATIENCE_S) -> Any:  # noqa: ANN401 - any result
    """Wait for a true value of a condition and return it."""
    end_s = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end_s, f"waited {limit_s} s for {what}"
        time.sleep(0.02)


class RunningBridge:
    """A bridge in a separate process."""

    def __init__(self, process: subprocess.Popen[str], log: Path, folder: Path) -> None:
        self.process = process
        self.log = log
        self.folder = folder
        self.url = until(self._address, "the bridge's address")
        self.port = int(self.url.rstrip("/").rpartition(":")[2])

    def _address(self) -> str | None:
        assert self.process.poll() is None, self.log.read_text()
        first = self.log.read_text().partition(" serves ")
        return first[0].splitlines()[-1] if first[1] else None

    def with_unit(self) -> Self:
        """Wait until the unit streams: before, the bridge refuses commands to it and logs."""
        until(lambda: '"streaming"' in get(self, "/status")[1].decode(), "the unit")
        return self

    @property
    def token(self) -> str:
        return str(json.loads((self.log.parent / f".pygnc/bridge-{self.port}.json").read_text())["token"])

    @contextmanager
    def connect(self, path: str = "envelope", **options: Any) -> Iterator["Client"]:  # noqa: ANN401 - options of the library
        """Connect a program that may send commands."""
        with self.connect_without_token(path, additional_headers=bearer(self.token), **options) as client:
            yield client

    @contextmanager
    def connect_without_token(self, path: str = "envelope", **options: Any) -> Iterator["Client"]:  # noqa: ANN401 - as above
        url = f"{self.url.replace('http', 'ws', 1)}{path}"
        with connect(url, open_timeout=PATIENCE_S, close_timeout=1, **options) as connection:
            yield Client(connection)


class Client:
    """A client that waits for a message and skips others."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def send(self, message: object) -> None:
        self.connection.send(message if isinstance(message, str) else json.dumps(message))

    def wait(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        end_s = time.monotonic() + PATIENCE_S
        while True:
            message = json.loads(self.connection.recv(timeout=max(0.0, end_s - time.monotonic())))
            if wanted(message):
                return dict(message)

    def ask(self, cmd: str, data: object = None) -> Any:  # noqa: ANN401 - any JSON
        """Send a command in an envelope and return the data of its answer."""
        answer = self.ask_in_full(cmd, data)
        assert answer["err"] is None, answer["err"]
        return answer["data"]

    def ask_in_full(self, cmd: str, data: object = None) -> dict[str, Any]:
        self.send({"cmd": cmd, "data": data})
        return self.wait(lambda message: message["cmd"] == cmd)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def environment(home: Path, **more: str) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}",
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def get(bridge: RunningBridge, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = HTTPConnection("127.0.0.1", bridge.port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()
