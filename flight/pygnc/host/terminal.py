"""Settings of the terminal that started main.py: transparent during a run, restored afterwards.

The kernel's line discipline echoes, buffers lines, changes line ends and acts on control characters. All of this is
switched off except Ctrl-C, so that a flipped bit cannot end the input, stop the process or block the output. main.py
does this because it outlives every task. If main.py itself is killed, a guard process restores the terminal.
"""

import contextlib
import os
import termios
from typing import Any, Final, TypeAlias

Attributes: TypeAlias = list[Any]
"""Terminal settings in the form of `termios.tcgetattr`."""

INTERRUPT: Final = b"\x03"


class Terminal:
    """Terminal whose settings are changed for the run and restored afterwards."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._found: Attributes | None = None
        self._prepared: Attributes = []

    def prepare(self) -> None:
        """Make the terminal transparent except for Ctrl-C; do nothing if it rejects the settings."""
        with contextlib.suppress(termios.error):
            found = termios.tcgetattr(self._descriptor)
            termios.tcsetattr(self._descriptor, termios.TCSANOW, transparent_attributes(found))
            self._prepared = termios.tcgetattr(self._descriptor)
            self._found = found

    def restore(self) -> None:
        """Restore the settings at the first call; discard unread input, which was meant for the run, not the shell."""
        if may_use_terminal(self._descriptor):
            self._reset()
        self._found = None

    def restore_if_left(self) -> None:
        """Restore the settings unless another program, such as a shell, has changed them since."""
        with contextlib.suppress(termios.error):
            if termios.tcgetattr(self._descriptor) == self._prepared:
                self._reset()

    def _reset(self) -> None:
        if self._found is not None:
            with contextlib.suppress(termios.error):
                termios.tcflush(self._descriptor, termios.TCIFLUSH)
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._found)


def may_use_terminal(descriptor: int) -> bool:
    """Return True if this process may change the terminal; job control stops a background process that does so."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True  # job control does not apply: not the controlling terminal, or disconnected


def transparent_attributes(found: Attributes) -> Attributes:
    """Return settings that pass every byte unchanged in both directions and act on Ctrl-C only."""
    iflag, oflag, cflag, lflag, input_speed, output_speed, old_characters = found
    characters: list[bytes | int] = [b"\x00"] * len(old_characters)  # 0 disables a control character
    characters[termios.VINTR] = INTERRUPT
    characters[termios.VMIN], characters[termios.VTIME] = 1, 0
    iflag &= ~(
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
    iflag |= termios.IGNBRK
    oflag &= ~termios.OPOST
    cflag = (cflag & ~(termios.CSIZE | termios.PARENB)) | termios.CS8 | termios.CREAD
    lflag &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN | termios.TOSTOP)
    lflag |= termios.ISIG | termios.NOFLSH  # NOFLSH: Ctrl-C does not discard queued output
    return [iflag, oflag, cflag, lflag, input_speed, output_speed, characters]
