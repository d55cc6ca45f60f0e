"""Time axis of the figures (hours of UTC), time spans of flags, eclipses, close-ups."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter

from pygnc.common.clock import gps_ms_from_unix_ms, unix_ms_from_gps_ms, utc_iso_from_gps_ms
from pygnc.environment.time_scales import MS_PER_DAY
from pygnc.estimators.orbit.measurement import RejectCause
from pygnc_ground.attitude.accuracy import LIT
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.replay.result import AttitudeResult, FormationResult, ReplayResult, SampleRecords
from pygnc_ground.report.style import SHADE

MS_PER_HOUR: Final = 3_600_000
_AROUND_MS: Final = 12 * MS_PER_HOUR
"""Longest time before or after the known orbit at which records are shown; other records have a damaged time."""
_GAP_STEPS: Final = 4
_GAP_MIN_H: Final = 1.0 / 60.0
_STEPS_H: Final = (1 / 60, 1 / 30, 1 / 12, 1 / 6, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 12, 24)
_TICKS_MAX: Final = 7


@dataclass(frozen=True, slots=True, eq=False)
class TimeAxis:
    """Positions of n records on the time axis, in hours since 00:00 UTC of the first day without leap seconds."""

    hours: FloatArray
    """Time of each record in hours, shape (n,); NaN for records that are not shown"""
    order: IntArray
    """Indices of the m records that are shown, in time order, shape (m,)"""
    zero_gps_ms: int
    """Time of the zero in ms since the GPS epoch"""
    gap_h: float
    """Longest step in hours between two records that a line connects"""
    ends: tuple[float, float] | None = None
    """First and last hour of everything that is shown; None if the figure shows only the records"""

    @property
    def hidden(self) -> int:
        """Number of records that are not shown because their time is too far from the others."""
        return len(self.hours) - len(self.order)

    @property
    def span_h(self) -> tuple[float, float] | None:
        """First and last hour shown; None without records."""
        if self.ends is not None or not len(self.order):
            return self.ends
        begin, end = self.hours[self.order[[0, -1]]].tolist()
        return begin, end

    @property
    def span_gps_ms(self) -> tuple[int, int] | None:
        """First and last time shown in ms since the GPS epoch; None without records."""
        if self.span_h is None:
            return None
        begin, end = (self.zero_gps_ms + round(hours * MS_PER_HOUR) for hours in self.span_h)
        return begin, end

    @property
    def limits(self) -> tuple[float, float]:
        """First and last hour of the axis, with a margin."""
        if self.span_h is None:
            return 0.0, 1.0
        begin, end = self.span_h
        margin = max(0.012 * (end - begin), min(0.02, 0.05 * (end - begin))) or 0.02
        return begin - margin, end + margin

    @property
    def label(self) -> str:
        """Label of the axis, which names the days in UTC."""
        if self.span_h is None:
            return "time, UTC [h:min]"
        first, last = map(self._day, self.span_h)
        return f"UTC on {first} [h:min]" if first == last else f"UTC, {first} to {last} [h:min]"

    def label_axes(self, axes: Iterable[Axes], *, bottom: Iterable[Axes]) -> None:
        """Apply this time axis to all `axes` and label those at the `bottom`."""
        begin, end = self.limits
        step = next(
            (step for step in _STEPS_H if (end - begin) / step <= _TICKS_MAX), 24.0 * np.ceil((end - begin) / 144)
        )
        ticks = np.arange(np.ceil(begin / step), end / step) * step
        for one in axes:
            one.set_xlim(begin, end)
            one.xaxis.set_major_locator(FixedLocator(ticks.tolist()))
            one.tick_params(labelbottom=False)
        for one in bottom:
            one.xaxis.set_major_formatter(FuncFormatter(self._tick))
            one.tick_params(labelbottom=True)
            one.set_xlabel(self.label)

    def starts_after_gap(self, hours: FloatArray) -> BoolArray:
        """Return True for each of the ascending hours, shape (k,), that follows a gap."""
        return np.diff(hours, prepend=hours[:1]) > self.gap_h

    def _day(self, hours: float) -> str:
        return utc_iso_from_gps_ms(self.zero_gps_ms + round(hours * MS_PER_HOUR))[:10]

    def _tick(self, hours: float, _position: int | None) -> str:
        minutes = round(60.0 * hours)
        clock = f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"
        many_days = self.limits[1] - self.limits[0] > 36.0
        return f"{clock}\n{self._day(hours)[5:]}" if many_days and minutes % 1440 == 0 else clock


def time_axis(result: ReplayResult) -> TimeAxis:
    """Return the axis for the GPS records of a replay.

    It spans the known orbit, the records near it and the sensor samples. Times that contradict the spacecraft clock do
    not extend it.
    """
    gps_ms = result.fixes.gps_ms
    if not len(gps_ms):
        return TimeAxis(np.empty(0), np.empty(0, np.int64), 0, _GAP_MIN_H)
    known = result.solution.known
    inside = gps_ms[known] if known.any() else np.array([int(np.median(gps_ms))])
    credible = np.array([cause != RejectCause.TIME_INCONSISTENT for cause in result.fixes.position_cause])
    credible &= _near(gps_ms, inside)
    inside = np.concatenate((inside, gps_ms[credible]))
    first, last = int(inside.min()), int(inside.max())
    of_samples = result.attitude.samples.gps_ms
    every = np.concatenate(((first, last), of_samples[_near(of_samples, inside)]))
    zero = midnight_before(int(every.min()))
    ends = ((int(every.min()) - zero) / MS_PER_HOUR, (int(every.max()) - zero) / MS_PER_HOUR)
    return _axis(gps_ms, (gps_ms >= first) & (gps_ms <= last), zero, ends)


def midnight_before(gps_ms: int) -> int:
    """Return 00:00 UTC of the day of a time, both in ms since the GPS epoch."""
    return gps_ms_from_unix_ms(unix_ms_from_gps_ms(gps_ms) // MS_PER_DAY * MS_PER_DAY)


def sample_axis(time: TimeAxis, gps_ms: IntArray) -> TimeAxis:
    """Return the axis for other records with the times `gps_ms` in ms, shape (n,); -1 marks an unknown time."""
    span = time.span_gps_ms
    shown = np.zeros(len(gps_ms), np.bool_) if span is None else (gps_ms >= span[0]) & (gps_ms <= span[1])
    return _axis(gps_ms, shown, time.zero_gps_ms, time.span_h)


def span_axis(gps_ms: IntArray, span_gps_ms: tuple[int, int]) -> TimeAxis:
    """Return the axis from the first to the last time of a span, for records at times `gps_ms`, shape (n,)."""
    zero = midnight_before(span_gps_ms[0])
    begin, end = ((one - zero) / MS_PER_HOUR for one in span_gps_ms)
    shown = (gps_ms >= span_gps_ms[0]) & (gps_ms <= span_gps_ms[1])
    return _axis(gps_ms, shown, zero, (begin, end))


def _near(gps_ms: IntArray, others: IntArray) -> BoolArray:
    return np.asarray((gps_ms >= others.min() - _AROUND_MS) & (gps_ms <= others.max() + _AROUND_MS))


def _axis(gps_ms: IntArray, shown: BoolArray, zero: int, ends: tuple[float, float] | None) -> TimeAxis:
    rows = np.flatnonzero(shown)
    order = rows[np.argsort(gps_ms[rows], kind="stable")]
    hours = np.full(len(gps_ms), np.nan)
    hours[rows] = (gps_ms[rows] - zero) / MS_PER_HOUR
    steps = np.diff(hours[order])
    usual = float(np.median(steps[steps > 0.0])) if (steps > 0.0).any() else 0.0
    return TimeAxis(hours, order, zero, max(_GAP_STEPS * usual, _GAP_MIN_H), ends)


_APART_FRACTION: Final = 1.0 / 400.0
"""Fraction of the axis below which the distance of two spans is not drawn."""


def spans(flags: BoolArray, time: TimeAxis) -> FloatArray:
    """Return first and last hour, shape (k, 2), of each run of flagged samples; flags have shape (n,).

    A run lasts until the next sample without a flag and ends at gaps.
    """
    hours, raised = time.hours[time.order], flags[time.order]
    if not raised.any():
        return np.empty((0, 2))
    after_gap = time.starts_after_gap(hours)
    begins = raised & (np.concatenate(([True], ~raised[:-1])) | after_gap)
    ends = raised & (np.concatenate((~raised[1:], [True])) | np.concatenate((after_gap[1:], [True])))
    begin, last = np.flatnonzero(begins), np.flatnonzero(ends)
    following = np.minimum(last + 1, len(hours) - 1)
    end_h = np.where(after_gap[following], hours[last], hours[following])
    first_h, last_h = time.limits
    apart = hours[begin][1:] - end_h[:-1] > _APART_FRACTION * (last_h - first_h)
    return np.column_stack((hours[begin][np.append(True, apart)], end_h[np.append(apart, True)]))


def eclipses(samples: SampleRecords, time: TimeAxis) -> FloatArray:
    """Return first and last hour of each eclipse, shape (k, 2), by the orbit or, if it is unknown, by the light."""
    by_orbit = np.isfinite(samples.sunlit_fraction)
    return spans(np.where(by_orbit, samples.sunlit_fraction <= LIT, ~samples.in_sun), time)


def shade(panels: Sequence[Axes], dark_h: FloatArray) -> None:
    """Shade spans in all panels; `dark_h` holds the first and the last hour of each span, shape (k, 2)."""
    for axes in panels:
        for begin, end in dark_h.tolist():
            axes.axvspan(begin, end, color=SHADE, linewidth=0.0, zorder=0.5)


def formation_axis(of_records: TimeAxis, result: FormationResult) -> TimeAxis:
    """Return the axis of the records, extended to all states of partners; `sample_axis` applies it to other times."""
    times = np.concatenate([one.states.gps_ms for one in result.partners])
    every = (times - of_records.zero_gps_ms) / MS_PER_HOUR
    begin, end = of_records.span_h or (every[0], every[0])
    return replace(of_records, ends=(min(begin, float(every.min())), max(end, float(every.max()))))


_TURNS: Final = 4.0
"""Length of a close-up in rotations of the body."""
_LENGTH_H: Final = (1.0 / 12.0, 0.5)
"""Minimum and maximum length of a close-up in hours."""


def close_up(result: AttitudeResult, time: TimeAxis) -> TimeAxis | None:
    """Return the axis of the span with most fully sunlit samples that have a light model, or None.

    Of equal spans, the last is chosen because the filter has converged by then.
    """
    known = np.isfinite(result.light.expected[:, 0]) & (result.samples.sunlit_fraction == 1.0)
    rows = time.order[known[time.order]]
    if not len(rows):
        return None
    hours = time.hours[rows]
    rate_rad_s = float(np.median(np.linalg.norm(result.smoothed.rate_body_rad_s[rows], axis=1)))
    length_h = float(np.clip(_TURNS * 2.0 * np.pi / max(rate_rad_s, 1e-6) / 3600.0, *_LENGTH_H))
    count = np.searchsorted(hours, hours + length_h, side="right") - np.arange(len(hours))
    first = len(count) - 1 - int(np.argmax(count[::-1]))
    begin, end = float(hours[first]), float(hours[first]) + length_h
    within = time.order[(time.hours[time.order] >= begin) & (time.hours[time.order] <= end)]
    return TimeAxis(time.hours, within, time.zero_gps_ms, time.gap_h, (begin, end))
