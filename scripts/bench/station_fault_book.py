"""The particle counter's own book of a fault run: what it was due, what it answered, and what became of each answer."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from pygnc_devices.opc_n3 import framing
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator

KILLED: Final = "logger killed"
UNPLUGGED: Final = "cable pulled"
START: Final = "start"
BAD: Final = "wrong checksum"
FIRST: Final = "first after a start or an error, discarded"
STORED: Final = "stored"
UNSTORED: Final = "not stored yet when killed or unplugged"
STALLED: Final = "cut off by a stall of the computer"
UNEXPLAINED: Final = "unexplained"
SLOW: Final = "no fault"
_UNSTORED_S: Final = 1.0
"""Twice the logger's quarter of a second, and as much again for a computer that others use too."""


@dataclass
class Answer:
    """A histogram that the counter began to say.

    Attributes:
        at_s: when.
        raw: its bytes.
        is_cut: whether the next byte was asked for so late that it took the question for a new command.
    """

    at_s: float
    raw: bytes
    is_cut: bool = False


class Fault(NamedTuple):
    """What the run did to the counter."""

    at_s: float
    cause: str


class WatchedCounter(OpcN3Simulator):
    """A counter that keeps book of its histograms."""

    def __init__(self, *, rest_s: float) -> None:
        super().__init__(rest_s=rest_s)
        self.answers: list[Answer] = []

    def exchange(self, octet: int, now_s: float) -> int:
        """Return the byte that comes back; see `OpcN3Simulator`."""
        if self._answer is not None and now_s - self._last_s >= self.rest_s and self.answers:
            self.answers[-1].is_cut = True
        before = self.histograms
        reply = super().exchange(octet, now_s)
        if self.histograms > before and self._answer is not None:
            self.answers.append(Answer(time.monotonic(), self._answer))
        return reply


def missing_by_cause(
    begin_s: float, end_s: float, every_s: float, answers: Sequence[Answer], faults: Sequence[Fault]
) -> Counter[str]:
    """Return how many histograms were due and not asked for, by the fault that made the gap.

    What a driver catches up right after a gap is taken from it. Lateness of less than half a sample is no fault's.
    """
    lost_s: dict[str, float] = {}
    cause = START
    for last, following in pairwise([Answer(begin_s, b""), *answers, Answer(end_s, b"")]):
        late_s = following.at_s - last.at_s - every_s
        if late_s > every_s / 2:
            cause = _cause(last, following.at_s, faults)
        if abs(late_s) > every_s / 2:
            lost_s[cause] = lost_s.get(cause, 0.0) + late_s
    missing = Counter({cause: round(late_s / every_s) for cause, late_s in lost_s.items()})
    missing[SLOW] += round((end_s - begin_s) / every_s) - len(answers) - missing.total()
    return missing


def outcomes(answers: Sequence[Answer], faults: Sequence[Fault], stored: Iterable[bytes]) -> Counter[str]:
    """Return what became of the counter's answers, by the bytes that are in the store."""
    left = Counter(stored)
    found: Counter[str] = Counter()
    is_first = True
    for rank, answer in enumerate(answers):
        last_s = answers[rank - 1].at_s if rank else answer.at_s
        is_first = is_first or any(last_s < fault.at_s <= answer.at_s for fault in faults)
        if not framing.is_intact(answer.raw):
            found[BAD] += 1
            is_first = True
            continue
        if left[answer.raw]:
            left[answer.raw] -= 1
            found[STORED] += 1
        elif any(answer.at_s <= fault.at_s < answer.at_s + _UNSTORED_S for fault in faults):
            found[UNSTORED] += 1
        elif answer.is_cut:
            found[STALLED] += 1
        else:
            found[FIRST if is_first else UNEXPLAINED] += 1
        is_first = answer.is_cut
    return found


def _cause(last: Answer, following_s: float, faults: Sequence[Fault]) -> str:
    """Return what made a gap; a cable's is the longest."""
    between = {fault.cause for fault in faults if last.at_s <= fault.at_s <= following_s}
    for cause in (UNPLUGGED, KILLED):
        if cause in between:
            return cause
    if not last.raw:
        return START
    if last.is_cut:
        return STALLED
    return SLOW if framing.is_intact(last.raw) else BAD
