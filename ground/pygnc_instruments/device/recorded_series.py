"""Series of frames of a recording, checked and timed many at once with NumPy.

Bytes at which a frame of a known length begins are followed from frame to frame; then all of these frames are checked
together. The first one that fails ends the run: the scanner continues there, so that frames, damage and readings are
those that it alone finds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pygnc_devices.framing import Frame
from pygnc_devices.series import Series, SeriesInterpreter, Span

_SHORTEST_RUN: Final = 64
_LONGEST_RUN: Final = 1 << 14
"""Frames that are checked at once: more after each run without damage; those behind damage are checked again."""
_SINGLE_FRAMES: Final = 16
"""Frames that are followed one by one where the time does not run steadily; twice as many if it still does not."""
_MOST_HEADS: Final = 256
_MOST_SERIES: Final = 16


class Track(Protocol):
    """Receiver of the times of a kind of reading."""

    def add(self, t_device_ns: int | None, lost_before: int) -> None:
        """Add a reading."""
        ...

    def add_steady(self, span: Span, count: int) -> None:
        """Add readings of which none is missing; the span has their first and last time."""
        ...


@dataclass(slots=True)
class _Known:
    """Series of frames with one head."""

    length: int
    series: list[tuple[NDArray[np.uint8], Series]] = field(default_factory=list)
    """Fixed bytes, and the series."""


@dataclass(slots=True)
class _Checked:
    """Intact frames of a series in a run: their numbers in the run, and their words."""

    series: Series
    numbers: NDArray[np.int64]
    columns: list[NDArray[Any]]

    def before(self, number: int) -> "_Checked":
        """Return the frames before a frame of the run."""
        count = int(np.searchsorted(self.numbers, number))
        return _Checked(self.series, self.numbers[:count], [column[:count] for column in self.columns])


class SeriesReader:
    """Reader of the series of a family in the bytes of a recording.

    Args:
        unit: interpreter of the family.
        track_of: returns the receiver of the readings with a name.
    """

    def __init__(self, unit: SeriesInterpreter, track_of: Callable[[str], Track]) -> None:
        self._unit = unit
        self._track_of = track_of
        self._heads: dict[bytes, _Known] = {}
        self._run = _SHORTEST_RUN

    def learn(self, frame: Frame) -> None:
        """Add the series of a frame that was interpreted."""
        head = frame.raw[: self._unit.head_bytes]
        known = self._heads.get(head)
        if known is not None and known.length != len(frame.raw):
            known = None
        if known is not None and _is_in(known, frame.raw):
            return
        series = self._unit.series(frame)
        if series is None:
            return
        if known is None:
            if len(self._heads) == _MOST_HEADS:
                self._heads.clear()
            known = self._heads[head] = _Known(len(frame.raw))
        if len(known.series) < _MOST_SERIES:
            octets = np.frombuffer(frame.raw, np.uint8)
            known.series.append((octets[list(series.fixed)], series))

    def read(self, octets: bytes, at: int) -> int:
        """Pass on the readings of the frames from an offset on; return the offset behind the last frame."""
        while True:
            starts, run = self._chain(octets, at)
            if not run:
                return at
            checked, count = _checked(octets, starts, run)
            for lane in _lanes(checked).values():
                self._follow(lane)
            if count < len(run):
                self._run = max(_SHORTEST_RUN, count)
                return starts[count]
            self._run = min(2 * self._run, _LONGEST_RUN)
            at = starts[-1] + run[-1].length

    def _chain(self, octets: bytes, at: int) -> tuple[list[int], list[_Known]]:
        """Return offsets and heads of what seem to be successive frames."""
        starts, run, size = [], [], len(octets)
        head_bytes, get = self._unit.head_bytes, self._heads.get
        for _ in range(self._run):
            known = get(octets[at : at + head_bytes])
            if known is None or at + known.length > size:
                break
            starts.append(at)
            run.append(known)
            at += known.length
        return starts, run

    def _follow(self, lane: list[_Checked]) -> None:
        """Follow the frames of a lane in their order: long parts of one series at once, other frames one by one."""
        order = np.argsort(np.concatenate([entry.numbers for entry in lane]))
        which = np.repeat(np.arange(len(lane)), [len(entry.numbers) for entry in lane])[order]
        borders = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist(), len(which)]
        used = [0] * len(lane)
        for begin, end in pairwise(borders):
            number = int(which[begin])
            self._follow_part(lane[number], used[number], used[number] + end - begin)
            used[number] += end - begin

    def _follow_part(self, entry: _Checked, first: int, last: int) -> None:
        """Follow successive frames: as many at once as run steadily, and some one by one where they do not."""
        size, singles = last - first, _SINGLE_FRAMES
        while first < last:
            end = min(first + size, last)
            if end - first <= _SINGLE_FRAMES:
                end = min(first + singles, last)
                self._follow_each(entry, first, end)
                first, size, singles = end, 8 * _SINGLE_FRAMES, 2 * singles
                continue
            span = entry.series.follow_steady(*(column[first:end] for column in entry.columns))
            if span is None:
                size = (end - first) // 2
            else:
                self._track_of(span.packet.name).add_steady(span, end - first)
                first, size, singles = end, 4 * size, _SINGLE_FRAMES

    def _follow_each(self, entry: _Checked, first: int, last: int) -> None:
        follow, track_of = entry.series.follow, self._track_of
        columns = [column[first:last].tolist() for column in entry.columns]
        for words in zip(*columns, strict=True) if columns else [()] * (last - first):
            found = follow(*words)
            if found is not None:
                packet, t_device_ns, lost_before = found
                track_of(packet.name).add(t_device_ns, lost_before)


def _checked(octets: bytes, starts: list[int], run: list[_Known]) -> tuple[list[_Checked], int]:
    """Return the frames up to the first one that is doubtful, by their series, and their number."""
    checked: list[_Checked] = []
    buffer, offsets, keys = np.frombuffer(octets, np.uint8), np.array(starts), np.array([id(known) for known in run])
    is_intact = np.zeros(len(run), bool)
    for known in {id(known): known for known in run}.values():
        left = np.flatnonzero(keys == id(known))
        rows = sliding_window_view(buffer, known.length)[offsets[left]]
        for fixed, series in known.series:
            fits = (rows[:, list(series.fixed)] == fixed).all(axis=1)
            intact = fits.copy()
            intact[fits] = series.are_intact(rows[fits])
            is_intact[left[intact]] = True
            checked.append(_Checked(series, left[intact], _columns(rows[intact], series)))
            if fits.all():
                break
            left, rows = left[~fits], rows[~fits]
    count = len(run) if is_intact.all() else int(np.argmin(is_intact))
    return [entry.before(count) for entry in checked], count


def _lanes(checked: list[_Checked]) -> dict[int, list[_Checked]]:
    lanes: dict[int, list[_Checked]] = {}
    for entry in checked:
        if len(entry.numbers):
            lanes.setdefault(id(entry.series.lane), []).append(entry)
    return lanes


def _is_in(known: _Known, raw: bytes) -> bool:
    octets = np.frombuffer(raw, np.uint8)
    return any(np.array_equal(octets[list(series.fixed)], fixed) for fixed, series in known.series)


def _columns(rows: NDArray[np.uint8], series: Series) -> list[NDArray[Any]]:
    """Return each word of all rows."""
    kinds = [(at, np.dtype(code)) for at, code in series.words]
    return [np.ascontiguousarray(rows[:, at : at + kind.itemsize]).view(kind)[:, 0] for at, kind in kinds]
