"""The controller at its port: shell and streaming interface share one line, and one loop that moves its bytes."""

import re
import time
from collections.abc import Callable
from math import inf
from typing import Final

from pygnc_controller.emulator.cable import Cable
from pygnc_controller.emulator.controller import Controller

TEXT_MAX: Final = 65_536
TURN_MAX_S: Final = 0.02
_PIECE: Final = 64
_NOISE: Final = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, cursor movements and other control sequences; line ends stay."""


class Station:
    """One loop for all that the controller says and hears.

    Attributes:
        text: what was heard last, without control sequences.
        is_talking: whether the streaming interface is used; off, only the shell is spoken to.
        chores: called at each turn.
    """

    def __init__(self, cable: Cable, controller: Controller) -> None:
        self.cable = cable
        self.controller = controller
        self.text = b""
        self.is_talking = False
        self.chores: list[Callable[[], None]] = []
        self._raw = b""

    def say(self, octets: bytes) -> None:
        """Let bytes for the shell, or a control character, go out before anything else."""
        self._raw += octets

    @property
    def has_said(self) -> bool:
        """Whether everything for the shell has left."""
        return not self._raw and self.cable.to_pi.next_arrival_s() == inf

    def run(self, is_done: Callable[[], bool], timeout_s: float) -> bool:
        """Go on until something is true; False if it is not in time, or the line has been closed."""
        deadline = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() >= deadline or not self.cable.is_open:
                return False
            self.turn()
        return True

    def pause(self, duration_s: float) -> None:
        """Let time pass while bytes are moved."""
        self.run(lambda: False, duration_s)

    def turn(self) -> None:
        """Move bytes once."""
        for chore in self.chores:
            chore()
        while self.cable.is_free and (line := self._next()):
            self.cable.write(line)
        heard = self.cable.exchange(TURN_MAX_S)
        if heard:
            self.text = (self.text + heard)[-TEXT_MAX:]
            if self.is_talking:
                self.controller.take(heard, time.monotonic())

    def plain_text(self, count: int = TEXT_MAX) -> bytes:
        """Return the newest bytes of what was heard, without control sequences."""
        return _NOISE.sub(b"", self.text[-count:].replace(b"\r", b""))

    def _next(self) -> bytes | None:
        if self._raw:
            piece, self._raw = self._raw[:_PIECE], self._raw[_PIECE:]
            return piece
        return self.controller.next_portion(time.monotonic()) if self.is_talking else None
