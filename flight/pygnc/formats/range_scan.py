"""Scanner that finds the packets of a range file despite damage, and warns about unusual packets.

A GPS packet is recognised by AA 44 12 at its beginning and CR LF at its end. A range packet has only the radio id of a
partner in its first byte, so its context must confirm it:

* Its start is confirmed if a valid packet ends there.
* Its end is confirmed by AA 44 12, by the end of the input, by another range packet of about the same time, or by radio
  ids at every twelfth byte that lead to such a confirmation.
* It is valid if both are confirmed, or if its end is confirmed and the input begins with it.
* If only its start or its end is confirmed, its spacecraft time must be within a day of the previous or the next range
  packet. Without such packets it is valid between damage and AA 44 12, or between a valid packet and damage.
* If neither is confirmed, its time must be within an hour of the previous or the next range packet.
* If its end is not confirmed, bytes may have been inserted or lost. It is then rejected if a GPS packet or the end of
  the input follows so closely that only this explains the gap, or if constant fill begins in its last byte.
* It does not extend into a GPS packet, and its time does not consist of four equal bytes.
"""

import re
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.damage import Anomaly, AnomalyDetector, AnomalyReason, Damage, DamageReason, Gap
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, RANGE_GPS_SYNC, TERMINATOR, plausible_gps_packets
from pygnc.formats.ranges import RANGE_PACKET, PacketKind

NEIGHBOUR_TIME_S: Final = 86_400
"""Maximum difference of spacecraft time between neighbouring range packets that confirm each other, s."""
LONE_TIME_S: Final = 3_600
"""Maximum time between range packets without other confirmation; one false packet occurs in 40 MB of noise."""
INSERTED_BYTES_MAX: Final = 64
"""A shorter gap before a GPS packet or the end of the input cannot be the rest of another GPS packet."""

ORDER_JITTER_S: Final = 1
"""Largest backward step of the spacecraft time that is not reported as out of order."""
GPS_SIZE: Final = RANGE_GPS_PACKET.itemsize
RANGE_SIZE: Final = RANGE_PACKET.itemsize
PACKET_SIZE: Final = {PacketKind.GPS: GPS_SIZE, PacketKind.RANGE: RANGE_SIZE}

_GPS_PACKETS_BETWEEN: Final = 4
_CHAIN_PACKETS: Final = 8
_FILL_BEGINNING: Final = 16
LOOKAHEAD: Final = RANGE_SIZE + _GPS_PACKETS_BETWEEN * GPS_SIZE + RANGE_SIZE
"""Number of bytes, from the beginning of a packet, that influence the decision about it."""

_POSSIBLE_START: Final = re.compile(re.escape(RANGE_GPS_SYNC) + b"|[%c-%c]" % (PARTNER_IDS[0], PARTNER_IDS[-1]))


@dataclass(frozen=True, slots=True)
class RangeBuffer:
    """Part of the stream; `at_input_end` is True if the input ends with it. Positions are offsets in `octets`."""

    octets: bytes
    at_input_end: bool

    def packet_at(
        self, place: int, last_time_s: int | None, *, joined: bool, at_input_start: bool
    ) -> PacketKind | None:
        """Return the kind of the valid packet that begins at `place`, or None.

        Args:
            place: Position in the buffer.
            last_time_s: Spacecraft time of the previous range packet, s; None if there was none.
            joined: True if a valid packet ends at `place`.
            at_input_start: True if the input begins at `place`.
        """
        if self._is_gps_packet(place):
            return PacketKind.GPS
        is_range = self._is_range_packet(place, last_time_s, joined=joined, at_input_start=at_input_start)
        return PacketKind.RANGE if is_range else None

    def time_at(self, place: int) -> int | None:
        """Return the spacecraft time of the range packet at `place`, s, or None if no partner's id is there."""
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
        # 13 satellites tracked and 10 used are the bytes CR LF; after two inserted bytes they look like the terminator.
        packet = np.frombuffer(self.octets, RANGE_GPS_PACKET, count=1, offset=place)
        return bool(plausible_gps_packets(packet)[0])

    def _is_range_packet(self, place: int, last_time_s: int | None, *, joined: bool, at_input_start: bool) -> bool:
        end = place + RANGE_SIZE
        time_s = self.time_at(place)
        if time_s is None or time_s % 0x01010101 == 0:
            return False
        sync = self.octets.find(RANGE_GPS_SYNC, place + 1, end + len(RANGE_GPS_SYNC) - 1)
        if sync >= 0 and self._is_gps_packet(sync):
            return False
        end_confirmed = self._is_end_confirmed(end, time_s)
        if end_confirmed and (joined or at_input_start):
            return True
        if not end_confirmed and self._has_damage_after(end):
            return False
        neighbours = [neighbour_s for neighbour_s in (last_time_s, self._next_time(end)) if neighbour_s is not None]
        if not neighbours:
            return joined or self.octets.startswith(RANGE_GPS_SYNC, end)
        limit_s = NEIGHBOUR_TIME_S if joined or end_confirmed else LONE_TIME_S
        return any(abs(time_s - neighbour_s) <= limit_s for neighbour_s in neighbours)

    def _is_end_confirmed(self, end: int, time_s: int) -> bool:
        next_time_s = self.time_at(end)
        if next_time_s is not None and abs(next_time_s - time_s) <= NEIGHBOUR_TIME_S:
            return True
        for _ in range(_CHAIN_PACKETS):
            if self._confirms_end(end):
                return True
            if self.octets[end] not in PARTNER_IDS:
                return False
            end += RANGE_SIZE
        return False

    def _confirms_end(self, place: int) -> bool:
        rest = self.octets[place : place + len(RANGE_GPS_SYNC)]
        at_end = place + len(rest) == len(self.octets) and self.at_input_end
        return rest == RANGE_GPS_SYNC or place >= len(self.octets) or (at_end and RANGE_GPS_SYNC.startswith(rest))

    def _has_damage_after(self, end: int) -> bool:
        input_ends_soon = self.at_input_end and len(self.octets) - end < INSERTED_BYTES_MAX
        if input_ends_soon or self.octets.find(RANGE_GPS_SYNC, end, end + INSERTED_BYTES_MAX) >= 0:
            return True
        end_bytes = self.octets[end - 1 : end - 1 + _FILL_BEGINNING]
        return end_bytes.count(end_bytes[0]) == len(end_bytes)

    def _next_time(self, place: int) -> int | None:
        """Return the spacecraft time of the next range packet, s, after at most four GPS packets; None without one."""
        for _ in range(_GPS_PACKETS_BETWEEN):
            if not self.octets.startswith(RANGE_GPS_SYNC, place):
                break
            place += GPS_SIZE
        return self.time_at(place)


@dataclass(frozen=True, slots=True, eq=False)
class RangeScan:
    """Result of scanning a piece of input or a whole file, M packets."""

    kinds: NDArray[np.uint8]
    """(M,) `PacketKind` of each packet, in stream order"""
    offsets: NDArray[np.int64]
    """(M,) absolute byte offset of each packet"""
    fixes: NDArray[np.void]
    """GPS packets (`RANGE_GPS_PACKET`), in stream order"""
    ranges: NDArray[np.void]
    """Range packets (`RANGE_PACKET`), in stream order"""
    damage: tuple[Damage, ...]
    """All byte ranges outside packets, in ascending order"""
    anomalies: tuple[Anomaly, ...]
    """Warnings about delivered packets; `record` counts packets of both kinds"""


class RangeScanner:
    """Incremental scanner with bounded memory. The result does not depend on how the stream is cut into pieces.

    A packet is delivered when `LOOKAHEAD` bytes from its beginning are available, or at `finish`.
    """

    def __init__(self, *, base_offset: int = 0) -> None:
        self._input_start = base_offset
        self._pending = b""
        self._pending_start = base_offset
        self._gap = Gap(base_offset)
        self._last_time_s: int | None = None
        self._watch = AnomalyDetector()

    def feed(self, data: bytes | bytearray | memoryview) -> RangeScan:
        """Scan the next piece of the stream and return the packets and damage that are certain by then."""
        return self._advance(data, final=False)

    def finish(self, data: bytes | bytearray | memoryview = b"") -> RangeScan:
        """Scan the last piece of the stream and return all remaining packets and damage."""
        return self._advance(data, final=True)

    def _advance(self, data: bytes | bytearray | memoryview, *, final: bool) -> RangeScan:
        octets = b"".join((self._pending, data))
        buffer = RangeBuffer(octets, at_input_end=final)
        settled = len(octets) if final else max(0, len(octets) - LOOKAHEAD)
        kinds: list[PacketKind] = []
        packets: list[bytes] = []
        offsets: list[int] = []
        damage: list[Damage] = []
        place = 0
        while place < settled:
            at_input_start = self._pending_start + place == self._input_start
            joined = self._gap.length == 0 and not at_input_start
            kind = buffer.packet_at(place, self._last_time_s, joined=joined, at_input_start=at_input_start)
            if kind is None:
                match = _POSSIBLE_START.search(octets, place + 1)
                next_place = min(match.start(), settled) if match else settled
                self._gap.extend(octets[place:next_place])
                place = next_place
                continue
            if self._gap.length:
                damage.append(self._gap.as_damage(DamageReason.CONTENT))
            if kind is PacketKind.RANGE:
                self._last_time_s = buffer.time_at(place)
            kinds.append(kind)
            packets.append(octets[place : place + PACKET_SIZE[kind]])
            offsets.append(self._pending_start + place)
            place += PACKET_SIZE[kind]
            self._gap = Gap(self._pending_start + place)
        if final:
            damage += self._describe_tail(octets)
        self._pending = octets[place:]
        self._pending_start += place
        return self._result(np.array(kinds, np.uint8), packets, np.array(offsets, np.int64), damage)

    def _result(
        self, kinds: NDArray[np.uint8], packets: list[bytes], offsets: NDArray[np.int64], damage: list[Damage]
    ) -> RangeScan:
        is_range = kinds == PacketKind.RANGE
        fixes = np.frombuffer(b"".join(compress(packets, ~is_range)), RANGE_GPS_PACKET)
        ranges = np.frombuffer(b"".join(compress(packets, is_range)), RANGE_PACKET)
        steps_s = np.zeros(len(packets), np.int64)
        steps_s[is_range] = self._watch.time_steps_s(ranges["t_spacecraft_s"], ranges["t_spacecraft_s"])
        implausible = ~is_range
        implausible[implausible] = ~plausible_gps_packets(fixes)
        flags = {
            AnomalyReason.IMPLAUSIBLE_FIX: implausible,
            AnomalyReason.OUT_OF_ORDER: steps_s < -ORDER_JITTER_S,
            AnomalyReason.CLOCK_STEP: np.abs(steps_s) > NEIGHBOUR_TIME_S,
        }
        anomalies = self._watch.inspect(np.array(packets, object), offsets, flags)
        return RangeScan(kinds, offsets, fixes, ranges, tuple(damage), anomalies)

    def _describe_tail(self, octets: bytes) -> list[Damage]:
        """Return the damage at the end of the input; the beginning of a packet there is reported as a cut packet."""
        cut, end = self._gap.stop, self._gap.stop
        sync = octets.rfind(RANGE_GPS_SYNC, max(0, len(octets) - GPS_SIZE + 1))
        rest = octets[self._gap.start - end :] if 0 < self._gap.length <= len(octets) else b""
        if sync >= 0:
            cut = max(self._gap.start, end - len(octets) + sync)
        elif rest and (RANGE_GPS_SYNC.startswith(rest) or (rest[0] in PARTNER_IDS and len(rest) < RANGE_SIZE)):
            cut = self._gap.start
        return self._gap.as_tail(cut)


def scan(data: bytes | bytearray | memoryview, *, base_offset: int = 0) -> RangeScan:
    """Scan a whole stream; `base_offset` is added to every reported offset."""
    return RangeScanner(base_offset=base_offset).finish(data)
