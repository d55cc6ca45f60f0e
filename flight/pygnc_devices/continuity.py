"""Device time and number of missing readings over interruptions of a connection.

A device that was unplugged or switched off may have restarted its clock, another device may answer, and the driver may
be a new one. The host's monotonic clock then continues the device's time.
"""

from collections import deque
from statistics import median
from typing import Final

from msgspec.structs import replace

from pygnc_devices.reading import NS_PER_S, Reading

_STEPS_TO_ESTIMATE: Final = 3
_STEPS_KEPT: Final = 16
_USUAL_STEPS: Final = 9
"""Steps of which the median is the usual time between packets."""
_AGREEMENT_NS: Final = NS_PER_S // 2
"""Difference between the device's clock and the host's clock over an interruption, ns; larger if the clock restarted.

The delivery of a reading may take this long."""
_DRIFT: Final = 2e-4
"""Drift of the device's clock relative to the host's clock."""


class Continuity:
    """Device time of each kind of packet of a device, continued after interruptions."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._newest_kind = ""

    def interrupt(self) -> None:
        """Mark an interruption: readings may be missing, and the device may have restarted or been replaced."""
        for track in self._tracks.values():
            track.is_interrupted = True

    def is_same_kind(self, reading: Reading) -> bool:
        """Return True if the previous reading was of the same kind of packet, or if there was none."""
        return self._newest_kind in {"", reading.packet.name}

    def follow(self, reading: Reading) -> Reading:
        """Return a reading with continuous device time.

        The first reading of its kind after an interruption also gets the time since the previous reading (`gap_ns`) and
        the number of missing readings, which is estimated from that time and the previous rate.
        """
        kind = self._newest_kind = reading.packet.name
        track = self._tracks.get(kind)
        if track is None:
            track = self._tracks[kind] = _Track()
        return track.follow(reading)


class _Track:
    """Readings of one kind of packet."""

    def __init__(self) -> None:
        self.is_interrupted = False
        self._offset_ns = 0
        self._period_ns = 0.0
        self._newest: deque[Reading] = deque(maxlen=_STEPS_KEPT + 1)
        """Newest readings since the last interruption."""

    def follow(self, reading: Reading) -> Reading:
        if self._newest:
            last = self._newest[-1]
            t_device_ns = self._device_time(reading, last)
            if self.is_interrupted:
                reading = self._bridge(replace(reading, t_device_ns=t_device_ns), last)
            elif t_device_ns != reading.t_device_ns:
                reading = replace(reading, t_device_ns=t_device_ns)
        self._newest.append(reading)
        return reading

    def _device_time(self, reading: Reading, last: Reading) -> int | None:
        if last.t_device_ns is None:
            return reading.t_device_ns
        elapsed_ns = reading.t_mono_ns - last.t_mono_ns
        expected_ns = last.t_device_ns + elapsed_ns
        if reading.t_device_ns is None:
            return expected_ns
        t_device_ns = reading.t_device_ns + self._offset_ns
        limit_ns = _AGREEMENT_NS + _DRIFT * elapsed_ns
        has_restarted = self.is_interrupted and abs(t_device_ns - expected_ns) > limit_ns
        if t_device_ns < last.t_device_ns or has_restarted:
            self._offset_ns += expected_ns - t_device_ns
            return expected_ns
        return t_device_ns

    def _bridge(self, reading: Reading, last: Reading) -> Reading:
        self.is_interrupted = False
        if len(self._newest) > _STEPS_TO_ESTIMATE:
            steps = sum(1 + entry.lost_before for entry in self._newest) - 1 - self._newest[0].lost_before
            self._period_ns = _between(self._newest[0], last) / steps
        self._newest.clear()
        missing = round(_between(last, reading) / self._period_ns) - 1 if self._period_ns else 0
        lost_before = reading.lost_before or max(0, missing)
        return replace(reading, gap_ns=reading.t_mono_ns - last.t_mono_ns, lost_before=lost_before)


def _between(first: Reading, last: Reading) -> int:
    """Return the time between two readings, ns, by the device's clock if it is known."""
    if first.t_device_ns is None or last.t_device_ns is None:
        return last.t_mono_ns - first.t_mono_ns
    return last.t_device_ns - first.t_device_ns


class Cadence:
    """Usual time between packets of a kind."""

    def __init__(self) -> None:
        self._last_ns: int | None = None
        self._steps: deque[int] = deque(maxlen=_USUAL_STEPS)

    def missing(self, t_device_ns: int | None) -> int:
        """Return the number of packets missing before a packet with device time `t_device_ns`, ns."""
        last_ns, self._last_ns = self._last_ns, t_device_ns
        if t_device_ns is None or last_ns is None or t_device_ns <= last_ns:
            return 0
        usual = median(self._steps) if len(self._steps) >= _STEPS_TO_ESTIMATE else 0
        self._steps.append(t_device_ns - last_ns)
        return max(0, round((t_device_ns - last_ns) / usual) - 1) if usual else 0
