"""Targets for the host's files of packets, and for live packets."""

import random
from functools import partial
from typing import Any

import numpy as np

from pygnc.configuration.settings import Settings
from pygnc.formats import range_scan, sense_scan
from pygnc.formats.gps_packet import (
    RANGE_GPS,
    RANGE_GPS_PACKET,
    SENSE_GPS,
    SENSE_GPS_PACKET,
    decode_gps_packets,
    encode_gps_packets,
)
from pygnc.formats.ranges import RANGE_PACKET, PacketKind, decode_ranges, encode_ranges
from pygnc.formats.sense import SENSOR_PACKET, STANDARD_LAYOUT, SenseLayout, decode_sensors, encode_records
from pygnc.formats.sense_assembler import Assembled, SenseAssembler
from pygnc.inputs.host_packets import fix_messages, range_messages, sample_messages
from pygnc.navigation.screening import fix_from, screen
from tests.fuzz import mutations
from tests.fuzz.mutations import fields_of
from tests.fuzz.target import Target, cut_of, finite, tiles
from tests.pygnc.formats.streams import range_packets, sense_records

SCREENING = Settings().orbit.screening


def check_fixes(packets: Any, kind: str) -> None:  # noqa: ANN401 - structured arrays have no useful type
    fixes = decode_gps_packets(packets)
    assert encode_gps_packets(fixes, packets.dtype).tobytes() == quieted(packets)
    places = [(number, "fuzz", number, b"") for number in range(len(packets))]
    for message in fix_messages(fixes, places, kind):
        if screen(message, SCREENING) is None:
            fix = fix_from(message, SCREENING)
            assert finite([*fix.position_ecef_m, *fix.position_sigma_m, fix.velocity_latency_s, fix.time_sigma_s])
            if fix.velocity_ecef_mps is not None and fix.velocity_sigma_mps is not None:
                assert finite([*fix.velocity_ecef_mps, *fix.velocity_sigma_mps])


def quieted(packets: Any) -> bytes:  # noqa: ANN401
    """Bytes of packets after a conversion of single numbers to double and back, which quiets signalling NaN."""
    copies = packets.copy()
    with np.errstate(invalid="ignore"):
        for name in copies.dtype.names:
            if copies.dtype[name].base == np.dtype("<f4"):
                copies[name] = copies[name].astype(np.float64)
    content: bytes = copies.tobytes()
    return content


def check_sense(layout: SenseLayout, data: bytes) -> None:
    found = sense_scan.scan(data, layout)
    tiles(0, len(data), ((start, start + layout.size) for start in found.offsets.tolist()), found.damage)
    scanner = sense_scan.SenseScanner(layout)
    parts = [scanner.feed(data[: cut_of(data)]), scanner.finish(data[cut_of(data) :])]
    assert [*parts[0].offsets, *parts[1].offsets] == found.offsets.tolist()
    assert (*parts[0].damage, *parts[1].damage) == found.damage
    assert (*parts[0].anomalies, *parts[1].anomalies) == found.anomalies
    records = found.records
    if len(records) == 0:
        return
    samples = decode_sensors(records)
    again = encode_records(samples, decode_gps_packets(records["gps"]), layout)
    for name in ("t_spacecraft_s", "mag", "hall", "gyro"):
        assert np.array_equal(again["sensors"][name], records["sensors"][name])
    in_scale = samples.lux <= 83_865.6
    assert np.allclose(decode_sensors(again).lux[in_scale], samples.lux[in_scale], rtol=1e-12, atol=0.0)
    check_fixes(records["gps"], SENSE_GPS)
    places = [(number, "fuzz", number, b"") for number in range(samples.hall_raw.size)]
    for sample in sample_messages(samples, places, "times"):
        assert 0 <= sample.t_spacecraft_ms < 1000
        assert finite([*sample.mag_imu_ut, *sample.gyro_imu_rad_s, *sample.lux])


def check_range(data: bytes) -> None:
    found = range_scan.scan(data)
    sizes = [range_scan.PACKET_SIZE[PacketKind(kind)] for kind in found.kinds]
    offsets = found.offsets.tolist()
    tiles(0, len(data), ((at, at + size) for at, size in zip(offsets, sizes, strict=True)), found.damage)
    scanner = range_scan.RangeScanner()
    parts = [scanner.feed(data[: cut_of(data)]), scanner.finish(data[cut_of(data) :])]
    assert [*parts[0].offsets, *parts[1].offsets] == offsets
    assert (*parts[0].damage, *parts[1].damage) == found.damage
    assert (*parts[0].anomalies, *parts[1].anomalies) == found.anomalies
    check_fixes(found.fixes, RANGE_GPS)
    measured = decode_ranges(found.ranges)
    again = encode_ranges(measured)
    found_error = found.ranges["frequency_error"] & (0x0F, 0xFF, 0xFF)
    assert np.array_equal(again["frequency_error"], found_error)
    for name in ("partner_id", "rssi", "t_spacecraft_s", "distance"):
        assert np.array_equal(again[name], found.ranges[name])
    places = [(number, "fuzz", number, b"") for number in range(len(measured))]
    for message in range_messages(measured, places):
        assert finite([message.range_m, message.frequency_error_hz, message.rssi_dbm])


def check_assembler(data: bytes) -> None:
    """Packets of 30 or 99 bytes, as the lowest bit of each one's first byte selects."""
    assembler = SenseAssembler()
    packets: list[bytes] = []
    parts: list[Assembled] = []
    place = 0
    while place < len(data):
        size = SENSE_GPS_PACKET.itemsize if data[place] & 1 else SENSOR_PACKET.itemsize
        raw = b"\x65" + data[place + 1 : place + size]  # times of some weeks, so that records are possible
        place += size
        if len(raw) == size:
            packets.append(raw)
            parts.append(assembler.add(raw))
    parts.append(assembler.finish())
    records = [record for part in parts for record in part.records]
    used = sum(len({record[at : at + 30] for at in range(0, 150, 30)}) for record in records)
    used += sum(record[150:249] in packets for record in records)
    assert used + sum(len(part.spare_fixes) for part in parts) + assembler.left_out == len(packets)
    found = sense_scan.scan(b"".join(records))
    assert (len(found.records), found.damage) == (len(records), ())


def sense_target(layout: SenseLayout) -> Target:
    seeds = [sense_records(count, layout=layout, seed=count).tobytes() for count in (1, 2, 4)]
    seeds.append(sense_records(3, layout=layout, has_fix=False).tobytes())
    mutate = mutations.records(fields_of(layout.record), layout.size)
    return Target(partial(check_sense, layout), mutate, seeds, 6 * layout.size)


def range_target() -> Target:
    both = [*fields_of(RANGE_GPS_PACKET), *((102 + at, code) for at, code in fields_of(RANGE_PACKET))]
    seeds = [b"".join(range_packets(count, seed=count, most_ranges=3)) for count in (1, 2, 4)]
    return Target(check_range, mutations.records(both, 114), seeds, 800)


def assembler_seed(order: random.Random) -> bytes:
    """The packets of four records, some of them late, lost or repeated."""
    packets = []
    for record in sense_records(4, seed=2):
        packets += [(record["sensors"][k].tobytes(), 0) for k in range(5)] + [(record["gps"].tobytes(), 1)]
    packets = [packet for packet in packets if order.random() < 0.95]
    for _ in range(order.randrange(4)):
        at = order.randrange(len(packets) - 1)
        packets[at], packets[at + 1] = packets[at + 1], packets[at]
    return b"".join(bytes([is_fix]) + packet[1:] for packet, is_fix in packets)


def packet_targets() -> dict[str, Target]:
    """Return the targets by name."""
    packets = mutations.records(fields_of(SENSOR_PACKET), 30)
    order = random.Random(1)  # noqa: S311 - repeatable
    return {
        "sense": sense_target(STANDARD_LAYOUT),
        "sense_unterminated": sense_target(SenseLayout(5, terminated=False)),
        "sense_one_sensor": sense_target(SenseLayout(1)),
        "range": range_target(),
        "assembler": Target(check_assembler, packets, [assembler_seed(order) for _ in range(4)]),
    }
