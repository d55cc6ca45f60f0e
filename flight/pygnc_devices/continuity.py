"""Time model of all families: device time, gaps and missing readings.

A packet has up to four sources of time: the device's clock (a count that wraps), its count of packets, the usual step
between packets, and the arrival by the host's clock. The arrival is never early, and may be late by any time: the
difference of the host's and the device's clock is the smallest one that was seen, and drifts by at most 200 ppm. So

- a count that arrives late, or that jumps up to the host's clock, is the device's time: readings are missing;
- a count that runs ahead of the host's clock is believed when the next one goes on from it: weak checksums also accept
  damaged counts;
- a count from zero that runs ahead of the host's clock is a restart; the host's clock continues the time, by the
  shortest delay of the first two seconds;
- whole wraps of a short count are found when the delay has been steady for two seconds, so that nothing of what the
  line has held can still arrive.
"""

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec.structs import replace

from pygnc_devices.cadence import STEPS_TO_ESTIMATE
from pygnc_devices.reading import NS_PER_S, Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts: TypeAlias = NDArray[np.int64]

_STEPS_KEPT: Final = 16
_DRIFT: Final = 2e-4
"""Drift of the device's clock relative to the host's clock."""
_TOLERANCE_NS: Final = NS_PER_S // 4
"""Uncertainty of the difference of the clocks, ns: jitter of the line."""
_LONGEST_DELAY_NS: Final = 60 * NS_PER_S
"""Delay after a reconnection beyond which the device is another one or has restarted."""
_LONGEST_JUMP_NS: Final = 600 * NS_PER_S
"""Jump beyond the host's clock that is still a gap: the line has delayed all packets so far."""
_LONGEST_STEP_NS: Final = 86_400 * NS_PER_S
"""Step in a recording that is not a gap; a recording has no host's clock."""
_LONGEST_UPTIME_NS: Final = 100 * 365 * 86_400 * NS_PER_S
"""A time or a step beyond this is a wrong word; a smaller step of a 64-bit clock cannot be its wrap."""
_LARGEST_MODULUS: Final = 1 << 62
"""Largest number of counts that wrap in arrays of 64 bits; counts of more do not wrap in them."""
_NEWEST: Final = "newest"
_MOST_DOUBTS: Final = 4
"""Successive counts ahead of the host's clock, none of which goes on from the one before, that are left out."""
_STEPS_COMPARED: Final = 8
_SLOWEST: Final = 0.25
"""Largest increase of the delay of a slow clock, relative to the elapsed time."""
_SETTLING_NS: Final = NS_PER_S
_STEADY: Final = 0.05
"""Decrease of the delay, relative to the elapsed time, of a line that still delivers what it has held."""
_WRAP_FRACTION: Final = 0.3
"""Deviation of a steady delay from whole wraps, in wraps."""
_PHASE_NS: Final = NS_PER_S // 10
"""Deviation of a steady delay from whole wraps after a reconnection, ns, beyond which the device has restarted."""


class DeviceClock:
    """Continuous count of a device's clock that wraps, restarts, and whose packets arrive late.

    Args:
        modulus: number of different counts; 65536 for a 16-bit counter.

    Attributes:
        total: ticks from the first count to the newest count; never decreases.
        is_estimate: True if the newest step comes from the host's clock.
    """

    def __init__(self, modulus: int) -> None:
        self.total = 0
        self.is_estimate = False
        self._modulus = modulus
        self._last: int | None = None
        self._host_ns: int | None = None
        """Arrival of the newest count; None while the host's clock or the tick is unknown."""
        self._device_ns = 0.0
        self._offset_ns = 0.0
        """Smallest difference of the host's and the device's clock."""
        self._delay_ns = 0.0
        """Smallest delay of the newest counts before a silence; that of a slow clock grows."""
        self._is_interrupted = False
        self._reserve_ns = 0
        """Largest delay of the first count after an interruption."""
        self._may_have_restarted = False
        self._settling: _Settling | None = None
        self._phase_ns: float | None = None
        """Largest deviation from whole wraps of a clock that has run on in an interruption; None: no interruption."""
        self._doubts: list[tuple[int, int]] = []
        """Successive counts that may be damaged, and their arrivals, ns."""
        self._steps: deque[int] = deque(maxlen=_STEPS_COMPARED)
        self._ahead = 0
        """Ticks by which `total` is ahead of the newest count that is believed."""

    @property
    def is_doubtful(self) -> bool:
        """True if the newest count may be damaged; the next one tells."""
        return bool(self._doubts)

    def interrupt(self, *, is_pause: bool = False) -> None:
        """Mark an interruption, after which the device may have restarted or been replaced.

        Args:
            is_pause: True if the line stayed open, so that the next count is not late.
        """
        self._is_interrupted = True
        self._reserve_ns = 0 if is_pause else _TOLERANCE_NS

    def advance(self, count: int, tick_ns: float = 0.0, host_ns: int | None = None) -> int:
        """Process the next count; return the ticks since the previous count, 0 for the first count.

        Args:
            count: value of the counter, 0 to modulus - 1.
            tick_ns: length of a tick, ns; 0: unknown.
            host_ns: arrival time on the host's monotonic clock, ns; None: unknown.
        """
        step = 0 if self._last is None else (count - self._last) % self._modulus
        self.is_estimate = False
        if not tick_ns or host_ns is None:
            self._host_ns = None
            if step * tick_ns > _LONGEST_STEP_NS:
                self.is_estimate, step = True, 1
        elif self._host_ns is None:
            self._device_ns += step * tick_ns
            self._offset_ns, self._host_ns = host_ns - self._device_ns, host_ns
        else:
            step = self._check(count, tick_ns, host_ns)
            self.total += step
            return step
        self._last = count
        self.total += step
        return step

    def steady_totals(self, counts: "NDArray[Any]", tick_ns: float) -> "Counts | None":
        """Return `total` after each of successive counts of a recording, which `go_to` then processes.

        None if a count is equal to the one before, or if they have to be processed one by one.
        """
        import numpy as np  # noqa: PLC0415 - drivers do not need it

        if self._last is None or counts.max() >= self._modulus:
            return None
        steps = np.diff(counts.astype("i8"), prepend=self._last)
        if self._modulus <= _LARGEST_MODULUS:
            steps %= self._modulus
        if (steps <= 0).any() or int(steps.max()) * tick_ns > _LONGEST_STEP_NS:
            return None
        return np.cumsum(steps) + self.total

    def go_to(self, total: int) -> None:
        """Process counts whose last one is at `total`; see `steady_totals`."""
        self._last = ((self._last or 0) + total - self.total) % self._modulus
        self.total, self.is_estimate, self._host_ns = total, False, None

    def _check(self, count: int, tick_ns: float, host_ns: int) -> int:
        """Return the step of a count, or the usual one if the count may be damaged."""
        step = 0
        if self._is_ahead(count, tick_ns, host_ns):
            doubts = self._doubts
            goes_on = bool(doubts) and (
                (count - doubts[-1][0]) % self._modulus * tick_ns <= host_ns - doubts[-1][1] + _TOLERANCE_NS
            )
            if not goes_on and len(doubts) < _MOST_DOUBTS:
                doubts.append((count, host_ns))
                step = max(1, min(self._steps, default=1))
                self._ahead += step
                self.is_estimate = True
                return step
            if goes_on:
                step = self._follow(doubts[-1][0], tick_ns, doubts[-1][1])
        step += self._follow(count, tick_ns, host_ns)
        if self._doubts:
            self._doubts.clear()
        if self._ahead:
            shown = max(1, step - self._ahead)
            self._ahead += shown - step
            return shown
        return step

    def _is_ahead(self, count: int, tick_ns: float, host_ns: int) -> bool:
        """Return True if a count is ahead of the host's clock though nothing has interrupted the device."""
        if self._is_interrupted or self._modulus * tick_ns <= _LONGEST_DELAY_NS:
            return False
        elapsed_ns = host_ns - (self._host_ns or 0)
        due_ns = host_ns - self._device_ns - self._offset_ns - _DRIFT * elapsed_ns
        if elapsed_ns > _TOLERANCE_NS and count * tick_ns <= due_ns + _TOLERANCE_NS:
            return False  # a restart
        return due_ns - (count - (self._last or 0)) % self._modulus * tick_ns < -_TOLERANCE_NS

    def _follow(self, count: int, tick_ns: float, host_ns: int) -> int:
        """Return the step of a count by both clocks."""
        step = (count - (self._last or 0)) % self._modulus
        self._last = count
        elapsed_ns = host_ns - (self._host_ns or 0)
        largest_offset_ns = self._offset_ns + _DRIFT * elapsed_ns
        wrap_ns = self._modulus * tick_ns
        due_ns = host_ns - self._device_ns - largest_offset_ns
        """Time since the measurement of the previous count, if this one is not delayed."""
        tells_restart = wrap_ns > _LONGEST_DELAY_NS
        if self._is_interrupted and tells_restart:
            step += self._modulus * max(0, math.floor((due_ns - step * tick_ns + _TOLERANCE_NS) / wrap_ns))
        counts_from_zero = tells_restart and count * tick_ns <= due_ns + _TOLERANCE_NS
        # A count that goes on where the previous one was has been held by the line, whatever its age. After an
        # interruption it may be that of a restart by chance.
        is_next = step * tick_ns <= _TOLERANCE_NS and not self._is_interrupted
        self._may_have_restarted |= counts_from_zero and elapsed_ns > _TOLERANCE_NS and not is_next
        delay_ns = due_ns - step * tick_ns
        back_ns = (self._modulus - step) * tick_ns
        was_damaged = (
            delay_ns < -_TOLERANCE_NS
            and not self._is_interrupted
            and bool(self._steps)
            and elapsed_ns <= 2 * _TOLERANCE_NS
            and back_ns <= self._steps[-1] * tick_ns + _TOLERANCE_NS
        )
        if was_damaged:  # the count before was: this one goes back behind it
            self._may_have_restarted = False
            step -= self._modulus
            delay_ns += back_ns + step * tick_ns
        if self._is_interrupted and not tells_restart:
            self._phase_ns = min(_PHASE_NS + 2.0 * _DRIFT * elapsed_ns, _WRAP_FRACTION * wrap_ns)
            self._settling = _Settling(host_ns, self._delay_ns)
        if not was_damaged and self._is_other(delay_ns, tells_restart=tells_restart, counts_from_zero=counts_from_zero):
            self.is_estimate, self._may_have_restarted, self._phase_ns = True, False, None
            # The rest follows when the delay of the next counts is known.
            reserve_ns = self._reserve_ns if tells_restart else 0
            self._settling = _Settling(host_ns, self._delay_ns, is_restart=True) if reserve_ns else None
            step = max(1, round((host_ns - self._device_ns - self._offset_ns - reserve_ns) / tick_ns))
        else:
            is_silence = elapsed_ns - step * tick_ns > wrap_ns / 2
            if is_silence or (self._settling is None and self._may_have_restarted):
                self._settling = _Settling(host_ns, self._delay_ns)
            if self._settling is None:
                self._delay_ns = min(delay_ns, self._delay_ns + _SLOWEST * elapsed_ns)
            else:
                step += self._settled_step(self._settling, delay_ns, tick_ns, host_ns)
        self._is_interrupted, self._reserve_ns = False, 0
        if step > 0:
            self._steps.append(step)
        self._device_ns += step * tick_ns
        self._offset_ns, self._host_ns = min(largest_offset_ns, host_ns - self._device_ns), host_ns
        return step

    def _is_other(self, delay_ns: float, *, tells_restart: bool, counts_from_zero: bool) -> bool:
        """Return True if the device has restarted, was replaced, or its clock was set."""
        if not tells_restart:
            return self._is_interrupted and delay_ns < -(self._phase_ns or 0.0)
        if delay_ns >= -_TOLERANCE_NS:
            return self._is_interrupted and delay_ns > _LONGEST_DELAY_NS
        return self._is_interrupted or counts_from_zero or delay_ns < -_LONGEST_JUMP_NS

    def _settled_step(self, settling: "_Settling", delay_ns: float, tick_ns: float, host_ns: int) -> int:
        """Return the missing ticks if the delay is steady: whole wraps, or the time that a restart has taken."""
        steady_ns = settling.steady_delay(delay_ns, host_ns)
        if steady_ns is None:
            return 0
        wraps = steady_ns / (self._modulus * tick_ns)
        has_restarted, self._may_have_restarted, self._settling = self._may_have_restarted, False, None
        phase_ns, self._phase_ns = self._phase_ns, None
        fraction = _WRAP_FRACTION if phase_ns is None else phase_ns / (self._modulus * tick_ns)
        if round(wraps) and abs(wraps - round(wraps)) < fraction:
            return self._modulus * max(0, round(wraps))
        least_ns = 2 * _TOLERANCE_NS if phase_ns is None else phase_ns
        if settling.is_restart:
            has_restarted, least_ns = True, 0.0
        if (phase_ns is None and not has_restarted) or steady_ns <= least_ns:
            return 0
        self.is_estimate = True
        return round(steady_ns / tick_ns)


class _Settling:
    """Smallest delay of each second after a silence: that of a line that delivers what it has held decreases.

    Args:
        host_ns: time of the host's clock, ns.
        usual_ns: delay before the silence, ns: that of a clock that is slow.
        is_restart: True if the clock has restarted, so that any longer delay belongs to its time.
    """

    def __init__(self, host_ns: int, usual_ns: float, *, is_restart: bool = False) -> None:
        self.is_restart = is_restart
        self._start_ns = host_ns
        self._usual_ns = usual_ns
        self._lowest_ns = self._previous_ns = math.inf

    def steady_delay(self, delay_ns: float, host_ns: int) -> float | None:
        """Return by how much a steady delay is longer than before; None while it is not steady."""
        if host_ns - self._start_ns < _SETTLING_NS:
            self._lowest_ns = min(self._lowest_ns, delay_ns)
            return None
        decrease_ns = self._previous_ns - self._lowest_ns
        self._previous_ns, self._lowest_ns, self._start_ns = self._lowest_ns, delay_ns, host_ns
        return self._previous_ns - self._usual_ns if decrease_ns < _STEADY * _SETTLING_NS else None


class UnitClock:
    """Device time of a kind of packet by one of the unit's clocks; the kinds share the origin of their time.

    Args:
        name: name of the clock.
        count_ns: time of a count, ns.
        modulus_ns: time after which the clock wraps, ns.
        origins: value of each clock at the origin, and the newest time, ns; one dictionary for all kinds of packets.
    """

    def __init__(self, name: str, count_ns: int, modulus_ns: int, origins: dict[str, int]) -> None:
        self._name = name
        self._count_ns = count_ns
        self._modulus_ns = modulus_ns
        self._origins = origins
        self._clock = DeviceClock(modulus_ns)
        self._start_ns: int | None = None

    @property
    def is_estimate(self) -> bool:
        """True if the newest step comes from the host's clock."""
        return self._clock.is_estimate

    def interrupt(self) -> None:
        """Mark an interruption, after which the unit may have restarted or been replaced."""
        self._clock.interrupt()

    def time_ns(self, count: object, host_ns: int | None) -> int | None:
        """Return the device time of a count, ns; None if the count is no time."""
        if not isinstance(count, int | float) or not 0 <= count * self._count_ns < _LONGEST_UPTIME_NS:
            return None
        now_ns = round(count * self._count_ns) % self._modulus_ns
        if self._start_ns is None:
            # A clock that begins later continues the time of those that the unit has sent so far.
            origin_ns = self._origins.setdefault(self._name, now_ns - self._origins.get(_NEWEST, 0))
            self._start_ns = now_ns - origin_ns
        self._clock.advance(now_ns, 1.0, host_ns)
        t_device_ns = self._start_ns + self._clock.total
        if t_device_ns > self._origins.get(_NEWEST, 0):
            self._origins[_NEWEST] = t_device_ns
        return t_device_ns

    def steady_times_ns(self, counts: "NDArray[Any]") -> "Counts | None":
        """Return the device times of successive counts of a recording, ns; see `DeviceClock.steady_totals`."""
        now_ns = counts * self._count_ns if counts.dtype.kind == "f" else counts.astype("i8") * self._count_ns
        limit_ns = min(self._modulus_ns - 1, _LONGEST_UPTIME_NS)
        if self._start_ns is None or not ((now_ns >= 0) & (now_ns < limit_ns)).all():
            return None
        totals = self._clock.steady_totals(now_ns.round(), 1.0)
        return None if totals is None else totals + self._start_ns

    def go_to(self, t_device_ns: int) -> None:
        """Process counts whose last one is at a device time; see `steady_times_ns`."""
        self._clock.go_to(t_device_ns - (self._start_ns or 0))
        self._origins[_NEWEST] = max(t_device_ns, self._origins.get(_NEWEST, 0))


class Continuity:
    """Device time of each kind of packet of a device, continued after interruptions."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._newest_kind = ""

    def interrupt(self, *, has_new_clock: bool = False) -> None:
        """Mark an interruption: readings may be missing; `has_new_clock` is True if the driver is a new one."""
        for track in self._tracks.values():
            track.is_interrupted = True
            track.time.has_new_clock |= has_new_clock

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


class ContinuousTime:
    """Device time of a kind of packet that does not go back.

    Attributes:
        has_new_clock: True if the clock of the next reading is another one.
    """

    def __init__(self) -> None:
        self.has_new_clock = False
        self._offset_ns = 0
        self._last_ns: int | None = None
        self._arrival_ns = 0

    def follow(self, t_device_ns: int | None, t_mono_ns: int) -> tuple[int | None, bool]:
        """Return the device time of the next reading, ns, and True if it comes from the host's clock.

        Args:
            t_device_ns: time by the device's clock, ns; None: unknown.
            t_mono_ns: arrival on the host's monotonic clock, ns.
        """
        is_estimate, last_ns = False, self._last_ns
        if last_ns is None:
            self.has_new_clock = False
        else:
            now_ns = None if t_device_ns is None else t_device_ns + self._offset_ns
            if now_ns is None or now_ns < last_ns or self.has_new_clock:
                is_estimate, expected_ns = True, last_ns + t_mono_ns - self._arrival_ns
                if now_ns is not None:
                    self._offset_ns += expected_ns - now_ns
                    self.has_new_clock = False
                now_ns = expected_ns
            t_device_ns = now_ns
        self._last_ns, self._arrival_ns = t_device_ns, t_mono_ns
        return t_device_ns, is_estimate


class _Track:
    """Readings of one kind of packet."""

    def __init__(self) -> None:
        self.is_interrupted = False
        self.time = ContinuousTime()
        self._period_ns = 0.0
        self._newest: deque[Reading] = deque(maxlen=_STEPS_KEPT + 1)
        """Newest readings since the last interruption."""

    def follow(self, reading: Reading) -> Reading:
        t_device_ns, is_estimate = self.time.follow(reading.t_device_ns, reading.t_mono_ns)
        if t_device_ns != reading.t_device_ns:
            is_estimate |= reading.is_estimate
            reading = replace(reading, t_device_ns=t_device_ns, is_estimate=is_estimate)
        if self.is_interrupted and self._newest:
            reading = self._bridge(reading, self._newest[-1])
        self._newest.append(reading)
        return reading

    def _bridge(self, reading: Reading, last: Reading) -> Reading:
        self.is_interrupted = False
        if len(self._newest) > STEPS_TO_ESTIMATE:
            steps = sum(1 + entry.lost_before for entry in self._newest) - 1 - self._newest[0].lost_before
            self._period_ns = _between(self._newest[0], last) / steps
        self._newest.clear()
        missing = round(_between(last, reading) / self._period_ns) - 1 if self._period_ns else 0
        lost_before = reading.lost_before or max(0, missing)
        is_estimate = reading.is_estimate or (reading.t_device_ns is None and not reading.lost_before)
        gap_ns = reading.t_mono_ns - last.t_mono_ns
        return replace(reading, gap_ns=gap_ns, lost_before=lost_before, is_estimate=is_estimate)


def _between(first: Reading, last: Reading) -> int:
    """Return the time between two readings, ns, by the device's clock if it is known."""
    if first.t_device_ns is None or last.t_device_ns is None:
        return last.t_mono_ns - first.t_mono_ns
    return last.t_device_ns - first.t_device_ns
