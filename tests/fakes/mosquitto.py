"""Mosquitto broker on a port of the loopback."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.fakes.answering import knock, wait_for_answer


class Mosquitto:
    """Broker from Debian's package; it can be restarted on the same port."""

    def __init__(self, folder: Path, *, login: tuple[str, str] | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._configuration = folder / "mosquitto.conf"
        access = "allow_anonymous true"
        if login is not None:
            passwords = folder / "passwords"
            command = ["mosquitto_passwd", "-b", "-c", str(passwords), *login]
            subprocess.run(command, check=True, capture_output=True)
            access = f"allow_anonymous false\npassword_file {passwords}"
        me = "\nuser root" if os.geteuid() == 0 else ""
        self._configuration.write_text(f"listener {self.port} 127.0.0.1\n{access}{me}\npersistence false\n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and wait until it listens."""
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "mosquitto"
        self._process = subprocess.Popen([program, "-c", str(self._configuration)], stderr=subprocess.DEVNULL)
        wait_for_answer(self._process, "mosquitto", lambda: knock(self.port))

    def stop(self) -> None:
        """Stop the broker."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None
