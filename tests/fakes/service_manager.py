"""Datagram socket of a service manager: receives the messages of sd_notify(3)."""

import os
import socket
import time
from pathlib import Path
from typing import Self


class FakeServiceManager:
    """Socket at a path, and the messages that have arrived."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self.messages: list[str] = []

    def environment(self, timeout_s: float = 0.0) -> dict[str, str]:
        """Return the variables of a service that is restarted after this time without a message."""
        watchdog = {"WATCHDOG_USEC": str(round(timeout_s * 1e6))} if timeout_s else {}
        return os.environ | {"NOTIFY_SOCKET": self.address} | watchdog

    def receive(self, timeout_s: float) -> str | None:
        """Return the next message, or None if none arrives in time."""
        self._socket.settimeout(max(timeout_s, 0.001))
        try:
            message = self._socket.recv(4096).decode()
        except TimeoutError:
            return None
        self.messages.append(message)
        return message

    def wait_for(self, message: str, timeout_s: float = 40.0) -> None:
        """Receive until this message arrives."""
        end_s = time.monotonic() + timeout_s
        while (left_s := end_s - time.monotonic()) > 0:
            if self.receive(left_s) == message:
                return
        raise AssertionError(f"no {message} in {self.messages}")

    def is_silent_for(self, duration_s: float) -> bool:
        """Discard what has arrived; return True if nothing arrives in the time after that."""
        while self.receive(0.0) is not None:
            pass
        return self.receive(duration_s) is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
