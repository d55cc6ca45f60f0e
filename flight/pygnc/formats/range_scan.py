"""Scanning a range stream: `range_packets` judges each place, this module walks, counts and reports."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import PARTNER_IDS
from pygnc.formats.damage import Anomaly, AnomalyReason, Damage, DamageReason, Gap
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, RANGE_GPS_SYNC, plausible_gps_packets
from pygnc.formats.range_packets import GPS_SIZE, LOOKAHEAD, NEIGHBOUR_TIME_S, PACKET_SIZE, RANGE_SIZE, Stretch
from pygnc.formats.ranges import RANGE_PACKET, PacketKind

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
        stretch = Stretch(octets, closes_input=final)
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
