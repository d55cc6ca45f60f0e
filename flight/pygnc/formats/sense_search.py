"""Where in a buffer a sense record could be: the vectorised half of the search.

A window of a record's length is a candidate when its CR LF stands in place (if the layout has one) and its N + 1
spacecraft times hang together. The limits are the widest that real files (cadence 5 s, steps of 2 to 8 s) and other
numbers of sensor packets call for, and still tell two halves of neighbouring records apart, which are 25 s and more
out of step. Misaligned windows fail because a time read one byte off is wrong by a factor of 256 or barely moves.

Which of the candidate windows are records: the rules for overlaps, doubtful ends and clock steps.

All rules are local: a window is judged by itself and by what begins or ends within one record's length of it, so a
stream gives the same records however it is cut into pieces.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.clock import MS_PER_WEEK
from pygnc.formats.gps_packet import TERMINATOR, plausible_gps_packets
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


FOREIGN_HALF_MAX_S: Final = 86_400
"""Two halves of different records, joined by the loss of what lay between, are less than this apart."""
RECEIVER_DISAGREES_S: Final = 10
"""From this much on the receiver's clock did not go along with a step of the spacecraft clock."""


@dataclass(frozen=True, slots=True, eq=False)
class BufferContext:
    """What is known about both ends of a buffer."""

    before: NDArray[np.void] | None
    """The record that ends where the buffer begins, length 1, or None."""
    opens_input: bool
    """The buffer's first byte is the input's first."""
    closes_input: bool
    """The buffer's last byte is the input's last."""


def select_records(
    data: NDArray[np.uint8], found: Candidates, layout: SenseLayout, around: BufferContext
) -> NDArray[np.bool_]:
    """Which of `found` are records, (n,).

    Final for windows that another record's length of bytes follows, and for all of them if the input ends here.
    """
    ends = found.offsets + layout.size
    followed = _is_followed(found, layout)
    if around.closes_input:
        followed |= ends == len(data)
    trusted = followed | ~_is_doubtful(data, found, ~followed, layout)
    kept = trusted & found.coherent & _survives_overlap(found, trusted, followed, layout)
    for index in np.flatnonzero(trusted & ~found.coherent):
        start, end = int(found.offsets[index]), int(ends[index])
        left, right = np.searchsorted(found.offsets, (start - layout.size, end))
        follows = left < index and ends[left] == start
        if kept[left + follows : index].any() or found.coherent[index + 1 : right].any():
            continue
        before = records_at(data, found.offsets[left : left + 1], layout) if follows and kept[left] else None
        leads = right < len(ends) and found.offsets[right] == end
        kept[index] = _is_clock_step(
            found.times[:, index],
            int(found.step_before[index]),
            data[start:end].view(layout.record),
            _Neighbours(
                before=around.before if start == 0 else before,
                after=records_at(data, found.offsets[right : right + 1], layout) if leads else None,
                at_start=around.opens_input and start == 0,
                at_end=around.closes_input and end == len(data),
            ),
        )
    return kept


def _is_followed(found: Candidates, layout: SenseLayout) -> NDArray[np.bool_]:
    """Which windows another one follows directly; without CR LF it must be later, or a standing pattern would do."""
    ends = found.offsets + layout.size
    following = np.minimum(np.searchsorted(found.offsets, ends), max(0, len(ends) - 1))
    followed: NDArray[np.bool_] = found.offsets[following] == ends
    if not layout.terminated:
        followed &= is_later(found.times[-1], found.times[0, following])
    return followed


def _is_doubtful(
    data: NDArray[np.uint8], found: Candidates, loose: NDArray[np.bool_], layout: SenseLayout
) -> NDArray[np.bool_]:
    """Of the `loose` windows, which nothing follows directly: the implausible ones whose end may be another's payload.

    With CR LF this takes 13 satellites tracked and 10 used, which read like it, and two bytes inserted before them; the
    real CR LF then stands directly behind.
    """
    doubtful = loose.copy()
    if layout.terminated:
        for index in np.flatnonzero(loose):
            end = int(found.offsets[index]) + layout.size
            doubtful[index] = data[end : end + len(TERMINATOR)].tobytes() == TERMINATOR
    if doubtful.any():
        records = records_at(data, found.offsets[doubtful], layout)
        doubtful[doubtful] = ~plausible_gps_packets(records["gps"])
    return doubtful


def _survives_overlap(
    found: Candidates, trusted: NDArray[np.bool_], followed: NDArray[np.bool_], layout: SenseLayout
) -> NDArray[np.bool_]:
    """Of overlapping coherent windows, keep the first if another one follows it directly, else the second."""
    survives = np.ones(len(found.offsets), bool)
    indices = np.flatnonzero(found.coherent)
    offsets = found.offsets[indices]
    if (np.diff(offsets) >= layout.size).all():
        return survives
    kept_end = 0
    next_offsets = np.append(offsets[1:], np.iinfo(np.int64).max)
    for index, offset, next_offset in zip(indices, offsets, next_offsets, strict=True):
        end = offset + layout.size
        if offset < kept_end or (next_offset < end and not followed[index]):
            survives[index] = False
        elif trusted[index]:
            kept_end = end
    return survives


@dataclass(frozen=True, slots=True, eq=False)
class _Neighbours:
    """What joins a window without a gap: a record before, a candidate after, the ends of the input."""

    before: NDArray[np.void] | None
    after: NDArray[np.void] | None
    at_start: bool
    at_end: bool


def _is_clock_step(times: NDArray[np.uint32], after_step: int, record: NDArray[np.void], near: _Neighbours) -> bool:
    """Whether a window whose times have one break is a record made while the spacecraft clock was set.

    Damage does not strike twice alike, so that a copy next to it settles the question.
    """
    left_vouched = after_step >= 2 or near.at_start
    right_vouched = len(times) - after_step >= 2 or near.at_end
    if near.before is not None:
        left_vouched |= _joins(int(near.before["gps"]["t_spacecraft_s"][0]), int(times[0]))
    if near.after is not None:
        right_vouched |= _joins(int(times[-1]), int(near.after["sensors"]["t_spacecraft_s"][0, 0]))
    if any(near_by is not None and near_by.tobytes() == record.tobytes() for near_by in (near.before, near.after)):
        return True
    if not (left_vouched and right_vouched):
        return False
    step_s = int(times[after_step]) - int(times[after_step - 1])
    if abs(step_s) >= FOREIGN_HALF_MAX_S:
        return True
    if near.before is None:
        # Bytes lost join a record to a later one; at the start of the input nothing could be repeated either.
        return near.at_start and step_s < 0
    return _receiver_disagrees(near.before, record)


def _joins(earlier_s: int, later_s: int) -> bool:
    return SENSOR_STEP_S[0] <= later_s - earlier_s <= RECORD_STEP_MAX_S


def _receiver_disagrees(before: NDArray[np.void], record: NDArray[np.void]) -> bool:
    def clock_difference_s(of: NDArray[np.void]) -> float:
        gps = of["gps"][0]
        ms = int(gps["gps_week"]) * MS_PER_WEEK + int(gps["gps_tow_ms"])
        return ms / 1000.0 - int(gps["t_spacecraft_s"])

    return abs(clock_difference_s(record) - clock_difference_s(before)) > RECEIVER_DISAGREES_S
