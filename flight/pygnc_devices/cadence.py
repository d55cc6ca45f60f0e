"""Usual step between packets of a kind, by which packets without a count are found missing."""

from collections import deque
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS_TO_ESTIMATE: Final = 3
"""Regular steps from which on their median is the usual one."""
_STEPS_TO_COUNT: Final = 8
_USUAL_STEPS: Final = 32
_STEP_TOLERANCE: Final = 0.2
_SHORT_STEP: Final = 1 / 64
"""Step, relative to the usual one, of a clock that waits until the device's clock has reached its time."""
_MOST_SHORT_STEPS: Final = 512
_STEADY_TOLERANCE: Final = 0.05
_AVERAGED_STEPS: Final = 10_000
_LEAST_SHARE: Final = 0.1
_REGULAR_SHARE: Final = 0.9


class Cadence:
    """Usual step between packets of a kind, and the number of packets missing between two of them.

    The usual step is the largest one of which nearly all steps are multiples, so that it is right even if most packets
    are missing. Packets missing before it is known are counted when it is known, also if the first steps were
    multiples of it.

    Attributes:
        usual: usual step; 0 while it is unknown.
    """

    def __init__(self) -> None:
        self.usual = 0.0
        self._last: int | None = None
        self._steps: deque[int] = deque(maxlen=_USUAL_STEPS)
        self._counted = 0
        """Packets counted as missing between those of the steps, while these are all."""
        self._sum = self._number = 0.0
        """Sum and number of the usual steps so far: their mean is finer than the device's resolution of time."""
        self._rest = 0.0
        """Part of a step that was rounded away over an interruption, for the rest of a restart's step later."""
        self._is_interrupted = False
        self._short_steps = 0

    def interrupt(self) -> None:
        """Count the next step by the usual step so far, then determine the usual step again."""
        self._is_interrupted = True

    def missing(self, time: int | None) -> int:
        """Return the number of packets missing before a packet with device time `time`, in any unit."""
        last, self._last = self._last, time
        if time is None or last is None or time <= last:
            return 0
        step, usual = time - last, self.usual
        is_interrupted, self._is_interrupted = self._is_interrupted, False
        if is_interrupted and usual:
            self.usual = 0.0
            self._steps.clear()
            self._counted = 0
            number = max(1, round(step / usual))
            self._rest = step - number * usual
            return number - 1
        is_short = step < _SHORT_STEP * usual and self._short_steps < _MOST_SHORT_STEPS
        self._short_steps = self._short_steps + 1 if is_short else 0
        if not is_short:
            self._steps.append(step)
        if is_short:
            return 0
        if usual and abs(step - usual) <= _STEP_TOLERANCE * usual:
            self._average(step, 1)
            return 0
        found = _usual_step(sorted(self._steps)) or usual
        if abs(found - usual) > _STEP_TOLERANCE * usual:
            return self._change(found)
        return self._add(step) if usual else 0

    def _change(self, usual: float) -> int:
        """Set the usual step; return the number of packets between the steps that are not counted yet."""
        self.usual = usual
        self._sum = self._number = 0.0
        if len(self._steps) == _USUAL_STEPS:  # the unit may send at another rate now
            return self._add(self._steps[-1])
        counted, self._counted = self._counted, 0
        return max(0, sum(map(self._add, self._steps)) - counted)

    def is_steady(self, times: "NDArray[np.int64]") -> bool:
        """Process the times of packets of which none is missing; do nothing and return False if one may be missing."""
        if not self.usual or self._is_interrupted or self._last is None:
            return False
        steps = times - self._last
        steps[1:] = times[1:] - times[:-1]
        # The mean of the steps changes by less than this tolerance, so that all steps are within that of `missing`.
        if (abs(steps - self.usual) > _STEADY_TOLERANCE * self.usual).any():
            return False
        first = 0
        while first < len(steps):
            part = steps[first : first + max(1, int(_AVERAGED_STEPS - self._number) + 1)]
            self._average(int(part.sum()), len(part))
            first += len(part)
        self._steps.extend(steps[-_USUAL_STEPS:].tolist())
        self._last = int(times[-1])
        return True

    def _add(self, step: int) -> int:
        number = max(1, round(step / self.usual))
        if number > 1 and self._rest:
            number, self._rest = max(1, round((step + self._rest) / self.usual)), 0.0
        self._average(step, number)
        self._counted += number - 1
        return number - 1

    def _average(self, step: int, number: int) -> None:
        """Add the time over a number of packets to the mean of the usual steps."""
        if self._number > _AVERAGED_STEPS:
            self._sum, self._number = self._sum / 2, self._number / 2
        self._sum += step
        self._number += number
        self.usual = self._sum / self._number


def _usual_step(steps: list[int]) -> float:
    """Return the largest frequent step of which nearly all steps are multiples; 0 if there is none.

    Args:
        steps: steps, ascending.
    """
    if len(steps) < _STEPS_TO_COUNT:
        is_regular = len(steps) >= STEPS_TO_ESTIMATE and steps[-1] - steps[0] <= _STEP_TOLERANCE * steps[0]
        return median(steps) if is_regular else 0.0
    found = 0.0
    begin = 0
    while begin < len(steps):
        limit = (1.0 + _STEP_TOLERANCE) * steps[begin]
        alike = [step for step in steps[begin:] if step <= limit]
        begin += len(alike)
        usual = median(alike)
        multiples = sum(abs(step / usual - max(1, round(step / usual))) <= _STEP_TOLERANCE for step in steps)
        if len(alike) >= _LEAST_SHARE * len(steps) and multiples >= _REGULAR_SHARE * len(steps):
            found = usual
    return found
