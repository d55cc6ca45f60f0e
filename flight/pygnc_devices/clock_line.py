"""Time of a measurement by this computer's clock, from the device's clock and the arrivals of its readings.

A reading never arrives before it was measured, but late by any time: jitter of the adapter, load, a line that holds
what it carries. The earliest arrivals of short intervals follow the device's clock. A line through them gives its
offset and rate; intervals without an early arrival lie far above the line and are left out. The shortest delay of the
connection cannot be observed: it is part of the offset.
"""

import math
from itertools import pairwise
from statistics import fmean, linear_regression, stdev
from typing import Final, NamedTuple, TypeAlias

from pygnc_devices.reading import NS_PER_S, Reading

_INTERVALS: Final = 40
"""Intervals of a line; when there are more, two become one, until they are as long as `_LONGEST_S`."""
_SHORTEST_S: Final = 0.1
_LONGEST_S: Final = 6.4
"""Longest interval, s: in four minutes the rate of an oscillator hardly changes."""
_LEAST_INTERVALS: Final = 4
_LATE_QUARTILES: Final = 10.0
"""Distance above the lower edge, in quartiles, of an interval without an early arrival."""
_LATE_SIGMAS: Final = 2.5
"""Distance above the line, in standard deviations, of an interval without an early arrival."""
_FITS: Final = 4
_LARGEST_RATE: Final = 1e-2
"""Largest rate of a clock by another one, minus 1."""
_UNKNOWN_S: Final = 1.0
"""Least standard deviation of an offset without a line, s: all readings so far may have been held for that long."""
_EARLY_S: Final = 0.25
"""Time before the line at which no reading can arrive, unless the device's clock was behind until then, s."""
_BEND_S: Final = 1e-5
"""Standard deviation of a device's clock from a straight line, s."""
_Arrival: TypeAlias = tuple[float, float]
"""Time of the device's clock since the first reading, s, and how much longer the host's clock has counted, s."""


class Measured(NamedTuple):
    """Time of a measurement and its standard deviation, ns."""

    time_ns: int
    sigma_ns: int


class _Line(NamedTuple):
    """Straight line of the earliest arrivals.

    Attributes:
        slope: rate of the host's clock by the device's clock, minus 1.
        offset_s: offset at `centre_s`.
        centre_s: mean time of the arrivals.
        sigma_s: standard deviation of the offset there.
        slope_sigma: standard deviation of the slope.
    """

    slope: float
    offset_s: float
    centre_s: float
    sigma_s: float
    slope_sigma: float

    def at(self, device_s: float) -> tuple[float, float]:
        """Return offset and standard deviation at a time, s."""
        lever_s = device_s - self.centre_s
        return self.offset_s + self.slope * lever_s, math.hypot(self.sigma_s, self.slope_sigma * lever_s, _BEND_S)


class ClockLine:
    """Comparison of a device's clock with the host's clock while readings arrive."""

    def __init__(self) -> None:
        self._start = 0, 0
        """Device time and arrival of the first reading, ns."""
        self._interval_s = _SHORTEST_S
        self._earliest: list[_Arrival] = []
        """Earliest arrival of each interval; the last interval is not complete."""
        self._line: _Line | None = None
        self._newest_ns = 0
        self._device_ns: int | None = None

    @property
    def rate(self) -> tuple[float, float] | None:
        """Rate of the device's clock by the host's clock, minus 1, and its standard deviation; None: unknown."""
        return None if self._line is None else (-self._line.slope, self._line.slope_sigma)

    def follow(self, reading: Reading) -> Measured | None:
        """Return when the next reading of a kind of packet was measured, by the host's monotonic clock.

        None if the device has no clock.
        """
        if reading.t_device_ns is None:
            return None
        if not self._earliest or reading.is_estimate or reading.gap_ns:  # the clock may be another one
            self._begin(reading.t_device_ns, reading.t_mono_ns)
        device_s = (reading.t_device_ns - self._start[0]) / NS_PER_S
        arrival = device_s, (reading.t_mono_ns - self._start[1]) / NS_PER_S - device_s
        if self._earliest and arrival[1] < self._offset(device_s)[0] - _EARLY_S:  # the clock was behind
            self._begin(reading.t_device_ns, reading.t_mono_ns)
            device_s, arrival = 0.0, (0.0, 0.0)
        self._add(arrival)
        offset_s, sigma_s = self._offset(device_s)
        measured_ns = self._start[1] + round((device_s + offset_s) * NS_PER_S)
        # A line that is lowered must not turn time back or stop it: it then runs at half its rate.
        step_ns = 0 if self._device_ns is None else max(0, reading.t_device_ns - self._device_ns)
        self._device_ns = reading.t_device_ns
        measured_ns = min(max(measured_ns, self._newest_ns + step_ns // 2), reading.t_mono_ns)
        self._newest_ns = max(self._newest_ns, measured_ns)
        return Measured(self._newest_ns, round(sigma_s * NS_PER_S))

    def _begin(self, device_ns: int, host_ns: int) -> None:
        """Begin a new line with a reading."""
        self._start = device_ns, host_ns
        self._interval_s, self._earliest, self._line = _SHORTEST_S, [], None

    def _add(self, arrival: _Arrival) -> None:
        """Add an arrival to its interval, and fit the line when an interval is complete."""
        earliest, slope = self._earliest, 0.0 if self._line is None else self._line.slope
        if not earliest or arrival[0] // self._interval_s > earliest[-1][0] // self._interval_s:
            if len(earliest) >= _LEAST_INTERVALS:
                self._line = _fitted(earliest) or self._line
            earliest.append(arrival)
            if len(earliest) > _INTERVALS:
                self._limit()
        elif arrival[1] - earliest[-1][1] < slope * (arrival[0] - earliest[-1][0]):
            earliest[-1] = arrival

    def _limit(self) -> None:
        if self._interval_s >= _LONGEST_S:
            del self._earliest[0]
            return
        self._interval_s *= 2.0
        slope = 0.0 if self._line is None else self._line.slope
        merged: dict[float, _Arrival] = {}
        for arrival in self._earliest:
            number = arrival[0] // self._interval_s
            merged[number] = min(merged.get(number, arrival), arrival, key=lambda entry: entry[1] - slope * entry[0])
        self._earliest = list(merged.values())

    def _offset(self, device_s: float) -> tuple[float, float]:
        """Return offset and standard deviation at the newest reading: by the line, or before it by the extremes."""
        if self._line is not None:
            return self._line.at(device_s)
        delays = [delay for _, delay in self._earliest]
        return min(delays), max(max(delays) - min(delays), _UNKNOWN_S)


def _fitted(earliest: list[_Arrival]) -> _Line | None:
    """Return the line of the earliest arrivals, without the intervals that had no early arrival.

    None if no line has the rate of a clock: most of the readings were held. The delays beyond the shortest one are
    distributed like an exponential, whose mean is its standard deviation.
    """
    slope, intercept = _lower_edge(earliest)
    distances = sorted(_residuals(earliest, slope, intercept))
    nearest_s = distances[_LEAST_INTERVALS - 1]
    # If readings were held for most of the time, most intervals lie far above the edge.
    for limit_s in (max(_LATE_QUARTILES * distances[len(distances) // 4], nearest_s), nearest_s):
        line = _trimmed(earliest, slope, intercept, limit_s)
        if abs(line.slope) < _LARGEST_RATE:
            return line
    return None


def _trimmed(earliest: list[_Arrival], slope: float, intercept: float, limit_s: float) -> _Line:
    """Return the line of the arrivals within a distance of a first line."""
    kept: list[_Arrival] = []
    for _ in range(_FITS):
        residuals = _residuals(earliest, slope, intercept)
        early = [arrival for arrival, residual in zip(earliest, residuals, strict=True) if residual <= limit_s]
        if early == kept or len(early) < _LEAST_INTERVALS:
            break
        kept = early
        slope, intercept = linear_regression(*zip(*kept, strict=True))
        limit_s = _LATE_SIGMAS * stdev(_residuals(kept, slope, intercept))
    centre_s = fmean(device_s for device_s, _ in kept)
    spread_s2 = sum((device_s - centre_s) ** 2 for device_s, _ in kept)
    variance_s2 = sum(residual**2 for residual in _residuals(kept, slope, intercept)) / (len(kept) - 2)
    offset_s = intercept + slope * centre_s - math.sqrt(variance_s2)
    return _Line(slope, offset_s, centre_s, math.sqrt(2 * variance_s2 / len(kept)), math.sqrt(variance_s2 / spread_s2))


def _residuals(arrivals: list[_Arrival], slope: float, intercept: float) -> list[float]:
    return [delay - intercept - slope * device_s for device_s, delay in arrivals]


def _lower_edge(arrivals: list[_Arrival]) -> tuple[float, float]:
    """Return slope and intercept of the edge of the lower convex hull at the mean time of the arrivals.

    Source: S. Moon, P. Skelly, D. Towsley, Estimation and removal of clock skew from network delay measurements, 1999.
    """
    hull: list[_Arrival] = []
    for arrival in arrivals:
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) >= _slope(hull[-2], arrival):
            hull.pop()
        hull.append(arrival)
    centre_s = fmean(device_s for device_s, _ in arrivals)
    first, last = next(edge for edge in pairwise(hull) if edge[1][0] >= centre_s)
    slope = _slope(first, last)
    return slope, first[1] - slope * first[0]


def _slope(first: _Arrival, last: _Arrival) -> float:
    return (last[1] - first[1]) / (last[0] - first[0])
