"""Messages of a service to systemd: ready, alive, stopping; see sd_notify(3).

Outside a service of `Type=notify`, all methods do nothing.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Final, Self

_FEEDS_PER_TIMEOUT: Final = 4
"""Number of watchdog messages per timeout; with two or more, one late message does not end the service."""


class ServiceNotifier:
    """Sender of messages to the service manager.

    Args:
        address: Address of the service manager's datagram socket; empty without a service manager.
        timeout_s: Time without `feed` after which the service manager restarts the service; 0 without a watchdog.
        clock: Monotonic time in s; replaced in tests.
    """

    def __init__(self, address: str = "", timeout_s: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._interval_s = timeout_s / _FEEDS_PER_TIMEOUT
        self._clock = clock
        self._next_feed_s = clock()
        self._status = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """Return the notifier of this process; remove its variables, so that child processes do not use them."""
        address = environment.pop("NOTIFY_SOCKET", "")
        timeout_us = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        is_watched = timeout_us.isdecimal() and pid in {"", str(os.getpid())}
        # Addresses of other families, such as vsock, belong to managers of virtual machines and are ignored.
        return cls(address if address[:1] in {"/", "@"} else "", int(timeout_us) / 1e6 if is_watched else 0.0)

    def ready(self) -> None:
        """Report that the service has started; from now on `feed` must be called."""
        self._send("READY=1")

    def feed(self) -> None:
        """Report that the main loop is running; call this in each iteration of the loop."""
        if self._interval_s and self._clock() >= self._next_feed_s:
            self._next_feed_s = self._clock() + self._interval_s
            self._send("WATCHDOG=1")

    def show(self, status: str) -> None:
        """Set the line of text that `systemctl status` shows; send it only if it has changed."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={' '.join(status.split())}")

    def stopping(self) -> None:
        """Report that the service has begun to stop."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        # The main loop must neither wait for the service manager nor fail without it.
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out,
        ):
            out.sendto(message.encode(), self._address)
