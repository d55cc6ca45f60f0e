"""State of an SPS30, its interpreter, and the flags of doubtful measurements."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.framing import Frame
from pygnc_devices.reading import NS_PER_S, Counters, Reading, Stamp
from pygnc_devices.sps30.framing import READ
from pygnc_devices.sps30.packets import COUNT_NAMES, DEVICE_ERROR, INTEGER_MEASUREMENT, MEASUREMENT, PM_NAMES

FAULT: Final = "fault"
"""The status register contains an error of fan or laser."""
IMPLAUSIBLE: Final = "sizes contradict"
"""A value is negative or not a number, or a smaller size has more mass or particles than a larger one."""
NO_PARTICLES: Final = "no particles"
"""Nothing was counted: the air is very clean, or fan or laser do not run."""
BEYOND_RANGE: Final = "beyond the range"
"""A concentration is above 1000 µg/m³ or 3000 particles per cm³, the ends of the ranges."""
WARMING_UP: Final = "warming up"
"""The measurement was started less than 30 s ago."""
CLEANING: Final = "fan cleaning"
"""The fan was cleaning itself, for which it runs at full speed for 10 s."""

_LARGEST_UG_M3: Final = 1000.0
_LARGEST_PER_CM3: Final = 3000.0
_ROUNDING: Final = 1e-5
"""Relative rounding of single precision, with a margin."""
_WARM_UP_NS: Final = 30 * NS_PER_S
_CLEANING_NS: Final = 12 * NS_PER_S
_KIND: Final = f"{READ:02X}"
_PACKETS: Final = {packet.layout.size: packet for packet in (MEASUREMENT, INTEGER_MEASUREMENT)}
_log = logging.getLogger(__name__)


class SpsUnit:
    """Interpreter of responses, and state that its operations share.

    Attributes:
        sample_s: interval between measurements, s; None: read only on request.
        is_integer: True if measurements are requested as whole numbers.
        trouble: description of the fault of the sensor; None if it works.
        is_asleep: True if this program has put the sensor to sleep.
        is_measuring: True if the sensor measures, as far as is known.
        has_started: True if this program has started the measurement.
    """

    def __init__(self, sample_s: float | None = None, *, is_integer: bool = False) -> None:
        self.sample_s = sample_s
        self.is_integer = is_integer
        self.trouble: str | None = None
        self.is_asleep = False
        self.is_measuring = False
        self.has_started = False
        self._started_ns: int | None = None
        self._cleaned_ns: int | None = None

    def interpret(self, frame: Frame, stamp: Stamp, counters: Counters) -> Reading | None:  # noqa: ARG002 - see `engine.Interpreter`
        """Return the reading in a response; None if the sensor has no new measurement."""
        packet = _PACKETS.get(len(frame.payload)) if frame.kind == _KIND else None
        if packet is None:
            return None
        values = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in packet.decode(frame.payload).items()
        }
        doubts = [*flags(values)]
        for flag, since_ns, lasts_ns in (
            (WARMING_UP, self._started_ns, _WARM_UP_NS),
            (CLEANING, self._cleaned_ns, _CLEANING_NS),
        ):
            if since_ns is not None and stamp.t_mono_ns - since_ns < lasts_ns:
                doubts.append(flag)
        return Reading(packet, frame.raw, values, *stamp, flags=tuple(doubts))

    def reconnected(self) -> None:
        """Discard the state; the sensor may have been swapped. See `engine.Interpreter`."""
        self.is_measuring = self.has_started = self.is_asleep = False
        self._started_ns = self._cleaned_ns = None

    def started(self, t_mono_ns: int) -> None:
        """Record that the measurement was started: the first measurements are flagged."""
        self.is_measuring = self.has_started = True
        self._started_ns = t_mono_ns

    def stopped(self) -> None:
        """Record that the measurement has ended."""
        self.is_measuring = self.has_started = False

    def cleaned(self, t_mono_ns: int) -> None:
        """Record that a fan cleaning begins: measurements during the cleaning are flagged."""
        self._cleaned_ns = t_mono_ns

    def set_trouble(self, trouble: str | None) -> None:
        """Store the fault of the sensor, None if it works, and log each change."""
        if trouble != self.trouble:
            _log.warning("SPS30: %s", trouble or "works again")
        self.trouble = trouble


def flags(values: Mapping[str, Value | None]) -> tuple[str, ...]:
    """Return all flags that follow from the values of a measurement."""
    masses, counts = _numbers(values, PM_NAMES), _numbers(values, COUNT_NAMES)
    state = values["state"]
    is_complete = None not in values.values()
    checks = {
        FAULT: isinstance(state, int) and bool(state & DEVICE_ERROR),
        IMPLAUSIBLE: not is_complete or not (_ascends(masses) and _ascends(counts)),
        NO_PARTICLES: is_complete and not any(counts),
        BEYOND_RANGE: max(masses, default=0.0) > _LARGEST_UG_M3 or max(counts, default=0.0) > _LARGEST_PER_CM3,
    }
    return tuple(flag for flag, applies in checks.items() if applies)


def _numbers(values: Mapping[str, Value | None], names: Sequence[str]) -> list[float]:
    return [float(value) for name in names if isinstance(value := values[name], int | float)]


def _ascends(numbers: Sequence[float]) -> bool:
    return all(low <= high * (1 + _ROUNDING) for low, high in zip([0.0, *numbers], numbers, strict=False))
