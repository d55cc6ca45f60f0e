"""Scanner that finds the records of a sense file despite damage, and warns about unusual records.

No checksum protects a record, so these rules decide:

1. A window of the length of a record may be a record if it has CR LF at its end (unless the layout has none) and
   consistent spacecraft times (`sense_search`). The estimators check the other values.
2. If two such windows overlap, bytes were lost in the first, unless another window follows it directly.
3. A window that no other follows directly is not trusted if bytes inserted into its GPS packet could have left its
   times and an apparent CR LF in place: always if the layout has no CR LF, else if another CR LF follows directly. It
   must then also be plausible (`gps_packet.plausible_gps_packets`).
4. The spacecraft clock may be set inside a record: one step, with at least two times on either side that confirm each
   other. Times of adjacent records count too; at the ends of the input no confirmation is needed. A step of less than a
   day could also join halves of different records. It is accepted only if the receiver's clock did not step likewise,
   or if an identical record is adjacent.

Everything else is damage. Every byte offset is tried as the beginning of a record, so one fault costs only the records
that it touches.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import LUX_EXPONENT_MAX, batch_sensor_gps_packet_num_sensor_packets
from pygnc.formats.damage import Anomaly, AnomalyDetector, AnomalyReason, Damage, DamageReason, Gap
from pygnc.formats.gps_packet import plausible_gps_packets
from pygnc.formats.sense import STANDARD_LAYOUT, SenseLayout
from pygnc.formats.sense_search import (
    SENSOR_STEP_S,
    Neighbours,
    find_candidates,
    leading_run,
    records_at,
    select_records,
)

PIECE_BYTES: Final = 1 << 20
"""Size of the pieces in which a whole file is scanned, chosen for the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class SenseScan:
    """Result of scanning a piece of input or a whole file."""

    records: NDArray[np.void]
    """(M,) records (`SenseLayout.record`), read-only, in file order"""
    offsets: NDArray[np.int64]
    """(M,) absolute byte offset of each record"""
    damage: tuple[Damage, ...]
    """All byte ranges outside records, in ascending order"""
    anomalies: tuple[Anomaly, ...]
    """Warnings about delivered records, in file order"""


class SenseScanner:
    """Incremental scanner with memory bounded by the largest piece. The result does not depend on the pieces' borders.

    A record is delivered when one record length of bytes follows it, or at `finish`. Damage is reported when a record
    or the end of the input follows it.
    """

    def __init__(self, layout: SenseLayout | None = None, *, base_offset: int = 0) -> None:
        self.layout = layout or STANDARD_LAYOUT
        self._input_start = base_offset
        self._pending = b""
        self._pending_start = base_offset
        self._gap = Gap(base_offset)
        self._latest: NDArray[np.void] | None = None
        self._watch = AnomalyDetector()

    def feed(self, data: bytes | bytearray | memoryview) -> SenseScan:
        """Scan the next piece of the input and return the records and damage that are certain by then."""
        return self._advance(data, final=False)

    def finish(self, data: bytes | bytearray | memoryview = b"") -> SenseScan:
        """Scan the last piece of the input and return all remaining records and damage."""
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
            # Bytes beyond a multiple of the record length are a record that the end of the input cut off.
            damage += self._gap.as_tail(self._gap.stop - self._gap.length % size)
        offsets = starts + self._pending_start
        anomalies = self._inspect(records, offsets, has_clock_step) if len(records) else ()
        if len(records):
            # Copying through bytes is much faster than NumPy's copy of a record field by field.
            self._latest = np.frombuffer(records[-1:].tobytes(), self.layout.record)
        self._pending = buffer[stop:].tobytes()
        self._pending_start += stop
        return SenseScan(records, offsets, tuple(damage), anomalies)

    def _inspect(
        self, records: NDArray[np.void], offsets: NDArray[np.int64], has_clock_step: NDArray[np.bool_]
    ) -> tuple[Anomaly, ...]:
        times_s, t_gps_s = records["sensors"]["t_spacecraft_s"][:, 0], records["gps"]["t_spacecraft_s"]
        flags = {
            AnomalyReason.OUT_OF_ORDER: self._watch.time_steps_s(times_s, t_gps_s) < SENSOR_STEP_S[0],
            AnomalyReason.CLOCK_STEP: has_clock_step,
            AnomalyReason.IMPLAUSIBLE_LIGHT: _has_impossible_light(records),
            AnomalyReason.IMPLAUSIBLE_FIX: ~plausible_gps_packets(records["gps"]),
        }
        return self._watch.inspect(records.view(f"V{self.layout.size}"), offsets, flags, times_s)

    def _find_records(
        self, buffer: NDArray[np.uint8], settled: int, *, final: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the start of each record below `settled` and True for those with a clock step inside."""
        size = self.layout.size
        # Contiguous windows at the beginning need no further test if another window or the end of the input follows.
        clean = leading_run(buffer, self.layout)
        if not (final and clean * size == len(buffer)):
            clean = max(0, clean - 1)
        aligned = np.arange(clean) * size
        if clean * size == len(buffer):
            return aligned, np.zeros(clean, bool)
        joined = self._gap.length == 0
        context = Neighbours(
            before=records_at(buffer, aligned[-1:], self.layout) if clean else self._latest if joined else None,
            at_input_start=clean == 0 and self._pending_start == self._input_start,
            at_input_end=final,
        )
        rest = buffer[clean * size :]
        found = find_candidates(rest, self.layout)
        chosen = select_records(rest, found, self.layout, context) & (found.offsets < settled - clean * size)
        starts = np.concatenate([aligned, found.offsets[chosen] + clean * size])
        return starts, np.concatenate([np.zeros(clean, bool), ~found.coherent[chosen]])

    def _close_gaps(self, buffer: NDArray[np.uint8], starts: NDArray[np.int64]) -> list[Damage]:
        """Return the damage before the records at `starts` and open a new gap after the last of them."""
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
                is_whole = self._gap.length % self.layout.size == 0
                damage.append(self._gap.as_damage(DamageReason.CONTENT if is_whole else DamageReason.LENGTH))
        self._gap = Gap(self._pending_start + int(ends[-1]))
        return damage


def scan(data: bytes | bytearray | memoryview, layout: SenseLayout | None = None, *, base_offset: int = 0) -> SenseScan:
    """Scan a whole file; `base_offset` is added to every reported offset.

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
    """Return the layout (with or without CR LF) of the records in `data`, or None without records; 64 kB suffice."""
    layouts = [SenseLayout(sensors_per_record, terminated) for terminated in (True, False)]
    counts = [len(scan(data, layout).records) for layout in layouts]
    # Terminated records also pass for unterminated ones with damage between them, so equal counts mean CR LF.
    best = int(np.argmax(counts))
    return layouts[best] if counts[best] else None


def _has_impossible_light(records: NDArray[np.void]) -> NDArray[np.bool_]:
    words = records["sensors"]["lux"]
    impossible = np.zeros(len(records), bool)
    impossible[np.flatnonzero(words >= (LUX_EXPONENT_MAX + 1) << 12) // words[0].size] = True
    return impossible
