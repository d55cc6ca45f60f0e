"""Finding the records of a sense file, whatever happened to it.

No checksum guards a record, so these rules decide:

1. A record has its length, its CR LF (unless the layout has none) and spacecraft times that hang together
   (`sense_candidates`). Its other values are not judged: that is the estimators' business.
2. Where two such windows overlap, bytes were lost in the first, unless another one follows it directly.
3. A window that nothing follows directly is doubted where bytes inserted into its GPS packet could have left its times
   and an apparent CR LF in place: always if the layout has no CR LF, else if another CR LF stands directly behind. It
   must then also be plausible (`gps_packet.plausible_gps_packets`).
4. The spacecraft clock may be set inside a record: one step, with two times or more on either side that vouch for each
   other. The times of records that join it count too, and the ends of the input need no voucher. A step of less than
   a day could also be two halves of different records: it counts only if the receiver's clock did not take part in it.
   (An equal record directly before or behind settles the question.)

Everything else is damage. Every byte offset is tried as the beginning of a record, so that one fault costs the
records it touches and no other.

What looks odd about sense records that were delivered: duplicates, wrong order, clock steps, implausible values.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import LUX_EXPONENT_MAX, batch_sensor_gps_packet_num_sensor_packets
from pygnc.formats.damage import Anomaly, AnomalyReason, Damage, DamageReason, Gap
from pygnc.formats.gps_packet import plausible_gps_packets
from pygnc.formats.sense import STANDARD_LAYOUT, SenseLayout
from pygnc.formats.sense_search import (
    SENSOR_STEP_S,
    BufferContext,
    find_candidates,
    leading_run,
    records_at,
    select_records,
)

DUPLICATE_REACH_RECORDS: Final = 1024
"""A record is compared with this many before it: a little over seven hours."""


class AnomalyWatch:
    """Inspects a stream of records, in file order and in pieces of any length."""

    def __init__(self, layout: SenseLayout) -> None:
        self._layout = layout
        self._count = 0
        self._recent_bytes = b""

    def inspect(
        self, records: NDArray[np.void], offsets: NDArray[np.int64], has_clock_step: NDArray[np.bool_], *, final: bool
    ) -> list[Anomaly]:
        """The anomalies of M further records at the absolute `offsets` (M,), in file order; `final`: no more follow."""
        if len(records) == 0:
            return []
        duplicate = self._is_duplicate(records)
        flags = {
            AnomalyReason.DUPLICATE: duplicate,
            AnomalyReason.OUT_OF_ORDER: self._is_out_of_order(records) & ~duplicate,
            AnomalyReason.CLOCK_STEP: has_clock_step,
            AnomalyReason.IMPLAUSIBLE_LIGHT: _has_impossible_light(records),
            AnomalyReason.IMPLAUSIBLE_FIX: ~plausible_gps_packets(records["gps"]),
        }
        flagged = [(index, reason) for reason, where in flags.items() for index in np.flatnonzero(where).tolist()]
        anomalies = []
        for index, reason in sorted(flagged, key=lambda found: found[0]):
            start = int(offsets[index])
            anomalies.append(Anomaly(self._count + index, start, start + self._layout.size, reason))
        self._count += len(records)
        if final:
            return anomalies
        reach = DUPLICATE_REACH_RECORDS * self._layout.size
        self._recent_bytes = (self._recent_bytes + records[-DUPLICATE_REACH_RECORDS:].tobytes())[-reach:]
        return anomalies

    @property
    def _recent(self) -> NDArray[np.void]:
        return np.frombuffer(self._recent_bytes, self._layout.record)

    def _is_out_of_order(self, records: NDArray[np.void]) -> NDArray[np.bool_]:
        first = records["sensors"]["t_spacecraft_s"][:, 0].astype(np.int64)
        last = records["gps"]["t_spacecraft_s"].astype(np.int64)
        # The very first record of a stream has nobody before it.
        latest = self._recent["gps"]["t_spacecraft_s"][-1:] if self._recent_bytes else first[:1]
        earlier: NDArray[np.bool_] = first - np.append(latest, last[:-1]) < SENSOR_STEP_S[0]
        return earlier

    def _is_duplicate(self, records: NDArray[np.void]) -> NDArray[np.bool_]:
        """Equal to the latest record before it that carries the same times, if that is near enough."""
        recent = self._recent
        known = len(recent)
        keys = np.concatenate([_time_key(recent), _time_key(records)]) if known else _time_key(records)
        if (keys[1:] > keys[:-1]).all():
            return np.zeros(len(records), bool)
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]])
        earlier, later = order[same], order[same + 1]
        near = (later >= known) & (later - earlier <= DUPLICATE_REACH_RECORDS)
        duplicate = np.zeros(len(records), bool)
        for before, after in zip(earlier[near], later[near], strict=True):
            twin = recent[before] if before < known else records[before - known]
            duplicate[after - known] = twin.tobytes() == records[after - known].tobytes()
        return duplicate


def _time_key(records: NDArray[np.void]) -> NDArray[np.uint64]:
    spacecraft = records["sensors"]["t_spacecraft_s"][:, 0].astype(np.uint64)
    key: NDArray[np.uint64] = spacecraft << np.uint64(32) | records["gps"]["gps_tow_ms"]
    return key


def _has_impossible_light(records: NDArray[np.void]) -> NDArray[np.bool_]:
    words = records["sensors"]["lux"]
    impossible = np.zeros(len(records), bool)
    impossible[np.flatnonzero(words >= (LUX_EXPONENT_MAX + 1) << 12) // words[0].size] = True
    return impossible


PIECE_BYTES: Final = 1 << 20
"""A good size for pieces: they and the arrays made on the way stay in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class SenseScan:
    """What one piece of input, or a whole one, gave."""

    records: NDArray[np.void]
    """(M,) raw words (`SenseLayout.record`), read-only, in file order"""
    offsets: NDArray[np.int64]
    """(M,) absolute byte offset of each record"""
    damage: tuple[Damage, ...]
    """Every byte range that is in no record, in ascending order"""
    anomalies: tuple[Anomaly, ...]
    """Records among the delivered ones that deserve a second look, in file order"""


class SenseScanner:
    """Scans a stream piece by piece, in memory bounded by the largest piece; how it is cut does not change the result.

    A record is delivered when as many bytes follow it, or at `finish`; damage when a good record or the end follows.
    """

    def __init__(self, layout: SenseLayout | None = None, *, base_offset: int = 0) -> None:
        self.layout = layout or STANDARD_LAYOUT
        self._input_start = base_offset
        self._pending = b""
        self._pending_start = base_offset
        self._gap = Gap(base_offset)
        self._latest: NDArray[np.void] | None = None
        self._watch = AnomalyWatch(self.layout)

    @property
    def pending_bytes(self) -> int:
        """How many bytes are held until more of the input decides about them."""
        return len(self._pending)

    def feed(self, data: bytes | bytearray | memoryview) -> SenseScan:
        """What `data`, the next piece of the input, settles."""
        return self._advance(data, final=False)

    def finish(self, data: bytes | bytearray | memoryview = b"") -> SenseScan:
        """What `data`, the last piece of the input, and its end settle."""
        return self._advance(data, final=True)

    def _advance(self, data: bytes | bytearray | memoryview, *, final: bool) -> SenseScan:
        buffer = np.frombuffer(b"".join((self._pending, data)) if self._pending else data, np.uint8)
        size = self.layout.size
        settled = max(0, len(buffer) - (size if final else 2 * size) + 1)
        starts, has_clock_step = self._find_records(buffer, settled, final=final)
        records = records_at(buffer, starts, self.layout)
        damage = self._close_gaps(buffer, starts)

        end = int(starts[-1]) + size if len(starts) else 0
        stop = len(buffer) if final else max(end, settled)
        self._gap.extend(buffer[end:stop].data)
        if final:
            damage += self._describe_tail()
        offsets = starts + self._pending_start
        anomalies = self._watch.inspect(records, offsets, has_clock_step, final=final)
        if len(records):
            # Copied through bytes, which is much faster than field by field.
            self._latest = np.frombuffer(records[-1:].tobytes(), self.layout.record)
        self._pending = buffer[stop:].tobytes()
        self._pending_start += stop
        return SenseScan(records, offsets, tuple(damage), tuple(anomalies))

    def _find_records(
        self, buffer: NDArray[np.uint8], settled: int, *, final: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Start of each record below `settled`, and whether the spacecraft clock was set inside it."""
        size = self.layout.size
        # Those of a run of good windows that another, or the end, follows directly raise no further question.
        clean = leading_run(buffer, self.layout)
        if not (final and clean * size == len(buffer)):
            clean = max(0, clean - 1)
        aligned = np.arange(clean) * size
        if clean * size == len(buffer):
            return aligned, np.zeros(clean, bool)
        joined = self._gap.length == 0
        around = BufferContext(
            before=records_at(buffer, aligned[-1:], self.layout) if clean else self._latest if joined else None,
            opens_input=clean == 0 and self._pending_start == self._input_start,
            closes_input=final,
        )
        rest = buffer[clean * size :]
        found = find_candidates(rest, self.layout)
        chosen = select_records(rest, found, self.layout, around) & (found.offsets < settled - clean * size)
        starts = np.concatenate([aligned, found.offsets[chosen] + clean * size])
        return starts, np.concatenate([np.zeros(clean, bool), ~found.coherent[chosen]])

    def _close_gaps(self, buffer: NDArray[np.uint8], starts: NDArray[np.int64]) -> list[Damage]:
        """Damage before each of the records at `starts`; afterwards the open gap begins behind the last of them."""
        if len(starts) == 0:
            return []
        damage = []
        ends = starts + self.layout.size
        gap_starts = np.append(0, ends[:-1])
        closing = starts != gap_starts
        closing[0] = True
        for index in np.flatnonzero(closing):
            if index > 0:
                self._gap = Gap(self._pending_start + int(gap_starts[index]))
            self._gap.extend(buffer[gap_starts[index] : starts[index]].data)
            if self._gap.length:
                damage.append(Damage(self._gap.start, self._gap.stop, self._reason()))
        self._gap = Gap(self._pending_start + int(ends[-1]))
        return damage

    def _reason(self) -> DamageReason:
        if self._gap.is_fill:
            return DamageReason.FILL
        return DamageReason.LENGTH if self._gap.length % self.layout.size else DamageReason.CONTENT

    def _describe_tail(self) -> list[Damage]:
        """The open gap at the end of the input: what is left after whole records' lengths is a record cut off."""
        if not self._gap.length:
            return []
        tail_start = self._gap.stop - self._gap.length % self.layout.size
        reason = DamageReason.FILL if self._gap.is_fill else DamageReason.CONTENT
        parts = [
            Damage(self._gap.start, tail_start, reason),
            Damage(tail_start, self._gap.stop, DamageReason.CUT_TAIL),
        ]
        return [part for part in parts if part.start < part.stop]


def scan(data: bytes | bytearray | memoryview, layout: SenseLayout | None = None, *, base_offset: int = 0) -> SenseScan:
    """All records and all damage of a whole file; `base_offset` is added to every reported offset.

    The records of an undamaged file are a view of `data`.
    """
    scanner = SenseScanner(layout, base_offset=base_offset)
    view = memoryview(data)
    last_piece = max(0, len(view) - 1) // PIECE_BYTES * PIECE_BYTES
    if last_piece == 0:
        return scanner.finish(view)
    parts = [scanner.feed(view[start : start + PIECE_BYTES]) for start in range(0, last_piece, PIECE_BYTES)]
    parts.append(scanner.finish(view[last_piece:]))
    offsets = np.concatenate([part.offsets for part in parts])
    return SenseScan(
        records=records_at(np.frombuffer(data, np.uint8), offsets - base_offset, scanner.layout),
        offsets=offsets,
        damage=tuple(damage for part in parts for damage in part.damage),
        anomalies=tuple(anomaly for part in parts for anomaly in part.anomalies),
    )


def recognise_layout(
    data: bytes, sensors_per_record: int = batch_sensor_gps_packet_num_sensor_packets
) -> SenseLayout | None:
    """Whether records with or without CR LF make up `data` (the first 64 kB of a file are plenty), None if neither."""
    layouts = [SenseLayout(sensors_per_record, terminated) for terminated in (True, False)]
    counts = [len(scan(data, layout).records) for layout in layouts]
    # The times of terminated records suit both layouts, those of bare ones only their own.
    best = int(np.argmax(counts))
    return layouts[best] if counts[best] else None
