"""Wait for a server that has just been started."""

import socket
import subprocess
import time
from collections.abc import Callable

DEADLINE_S = 60.0


def wait_for_answer(
    process: "subprocess.Popen[bytes]", name: str, ask: Callable[[], object], refusal: type[Exception] = OSError
) -> None:
    """Call `ask` until it returns; it raises `refusal` as long as the server does not answer."""
    end_s = time.monotonic() + DEADLINE_S
    while True:
        try:
            ask()
        except refusal:
            assert process.poll() is None, f"{name} has ended"
            assert time.monotonic() < end_s, f"{name} does not answer"
            time.sleep(0.02)
        else:
            return


def knock(port: int) -> None:
    """Open a connection to a local port and close it."""
    socket.create_connection(("127.0.0.1", port), 1.0).close()
