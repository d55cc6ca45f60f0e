"""Statistics of a fault run: histograms that were due, sent by the simulated counter, stored, or lost by cause."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from pygnc_devices.opc_n3 import framing
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator

KILLED: Final = "logger killed"
UNPLUGGED: Final = "cable disconnected"
START: Final = "start of the run"
BAD: Final = "wrong checksum"
FIRST: Final = "discarded as first after a start or error"
STORED: Final = "stored"
UNSTORED: Final = "not yet stored at a kill or disconnection"
STALLED: Final = "stall of the computer"
UNEXPLAINED: Final = "unexplained"
SLOW: Final = "no fault"
_UNSTORED_S: Final = 1.0
"""Time from a response to its storage on a busy computer; the logger stores within 0.25 s."""


@dataclass
class Answer:
    """Histogram whose transmission the counter has begun.

    Attributes:
        at_s: time, monotonic clock.
        raw: bytes of the histogram.
        is_cut: true if the next byte was requested so late that the counter took the request for a new command.
    """

    at_s: float
    raw: bytes
    is_cut: bool = False


class Fault(NamedTuple):
    """Fault that the run has injected."""

    at_s: float
    cause: str


class WatchedCounter(OpcN3Simulator):
    """Simulated counter that records its histograms."""

    def __init__(self, *, rest_s: float) -> None:
        super().__init__(rest_s=rest_s)
        self.answers: list[Answer] = []

    def exchange(self, octet: int, now_s: float) -> int:
        """Return the response to a byte; see `OpcN3Simulator`."""
        if self._answer is not None and now_s - self._now_s >= self.rest_s and self.answers:
            self.answers[-1].is_cut = True
        before = self.histograms
        reply = super().exchange(octet, now_s)
        if self.histograms > before and self._answer is not None:
            self.answers.append(Answer(time.monotonic(), self._answer))
        return reply


def missing_by_cause(
    begin_s: float, end_s: float, every_s: float, answers: Sequence[Answer], faults: Sequence[Fault]
) -> Counter[str]:
    """Return the number of histograms that were due and not requested, by the fault that caused the gap.

    Histograms that a driver makes up for after a gap reduce it. A delay of less than half a sample has no cause.
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
    """Count the histograms by outcome; `stored` holds the raw bytes of the readings in the store."""
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
    """Return the cause of a gap; a pulled cable has priority because it causes the longest gaps."""
    between = {fault.cause for fault in faults if last.at_s <= fault.at_s <= following_s}
    for cause in (UNPLUGGED, KILLED):
        if cause in between:
            return cause
    if not last.raw:
        return START
    if last.is_cut:
        return STALLED
    return SLOW if framing.is_intact(last.raw) else BAD
