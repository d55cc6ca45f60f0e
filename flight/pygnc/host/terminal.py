"""The terminal that started main.py, as the streaming interface needs it, and given back as it was found.

Between the host's bytes and ours stands the system's line discipline: it echoes, gathers lines, changes line ends, and
obeys control characters. All of that is switched off but Ctrl-C, lest a flipped bit end the input, stop the process or
hold the output up. What sets it is main.py, which outlives every task, so that a killed task leaves nothing behind; if
main.py itself is killed, a guard gives the terminal back.
"""

import contextlib
import os
import termios
from typing import Any, Final, TypeAlias

Attributes: TypeAlias = list[Any]
"""As `termios.tcgetattr` returns them."""

INTERRUPT: Final = b"\x03"
_DISABLED: Final = b"\x00"
_INPUT: Final = 0
_OUTPUT: Final = 1
_CONTROL: Final = 2
_LOCAL: Final = 3
_CHARACTERS: Final = 6


class Terminal:
    """The settings of one terminal while a run lasts.

    Args:
        descriptor: of the terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._found: Attributes | None = None
        self._prepared: Attributes = []

    def prepare(self) -> None:
        """Switch off whatever changes bytes or obeys them, but Ctrl-C; do nothing if the terminal refuses."""
        with contextlib.suppress(termios.error):
            found = termios.tcgetattr(self._descriptor)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, transparent(found))
            self._prepared = termios.tcgetattr(self._descriptor)
            self._found = found

    def restore(self) -> None:
        """Put the settings back, once; what came for the run and was not read must not reach the shell."""
        found, self._found = self._found, None
        if found is None or not is_ours(self._descriptor):
            return
        with contextlib.suppress(termios.error):
            termios.tcflush(self._descriptor, termios.TCIFLUSH)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, found)

    def restore_if_left(self) -> None:
        """Put the settings back unless somebody else has set others since: a shell may have."""
        if self._found is None:
            return
        with contextlib.suppress(termios.error):
            if termios.tcgetattr(self._descriptor) == self._prepared:
                termios.tcflush(self._descriptor, termios.TCIFLUSH)
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._found)


def find_terminal(given: int = 0, said: int = 1) -> Terminal | None:
    """Return the terminal that input and output both are, if this process may use it.

    Args:
        given: descriptor of the input.
        said: of the output.
    """
    if not (os.isatty(given) and os.isatty(said)) or not is_ours(given):
        return None
    return Terminal(given)


def is_ours(descriptor: int) -> bool:
    """Whether no job control forbids to use a terminal: a job in the background would be stopped for trying."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True  # it controls no job of ours, or it is gone


def transparent(found: Attributes) -> Attributes:
    """Return settings under which every byte passes unchanged both ways, and Ctrl-C alone is obeyed."""
    characters: list[bytes | int] = [_DISABLED] * len(found[_CHARACTERS])
    characters[termios.VINTR] = INTERRUPT
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    attributes = [*found[:_CHARACTERS], characters]
    attributes[_INPUT] &= ~(
        termios.BRKINT
        | termios.PARMRK
        | termios.INPCK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
        | termios.IXANY
        | termios.IXOFF
        | termios.IMAXBEL
    )
    attributes[_INPUT] |= termios.IGNBRK
    attributes[_OUTPUT] &= ~termios.OPOST
    attributes[_CONTROL] = (attributes[_CONTROL] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8 | termios.CREAD
    attributes[_LOCAL] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.TOSTOP)
    attributes[_LOCAL] |= termios.ISIG | termios.NOFLSH  # what was said before Ctrl-C still goes out
    return attributes
