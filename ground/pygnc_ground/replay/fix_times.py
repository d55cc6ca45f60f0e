"""Times of the first fixes that later ones refute: receivers learn the leap seconds minutes after their first fix.

The filter finds that the stated times step by whole seconds, and takes the first ones for right, as a flight must. A
replay knows what comes later, and is repeated with the first times corrected.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

from pygnc.bus.messages import GnssFix, Message
from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_ground.replay.collect import Collected
from pygnc_ground.replay.inputs import Inputs


class _Step(NamedTuple):
    """Step of the stated times: number and time of the first fix after it, and error in s, from the first on."""

    seq: int
    gps_ms: int
    error_s: float


def _steps(collected: Collected) -> list[_Step]:
    """Return the errors of the times of fixes that were used, each with the first fix that has it."""
    used = (update for update in collected.updates if update.position_accepted or update.velocity_accepted)
    found: list[_Step] = []
    for update in sorted(used, key=lambda update: update.fix.seq):
        if not found or found[-1].error_s != update.time_error_s:
            found.append(_Step(update.fix.seq, update.fix.gps_ms, update.time_error_s))
    return found


def step_notes(collected: Collected) -> list[str]:
    """Return a note for each step of the receiver's time."""
    return [
        f"the receiver's time steps by {after.error_s - before.error_s:+.3g} s at {utc_iso_from_gps_ms(after.gps_ms)}:"
        " times of the fixes before count as right"
        for before, after in pairwise(_steps(collected))
    ]


class FirstTimes(NamedTuple):
    """Errors of the times of the first fixes, stated minus true, in s: numbers of the fixes from which each counts."""

    seqs: tuple[int, ...] = ()
    errors_s: tuple[float, ...] = ()

    @classmethod
    def of(cls, collected: Collected) -> "FirstTimes":
        """Return the errors relative to the last times, if these differ from the first ones by whole seconds."""
        steps = _steps(collected)
        if not steps or not steps[-1].error_s or round(steps[-1].error_s) != steps[-1].error_s:
            return cls()
        errors_s = tuple(step.error_s - steps[-1].error_s for step in steps)
        return cls(tuple(step.seq for step in steps), errors_s)

    @property
    def notes(self) -> tuple[str, ...]:
        """A note on the correction; none without one."""
        if not self.seqs:
            return ()
        text = f"times of the first fixes are corrected by {-self.errors_s[0]:+g} s, to those of the last fixes"
        return (f"{text}: the receiver did not know the leap seconds, or its time, before",)

    def corrected(self, inputs: Inputs) -> Inputs:
        """Return the inputs with the times of own fixes corrected."""
        return replace(inputs, messages=self._messages(inputs.messages)) if self.seqs else inputs

    def _messages(self, messages: Iterator[Message]) -> Iterator[Message]:
        for message in messages:
            if isinstance(message, GnssFix) and message.is_own:
                error_s = self.errors_s[max(bisect_right(self.seqs, message.seq) - 1, 0)]
                yield message.with_time(error_s)
            else:
                yield message
