"""Scanning a range stream: `range_packets` judges each place, this module walks, counts and reports.

What stands at a byte of a range stream: the rules by which `range_scan` tells packets from damage.

A GPS packet is known by AA 44 12 in front and CR LF at its end. A range packet has nothing but a partner's id in its
first byte, so that its surroundings must speak for it:

* Its beginning is anchored if a good packet ends there.
* Its end is anchored if AA 44 12 or the end of the input stands there, or another range packet of about the same time,
  or if partners' ids at every twelfth byte lead from there to such an anchor.
* Both anchored, or the input begins with it and its end is anchored: it is good.
* One anchored: its spacecraft time must be within a day of the last range packet's or of the next one's. If there are
  none it stands alone between damage and AA 44 12, or between a good packet and damage: that is good enough.
* None anchored: within an hour of either.
* Where its end is not anchored, bytes may have been inserted into it or lost. It is then refused if a GPS packet begins
  or the input ends so close behind that only this explains the gap, or if a constant fill begins in its last byte.
* It never reaches into a GPS packet, and its time is not four equal bytes.
"""

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.damage import Anomaly, AnomalyReason, Damage, DamageReason, Gap
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, RANGE_GPS_SYNC, TERMINATOR, plausible_gps_packets
from pygnc.formats.ranges import RANGE_PACKET, PacketKind

NEIGHBOUR_TIME_S: Final = 86_400
"""How far the times of neighbouring range packets may lie apart."""
LONE_TIME_S: Final = 3_600
"""The same where nothing else speaks for a packet: in noise a random byte then passes once in 40 MB."""
INSERTED_BYTES_MAX: Final = 64
"""A shorter gap in front of a GPS packet or of the end is not what is left of another GPS packet."""

GPS_SIZE: Final = RANGE_GPS_PACKET.itemsize
RANGE_SIZE: Final = RANGE_PACKET.itemsize
PACKET_SIZE: Final = {PacketKind.GPS: GPS_SIZE, PacketKind.RANGE: RANGE_SIZE}

_GPS_PACKETS_BETWEEN: Final = 4
_CHAIN_PACKETS: Final = 8
_FILL_BEGINNING: Final = 16
LOOKAHEAD: Final = RANGE_SIZE + _GPS_PACKETS_BETWEEN * GPS_SIZE + RANGE_SIZE
"""How many bytes from the beginning of a packet on can matter to the decision about it."""

_POSSIBLE_START: Final = re.compile(re.escape(RANGE_GPS_SYNC) + b"|[%c-%c]" % (PARTNER_IDS[0], PARTNER_IDS[-1]))


@dataclass(frozen=True, slots=True)
class RangeBuffer:
    """A stretch of the stream and whether the input ends with it. Places are offsets in `octets`."""

    octets: bytes
    closes_input: bool

    def next_possible_start(self, place: int) -> int:
        """The first place from `place` on where a packet could begin, or the end of the stretch."""
        match = _POSSIBLE_START.search(self.octets, place)
        return match.start() if match else len(self.octets)

    def packet_at(self, place: int, last_time_s: int | None, *, joined: bool, opens_input: bool) -> PacketKind | None:
        """The kind of the good packet that begins at `place`, None if none does.

        `joined`: a good packet ends there. `opens_input`: the input begins there. `last_time_s`: the spacecraft time of
        the last good range packet, if there was one.
        """
        if self._is_gps_packet(place):
            return PacketKind.GPS
        if self._is_range_packet(place, last_time_s, joined=joined, opens_input=opens_input):
            return PacketKind.RANGE
        return None

    def time_at(self, place: int) -> int | None:
        """Spacecraft time of the range packet that seems to begin at `place`, s; None if none does."""
        if place + RANGE_SIZE > len(self.octets) or self.octets[place] not in PARTNER_IDS:
            return None
        packet = np.frombuffer(self.octets, RANGE_PACKET, count=1, offset=place)
        return int(packet["t_spacecraft_s"][0])

    def _is_gps_packet(self, place: int) -> bool:
        end = place + GPS_SIZE
        if not self.octets.startswith(RANGE_GPS_SYNC, place) or not self.octets.startswith(TERMINATOR, end - 2):
            return False
        if not self.octets.startswith(TERMINATOR, end):
            return True
        # 13 satellites tracked and 10 used read like CR LF: two bytes may have been inserted before them.
        packet = np.frombuffer(self.octets, RANGE_GPS_PACKET, count=1, offset=place)
        return bool(plausible_gps_packets(packet)[0])

    def _is_range_packet(self, place: int, last_time_s: int | None, *, joined: bool, opens_input: bool) -> bool:
        end = place + RANGE_SIZE
        time_s = self.time_at(place)
        if time_s is None or time_s % 0x01010101 == 0 or self._gps_packet_begins_inside(place, end):
            return False
        end_anchored = self._is_end_anchored(end, time_s)
        if end_anchored and (joined or opens_input):
            return True
        if not end_anchored and self._end_is_doubtful(end):
            return False
        neighbours = [near_s for near_s in (last_time_s, self._next_time(end)) if near_s is not None]
        if not neighbours:
            return joined or self.octets.startswith(RANGE_GPS_SYNC, end)
        limit_s = NEIGHBOUR_TIME_S if joined or end_anchored else LONE_TIME_S
        return any(abs(time_s - near_s) <= limit_s for near_s in neighbours)

    def _gps_packet_begins_inside(self, place: int, end: int) -> bool:
        sync = self.octets.find(RANGE_GPS_SYNC, place + 1, end + len(RANGE_GPS_SYNC) - 1)
        return sync >= 0 and self._is_gps_packet(sync)

    def _is_end_anchored(self, end: int, time_s: int) -> bool:
        next_time_s = self.time_at(end)
        if next_time_s is not None and abs(next_time_s - time_s) <= NEIGHBOUR_TIME_S:
            return True
        for _ in range(_CHAIN_PACKETS):
            if self._is_anchor(end):
                return True
            if self.octets[end] not in PARTNER_IDS:
                return False
            end += RANGE_SIZE
        return False

    def _is_anchor(self, place: int) -> bool:
        rest = self.octets[place : place + len(RANGE_GPS_SYNC)]
        at_end = place + len(rest) == len(self.octets) and self.closes_input
        return rest == RANGE_GPS_SYNC or place >= len(self.octets) or (at_end and RANGE_GPS_SYNC.startswith(rest))

    def _end_is_doubtful(self, end: int) -> bool:
        input_ends_soon = self.closes_input and len(self.octets) - end < INSERTED_BYTES_MAX
        if input_ends_soon or self.octets.find(RANGE_GPS_SYNC, end, end + INSERTED_BYTES_MAX) >= 0:
            return True
        around = self.octets[end - 1 : end - 1 + _FILL_BEGINNING]
        return around.count(around[0]) == len(around)

    def _next_time(self, place: int) -> int | None:
        """Spacecraft time of the next range packet, across a few GPS packets, s."""
        for _ in range(_GPS_PACKETS_BETWEEN):
            if not self.octets.startswith(RANGE_GPS_SYNC, place):
                break
            place += GPS_SIZE
        return self.time_at(place)


ORDER_JITTER_S: Final = 1
DUPLICATE_REACH_PACKETS: Final = 1024
"""A packet is compared with this many before it."""


@dataclass(frozen=True, slots=True, eq=False)
class RangeScan:
    """What one piece of input, or a whole one, gave."""

    kinds: NDArray[np.uint8]
    """(M,) `PacketKind` of each packet, in stream order"""
    offsets: NDArray[np.int64]
    """(M,) absolute byte offset of each packet"""
    fixes: NDArray[np.void]
    """The GPS packets as raw words (`RANGE_GPS_PACKET`), in stream order"""
    ranges: NDArray[np.void]
    """The range packets as raw words (`RANGE_PACKET`), in stream order"""
    damage: tuple[Damage, ...]
    """Every byte range that is in no packet, in ascending order"""
    anomalies: tuple[Anomaly, ...]
    """Packets among the delivered ones that deserve a second look; `record` counts packets of both kinds"""


@dataclass(frozen=True, slots=True)
class _Packet:
    kind: PacketKind
    offset: int
    octets: bytes
    time_s: int | None
    """Spacecraft time of a range packet, None for a GPS packet"""


class RangeScanner:
    """Scans a stream piece by piece, usually file by file, in bounded memory; how it is cut changes nothing.

    A packet is delivered when `LOOKAHEAD` bytes from its beginning on are there, or at `finish`.
    """

    def __init__(self, *, base_offset: int = 0) -> None:
        self._input_start = base_offset
        self._pending = b""
        self._pending_start = base_offset
        self._gap = Gap(base_offset)
        self._last_time_s: int | None = None
        self._watch = _AnomalyWatch()

    def feed(self, data: bytes | bytearray | memoryview) -> RangeScan:
        """What `data`, the next piece of the stream, settles."""
        return self._advance(data, final=False)

    def finish(self, data: bytes | bytearray | memoryview = b"") -> RangeScan:
        """What `data`, the last piece of the stream, and its end settle."""
        return self._advance(data, final=True)

    def _advance(self, data: bytes | bytearray | memoryview, *, final: bool) -> RangeScan:
        octets = b"".join((self._pending, data))
        stretch = RangeBuffer(octets, closes_input=final)
        settled = len(octets) if final else max(0, len(octets) - LOOKAHEAD)
        found: list[_Packet] = []
        damage: list[Damage] = []
        place = 0
        while place < settled:
            opens_input = self._pending_start + place == self._input_start
            joined = self._gap.length == 0 and not opens_input
            kind = stretch.packet_at(place, self._last_time_s, joined=joined, opens_input=opens_input)
            if kind is None:
                next_place = min(stretch.next_possible_start(place + 1), settled)
                self._gap.extend(octets[place:next_place])
                place = next_place
                continue
            if self._gap.length:
                damage.append(self._gap_as_damage())
            time_s = stretch.time_at(place) if kind is PacketKind.RANGE else None
            packet = _Packet(kind, self._pending_start + place, octets[place : place + PACKET_SIZE[kind]], time_s)
            found.append(packet)
            self._last_time_s = self._last_time_s if time_s is None else time_s
            place += len(packet.octets)
            self._gap = Gap(self._pending_start + place)
        if final:
            damage += self._describe_tail(octets)
        self._pending = octets[place:]
        self._pending_start += place
        return self._result(found, damage)

    def _result(self, found: list[_Packet], damage: list[Damage]) -> RangeScan:
        fixes = np.frombuffer(b"".join(packet.octets for packet in found if packet.time_s is None), RANGE_GPS_PACKET)
        ranges = b"".join(packet.octets for packet in found if packet.time_s is not None)
        return RangeScan(
            kinds=np.array([packet.kind for packet in found], np.uint8),
            offsets=np.array([packet.offset for packet in found], np.int64),
            fixes=fixes,
            ranges=np.frombuffer(ranges, RANGE_PACKET),
            damage=tuple(damage),
            anomalies=tuple(self._watch.inspect(found, plausible_gps_packets(fixes))),
        )

    def _gap_as_damage(self) -> Damage:
        reason = DamageReason.FILL if self._gap.is_fill else DamageReason.CONTENT
        return Damage(self._gap.start, self._gap.stop, reason)

    def _describe_tail(self, octets: bytes) -> list[Damage]:
        """The open gap at the end of the input; what begins in it like a packet and is too short for it was cut."""
        whole, end = self._gap_as_damage(), self._gap.stop
        cut = whole.stop
        sync = octets.rfind(RANGE_GPS_SYNC, max(0, len(octets) - GPS_SIZE + 1))
        rest = octets[whole.start - end :] if 0 < self._gap.length <= len(octets) else b""
        if sync >= 0:
            cut = max(whole.start, end - len(octets) + sync)
        elif rest and (RANGE_GPS_SYNC.startswith(rest) or (rest[0] in PARTNER_IDS and len(rest) < RANGE_SIZE)):
            cut = whole.start
        parts = [replace(whole, stop=cut), Damage(cut, end, DamageReason.CUT_TAIL)]
        return [part for part in parts if part.start < part.stop]


class _AnomalyWatch:
    """Inspects a stream of good packets, in pieces of any length."""

    def __init__(self) -> None:
        self._count = 0
        self._last_time_s: int | None = None
        self._latest_by_octets: dict[bytes, int] = {}

    def inspect(self, found: list[_Packet], plausible_fixes: NDArray[np.bool_]) -> list[Anomaly]:
        """Anomalies of further packets; `plausible_fixes` judges the GPS packets among them in turn."""
        plausible = iter(plausible_fixes)
        anomalies = []
        for packet in found:
            flags = {AnomalyReason.DUPLICATE: self._is_duplicate(packet)}
            if packet.time_s is None:
                flags[AnomalyReason.IMPLAUSIBLE_FIX] = not next(plausible)
            else:
                step_s = 0 if self._last_time_s is None else packet.time_s - self._last_time_s
                flags[AnomalyReason.OUT_OF_ORDER] = step_s < -ORDER_JITTER_S and not flags[AnomalyReason.DUPLICATE]
                flags[AnomalyReason.CLOCK_STEP] = abs(step_s) > NEIGHBOUR_TIME_S
                self._last_time_s = packet.time_s
            span = (self._count, packet.offset, packet.offset + len(packet.octets))
            anomalies += [Anomaly(*span, reason) for reason, flag in flags.items() if flag]
            self._count += 1
        return anomalies

    def _is_duplicate(self, packet: _Packet) -> bool:
        latest = self._latest_by_octets.get(packet.octets)
        self._latest_by_octets[packet.octets] = self._count
        if len(self._latest_by_octets) > 2 * DUPLICATE_REACH_PACKETS:
            oldest = self._count - DUPLICATE_REACH_PACKETS
            self._latest_by_octets = {key: count for key, count in self._latest_by_octets.items() if count >= oldest}
        return latest is not None and self._count - latest <= DUPLICATE_REACH_PACKETS


def scan(data: bytes | bytearray | memoryview, *, base_offset: int = 0) -> RangeScan:
    """All packets and all damage of a whole stream; `base_offset` is added to every reported offset."""
    return RangeScanner(base_offset=base_offset).finish(data)
