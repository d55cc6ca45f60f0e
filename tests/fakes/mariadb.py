"""MariaDB server in a temporary folder on a port of the loopback."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import pymysql

from tests.fakes.answering import wait_for_answer

_TRIES = 3


class MariaDb:
    """MariaDB server from Debian's package, run by an unprivileged user because it refuses root."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pygnc-mariadb-", dir="/tmp"))
        self._user = "mysql" if os.geteuid() == 0 else getpass.getuser()
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._folder, self._user)
        self._install()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self._folder)

    def _install(self) -> None:
        """Create the system tables; a busy computer may fail once."""
        program = shutil.which("mariadb-install-db") or "mariadb-install-db"
        options = ["--auth-root-authentication-method=normal", "--skip-test-db", f"--user={self._user}"]
        folder = self._folder / "data"
        for _ in range(_TRIES):
            done = subprocess.run(
                [program, "--no-defaults", f"--datadir={folder}", *options], check=False, capture_output=True, text=True
            )
            if done.returncode == 0:
                return
            shutil.rmtree(folder, ignore_errors=True)
        raise AssertionError(f"{program}: {done.stdout} {done.stderr}")

    def start(self) -> None:
        """Start the server and wait until it responds."""
        program = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "mariadbd"
        options = [
            "--no-defaults", f"--user={self._user}", f"--datadir={self._folder / 'data'}",
            f"--tmpdir={self._folder}",  # a starting server removes the files of others from a shared folder
            f"--socket={self._folder / 'socket'}", f"--port={self._port}", "--bind-address=127.0.0.1",
            "--skip-name-resolve", "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M",
        ]  # fmt: skip
        self._process = subprocess.Popen([program, *options], stderr=subprocess.DEVNULL)
        wait_for_answer(self._process, "mariadbd", lambda: self._connect().close(), pymysql.OperationalError)

    def stop(self) -> None:
        """Stop the server."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        self._databases += 1
        name = f"stations_{self._databases}"
        self.run(f"CREATE DATABASE {name}")
        return f"mysql://root@127.0.0.1:{self._port}/{name}"

    def run(self, statement: str) -> None:
        """Execute a statement."""
        with contextlib.closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def _connect(self) -> "pymysql.Connection[pymysql.cursors.Cursor]":
        return pymysql.connect(host="127.0.0.1", port=self._port, user="root", autocommit=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
