"""State of a PMS5003, its interpreter, and the flags of doubtful measurements."""

import logging
from collections.abc import Mapping
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.framing import Frame
from pygnc_devices.pms5003.packets import COUNT_NAMES, FACTORY_PM_NAMES, MEASUREMENT, PM_NAMES
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp

FAULT: Final = "fault"
"""The sensor reports an error."""
IMPLAUSIBLE: Final = "sizes contradict"
"""A smaller size has less mass, or more particles, than a larger one: a faulty sensor, or another model."""
NO_PARTICLES: Final = "no particles"
"""All counts are 0: the air is very clean, or fan or laser do not run."""
BEYOND_RANGE: Final = "beyond the range"
"""A mass concentration is above 1000 µg/m³, the end of the range."""
WARMING_UP: Final = "warming up"
"""The fan has not reached its speed, 30 s after the sensor was woken."""

_LARGEST_UG_M3: Final = 1000
_WARM_UP_NS: Final = 30 * NS_PER_S
_log = logging.getLogger(__name__)


class PmsUnit:
    """Interpreter of the frames of a sensor, and state that its operations share.

    Attributes:
        sample_s: interval between requests, s; None: the sensor sends by itself.
        trouble: description of the fault of the sensor; None if it works.
        is_asleep: True if this program has put the sensor to sleep.
        heard_ns: arrival of the newest measurement on the monotonic clock, ns; None before the first.
        unrequested: number of measurements since the latest request.
    """

    def __init__(self, sample_s: float | None = None) -> None:
        self.sample_s = sample_s
        self.trouble: str | None = None
        self.is_asleep = False
        self.heard_ns: int | None = None
        self.unrequested = 0
        self._woken_ns: int | None = None

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:  # noqa: ARG002 - see `engine.Interpreter`
        """Return the reading in a measurement."""
        if frame.kind != MEASUREMENT.name:
            return None
        self.heard_ns = stamp.t_mono_ns
        self.unrequested += 1
        values = MEASUREMENT.decode(frame.payload)
        doubts = flags(values)
        if self._woken_ns is not None and stamp.t_mono_ns - self._woken_ns < _WARM_UP_NS:
            doubts = (*doubts, WARMING_UP)
        return Reading(MEASUREMENT, frame.raw, values, *stamp, flags=doubts)

    def reconnected(self) -> None:
        """Discard the state; the sensor may have been swapped. See `engine.Interpreter`."""
        self.heard_ns, self._woken_ns, self.is_asleep = None, None, False

    def woken(self, t_mono_ns: int) -> None:
        """Record that the sensor was woken: its next measurements are flagged."""
        self._woken_ns, self.is_asleep = t_mono_ns, False

    def set_trouble(self, trouble: str | None) -> None:
        """Store the fault of the sensor, None if it works, and log each change."""
        if trouble != self.trouble:
            _log.warning("PMS5003: %s", trouble or "works again")
        self.trouble = trouble


def flags(values: Mapping[str, Value]) -> tuple[str, ...]:
    """Return all flags that follow from the values of a measurement."""
    masses = [[float(values[name]) for name in names] for names in (FACTORY_PM_NAMES, PM_NAMES)]
    counts = [float(values[name]) for name in COUNT_NAMES]
    checks = {
        FAULT: values["error_code"] != 0,
        IMPLAUSIBLE: any(list(each) != sorted(each) for each in (*masses, counts[::-1])),
        NO_PARTICLES: not any(counts),
        BEYOND_RANGE: max(map(max, masses)) > _LARGEST_UG_M3,
    }
    return tuple(flag for flag, applies in checks.items() if applies)
