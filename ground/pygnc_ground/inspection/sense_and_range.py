"""Sense and range files: their viewers, and statistics of GPS and range packets in constant memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from math import sqrt
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.clock import UNKNOWN_GPS_MS, gps_ms_from_weeks
from pygnc.common.constants import SX1280_BANDWIDTH_HZ, GpsTimeStatus, SolutionStatus
from pygnc.formats.gps_packet import GpsFixes, decode_gps_packets
from pygnc.formats.range_scan import RangeScan, RangeScanner, scan
from pygnc.formats.ranges import PacketKind, RangeMeasurements, decode_ranges
from pygnc.formats.sense import SENSOR_PACKET, SenseLayout, decode_sensors
from pygnc.formats.sense_scan import SenseScan, SenseScanner, recognise_layout
from pygnc.inputs.range_folders import satellite_of
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
    Viewer,
    element,
    name_of,
    read_chunks,
)
from pygnc_ground.inspection.times import Cadence, Span, cadence_listing, time_sections

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
        self._extremes = {name: Span() for name in _QUANTITIES}

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
        for name, span in self._extremes.items():
            span.add(getattr(fixes, name))

    def sections(self) -> list[Section]:
        """Return the statistics as sections."""
        if not self.count:
            return []
        statuses: list[tuple[Value, ...]] = [
            (name, word, name_of(_STATUSES[name], word, "no known status"), count)
            for name, counter in self._statuses.items()
            for word, count in sorted(counter.items())
        ]
        quantities = [(name, span.least, span.most) for name, span in self._extremes.items() if span.least is not None]
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


class _Tallies:
    """Statistics that sense files and range files have in common."""

    def __init__(self) -> None:
        self.damage, self.anomalies, self.gps = DamageTally(), AnomalyTally(), GpsSummary()
        self.spacecraft_s, self.gps_ms = Span(), Span()
        self.gps_cadence = Cadence("GPS")

    def add(self, part: SenseScan | RangeScan, fixes: GpsFixes, times_s: NDArray[np.int64]) -> None:
        """Add a scanned part of a file with its GPS packets and its spacecraft times in s."""
        self.damage.add(part.damage)
        self.anomalies.add(part.anomalies)
        self.gps.add(fixes)
        self.spacecraft_s.add(times_s)
        gps_ms = gps_ms_from_weeks(fixes.gps_week, fixes.gps_tow_ms)
        gps_ms = gps_ms[gps_ms != UNKNOWN_GPS_MS]
        self.gps_ms.add(gps_ms)
        self.gps_cadence.add(gps_ms)

    @property
    def facts(self) -> dict[str, Value]:
        """Counters of damage and anomalies."""
        return {**self.damage.facts, "anomalies": self.anomalies.count}

    def sections(self) -> Iterator[Section]:
        """Yield the statistics of GPS packets, damage and anomalies."""
        yield from self.gps.sections()
        yield from self.damage.sections()
        yield from self.anomalies.sections()


def _sense_layout(path: Path) -> SenseLayout | None:
    with path.open("rb") as file:
        return recognise_layout(file.read(HEAD_BYTES))


def _sense_scans(path: Path, layout: SenseLayout) -> Iterator[SenseScan]:
    scanner = SenseScanner(layout)
    for chunk in read_chunks(path):
        yield scanner.feed(chunk)
    yield scanner.finish()


def _sense_summary(path: Path) -> Iterator[Section]:
    """Yield byte counters, times, statuses, damage and anomalies."""
    layout = _sense_layout(path)
    if layout is None:
        yield Note("the file contains no sense record", fault=True)
        return
    tallies, sensor_cadence = _Tallies(), Cadence("sensor")
    records = 0
    for part in _sense_scans(path, layout):
        records += len(part.records)
        times_s = part.records["sensors"]["t_spacecraft_s"].astype(np.int64)
        tallies.add(part, decode_gps_packets(part.records["gps"]), times_s)
        sensor_cadence.add(1000 * times_s.ravel())
    terminated = "CR LF" if layout.terminated else "no CR LF"
    facts: dict[str, Value] = {
        "layout": f"{layout.size} bytes: {layout.sensors_per_record} sensor packets, 1 GPS packet, {terminated}",
        "records": records,
        "delivered_bytes": records * layout.size,
        **tallies.facts,
        "computed_positions": tallies.gps.computed,
    }
    yield Facts("records", facts)
    yield from time_sections(tallies.spacecraft_s, tallies.gps_ms)
    yield from cadence_listing(sensor_cadence, tallies.gps_cadence)
    yield from tallies.sections()


def _sense_entries(path: Path) -> Iterator[Sequence[Entry]]:
    layout = _sense_layout(path)
    number = 0
    for part in _sense_scans(path, layout) if layout else ():
        for index, offset in enumerate(part.offsets.tolist()):
            record = part.records[index : index + 1]
            sensors, fixes = decode_sensors(record), decode_gps_packets(record["gps"])
            entries = []
            for k in range(part.records["sensors"].shape[1]):
                place: dict[str, Value] = {"record": number, "at_byte": offset + k * SENSOR_PACKET.itemsize}
                entries.append(Entry("sensor packet", place | element(sensors, 0, k)))
            place = {"record": number, "at_byte": offset + len(entries) * SENSOR_PACKET.itemsize}
            yield [*entries, Entry("GPS packet", place | element(fixes, 0))]
            number += 1


SENSE_FILES: Final = Viewer(
    "sense file", lambda head: recognise_layout(head) is not None, _sense_summary, _sense_entries
)
"""Viewer of sense files with the standard number of sensor packets per record, with or without CR LF."""


class PartnerSummary:
    """Statistics of range packets per partner."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[int, NDArray[np.float64]] = {}
        """Sums over packets by partner: 1, range, range squared, signal strength."""
        self._extremes: dict[int, Span] = {}

    def add(self, ranges: RangeMeasurements) -> None:
        """Add further packets."""
        self.count += len(ranges)
        for partner_id in np.unique(ranges.partner_id).tolist():
            of_partner = ranges.partner_id == partner_id
            range_m, rssi_dbm = ranges.range_m[of_partner], ranges.rssi_dbm[of_partner]
            sums = np.array((len(range_m), range_m.sum(), range_m @ range_m, rssi_dbm.sum()))
            self._sums[partner_id] = self._sums.get(partner_id, 0.0) + sums
            self._extremes.setdefault(partner_id, Span()).add(range_m)

    def sections(self) -> list[Section]:
        """Return the statistics as sections."""
        if not self.count:
            return []
        rows: list[tuple[Value, ...]] = []
        for partner_id, sums in sorted(self._sums.items()):
            count, _, _, _ = sums.tolist()
            _, mean_m, square_m2, rssi_dbm = (sums / count).tolist()
            sigma_m = sqrt(max(0.0, square_m2 - mean_m**2))
            name = f"{partner_id} {chr(partner_id)}"
            span = self._extremes[partner_id]
            rows.append((name, int(count), span.least, mean_m, span.most, sigma_m, rssi_dbm))
        columns = ("partner", "packets", "least_m", "mean_m", "most_m", "sigma_m", "mean_rssi_dbm")
        caution = Note(
            f"ranges assume a radio bandwidth of {SX1280_BANDWIDTH_HZ / 1e3:.1f} kHz and include the delay of the pair"
            " of radios, about 1 km"
        )
        return [Listing("partners", columns, rows), caution]


_PACKETS_MIN: Final = 2
"""Minimum number of range packets in a range file; the beginning of almost any text looks like a single packet."""


def _recognises_ranges(head: bytes) -> bool:
    """Return True if `head` contains a GPS packet or several range packets."""
    found = scan(head)
    return len(found.fixes) > 0 or len(found.ranges) >= _PACKETS_MIN


def _range_scans(path: Path) -> Iterator[RangeScan]:
    scanner = RangeScanner()
    for chunk in read_chunks(path):
        yield scanner.feed(chunk)
    yield scanner.finish()


def _range_summary(path: Path) -> Iterator[Section]:
    """Yield byte counters, times, partners, statuses, damage and anomalies."""
    tallies, partners = _Tallies(), PartnerSummary()
    for found in _range_scans(path):
        ranges = decode_ranges(found.ranges)
        tallies.add(found, decode_gps_packets(found.fixes), ranges.t_spacecraft_s)
        partners.add(ranges)
    writer = satellite_of(str(path))
    facts: dict[str, Value] = {
        **({"written_by": f"{writer} {chr(writer)}"} if writer else {}),
        "gps_packets": tallies.gps.count,
        "computed_positions": tallies.gps.computed,
        "range_packets": partners.count,
        **tallies.facts,
    }
    yield Facts("packets", facts)
    if tallies.gps.count or partners.count:
        yield from time_sections(tallies.spacecraft_s, tallies.gps_ms)
    else:
        yield Note("the file contains no packet", fault=True)
    yield from cadence_listing(tallies.gps_cadence)
    yield from partners.sections()
    yield from tallies.sections()


def _range_entries(path: Path) -> Iterator[Sequence[Entry]]:
    for found in _range_scans(path):
        kinds: dict[PacketKind, tuple[str, GpsFixes | RangeMeasurements, Iterator[int]]] = {
            PacketKind.GPS: ("GPS packet", decode_gps_packets(found.fixes), count()),
            PacketKind.RANGE: ("range packet", decode_ranges(found.ranges), count()),
        }
        for number, offset in zip(found.kinds.tolist(), found.offsets.tolist(), strict=True):
            name, packets, indices = kinds[PacketKind(number)]
            yield [Entry(name, {"at_byte": offset} | element(packets, next(indices)))]


RANGE_FILES: Final = Viewer("range file", _recognises_ranges, _range_summary, _range_entries)
"""Viewer of `rng#####.bin`: GPS packets and range packets."""
