"""Series of frames of a recording, checked and timed many at once with NumPy.

Bytes at which a frame of a known length begins are followed from frame to frame; then all of these frames are checked
together. The first one that fails ends the run: the scanner continues there, so that frames, damage and readings are
those that it alone finds.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pygnc_devices.framing import Frame
from pygnc_devices.series import Followed, Series, SeriesInterpreter

_SHORTEST_RUN: Final = 64
_LONGEST_RUN: Final = 1 << 14
"""Frames that are checked at once: more after each run without damage; those behind damage are checked again."""
_MOST_HEADS: Final = 256
_MOST_SERIES: Final = 16


@dataclass(slots=True)
class _Known:
    """Series of frames with one head."""

    length: int
    series: list[tuple[NDArray[np.uint8], Series]] = field(default_factory=list)
    """Fixed bytes, and the series."""


class SeriesReader:
    """Reader of the series of a family in the bytes of a recording.

    Args:
        unit: interpreter of the family.
    """

    def __init__(self, unit: SeriesInterpreter) -> None:
        self._unit = unit
        self._heads: dict[bytes, _Known] = {}
        self._run = _SHORTEST_RUN

    def learn(self, frame: Frame) -> None:
        """Add the series of a frame that was interpreted."""
        head = frame.raw[: self._unit.head_bytes]
        known = self._heads.get(head)
        if known is not None and (known.length != len(frame.raw) or _is_in(known, frame.raw)):
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

    def read(self, octets: bytes, at: int) -> tuple[int, list[Followed]]:
        """Return the readings of the frames from an offset on, and the offset behind the last frame."""
        readings: list[Followed] = []
        while True:
            starts, run = self._followed(octets, at)
            if not run:
                return at, readings
            calls = self._checked(octets, starts, run)
            readings += [found for follow, words in calls if (found := follow(*words)) is not None]
            if len(calls) < len(run):
                self._run = _SHORTEST_RUN
                return starts[len(calls)], readings
            self._run = min(2 * self._run, _LONGEST_RUN)
            at = starts[-1] + run[-1].length

    def _followed(self, octets: bytes, at: int) -> tuple[list[int], list[_Known]]:
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

    def _checked(
        self, octets: bytes, starts: list[int], run: list[_Known]
    ) -> list[tuple[Callable[..., Followed | None], Sequence[Any]]]:
        """Return how to follow each frame, with its words, up to the first frame that is doubtful."""
        calls: list[tuple[Callable[..., Followed | None], Sequence[Any]] | None] = [None] * len(run)
        buffer, offsets = np.frombuffer(octets, np.uint8), np.array(starts)
        places: dict[int, list[int]] = {}
        for number, known in enumerate(run):
            places.setdefault(id(known), []).append(number)
        for numbers in places.values():
            known, left = run[numbers[0]], np.array(numbers)
            rows = sliding_window_view(buffer, known.length)[offsets[left]]
            for fixed, series in known.series:
                fits = (rows[:, list(series.fixed)] == fixed).all(axis=1)
                matching = rows[fits]
                intact = np.asarray(series.are_intact(matching), bool)
                words = _words(matching[intact], series)
                for number, one in zip(left[fits][intact].tolist(), words, strict=True):
                    calls[number] = series.follow, one
                left, rows = left[~fits], rows[~fits]
                if not len(left):
                    break
        checked: list[tuple[Callable[..., Followed | None], Sequence[Any]]] = []
        for call in calls:
            if call is None:
                break
            checked.append(call)
        return checked


def _is_in(known: _Known, raw: bytes) -> bool:
    octets = np.frombuffer(raw, np.uint8)
    return any(np.array_equal(octets[list(series.fixed)], fixed) for fixed, series in known.series)


def _words(rows: NDArray[np.uint8], series: Series) -> Iterator[Sequence[Any]]:
    """Return the words of each row."""
    columns = []
    for at, code in series.words:
        kind = np.dtype(code)
        columns.append(np.ascontiguousarray(rows[:, at : at + kind.itemsize]).view(kind)[:, 0].tolist())
    return zip(*columns, strict=True) if columns else iter([()] * len(rows))
