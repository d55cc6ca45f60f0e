"""Assembly of sense records from packets that arrive one by one: late, twice, out of order or not at all.

A record consists of five sensor packets and a GPS packet of the time of the last of them. Readers find it by its times
(`sense_search`), so the packets are identified and sorted by spacecraft time and fitted into valid records:

* Of several packets of a kind and second the first is used. Packets older than the last finished record are
  dropped.
* A record is finished by its fifth sample and the GPS packet of the same second, the normal case without losses. It is
  otherwise finished by a packet three seconds newer, because no closer GPS packet can follow then.
* A GPS packet after fewer samples also finishes the record if these span the minimum time; the last sample is then
  repeated. Estimators ignore a repeated sample because it is not later than the previous sample.
* Without a GPS packet within three seconds, the record has a GPS packet without time and position.
* After a gap of more than twenty seconds, or after the clock was set back, a new record begins.

Packets that fit no record are counted. GPS packets among them are returned separately, at most one in twenty seconds.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.common.clock import TAG_JITTER_S
from pygnc.common.constants import GpsTimeStatus, SolutionStatus
from pygnc.formats.gps_packet import SENSE_GPS_PACKET, TERMINATOR
from pygnc.formats.sense import SENSOR_PACKET, STANDARD_LAYOUT, SenseLayout
from pygnc.formats.sense_search import GPS_OFFSET_MAX_S, SENSOR_MEAN_STEP_MIN_S, SENSOR_STEP_S

_STEP_MAX_S: Final = SENSOR_STEP_S[1]


class Assembled(NamedTuple):
    """Output of the assembler since its last call.

    Attributes:
        records: Complete records in order, bytes as in the file.
        spare_fixes: GPS packets of 99 bytes that fit no record.
    """

    records: list[bytes]
    spare_fixes: list[bytes]


class SenseAssembler:
    """Assembler of the records of a sense file.

    Attributes:
        left_out: Number of packets that are neither in records nor among the spare GPS packets.
    """

    def __init__(self, layout: SenseLayout = STANDARD_LAYOUT) -> None:
        self.left_out = 0
        self._layout = layout
        self._span_min_s = SENSOR_MEAN_STEP_MIN_S * (layout.sensors_per_record - 1)
        self._samples: dict[int, bytes] = {}
        self._fixes: dict[int, bytes] = {}
        """Packets that wait for a record, by spacecraft time, s: sensor packets in `_samples`, GPS packets here."""
        self._newest_s: int | None = None
        self._written_s: int | None = None
        self._last_fix_s: int | None = None
        self._done = Assembled([], [])

    def add(self, raw: bytes) -> Assembled:
        """Add a sensor packet of 30 bytes or a GPS packet of 99 bytes; return the records that are complete now."""
        time_s = int.from_bytes(raw[:4], "big")
        self._follow_clock(time_s)
        is_sample = len(raw) == SENSOR_PACKET.itemsize
        waiting = self._samples if is_sample else self._fixes
        is_written = self._written_s is not None and time_s <= self._written_s
        if time_s in waiting or (is_written and is_sample):
            self.left_out += 1
        elif is_written:
            self._spare(time_s, raw)
        else:
            waiting[time_s] = raw
        return self._collect(final=False)

    def finish(self) -> Assembled:
        """Return the records of the waiting packets at the end of the input."""
        return self._collect(final=True)

    def _follow_clock(self, time_s: int) -> None:
        """Record the newest time; if the clock was set back, assemble the waiting packets first."""
        if self._newest_s is not None and time_s < self._newest_s - TAG_JITTER_S:
            self._advance_all(final=True)
            self._newest_s = self._written_s = self._last_fix_s = None
        self._newest_s = time_s if self._newest_s is None else max(self._newest_s, time_s)

    def _collect(self, *, final: bool) -> Assembled:
        self._advance_all(final=final)
        done, self._done = self._done, Assembled([], [])
        return done

    def _advance_all(self, *, final: bool) -> None:
        while self._advance(final=final):
            pass

    def _advance(self, *, final: bool) -> bool:
        """Process the oldest packets if possible; return True if more packets may be ready."""
        head = self._next_samples()
        if not head:
            self._release_fixes(final=final)
            return False
        full = len(head) == self._layout.sensors_per_record
        ended = final or len(head) < min(len(self._samples), self._layout.sensors_per_record)
        ended = ended or self._is_past(head[-1] + _STEP_MAX_S)
        index, fix_s = self._closing_fix(head)
        if fix_s is not None:
            is_regular = index + 1 == self._layout.sensors_per_record and head[index] == fix_s
            ended = ended or is_regular or self._is_past(max(head[index], fix_s) + GPS_OFFSET_MAX_S)
        elif full:
            ended = ended or self._is_past(head[-1] + GPS_OFFSET_MAX_S)
        if ended and self._is_long(head):
            self._write(head[: index + 1], fix_s)
        elif ended:
            self.left_out += len(head)
            for time_s in head:
                del self._samples[time_s]
        return ended

    def _closing_fix(self, head: list[int]) -> tuple[int, int | None]:
        """Return the index of the last sample of the record and the time of the GPS packet that finishes it, if any."""
        for fix_s in sorted(self._fixes):
            distances_s = [abs(time_s - fix_s) for time_s in head]
            index = distances_s.index(min(distances_s))
            if distances_s[index] <= GPS_OFFSET_MAX_S and self._is_long(head[: index + 1]):
                return index, fix_s
        return len(head) - 1, None

    def _next_samples(self) -> list[int]:
        """Return the times of the samples of the next record without a gap, as far as they have arrived."""
        head = sorted(self._samples)[: self._layout.sensors_per_record]
        gaps = [k for k in range(1, len(head)) if head[k] - head[k - 1] > _STEP_MAX_S]
        return head[: gaps[0]] if gaps else head

    def _is_past(self, time_s: int) -> bool:
        return self._newest_s is not None and self._newest_s > time_s

    def _is_long(self, times_s: list[int]) -> bool:
        """Return True if the samples at `times_s` span the minimum time of a record."""
        return times_s[-1] - times_s[0] >= self._span_min_s

    def _write(self, times_s: list[int], fix_s: int | None) -> None:
        self._written_s = times_s[-1]
        parts = [self._samples.pop(time_s) for time_s in times_s]
        parts += parts[-1:] * (self._layout.sensors_per_record - len(parts))
        parts.append(no_fix(self._written_s) if fix_s is None else self._fixes[fix_s])
        self._done.records.append(b"".join(parts) + (TERMINATOR if self._layout.terminated else b""))
        through_s = self._written_s if fix_s is None else max(self._written_s, fix_s)
        for past_s in sorted(time_s for time_s in self._fixes if time_s <= through_s):
            raw = self._fixes.pop(past_s)
            if past_s == fix_s:
                self._last_fix_s = fix_s
            elif fix_s is not None and fix_s - past_s < _STEP_MAX_S:
                self.left_out += 1
            else:
                self._spare(past_s, raw)

    def _release_fixes(self, *, final: bool) -> None:
        """Move GPS packets that have no sample near them to the spare ones; all of them if `final`."""
        for time_s in sorted(self._fixes):
            if final or self._is_past(time_s + TAG_JITTER_S):
                self._spare(time_s, self._fixes.pop(time_s))

    def _spare(self, time_s: int, raw: bytes) -> None:
        is_due = self._last_fix_s is None or time_s - self._last_fix_s >= _STEP_MAX_S
        if is_due and np.frombuffer(raw, SENSE_GPS_PACKET)["gps_week"][0]:
            self._last_fix_s = time_s
            self._done.spare_fixes.append(raw)
        else:
            self.left_out += 1


def no_fix(t_spacecraft_s: int) -> bytes:
    """Return the GPS packet of a receiver without time and position, as after switching on."""
    packet = np.zeros(1, SENSE_GPS_PACKET)
    packet["t_spacecraft_s"] = t_spacecraft_s
    packet["time_status"] = GpsTimeStatus.UNKNOWN
    packet["gps_tow_ms"] = 1
    packet["position_status"] = packet["velocity_status"] = SolutionStatus.INSUFFICIENT_OBSERVATIONS
    return packet.tobytes()
