"""Which of the candidate windows are records: the rules for overlaps, doubtful ends and clock steps.

All rules are local: a window is judged by itself and by what begins or ends within one record's length of it, so a
stream gives the same records however it is cut into pieces.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.clock import MS_PER_WEEK
from pygnc.formats.gps_packet import TERMINATOR, plausible_gps_packets
from pygnc.formats.sense import SenseLayout
from pygnc.formats.sense_candidates import RECORD_STEP_MAX_S, SENSOR_STEP_S, Candidates, is_later, records_at

FOREIGN_HALF_MAX_S: Final = 86_400
"""Two halves of different records, joined by the loss of what lay between, are less than this apart."""
RECEIVER_DISAGREES_S: Final = 10
"""From this much on the receiver's clock did not go along with a step of the spacecraft clock."""


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What is known about both ends of a buffer."""

    before: NDArray[np.void] | None
    """The record that ends where the buffer begins, length 1, or None."""
    opens_input: bool
    """The buffer's first byte is the input's first."""
    closes_input: bool
    """The buffer's last byte is the input's last."""


def select(data: NDArray[np.uint8], found: Candidates, layout: SenseLayout, around: Surroundings) -> NDArray[np.bool_]:
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
