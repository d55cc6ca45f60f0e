"""Where in a buffer a sense record could be: the vectorised half of the search.

A window of a record's length is a candidate when its CR LF stands in place (if the layout has one) and its N + 1
spacecraft times hang together. The limits are the widest that real files (cadence 5 s, steps of 2 to 8 s) and other
numbers of sensor packets call for, and still tell two halves of neighbouring records apart, which are 25 s and more
out of step. Misaligned windows fail because a time read one byte off is wrong by a factor of 256 or barely moves.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pygnc.formats.gps_packet import TERMINATOR
from pygnc.formats.sense import SENSOR_PACKET, SenseLayout

SENSOR_STEP_S: Final = (-1, 20)
"""Least and most from one sensor packet of a record to the next; -1 is jitter."""
GPS_OFFSET_MAX_S: Final = 3
"""Most between the last sensor packet and the GPS packet of a record, which real files stamp with the same second."""
RECORD_STEP_MAX_S: Final = 60
"""Most from the end of a record to the beginning of the next for one to vouch for the other."""
SENSOR_MEAN_STEP_MIN_S: Final = 1
"""A constant fill, or times read one or more bytes early, stand nearly still."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n windows in ascending order; each is coherent, or broken by exactly one step of the clock."""

    offsets: NDArray[np.int64]
    """(n,) byte offsets in the buffer"""
    times: NDArray[np.uint32]
    """(N + 1, n): the sensor packets' spacecraft times, then the GPS packet's, s"""
    step_before: NDArray[np.int64]
    """(n,) which of the N + 1 times is the first after the clock step; 0 when there is none"""

    @property
    def coherent(self) -> NDArray[np.bool_]:
        """(n,) which windows have no clock step inside."""
        coherent: NDArray[np.bool_] = self.step_before == 0
        return coherent


def records_at(data: NDArray[np.uint8], offsets: NDArray[np.int64], layout: SenseLayout) -> NDArray[np.void]:
    """The records that begin at `offsets`: a view of `data` if they stand back to back, else a copy."""
    if len(offsets) == 0:
        return np.empty(0, layout.record)
    if (np.diff(offsets) == layout.size).all():
        return data[offsets[0] : offsets[-1] + layout.size].view(layout.record)
    windows = np.ndarray((len(data) - layout.size + 1,), f"V{layout.size}", data, strides=(1,))
    return windows[offsets].view(layout.record)


def leading_run(data: NDArray[np.uint8], layout: SenseLayout) -> int:
    """How many coherent windows stand back to back from the first byte on."""
    records = data[: len(data) // layout.size * layout.size].view(layout.record)
    times = np.empty((layout.sensors_per_record + 1, len(records)), np.uint32)
    times[:-1] = records["sensors"]["t_spacecraft_s"].T
    times[-1] = records["gps"]["t_spacecraft_s"]
    good = _moves(times) & ~_is_broken(np.diff(times, axis=0)).any(axis=0)
    if layout.terminated:
        for place, octet in enumerate(TERMINATOR):
            good &= records["terminator"][:, place] == octet
    else:
        good[1:] &= is_later(times[-1, :-1], times[0, 1:])
    return len(good) if good.all() else int(np.argmin(good))


def is_later(earlier: NDArray[np.uint32], later: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Whether a record whose first time is `later` can follow directly one whose last time is `earlier`."""
    soon: NDArray[np.bool_] = later - earlier - np.uint32(1) < RECORD_STEP_MAX_S
    return soon


def find_candidates(data: NDArray[np.uint8], layout: SenseLayout) -> Candidates:
    """All candidate windows that lie wholly inside `data`; the cost grows with its length, whatever is in it."""
    columns = SENSOR_PACKET.itemsize * np.arange(layout.sensors_per_record + 1)
    if len(data) < layout.size:
        return Candidates(np.empty(0, np.int64), np.empty((len(columns), 0), np.uint32), np.empty(0, np.int64))
    words = np.ndarray((len(data) - 3,), ">u4", data, strides=(1,))
    offsets = _terminated_windows(data, layout) if layout.terminated else _timed_windows(words, columns, layout)
    times = words[columns[:, None] + offsets].astype(np.uint32)
    step_before = _step_before(times)
    found = step_before >= 0
    return Candidates(offsets[found], times[:, found], step_before[found])


def _terminated_windows(data: NDArray[np.uint8], layout: SenseLayout) -> NDArray[np.int64]:
    head = layout.size - len(TERMINATOR)
    carriage_return, line_feed = TERMINATOR
    return np.flatnonzero((data[head:-1] == carriage_return) & (data[head + 1 :] == line_feed))


def _timed_windows(words: NDArray[Any], columns: NDArray[np.int64], layout: SenseLayout) -> NDArray[np.int64]:
    """Windows with at most one broken step; those that stand still, as fill does, are left out early."""
    native = words.astype(np.uint32)
    count = len(native) + 4 - layout.size
    times = [native[column : column + count] for column in columns]
    broken = np.zeros(count, np.uint8)
    for earlier, later, least, span in zip(times[:-1], times[1:], *_step_limits(len(times) - 1), strict=True):
        broken += (later - earlier) - least > span
    possible = broken <= 1
    if layout.sensors_per_record > 1:
        possible &= times[-2] != times[0]
    return np.flatnonzero(possible)


def _step_limits(count: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """For each of a record's steps from time to time: the least, modulo 2**32, and how far the most lies above it.

    Differences of unsigned words wrap around likewise, so that one comparison covers both limits.
    """
    limits = np.full((count, 2), SENSOR_STEP_S)
    limits[-1] = -GPS_OFFSET_MAX_S, GPS_OFFSET_MAX_S
    return limits[:, 0].astype(np.uint32), (limits[:, 1] - limits[:, 0]).astype(np.uint32)


def _is_broken(steps: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """(N, n) which steps between the N + 1 times of n windows are outside their limits."""
    least, span = _step_limits(len(steps))
    broken: NDArray[np.bool_] = steps - least[:, None] > span[:, None]
    return broken


def _step_before(times: NDArray[np.uint32]) -> NDArray[np.int64]:
    """For each of n windows: 0 if coherent, the index of the first time after its only step, or -1 if incoherent."""
    steps = np.diff(times, axis=0)
    broken = _is_broken(steps)
    count = np.count_nonzero(broken, axis=0)
    # A clock step asks for stricter signs of life: every packet later than the one before, and no fill value, or a
    # short zeroed stretch would pass for a clock set to 1970.
    alive = (broken[:-1] | (steps[:-1].view(np.int32) > 0)).all(axis=0)
    stepped = (count == 1) & alive & ~_has_fill(times)
    coherent = (count == 0) & _moves(times)
    return np.where(coherent, 0, np.where(stepped, np.argmax(broken, axis=0) + 1, -1))


def _moves(times: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """(n,) whether the sensor packets' times get on as they must; with too few of them to tell, none may be fill."""
    sensor_steps = len(times) - 2
    moves: NDArray[np.bool_] = (times[-2] - times[0]).view(np.int32) >= SENSOR_MEAN_STEP_MIN_S * sensor_steps
    return moves & ~_has_fill(times) if sensor_steps < 2 else moves


def _has_fill(times: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """(n,) whether the four bytes of any of a window's times are equal."""
    fill: NDArray[np.bool_] = (times % np.uint32(0x01010101) == 0).any(axis=0)
    return fill
