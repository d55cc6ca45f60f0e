"""Shows a sense file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pygnc.formats.sense import SENSOR_PACKET, SenseLayout, decode_fixes, decode_sensors
from pygnc.formats.sense_scan import SenseScan, SenseScanner, recognise_layout
from pygnc_ground.inspection.damage_tally import AnomalyTally, DamageTally
from pygnc_ground.inspection.decoded import element
from pygnc_ground.inspection.gps_summary import GpsSummary
from pygnc_ground.inspection.sections import Entry, Facts, Note, Section
from pygnc_ground.inspection.times import Cadence, TimeSpans, cadence_listing, known_gps_ms
from pygnc_ground.inspection.viewer import HEAD_BYTES, read_chunks


class SenseViewer:
    """Sense files with the standard number of sensor packets in a record, with or without CR LF."""

    kind = "sense file"

    def recognises(self, head: bytes) -> bool:
        """Whether at least one record can be found."""
        return recognise_layout(head) is not None

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """Show books of its bytes, times, statuses, damage, anomalies; then the packets of the first records."""
        with path.open("rb") as file:
            layout = recognise_layout(file.read(HEAD_BYTES))
        if layout is None:
            yield Note("no sense record can be found", fault=True)
            return
        yield from _summary(path, layout)
        if messages:
            yield from _packets(path, layout, messages)


def _scans(path: Path, layout: SenseLayout) -> Iterator[SenseScan]:
    scanner = SenseScanner(layout)
    for chunk in read_chunks(path):
        yield scanner.feed(chunk)
    yield scanner.finish()


def _summary(path: Path, layout: SenseLayout) -> Iterator[Section]:
    damage, anomalies, gps, times = DamageTally(), AnomalyTally(), GpsSummary(), TimeSpans()
    sensor_cadence, gps_cadence = Cadence("sensor"), Cadence("GPS")
    records = 0
    for scan in _scans(path, layout):
        damage.add(scan.damage)
        anomalies.add(scan.anomalies)
        records += len(scan.records)
        fixes = decode_fixes(scan.records)
        sensor_times_s = scan.records["sensors"]["t_spacecraft_s"].astype(np.int64)
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


def _packets(path: Path, layout: SenseLayout, limit: int) -> Iterator[Section]:
    number = 0
    for scan in _scans(path, layout):
        wanted = scan.records[: limit - number]
        sensors, fixes = decode_sensors(wanted), decode_fixes(wanted)
        for index in range(len(wanted)):
            at_byte = int(scan.offsets[index])
            for k in range(layout.sensors_per_record):
                yield Entry("sensor packet", {"record": number, "at_byte": at_byte} | element(sensors, index, k))
                at_byte += SENSOR_PACKET.itemsize
            yield Entry("GPS packet", {"record": number, "at_byte": at_byte} | element(fixes, index))
            number += 1
        if number >= limit:
            return
