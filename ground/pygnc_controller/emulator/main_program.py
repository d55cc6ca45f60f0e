"""One main.py on the Pi, started, looked after and stopped through the shell and the streaming interface."""

import random
import re
import time
from math import inf
from typing import Final, NamedTuple

from pygnc_controller.emulator.shell import PATIENCE, SCRATCH, Connection, Shell

START_S: Final = 20.0
"""A Pi takes seconds to load what flies; a lost command line is typed again then."""
START_TRIES: Final = 6
SILENCE_S: Final = 12.0
"""After so long without a sentence the shell is asked whether it is there: the word of main.py's end may be lost."""
UNANSWERED_MAX: Final = 2
"""Asked in vain so often, the shell is taken for one that noise has left waiting for the end of something."""
PRESS_S: Final = 3.0
"""Ctrl-C is pressed again so long after, for it may have been lost. Not sooner: what the line still holds of a download
comes before the shell's word, and a second Ctrl-C would reach the shell."""
_SESSIONS: Final = 1 << 16


class MainProgramError(Exception):
    """main.py does not do what it should; the message says what was heard."""


class Ended(NamedTuple):
    """How main.py ended.

    Attributes:
        code: its exit code, None if it has not ended.
        pressed_s: when Ctrl-C was pressed first.
        after_s: time from then to its end.
        terminal_restored: whether the shell found the terminal as it was.
    """

    code: int | None
    pressed_s: float
    after_s: float
    terminal_restored: bool | None


class MainProgram:
    """Starts and stops main.py.

    Args:
        station: the line.
        shell: on it.
        command: how main.py is started, without arguments.
    """

    def __init__(self, station: Connection, shell: Shell, command: str) -> None:
        self.first_start_s = 0.0
        self._station = station
        self._shell = shell
        self._command = command
        self._number: int | None = None
        self._asked_s = -inf
        self._unanswered = 0

    def start(self, timeout_min: int, t_spacecraft_s: int, *, talks: bool = True, option: str = "") -> None:
        """Start main.py and wait until both ends have heard each other.

        Args:
            timeout_min: what it is told.
            t_spacecraft_s: what it is told.
            talks: whether the streaming interface is used; if not, nothing is waited for.
            option: what else it is told.

        Raises:
            RunError: it does not come up.
            ShellError: there is no shell.
        """
        station = self._station
        self.first_start_s = self.first_start_s or time.monotonic()
        words = f"{self._command} {timeout_min} {t_spacecraft_s} {option}".rstrip()
        for tries in range(START_TRIES):
            station.is_talking = False
            self._shell.wake()
            self._shell.ask(f"mkdir -p ~/{SCRATCH}")
            # In a folder of its own: a shell that hears sentences makes files of them, for > is theirs too.
            before, after = "b=$(stty -g)", 'k=$?; [ "$b" = "$(stty -g)" ] && t=same || t=changed; cd'
            self._number = self._shell.tell(f"k=0 t=same; cd ~/{SCRATCH}; {before}; {words}; {after}; (exit $k)")
            if not talks:
                return
            station.controller.restart(random.randrange(1, _SESSIONS))  # noqa: S311 - no secret
            station.is_talking = True
            station.run(
                lambda: station.controller.channel.is_ready or self._code() is not None, START_S * PATIENCE**tries
            )
            if station.controller.channel.is_ready:
                self._asked_s = time.monotonic()
                self._unanswered = 0
                return
            if station.controller.heard.incompatible is not None:
                raise MainProgramError(
                    f"the Pi speaks other versions of the interface: {station.controller.heard.incompatible}"
                )
        station.is_talking = False
        heard = station.plain_text()[-300:].decode(errors="replace").strip()
        raise MainProgramError(f"main.py does not come up ({words}); heard last: {heard!r}")

    def is_up(self) -> bool:
        """Whether main.py has not ended; after a long silence the shell is asked, and at last no more waited for."""
        if self._code() is not None:
            return False
        now_s = time.monotonic()
        heard_s = self._station.controller.heard_s
        if now_s - max(heard_s, self._asked_s) < SILENCE_S:
            return True
        self._unanswered = 1 if heard_s > self._asked_s else self._unanswered + 1
        self._asked_s = now_s
        return not self._shell.answers and self._unanswered < UNANSWERED_MAX

    def until_ended(self, limit_s: float) -> int | None:
        """Wait for the end; return the exit code."""
        self._station.run(lambda: self._code() is not None, limit_s)
        self._station.is_talking = False
        return self._code()

    def interrupt(self, limit_s: float) -> Ended:
        """Press Ctrl-C, again and again, until main.py has ended or the time is up."""
        pressed_s = time.monotonic()
        while time.monotonic() < pressed_s + limit_s:
            self._station.say(b"\x03")
            left_s = pressed_s + limit_s - time.monotonic()
            self._station.run(lambda: self._code() is not None, min(PRESS_S, left_s))
            after_s = time.monotonic() - pressed_s
            if self._code() is not None or self._shell.answers:
                self._station.is_talking = False
                return self._asked(pressed_s, after_s)
        return Ended(None, pressed_s, inf, None)

    def how_it_ended(self) -> Ended:
        """Return how main.py has ended by itself."""
        return self._asked(time.monotonic(), inf)

    def _asked(self, pressed_s: float, after_s: float) -> Ended:
        """Let the shell say again how main.py ended: its first word may have been lost."""
        match = re.fullmatch(r"(\d+) (same|changed)", self._shell.ask("echo $k $t").text)
        if match is None:
            return Ended(None, pressed_s, inf, None)
        return Ended(int(match[1]), pressed_s, after_s, match[2] == "same")

    def _code(self) -> int | None:
        return None if self._number is None else self._shell.ended(self._number)
