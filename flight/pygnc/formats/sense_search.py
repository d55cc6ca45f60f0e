"""Search for sense records in a buffer: candidate windows, and the rules that select records among them.

A window of the length of a record is a candidate if its CR LF is in place (unless the layout has none) and its N + 1
spacecraft times are consistent. The limits cover the real files (cadence 5 s, steps of 2 to 8 s) and other numbers of
sensor packets. They still separate halves of neighbouring records, which are 25 s or more apart. Misaligned windows
fail because times that are read one byte off differ 256 times as much as the true ones, or hardly at all.

The selection treats overlaps, uncertain ends and clock steps. Its rules are local: they use a window and windows that
begin or end within one record length of it. The result therefore does not depend on how a stream is cut into pieces.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.clock import MS_PER_WEEK
from pygnc.formats.gps_packet import TERMINATOR, plausible_gps_packets
from pygnc.formats.sense import SENSOR_PACKET, SenseLayout

SENSOR_STEP_S: Final = (-1, 20)
"""Minimum and maximum time between consecutive sensor packets of a record, s; -1 allows jitter."""
GPS_OFFSET_MAX_S: Final = 3
"""Maximum difference in time between the last sensor packet and the GPS packet of a record, s; 0 in real files."""
RECORD_STEP_MAX_S: Final = 60
"""Maximum time from the end of a record to the beginning of the next at which they confirm each other, s."""
SENSOR_MEAN_STEP_MIN_S: Final = 1
"""Minimum mean step between sensor packets; excludes fill and times read bytes too early, which hardly change."""
JOINED_HALVES_MAX_S: Final = 86_400
"""Upper limit of the time between two halves of different records that a loss of bytes has joined, s."""
CLOCK_DIFFERENCE_MIN_S: Final = 10
"""Change of receiver time minus spacecraft time, s, above which only the spacecraft clock has stepped."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """n candidate windows in ascending order. Each has consistent times (coherent) or exactly one step of the clock."""

    offsets: NDArray[np.int64]
    """(n,) byte offsets in the buffer"""
    times: NDArray[np.uint32]
    """(N + 1, n): spacecraft times of the sensor packets and of the GPS packet, s"""
    step_index: NDArray[np.int64]
    """(n,) index of the first time after the clock step; 0 if there is none"""

    @property
    def coherent(self) -> NDArray[np.bool_]:
        """(n,) True for windows without a clock step."""
        coherent: NDArray[np.bool_] = self.step_index == 0
        return coherent


def records_at(data: NDArray[np.uint8], offsets: NDArray[np.int64], layout: SenseLayout) -> NDArray[np.void]:
    """Return the records that begin at `offsets`: a view of `data` if they are contiguous, else a copy."""
    if len(offsets) == 0:
        return np.empty(0, layout.record)
    if (np.diff(offsets) == layout.size).all():
        return data[offsets[0] : offsets[-1] + layout.size].view(layout.record)
    windows = np.ndarray((len(data) - layout.size + 1,), f"V{layout.size}", data, strides=(1,))
    return windows[offsets].view(layout.record)


def leading_run(data: NDArray[np.uint8], layout: SenseLayout) -> int:
    """Return the number of contiguous windows from the first byte on that have consistent times and no clock step."""
    records = data[: len(data) // layout.size * layout.size].view(layout.record)
    times = np.empty((layout.sensors_per_record + 1, len(records)), np.uint32)
    times[:-1] = records["sensors"]["t_spacecraft_s"].T
    times[-1] = records["gps"]["t_spacecraft_s"]
    good = _advances(times) & ~_is_broken(np.diff(times, axis=0)).any(axis=0)
    if layout.terminated:
        for place, octet in enumerate(TERMINATOR):
            good &= records["terminator"][:, place] == octet
    else:
        good[1:] &= is_later(times[-1, :-1], times[0, 1:])
    return len(good) if good.all() else int(np.argmin(good))


def is_later(earlier: NDArray[np.uint32], later: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return True where a record that begins at time `later` can directly follow one that ends at `earlier`, s."""
    soon: NDArray[np.bool_] = later - earlier - np.uint32(1) < RECORD_STEP_MAX_S
    return soon


def find_candidates(data: NDArray[np.uint8], layout: SenseLayout) -> Candidates:
    """Return all candidate windows in `data`; the run time is linear in its length for any content."""
    columns = SENSOR_PACKET.itemsize * np.arange(layout.sensors_per_record + 1)
    if len(data) < layout.size:
        return Candidates(np.empty(0, np.int64), np.empty((len(columns), 0), np.uint32), np.empty(0, np.int64))
    words = np.ndarray((len(data) - 3,), ">u4", data, strides=(1,))
    if layout.terminated:
        head = layout.size - len(TERMINATOR)
        offsets = np.flatnonzero((data[head:-1] == TERMINATOR[0]) & (data[head + 1 :] == TERMINATOR[1]))
    else:
        offsets = _timed_windows(words, columns, layout)
    times = words[columns[:, None] + offsets].astype(np.uint32)
    step_index = _step_index(times)
    found = step_index >= 0
    return Candidates(offsets[found], times[:, found], step_index[found])


def _timed_windows(words: NDArray[Any], columns: NDArray[np.int64], layout: SenseLayout) -> NDArray[np.int64]:
    """Return the offsets of windows with at most one inconsistent step, without those of constant time such as fill."""
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
    """Return the minimum (modulo 2**32) and the width of the permitted range of each step between times.

    Unsigned differences wrap around in the same way, so one comparison tests both limits.
    """
    limits = np.full((count, 2), SENSOR_STEP_S)
    limits[-1] = -GPS_OFFSET_MAX_S, GPS_OFFSET_MAX_S
    return limits[:, 0].astype(np.uint32), (limits[:, 1] - limits[:, 0]).astype(np.uint32)


def _is_broken(steps: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return True for each step between the N + 1 times of n windows that is outside its limits, (N, n)."""
    least, span = _step_limits(len(steps))
    broken: NDArray[np.bool_] = steps - least[:, None] > span[:, None]
    return broken


def _step_index(times: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return for each of n windows the index of the first time after its clock step, 0 without, -1 if inconsistent."""
    steps = np.diff(times, axis=0)
    broken = _is_broken(steps)
    count = np.count_nonzero(broken, axis=0)
    # With a clock step, every packet must be later than the one before and no time may be a fill value. Otherwise a
    # short zeroed range would pass as a clock set to 1970.
    advancing = (broken[:-1] | (steps[:-1].view(np.int32) > 0)).all(axis=0)
    stepped = (count == 1) & advancing & ~_has_fill(times)
    coherent = (count == 0) & _advances(times)
    return np.where(coherent, 0, np.where(stepped, np.argmax(broken, axis=0) + 1, -1))


def _advances(times: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return True where the times of the sensor packets advance, (n,); fewer than three must also not be fill."""
    sensor_steps = len(times) - 2
    advances: NDArray[np.bool_] = (times[-2] - times[0]).view(np.int32) >= SENSOR_MEAN_STEP_MIN_S * sensor_steps
    return advances & ~_has_fill(times) if sensor_steps < 2 else advances


def _has_fill(times: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return True where any time of a window has four equal bytes, (n,)."""
    fill: NDArray[np.bool_] = (times % np.uint32(0x01010101) == 0).any(axis=0)
    return fill


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """Records and input ends that adjoin a buffer, or a window in it, without a gap."""

    before: NDArray[np.void] | None
    """Record that ends where the buffer or window begins, shape (1,), or None."""
    at_input_start: bool
    """True if the input begins with the buffer or window."""
    at_input_end: bool
    """True if the input ends with the buffer or window."""
    after: NDArray[np.void] | None = None
    """Candidate that begins where the window ends, shape (1,), or None."""


def select_records(
    data: NDArray[np.uint8], found: Candidates, layout: SenseLayout, context: Neighbours
) -> NDArray[np.bool_]:
    """Return True for each candidate that is a record, shape (n,).

    The result is final for windows followed by at least one record length of bytes, and for all at the input's end.
    """
    ends = found.offsets + layout.size
    followed = _is_followed(found, layout)
    if context.at_input_end:
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
        neighbours = Neighbours(
            before=context.before if start == 0 else before,
            at_input_start=context.at_input_start and start == 0,
            at_input_end=context.at_input_end and end == len(data),
            after=records_at(data, found.offsets[right : right + 1], layout) if leads else None,
        )
        record = data[start:end].view(layout.record)
        kept[index] = _is_clock_step(found.times[:, index], int(found.step_index[index]), record, neighbours)
    return kept


def _is_followed(found: Candidates, layout: SenseLayout) -> NDArray[np.bool_]:
    """Return True for windows that another window follows directly, (n,); without CR LF it must also be later."""
    ends = found.offsets + layout.size
    following = np.minimum(np.searchsorted(found.offsets, ends), max(0, len(ends) - 1))
    followed: NDArray[np.bool_] = found.offsets[following] == ends
    if not layout.terminated:
        followed &= is_later(found.times[-1], found.times[0, following])
    return followed


def _is_doubtful(
    data: NDArray[np.uint8], found: Candidates, loose: NDArray[np.bool_], layout: SenseLayout
) -> NDArray[np.bool_]:
    """Return True for those of the `loose` windows (no window follows them directly) that are not trustworthy, (n,).

    They are implausible, and their end may be payload of another record. With CR LF this requires 13 satellites
    tracked and 10 used, which are the bytes CR LF, and two bytes inserted before them. The real CR LF then follows.
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
    """Return True for coherent windows that survive overlaps, (n,).

    Of two windows, the first survives if another window follows it directly, else the second.
    """
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


def _is_clock_step(
    times: NDArray[np.uint32], step_index: int, record: NDArray[np.void], neighbours: Neighbours
) -> bool:
    """Return True if a window with one step is a record written while the spacecraft clock was set.

    It is one if a neighbour is identical, because damage does not occur twice in the same way.
    """
    left_confirmed = step_index >= 2 or neighbours.at_input_start
    right_confirmed = len(times) - step_index >= 2 or neighbours.at_input_end
    if neighbours.before is not None:
        left_confirmed |= _is_consecutive(int(neighbours.before["gps"]["t_spacecraft_s"][0]), int(times[0]))
    if neighbours.after is not None:
        right_confirmed |= _is_consecutive(int(times[-1]), int(neighbours.after["sensors"]["t_spacecraft_s"][0, 0]))
    present = [neighbour for neighbour in (neighbours.before, neighbours.after) if neighbour is not None]
    if any(neighbour.tobytes() == record.tobytes() for neighbour in present):
        return True
    if not (left_confirmed and right_confirmed):
        return False
    step_s = int(times[step_index]) - int(times[step_index - 1])
    if abs(step_s) >= JOINED_HALVES_MAX_S:
        return True
    if neighbours.before is None:
        # Lost bytes cause a forward step, repeated bytes a backward one, which cannot occur at the start of the input.
        return neighbours.at_input_start and step_s < 0
    change_s = _receiver_minus_spacecraft_s(record) - _receiver_minus_spacecraft_s(neighbours.before)
    return abs(change_s) > CLOCK_DIFFERENCE_MIN_S


def _is_consecutive(earlier_s: int, later_s: int) -> bool:
    return SENSOR_STEP_S[0] <= later_s - earlier_s <= RECORD_STEP_MAX_S


def _receiver_minus_spacecraft_s(record: NDArray[np.void]) -> float:
    gps = record["gps"][0]
    ms = int(gps["gps_week"]) * MS_PER_WEEK + int(gps["gps_tow_ms"])
    return ms / 1000.0 - int(gps["t_spacecraft_s"])
