"""InfluxDB 1 on a port of the loopback."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any, Self

import httpx

from tests.fakes.answering import wait_for_answer

DEADLINE_S = 30.0
PROGRAM = shutil.which("influxd", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/sbin")
_CONFIGURATION = """\
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
[monitor]
store-enabled = false
[subscriber]
enabled = false
[http]
bind-address = "127.0.0.1:{port}"
auth-enabled = {has_login}
"""


class InfluxDb:
    """A database of Debian's packages with one user, whose login it wants if it is told to; can be stopped and started.

    Args:
        folder: for its files.
        login: name and password.
    """

    def __init__(self, folder: Path, *, login: tuple[str, str] | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self._login = login
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", auth=login, timeout=DEADLINE_S)
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = folder / "influxdb.conf"
        has_login = str(login is not None).lower()
        self._configuration.write_text(_CONFIGURATION.format(folder=folder, port=self.port, has_login=has_login))

    def __enter__(self) -> Self:
        self.start()
        if self._login is not None:
            name, password = self._login
            self.run(f"CREATE USER {name} WITH PASSWORD '{password}' WITH ALL PRIVILEGES")
        self.run("CREATE DATABASE stations")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self.stop()

    @property
    def url(self) -> str:
        """URL of write requests, without a login."""
        return f"http://127.0.0.1:{self.port}/write?db=stations"

    def start(self) -> None:
        """Start the database and wait until it responds."""
        assert PROGRAM is not None
        words = [PROGRAM, "-config", str(self._configuration)]
        self._process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_answer(self._process, "influxd", lambda: self._client.get("/ping"), httpx.TransportError)

    def stop(self) -> None:
        """Stop the database."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def run(self, statement: str) -> list[dict[str, Any]]:
        """Execute a statement; return the series of its response, times in milliseconds."""
        answer = self._client.post("/query", params={"db": "stations", "epoch": "ms"}, data={"q": statement})
        (result,) = answer.json()["results"]
        assert "error" not in result, result
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def points(self, kind: str) -> list[dict[str, Any]]:
        """Return all points of a measurement, ordered by time, with tags and fields in one mapping."""
        quoted = kind.replace('"', r"\"")
        found = self.run(f'SELECT * FROM "{quoted}"')  # noqa: S608 - quoted
        return [dict(zip(series["columns"], row, strict=True)) for series in found for row in series["values"]]
