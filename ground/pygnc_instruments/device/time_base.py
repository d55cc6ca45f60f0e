"""Times at which the readings of one or more devices were measured, UTC.

They follow this computer's monotonic clock, so that a clock that is set does not disturb them. With pulses of a
satellite navigation receiver, which the kernel times (`CONFIG_PPS`), they follow these.
"""

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_low
from typing import Final, NamedTuple

from pygnc_devices.clock_line import ClockLine
from pygnc_devices.reading import NS_PER_S, Reading, Stamp

_PULSE: Final = re.compile(r"(\d+)\.(\d{9})#\d+\s*")
_KEPT: Final = 3
"""Pulses of which the middle one counts, so that a single wrong one does no harm."""
_LONGEST_AGE_NS: Final = 2 * NS_PER_S
_SHORTEST_STEP_NS: Final = 1000
"""Least step between readings of a kind: several may arrive at once before the delay of the line is known."""


class PulseError(Exception):
    """Error raised when there are no pulses."""


class Pulses:
    """Pulses per second that the kernel has timed by this computer's clock.

    The clock must be right to less than half a second, for the whole seconds.

    Args:
        path: folder of the kernel's device, `/sys/class/pps/pps0`.

    Raises:
        PulseError: the device is missing, or has had no pulse in the last two seconds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path / "assert"
        self._newest = ""
        self._offsets_ns: deque[int] = deque(maxlen=_KEPT)
        self._next_ns = 0
        self._update(Stamp.now())
        if not self._offsets_ns:
            raise PulseError(f"{self._path}: no pulse in the last 2 s; check the receiver's fix and the wire")

    def offset_ns(self) -> int:
        """Return UTC minus the monotonic clock by the newest pulses, ns; without new pulses, as it was."""
        now = Stamp.now()
        if now.t_mono_ns >= self._next_ns:
            self._update(now)
        return median_low(self._offsets_ns)

    def _update(self, now: Stamp) -> None:
        self._next_ns = now.t_mono_ns + NS_PER_S // 2
        try:
            text = self._path.read_text()
        except OSError as error:
            if not self._offsets_ns:
                reason = f"{self._path}: {error.strerror}; `ldattach PPS PORT` or the overlay pps-gpio makes a device"
                raise PulseError(reason) from None
            return
        found = _PULSE.fullmatch(text)
        if found is None or text == self._newest:
            return
        pulse_ns = int(found[1]) * NS_PER_S + int(found[2])
        if 0 <= now.t_wall_ns - pulse_ns < _LONGEST_AGE_NS:
            self._newest = text
            error_ns = (pulse_ns + NS_PER_S // 2) % NS_PER_S - NS_PER_S // 2
            self._offsets_ns.append(now.t_wall_ns - now.t_mono_ns - error_ns)


class MeasuredTime(NamedTuple):
    """UTC of a measurement and its standard deviation, ns; None: the device has no clock, the time is the arrival."""

    time_ns: int
    sigma_ns: int | None


@dataclass(slots=True)
class TimeBase:
    """Times of measurement of a device; logs with the same offset or pulses have one time base.

    Attributes:
        offset_ns: UTC minus the monotonic clock, ns; None: that of the first reading.
        pulses: pulses that replace the offset.
        clocks: clock of the device for each kind of packet.
    """

    offset_ns: int | None = None
    pulses: Pulses | None = None
    clocks: defaultdict[str, ClockLine] = field(default_factory=lambda: defaultdict(ClockLine))
    _newest_ns: dict[str, int] = field(default_factory=dict)

    def measured(self, reading: Reading) -> MeasuredTime:
        """Return when the next reading was measured; the times of a kind of packet ascend."""
        if self.pulses is not None:
            self.offset_ns = self.pulses.offset_ns()
        elif self.offset_ns is None:
            self.offset_ns = reading.t_wall_ns - reading.t_mono_ns
        kind = reading.packet.name
        found = self.clocks[kind].follow(reading)
        time_ns = self.offset_ns + (reading.t_mono_ns if found is None else found.time_ns)
        newest_ns = self._newest_ns.get(kind)
        if newest_ns is not None:
            time_ns = max(time_ns, newest_ns + _SHORTEST_STEP_NS)
        self._newest_ns[kind] = time_ns
        return MeasuredTime(time_ns, None if found is None else found.sigma_ns)
