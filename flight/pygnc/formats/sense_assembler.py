"""Assembly of sense records from packets that arrive one by one: late, twice, out of order or not at all.

A record consists of five sensor packets and a GPS packet of the time of the last one. Readers find it by its times
(`sense_search`), so the packets are identified and sorted by spacecraft time and fitted into valid records:

* Of several packets of one kind and second the first one is used. Packets older than the last finished record are
  dropped.
* A record is finished by its fifth sample and the GPS packet of the same second, the normal case without losses. It is
  otherwise finished by a packet three seconds newer, because no closer GPS packet can follow then.
* A GPS packet after fewer samples also finishes the record if these span the minimum time; the last sample is then
  repeated. Estimators ignore a repeated sample because it is not later than the one before.
* Without a GPS packet within three seconds, the record has a GPS packet without time and position.
* After a gap of more than twenty seconds, or after the clock was set back, a new record begins.

Packets that fit no record are counted. GPS packets among them are returned separately, at most one in twenty seconds.
"""

from bisect import insort
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.constants import GpsTimeStatus, SolutionStatus
from pygnc.formats.gps_packet import SENSE_GPS_PACKET, TERMINATOR
from pygnc.formats.sense import STANDARD_LAYOUT, SenseLayout
from pygnc.formats.sense_search import GPS_OFFSET_MAX_S, SENSOR_MEAN_STEP_MIN_S, SENSOR_STEP_S

BACK_MAX_S: Final = 7
"""Age behind the newest packet from which a packet belongs to another boot; late ones arrive within five seconds."""
_STEP_MAX_S: Final = SENSOR_STEP_S[1]
_TIME_BYTES: Final = 4


class Packet(NamedTuple):
    """A packet and its spacecraft time."""

    t_spacecraft_s: int
    raw: bytes


class Assembled(NamedTuple):
    """Output of the assembler.

    Attributes:
        records: Complete records, in order.
        spare_fixes: GPS packets that fit no record.
    """

    records: list[bytes]
    spare_fixes: list[bytes]


class SenseAssembler:
    """Assembler of the records of one sense file.

    Attributes:
        left_out: Number of packets that are neither in records nor among the spare GPS packets.
    """

    def __init__(self, layout: SenseLayout = STANDARD_LAYOUT) -> None:
        self.left_out = 0
        self._layout = layout
        self._span_min_s = SENSOR_MEAN_STEP_MIN_S * (layout.sensors_per_record - 1)
        self._samples: list[Packet] = []
        self._fixes: list[Packet] = []
        self._newest_s: int | None = None
        self._written_s: int | None = None
        self._last_fix_s: int | None = None
        self._done = Assembled([], [])

    def add_sample(self, raw: bytes) -> Assembled:
        """Add a sensor packet of 30 bytes."""
        sample = _packet(raw)
        self._follow_clock(sample.t_spacecraft_s)
        if self._is_written(sample) or _has(self._samples, sample):
            self.left_out += 1
        else:
            insort(self._samples, sample)
        return self._collect()

    def add_fix(self, raw: bytes) -> Assembled:
        """Add a GPS packet of 99 bytes."""
        fix = _packet(raw)
        self._follow_clock(fix.t_spacecraft_s)
        if _has(self._fixes, fix):
            self.left_out += 1
        elif self._is_written(fix):
            self._spare(fix)
        else:
            insort(self._fixes, fix)
        return self._collect()

    def finish(self) -> Assembled:
        """Assemble the remaining packets at the end of the input."""
        return self._collect(final=True)

    def _follow_clock(self, t_spacecraft_s: int) -> None:
        """Assemble the remaining packets if the clock was set back."""
        if self._newest_s is not None and t_spacecraft_s < self._newest_s - BACK_MAX_S:
            while self._advance(final=True):
                pass
            self._newest_s = self._written_s = self._last_fix_s = None
        self._newest_s = t_spacecraft_s if self._newest_s is None else max(self._newest_s, t_spacecraft_s)

    def _is_written(self, packet: Packet) -> bool:
        return self._written_s is not None and packet.t_spacecraft_s <= self._written_s

    def _collect(self, *, final: bool = False) -> Assembled:
        while self._advance(final=final):
            pass
        done, self._done = self._done, Assembled([], [])
        return done

    def _advance(self, *, final: bool) -> bool:
        """Process the oldest packets if possible; return whether more may be possible."""
        head = self._next_samples()
        if not head:
            return self._release_fixes(final=final)
        ended = final or len(head) < min(len(self._samples), self._layout.sensors_per_record)
        ended = ended or self._is_past(head[-1].t_spacecraft_s + _STEP_MAX_S)
        index, fix = self._closing_fix(head)
        if fix is not None:
            end_s = head[index].t_spacecraft_s
            is_regular = index + 1 == self._layout.sensors_per_record and end_s == fix.t_spacecraft_s
            ended = ended or is_regular or self._is_past(max(end_s, fix.t_spacecraft_s) + GPS_OFFSET_MAX_S)
        elif len(head) == self._layout.sensors_per_record:
            ended = ended or self._is_past(head[-1].t_spacecraft_s + GPS_OFFSET_MAX_S)
        if ended and self._is_long(head):
            self._write(head[: index + 1], fix)
        elif ended:
            self.left_out += len(head)
            del self._samples[: len(head)]
        return ended

    def _closing_fix(self, head: list[Packet]) -> tuple[int, Packet | None]:
        """Return the index of the last sample of the record and the GPS packet that finishes it, if there is one."""
        for fix in self._fixes:
            distances_s = [abs(sample.t_spacecraft_s - fix.t_spacecraft_s) for sample in head]
            index = distances_s.index(min(distances_s))
            if distances_s[index] <= GPS_OFFSET_MAX_S and self._is_long(head[: index + 1]):
                return index, fix
        return len(head) - 1, None

    def _next_samples(self) -> list[Packet]:
        """Return the samples of the next record without a gap, as far as they have arrived."""
        head = self._samples[: self._layout.sensors_per_record]
        for k in range(1, len(head)):
            if head[k].t_spacecraft_s - head[k - 1].t_spacecraft_s > _STEP_MAX_S:
                return head[:k]
        return head

    def _is_past(self, t_spacecraft_s: int) -> bool:
        return self._newest_s is not None and self._newest_s > t_spacecraft_s

    def _is_long(self, samples: list[Packet]) -> bool:
        """Return whether samples span the minimum time of a record."""
        return samples[-1].t_spacecraft_s - samples[0].t_spacecraft_s >= self._span_min_s

    def _write(self, samples: list[Packet], fix: Packet | None) -> None:
        missing = self._layout.sensors_per_record - len(samples)
        parts = [sample.raw for sample in samples] + [samples[-1].raw] * missing
        parts.append(no_fix(samples[-1].t_spacecraft_s) if fix is None else fix.raw)
        self._done.records.append(b"".join(parts) + (TERMINATOR if self._layout.terminated else b""))
        del self._samples[: len(samples)]
        through_s = samples[-1].t_spacecraft_s
        self._written_s = through_s
        if fix is not None:
            through_s = max(through_s, fix.t_spacecraft_s)
        past = [one for one in self._fixes if one.t_spacecraft_s <= through_s]
        del self._fixes[: len(past)]
        for one in past:
            if one is fix:
                self._last_fix_s = one.t_spacecraft_s
            elif fix is not None and fix.t_spacecraft_s - one.t_spacecraft_s < _STEP_MAX_S:
                self.left_out += 1
            else:
                self._spare(one)

    def _release_fixes(self, *, final: bool) -> bool:
        """Release GPS packets without a sample near them."""
        while self._fixes and (final or self._is_past(self._fixes[0].t_spacecraft_s + BACK_MAX_S)):
            self._spare(self._fixes.pop(0))
        return False

    def _spare(self, fix: Packet) -> None:
        is_due = self._last_fix_s is None or fix.t_spacecraft_s - self._last_fix_s >= _STEP_MAX_S
        if is_due and np.frombuffer(fix.raw, SENSE_GPS_PACKET)["gps_week"][0]:
            self._last_fix_s = fix.t_spacecraft_s
            self._done.spare_fixes.append(fix.raw)
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


def _packet(raw: bytes) -> Packet:
    return Packet(int.from_bytes(raw[:_TIME_BYTES], "big"), raw)


def _has(packets: list[Packet], packet: Packet) -> bool:
    return any(one.t_spacecraft_s == packet.t_spacecraft_s for one in packets)
