"""Shows a range file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pygnc.formats.gps_packet import decode_gps_packets
from pygnc.formats.range_scan import RangeScan, RangeScanner, scan
from pygnc.formats.ranges import PacketKind, decode_ranges
from pygnc.tasks.ingest.range_folders import satellite_of
from pygnc_ground.inspection.damage_tally import AnomalyTally, DamageTally
from pygnc_ground.inspection.decoded import element
from pygnc_ground.inspection.gps_summary import GpsSummary
from pygnc_ground.inspection.partner_summary import PartnerSummary
from pygnc_ground.inspection.sections import Entry, Facts, Note, Section, Value
from pygnc_ground.inspection.times import Cadence, TimeSpans, cadence_listing, known_gps_ms
from pygnc_ground.inspection.viewer import read_chunks

_BELIEVED_PACKETS: Final = 2
"""A range packet alone could be the beginning of almost any text."""


class RangeViewer:
    """`rng#####.bin`: GPS packets and range packets."""

    kind = "range file"

    def recognises(self, head: bytes) -> bool:
        """Whether a GPS packet or several range packets can be found."""
        found = scan(head)
        return len(found.fixes) > 0 or len(found.ranges) >= _BELIEVED_PACKETS

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """Show books of its bytes, times, partners, statuses, damage, anomalies; then the first packets."""
        yield from _summary(path)
        if messages:
            yield from _packets(path, messages)


def _scans(path: Path) -> Iterator[RangeScan]:
    scanner = RangeScanner()
    for chunk in read_chunks(path):
        yield scanner.feed(chunk)
    yield scanner.finish()


def _summary(path: Path) -> Iterator[Section]:
    damage, anomalies, times = DamageTally(), AnomalyTally(), TimeSpans()
    gps, partners, gps_cadence = GpsSummary(), PartnerSummary(), Cadence("GPS")
    for found in _scans(path):
        damage.add(found.damage)
        anomalies.add(found.anomalies)
        fixes, ranges = decode_gps_packets(found.fixes), decode_ranges(found.ranges)
        gps.add(fixes)
        partners.add(ranges)
        times.add_gps(fixes)
        times.add_spacecraft(ranges.t_spacecraft_s)
        gps_cadence.add(known_gps_ms(fixes))
    writer = satellite_of(str(path))
    yield Facts(
        "packets",
        {
            **({"written_by": f"{writer} {chr(writer)}"} if writer else {}),
            "gps_packets": gps.count,
            "computed_positions": gps.computed,
            "range_packets": partners.count,
            "damaged_bytes": damage.damaged_bytes,
            "damaged_ranges": damage.ranges,
            "anomalies": anomalies.count,
        },
    )
    if gps.count or partners.count:
        yield from times.sections()
    else:
        yield Note("no packet can be found", fault=True)
    yield from cadence_listing(gps_cadence)
    yield from partners.sections()
    yield from gps.sections()
    yield from damage.sections()
    yield from anomalies.sections()


def _packets(path: Path, limit: int) -> Iterator[Section]:
    shown = 0
    for found in _scans(path):
        fixes, ranges = decode_gps_packets(found.fixes), decode_ranges(found.ranges)
        done = {PacketKind.GPS: 0, PacketKind.RANGE: 0}
        for number, offset in zip(found.kinds.tolist(), found.offsets.tolist(), strict=True):
            if shown == limit:
                return
            shown += 1
            kind = PacketKind(number)
            at_byte: dict[str, Value] = {"at_byte": offset}
            if kind is PacketKind.GPS:
                yield Entry("GPS packet", at_byte | element(fixes, done[kind]))
            else:
                yield Entry("range packet", at_byte | element(ranges, done[kind]))
            done[kind] += 1
