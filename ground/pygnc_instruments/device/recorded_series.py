"""Series of frames of a recording, checked and timed many at once with NumPy.

Bytes at which a frame of a known length or a line begins are followed from frame to frame; then all of these frames are
checked together. The first one that fails ends the run: the scanner continues there, so that frames, damage and
readings are those that it alone finds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pygnc_devices.framing import Frame
from pygnc_devices.series import LineSeries, Series, SeriesInterpreter, Span

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


Part: TypeAlias = tuple[Series | LineSeries, NDArray[np.int64], list[NDArray[Any]]]
"""Intact frames of a series: their numbers, and their words."""


@dataclass(slots=True)
class _Frames:
    """Series of frames with one head and one length, each with its fixed bytes."""

    length: int
    series: list[tuple[NDArray[np.uint8], Series]] = field(default_factory=list)

    def contains(self, raw: bytes) -> bool:
        octets = np.frombuffer(raw, np.uint8)
        return any(np.array_equal(octets[list(series.fixed)], fixed) for fixed, series in self.series)

    def add(self, series: Series, raw: bytes) -> None:
        if len(self.series) < _MOST_SERIES:
            self.series.append((np.frombuffer(raw, np.uint8)[list(series.fixed)], series))

    def end(self, octets: bytes, at: int) -> int:
        """Return the offset behind the frame at an offset; 0 if it is not complete."""
        end = at + self.length
        return end if end <= len(octets) else 0

    def repeated(self, octets: bytes, at: int, head: bytes, most: int) -> int:
        """Return how many complete frames with this head follow each other from an offset on, `most` at most."""
        count = min(most, (len(octets) - at) // self.length)
        for k in range(len(head)):
            column = octets[at + k : at + count * self.length : self.length]
            count = len(column) - len(column.lstrip(head[k : k + 1]))
        return count

    def check(self, octets: bytes, spans: list[tuple[int, int]]) -> Iterator[Part]:
        """Yield the intact ones of some frames."""
        left, starts = np.arange(len(spans)), np.array([start for start, _ in spans])
        rows = sliding_window_view(np.frombuffer(octets, np.uint8), self.length)[starts]
        for fixed, series in self.series:
            fits = (rows[:, list(series.fixed)] == fixed).all(axis=1)
            intact = fits.copy()
            intact[fits] = series.are_intact(rows[fits])
            yield series, left[intact], _columns(rows[intact], series)
            if fits.all():
                break
            left, rows = left[~fits], rows[~fits]


@dataclass(slots=True)
class _Lines:
    """Series of lines with one head."""

    longest: int
    series: list[LineSeries] = field(default_factory=list)

    def contains(self, raw: bytes) -> bool:
        return any(series.pattern.fullmatch(raw) for series in self.series)

    def add(self, series: LineSeries) -> None:
        if len(self.series) < _MOST_SERIES:
            self.series.append(series)

    def end(self, octets: bytes, at: int) -> int:
        """Return the offset behind the line at an offset; 0 if it is not complete."""
        return octets.find(b"\n", at, at + self.longest) + 1

    def check(self, octets: bytes, spans: list[tuple[int, int]]) -> Iterator[Part]:
        """Yield the intact ones of some lines."""
        left = list(enumerate(spans))
        for series in self.series:
            match = series.pattern.fullmatch
            found = [(number, match(octets, *span)) for number, span in left]
            lines = [line for _, line in found if line is not None]
            if lines:
                is_intact = np.asarray(series.are_intact(lines))
                numbers = np.array([number for number, line in found if line is not None])[is_intact]
                words = [[convert(line[name]) for line in lines] for name, convert in series.words]
                yield series, numbers, [np.array(column)[is_intact] for column in words]
            left = [entry for entry, (_, line) in zip(left, found, strict=True) if line is None]
            if not left:
                break


@dataclass(slots=True)
class _Checked:
    """Intact frames of a series in a run: their numbers in the run, and their words."""

    series: Series | LineSeries
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
        self._heads: dict[bytes, _Frames | _Lines] = {}
        self._run = _SHORTEST_RUN

    def learn(self, frame: Frame) -> None:
        """Add the series of a frame that was interpreted."""
        head = frame.raw[: self._unit.head_bytes]
        known = self._heads.get(head)
        if isinstance(known, _Frames) and known.length != len(frame.raw):
            known = None
        if known is not None and known.contains(frame.raw):
            return
        series = self._unit.series(frame)
        if isinstance(series, LineSeries):
            lines = known if isinstance(known, _Lines) else _Lines(series.longest)
            lines.add(series)
            self._keep(head, lines)
        elif series is not None:
            frames = known if isinstance(known, _Frames) else _Frames(len(frame.raw))
            frames.add(series, frame.raw)
            self._keep(head, frames)

    def _keep(self, head: bytes, known: "_Frames | _Lines") -> None:
        if head not in self._heads and len(self._heads) == _MOST_HEADS:
            self._heads.clear()
        self._heads[head] = known

    def read(self, octets: bytes, at: int) -> int:
        """Pass on the readings of the frames from an offset on; return the offset behind the last frame."""
        while True:
            spans, run = self._chain(octets, at)
            if not run:
                return at
            checked, count = _checked(octets, spans, run)
            for lane in _lanes(checked).values():
                self._follow(lane)
            if count < len(run):
                self._run = max(_SHORTEST_RUN, count)
                return spans[count][0]
            self._run = min(2 * self._run, _LONGEST_RUN)
            at = spans[-1][1]

    def _chain(self, octets: bytes, at: int) -> tuple[list[tuple[int, int]], "list[_Frames | _Lines]"]:
        """Return begin and end, and the head, of what seem to be successive frames."""
        spans: list[tuple[int, int]] = []
        run: list[_Frames | _Lines] = []
        head_bytes, get = self._unit.head_bytes, self._heads.get
        equal = 0
        while len(run) < self._run:
            head = octets[at : at + head_bytes]
            known = get(head)
            end = 0 if known is None else known.end(octets, at)
            if known is None or not end:
                break
            equal = equal + 1 if run and known is run[-1] else 0
            count = 1
            if equal and isinstance(known, _Frames):
                count = known.repeated(octets, at, head, min(2 * equal, self._run - len(run)))
                end = at + count * known.length
                equal += count - 1
                spans += zip(range(at, end, known.length), range(at + known.length, end + 1, known.length), strict=True)
            else:
                spans.append((at, end))
            run += [known] * count
            at = end
        return spans, run

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


def _checked(octets: bytes, spans: list[tuple[int, int]], run: "list[_Frames | _Lines]") -> tuple[list[_Checked], int]:
    """Return the frames up to the first one that is doubtful, by their series, and their number."""
    checked: list[_Checked] = []
    keys = np.array([id(known) for known in run])
    is_intact = np.zeros(len(run), bool)
    for known in {id(known): known for known in run}.values():
        chosen = np.flatnonzero(keys == id(known))
        of_known = spans if len(chosen) == len(spans) else [spans[number] for number in chosen.tolist()]
        for series, intact, columns in known.check(octets, of_known):
            numbers = chosen[intact]
            is_intact[numbers] = True
            checked.append(_Checked(series, numbers, columns))
    count = len(run) if is_intact.all() else int(np.argmin(is_intact))
    return [entry.before(count) for entry in checked], count


def _lanes(checked: list[_Checked]) -> dict[int, list[_Checked]]:
    lanes: dict[int, list[_Checked]] = {}
    for entry in checked:
        if len(entry.numbers):
            lanes.setdefault(id(entry.series.lane), []).append(entry)
    return lanes


def _columns(rows: NDArray[np.uint8], series: Series) -> list[NDArray[Any]]:
    """Return each word of all rows."""
    kinds = [(at, np.dtype(code)) for at, code in series.words]
    return [np.ascontiguousarray(rows[:, at : at + kind.itemsize]).view(kind)[:, 0] for at, kind in kinds]
