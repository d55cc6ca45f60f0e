"""The unit's timer: which clock drives it, its wraps, and what is missing between two replies of a kind."""

from collections import deque
from statistics import median
from typing import Final

from pygnc_devices.device_time import NS_PER_S, Unwrapper

GX2_HZ: Final = 19_660_800
"""3DM-GX2 and Inertia-Link; wraps after 218.45 s. The unit counts 51200 per second, 384 ticks each."""
GX3_HZ: Final = 62_500
"""3DM-GX3-25; wraps after 19.1 h."""
_MODULUS: Final = 1 << 32
_TICKS_PER_COUNT: Final = 384
_SHORTEST_GX2_STEP: Final = 170 * _TICKS_PER_COUNT
"""Of the fastest rate; the slowest of a 3DM-GX3-25 gives fewer ticks, so that the steps tell the models apart."""
_STEPS_TO_DECIDE: Final = 3
_STEPS_KEPT: Final = 9
_RESTART_NS: Final = 2 * NS_PER_S
"""A timer that has gone further than this beyond our clock was set anew."""


class Timer:
    """Time of the unit, in all replies that carry it.

    Attributes:
        hz: ticks per second; None while it is not known.
    """

    def __init__(self, hz: int | None = None) -> None:
        self.hz = hz
        self._unwrapper = Unwrapper(_MODULUS)
        self._host_ns: int | None = None
        self._steps: deque[int] = deque(maxlen=_STEPS_TO_DECIDE)

    def take(self, ticks: int, host_ns: int | None) -> int | None:
        """Return the time in ns since the first reply; None while the clock is not known.

        Args:
            ticks: as they came.
            host_ns: arrival, to bridge gaps longer than a wrap; None in a recording.
        """
        tick_ns = NS_PER_S / self.hz if self.hz else 0.0
        step = self._unwrapper.take(ticks, tick_ns, host_ns)
        elapsed_ns = None if host_ns is None or self._host_ns is None else host_ns - self._host_ns
        self._host_ns = host_ns
        if elapsed_ns is not None and tick_ns and step * tick_ns > elapsed_ns + _RESTART_NS:
            self._unwrapper.total += max(1, round(elapsed_ns / tick_ns)) - step
        if step and self.hz is None:
            self._steps.append(step)
            self.hz = self._recognise()
        return round(self._unwrapper.total * NS_PER_S / self.hz) if self.hz else None

    def restart(self) -> None:
        """Bear with a timer that begins at zero: the unit has lost its power."""
        self._steps.clear()

    def _recognise(self) -> int | None:
        if len(self._steps) < _STEPS_TO_DECIDE:
            return None
        if all(step % _TICKS_PER_COUNT == 0 and step >= _SHORTEST_GX2_STEP for step in self._steps):
            return GX2_HZ
        return GX3_HZ if all(step < _SHORTEST_GX2_STEP for step in self._steps) else None


class Cadence:
    """The usual step between replies of one kind."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._steps: deque[int] = deque(maxlen=_STEPS_KEPT)

    def missing(self, t_device_ns: int | None) -> int:
        """Return how many replies are missing before this one."""
        last_ns, self._last_ns = self._last_ns, t_device_ns
        if t_device_ns is None or last_ns is None or t_device_ns <= last_ns:
            return 0
        usual = median(self._steps) if len(self._steps) >= _STEPS_TO_DECIDE else 0
        self._steps.append(t_device_ns - last_ns)
        return max(0, round((t_device_ns - last_ns) / usual) - 1) if usual else 0
