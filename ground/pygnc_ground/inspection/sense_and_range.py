"""Sense and range files: their viewers, and statistics of GPS and range packets in constant memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import SX1280_BANDWIDTH_HZ, GpsTimeStatus, SolutionStatus
from pygnc.formats.gps_packet import GpsFixes, decode_gps_packets
from pygnc.formats.range_scan import RangeScan, RangeScanner, scan
from pygnc.formats.ranges import PacketKind, RangeMeasurements, decode_ranges
from pygnc.formats.sense import SENSOR_PACKET, SenseLayout, decode_fixes, decode_sensors
from pygnc.formats.sense_scan import SenseScan, SenseScanner, recognise_layout
from pygnc.tasks.ingest.range_folders import satellite_of
from pygnc_ground.inspection.sections import (
    HEAD_BYTES,
    AnomalyTally,
    DamageTally,
    Entry,
    Facts,
    Listing,
    Note,
    Section,
    Value,
    element,
    read_chunks,
)
from pygnc_ground.inspection.times import Cadence, TimeSpans, cadence_listing, known_gps_ms

_STATUSES: Final = {
    "time_status": GpsTimeStatus,
    "position_status": SolutionStatus,
    "velocity_status": SolutionStatus,
}
_QUANTITIES: Final = (
    "satellites_tracked",
    "satellites_used",
    "position_sigma_m",
    "velocity_sigma_mps",
    "velocity_latency_s",
    "solution_age_s",
)


class GpsSummary:
    """Statistics of GPS packets: statuses, satellites, standard deviations."""

    def __init__(self) -> None:
        self.count = 0
        self.computed = 0
        """Packets with a position that the receiver reports as computed."""
        self._uncomputed_positions = 0
        self._statuses: dict[str, Counter[int]] = {name: Counter() for name in _STATUSES}
        self._extremes: dict[str, tuple[float, float]] = {}

    def add(self, fixes: GpsFixes) -> None:
        """Add further packets."""
        self.count += len(fixes)
        position = fixes.position_ecef_m
        has_position = np.isfinite(position).all(axis=1) & (position != 0.0).any(axis=1)
        has_position &= (fixes.gps_week > 0) & (fixes.satellites_used > 0)
        computed = fixes.position_status == SolutionStatus.COMPUTED
        self.computed += int(np.count_nonzero(has_position & computed))
        self._uncomputed_positions += int(np.count_nonzero(has_position & ~computed))
        for name, counter in self._statuses.items():
            words = getattr(fixes, name)
            if words is not None:
                counter.update(dict(zip(*(part.tolist() for part in np.unique_counts(words)), strict=True)))
        for name in _QUANTITIES:
            self._widen(name, getattr(fixes, name))

    def sections(self) -> list[Section]:
        """Return the statistics as sections."""
        if not self.count:
            return []
        statuses: list[tuple[Value, ...]] = [
            (name, word, _in_words(name, word), count)
            for name, counter in self._statuses.items()
            for word, count in sorted(counter.items())
        ]
        quantities = [(name, *self._extremes[name]) for name in _QUANTITIES if name in self._extremes]
        notes: list[Section] = []
        if self._uncomputed_positions and not self.computed:
            notes.append(
                Note(
                    "every position has the status of a receiver without a solution, as PyGNC's simulator"
                    " writes it; to use them, set accept_position_status = [0, 1]"
                )
            )
        return [
            Listing("GPS statuses", ("word", "value", "meaning", "packets"), statuses),
            *notes,
            Listing("GPS quantities", ("quantity", "least", "most"), quantities),
        ]

    def _widen(self, name: str, values: NDArray[Any]) -> None:
        finite = values[np.isfinite(values)]
        if finite.size:
            least, most = self._extremes.get(name, (np.inf, -np.inf))
            self._extremes[name] = (min(least, finite.min().item()), max(most, finite.max().item()))


def _in_words(name: str, word: int) -> str:
    try:
        return _STATUSES[name](word).name.lower().replace("_", " ")
    except ValueError:
        return "no known status"


class SenseViewer:
    """Viewer of sense files with the standard number of sensor packets per record, with or without CR LF."""

    kind = "sense file"

    def recognises(self, head: bytes) -> bool:
        """Return whether `head` contains at least one record."""
        return recognise_layout(head) is not None

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """Yield byte counters, times, statuses, damage and anomalies, then the packets of the first records."""
        with path.open("rb") as file:
            layout = recognise_layout(file.read(HEAD_BYTES))
        if layout is None:
            yield Note("the file contains no sense record", fault=True)
            return
        yield from _sense_summary(path, layout)
        if messages:
            yield from _sense_packets(path, layout, messages)


def _sense_scans(path: Path, layout: SenseLayout) -> Iterator[SenseScan]:
    scanner = SenseScanner(layout)
    for chunk in read_chunks(path):
        yield scanner.feed(chunk)
    yield scanner.finish()


def _sense_summary(path: Path, layout: SenseLayout) -> Iterator[Section]:
    damage, anomalies, gps, times = DamageTally(), AnomalyTally(), GpsSummary(), TimeSpans()
    sensor_cadence, gps_cadence = Cadence("sensor"), Cadence("GPS")
    records = 0
    for part in _sense_scans(path, layout):
        damage.add(part.damage)
        anomalies.add(part.anomalies)
        records += len(part.records)
        fixes = decode_fixes(part.records)
        sensor_times_s = part.records["sensors"]["t_spacecraft_s"].astype(np.int64)
        gps.add(fixes)
        times.add_spacecraft(sensor_times_s)
        times.add_gps(fixes)
        sensor_cadence.add(1000 * sensor_times_s.ravel())
        gps_cadence.add(known_gps_ms(fixes))
    terminated = "CR LF" if layout.terminated else "no CR LF"
    yield Facts(
        "records",
        {
            "layout": f"{layout.size} bytes: {layout.sensors_per_record} sensor packets, 1 GPS packet, {terminated}",
            "records": records,
            "delivered_bytes": records * layout.size,
            "damaged_bytes": damage.damaged_bytes,
            "damaged_ranges": damage.ranges,
            "anomalies": anomalies.count,
            "computed_positions": gps.computed,
        },
    )
    yield from times.sections()
    yield from cadence_listing(sensor_cadence, gps_cadence)
    yield from gps.sections()
    yield from damage.sections()
    yield from anomalies.sections()


def _sense_packets(path: Path, layout: SenseLayout, limit: int) -> Iterator[Section]:
    number = 0
    for part in _sense_scans(path, layout):
        wanted = part.records[: limit - number]
        sensors, fixes = decode_sensors(wanted), decode_fixes(wanted)
        for index in range(len(wanted)):
            at_byte = int(part.offsets[index])
            for k in range(layout.sensors_per_record):
                yield Entry("sensor packet", {"record": number, "at_byte": at_byte} | element(sensors, index, k))
                at_byte += SENSOR_PACKET.itemsize
            yield Entry("GPS packet", {"record": number, "at_byte": at_byte} | element(fixes, index))
            number += 1
        if number >= limit:
            return


@dataclass
class _Partner:
    packets: int = 0
    sum_m: float = 0.0
    sum_m2: float = 0.0
    least_m: float = np.inf
    most_m: float = -np.inf
    sum_rssi_dbm: float = 0.0


class PartnerSummary:
    """Statistics of range packets per partner."""

    def __init__(self) -> None:
        self.count = 0
        self._partners: dict[int, _Partner] = {}

    def add(self, ranges: RangeMeasurements) -> None:
        """Add further packets."""
        self.count += len(ranges)
        for partner_id in np.unique(ranges.partner_id).tolist():
            of_partner = ranges.partner_id == partner_id
            range_m, rssi_dbm = ranges.range_m[of_partner], ranges.rssi_dbm[of_partner]
            partner = self._partners.setdefault(partner_id, _Partner())
            partner.packets += len(range_m)
            partner.sum_m += float(range_m.sum())
            partner.sum_m2 += float(range_m @ range_m)
            partner.least_m = min(partner.least_m, float(range_m.min()))
            partner.most_m = max(partner.most_m, float(range_m.max()))
            partner.sum_rssi_dbm += float(rssi_dbm.sum())

    def sections(self) -> list[Section]:
        """Return the statistics as sections."""
        if not self.count:
            return []
        columns = ("partner", "packets", "least_m", "mean_m", "most_m", "sigma_m", "mean_rssi_dbm")
        rows = [
            (
                *(f"{partner_id} {chr(partner_id)}", partner.packets),
                *(partner.least_m, partner.sum_m / partner.packets, partner.most_m, _sigma_m(partner)),
                partner.sum_rssi_dbm / partner.packets,
            )
            for partner_id, partner in sorted(self._partners.items())
        ]
        caution = Note(
            f"ranges assume a radio bandwidth of {SX1280_BANDWIDTH_HZ / 1e3:.1f} kHz and include the delay of the pair"
            " of radios, about 1 km"
        )
        return [Listing("partners", columns, rows), caution]


def _sigma_m(partner: _Partner) -> float:
    mean_m = partner.sum_m / partner.packets
    return sqrt(max(0.0, partner.sum_m2 / partner.packets - mean_m**2))


_BELIEVED_PACKETS: Final = 2
"""A single range packet could be the beginning of almost any text."""


class RangeViewer:
    """Viewer of `rng#####.bin`: GPS packets and range packets."""

    kind = "range file"

    def recognises(self, head: bytes) -> bool:
        """Return whether `head` contains a GPS packet or several range packets."""
        found = scan(head)
        return len(found.fixes) > 0 or len(found.ranges) >= _BELIEVED_PACKETS

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """Yield byte counters, times, partners, statuses, damage and anomalies, then the first packets."""
        yield from _range_summary(path)
        if messages:
            yield from _range_packets(path, messages)


def _range_scans(path: Path) -> Iterator[RangeScan]:
    scanner = RangeScanner()
    for chunk in read_chunks(path):
        yield scanner.feed(chunk)
    yield scanner.finish()


def _range_summary(path: Path) -> Iterator[Section]:
    damage, anomalies, times = DamageTally(), AnomalyTally(), TimeSpans()
    gps, partners, gps_cadence = GpsSummary(), PartnerSummary(), Cadence("GPS")
    for found in _range_scans(path):
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
        yield Note("the file contains no packet", fault=True)
    yield from cadence_listing(gps_cadence)
    yield from partners.sections()
    yield from gps.sections()
    yield from damage.sections()
    yield from anomalies.sections()


def _range_packets(path: Path, limit: int) -> Iterator[Section]:
    shown = 0
    for found in _range_scans(path):
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
