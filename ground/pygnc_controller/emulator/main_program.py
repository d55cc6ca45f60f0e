"""main.py on the Pi: start, watch and stop it through the shell and the streaming interface."""

import random
import re
import time
from math import inf
from typing import Final, NamedTuple

from pygnc_controller.emulator.shell import SCRATCH, TIMEOUT_FACTOR, Connection, PiError, Shell

START_S: Final = 20.0
"""Time for main.py to respond, after which the command is sent again; a Pi needs seconds to load the code."""
START_TRIES: Final = 6
SILENCE_S: Final = 12.0
"""Time without a sentence after which the shell is tried: the end marker of main.py may be lost."""
UNANSWERED_MAX: Final = 2
"""Failed tries after which the shell counts as stuck in a command that noise has left incomplete."""
PRESS_S: Final = 3.0
"""Interval of repeated Ctrl-C, which may be lost. It must not be shorter: the rest of a download precedes the end
marker, and a second Ctrl-C would reach the shell."""


class Ended(NamedTuple):
    """End of main.py.

    Attributes:
        code: Exit code; None if it has not ended.
        pressed_s: Monotonic time of the first Ctrl-C, s.
        after_s: Time from the first Ctrl-C to the end, s; infinity if main.py was not interrupted or has not ended.
        terminal_restored: True if the terminal had its former settings afterwards; None if this is unknown.
    """

    code: int | None
    pressed_s: float
    after_s: float
    terminal_restored: bool | None


NOT_ENDED: Final = Ended(None, 0.0, inf, None)


class MainProgram:
    """main.py on the Pi.

    Args:
        connection: Connection to the Pi.
        shell: Shell on the connection.
        command: Command that starts main.py, without arguments.
    """

    def __init__(self, connection: Connection, shell: Shell, command: str) -> None:
        self.first_start_s = 0.0
        self._connection = connection
        self._shell = shell
        self._command = command
        self._number: int | None = None
        self._asked_s = -inf
        self._unanswered = 0

    def start(self, timeout_min: int, t_spacecraft_s: int, *, streams: bool = True, option: str = "") -> None:
        """Start main.py and wait until a session is established.

        Args:
            timeout_min: First argument of main.py, minutes.
            t_spacecraft_s: Second argument of main.py, spacecraft time in s.
            streams: True to use the streaming interface; if False, the method returns at once.
            option: Further argument of main.py.

        Raises:
            PiError: main.py or the shell does not respond.
        """
        connection = self._connection
        self.first_start_s = self.first_start_s or time.monotonic()
        words = f"{self._command} {timeout_min} {t_spacecraft_s} {option}".rstrip()
        for tries in range(START_TRIES):
            connection.is_streaming = False
            self._shell.wake()
            self._shell.run(f"mkdir -p ~/{SCRATCH}")
            # In a folder of its own, because a shell that receives sentences creates files (>).
            before, after = "b=$(stty -g)", 'k=$?; [ "$b" = "$(stty -g)" ] && t=same || t=changed; cd'
            self._number = self._shell.start(f"k=0 t=same; cd ~/{SCRATCH}; {before}; {words}; {after}; (exit $k)")
            if not streams:
                return
            connection.controller.restart(random.randrange(1, 1 << 16))  # noqa: S311 - no secret
            connection.is_streaming = True
            connection.run(
                lambda: connection.controller.channel.is_ready or self._code() is not None,
                START_S * TIMEOUT_FACTOR**tries,
            )
            if connection.controller.channel.is_ready:
                self._asked_s = time.monotonic()
                self._unanswered = 0
                return
            if connection.controller.reports.incompatible is not None:
                raise PiError(
                    f"no common protocol version: the Pi supports {connection.controller.reports.incompatible}; "
                    "update the flight software"
                )
        connection.is_streaming = False
        heard = connection.plain_text()[-300:].decode(errors="replace").strip()
        raise PiError(
            f"main.py does not respond after {START_TRIES} starts ({words}); run it by hand; received last: {heard!r}"
        )

    def is_up(self) -> bool:
        """Return True if main.py is running; after a long silence this is tested with the shell."""
        if self._code() is not None:
            return False
        now_s = time.monotonic()
        heard_s = self._connection.controller.received_s
        if now_s - max(heard_s, self._asked_s) < SILENCE_S:
            return True
        self._unanswered = 1 if heard_s > self._asked_s else self._unanswered + 1
        self._asked_s = now_s
        return not self._shell.responds and self._unanswered < UNANSWERED_MAX

    def wait(self, limit_s: float) -> int | None:
        """Wait at most `limit_s` seconds for the end; return the exit code, or None on timeout."""
        self._connection.run(lambda: self._code() is not None, limit_s)
        self._connection.is_streaming = False
        return self._code()

    def interrupt(self, limit_s: float) -> Ended:
        """Send Ctrl-C repeatedly until main.py has ended or `limit_s` seconds have passed."""
        pressed_s = time.monotonic()
        while time.monotonic() < pressed_s + limit_s:
            self._connection.write(b"\x03")
            left_s = pressed_s + limit_s - time.monotonic()
            self._connection.run(lambda: self._code() is not None, min(PRESS_S, left_s))
            after_s = time.monotonic() - pressed_s
            if self._code() is not None or self._shell.responds:
                self._connection.is_streaming = False
                return self._read_end(pressed_s, after_s)
        return Ended(None, pressed_s, inf, None)

    def end_by_itself(self) -> Ended:
        """Return the end of a main.py that was not interrupted."""
        return self._read_end(time.monotonic(), inf)

    def _read_end(self, pressed_s: float, after_s: float) -> Ended:
        """Read exit code and terminal state from the shell again, because the end marker may have been lost."""
        match = re.fullmatch(r"(\d+) (same|changed)", self._shell.run("echo $k $t").text)
        if match is None:
            return Ended(None, pressed_s, inf, None)
        return Ended(int(match[1]), pressed_s, after_s, match[2] == "same")

    def _code(self) -> int | None:
        return None if self._number is None else self._shell.exit_code(self._number)
