"""Speed of validating and decoding sense.bin, clean and damaged."""

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np

from pygnc.formats.sense import decode_fixes, decode_sensors
from pygnc.formats.sense_scan import scan
from scripts.bench.flight.rows import Row, timed
from scripts.bench.flight.runs import DEMO, LAYOUT

_RECORD_PERIOD_S: Final = 25


def decode_clean(runs: int) -> Iterator[Row]:
    """Time validation and decoding of clean files, next to a loop over struct."""
    peer = len(demo := long_file(432)) / 1e6 / timed(lambda: decode_by_struct(demo), runs)
    for count in (432, 4_000, 120_000):
        content = long_file(count)
        mb, times = len(content) / 1e6, runs * (1 + 4_000 // count)
        to_records = mb / timed(lambda: scan(content), times)  # noqa: B023 - called at once
        to_si = mb / timed(lambda: decoded(content, count), times)  # noqa: B023 - called at once
        yield Row(
            f"scan and validate to record arrays, {mb:.1f} MB", f"{to_records:.0f} MB/s", "300 MB/s", to_records >= 300
        )
        yield Row("the same and on to SI arrays", f"{to_si:.0f} MB/s, {to_si / peer:.0f} x the peer", "", None)
    yield Row("peer: a loop over struct.unpack", f"{peer:.1f} MB/s", "", None)


def decoded(content: bytes, count: int) -> None:
    """Decode a whole file of `count` records."""
    records = scan(content).records
    if not len(decode_sensors(records).lux) == len(decode_fixes(records)) == count:
        raise ValueError("records are missing")


def decode_damaged(runs: int) -> Iterator[Row]:
    """Time validation of files with 1 % and with 20 % damaged records."""
    for percent in (1, 20):
        content = damaged(long_file(40_000), percent / 100)
        kept = len(scan(content).records) / 40_000
        if not 0.98 * (1 - percent / 100) <= kept <= 1.02 * (1 - percent / 100):
            raise ValueError(f"{percent} % are damaged, but {kept:.1%} are delivered")
        speed = len(content) / 1e6 / timed(lambda: scan(content), runs)  # noqa: B023 - called at once
        yield Row(f"scan, {percent} % of the records damaged", f"{speed:.0f} MB/s", "30 MB/s", speed >= 30)


def long_file(count: int) -> bytes:
    """Return a file of `count` records with consecutive times."""
    demo = DEMO.read_bytes()
    records = np.frombuffer(demo * (count * LAYOUT.size // len(demo) + 1), LAYOUT.record)[:count].copy()
    times = 1_000_000_000 + _RECORD_PERIOD_S * np.arange(count)
    step = _RECORD_PERIOD_S // LAYOUT.sensors_per_record
    records["sensors"]["t_spacecraft_s"] = times[:, None] + step * np.arange(LAYOUT.sensors_per_record)
    records["gps"]["t_spacecraft_s"] = records["sensors"]["t_spacecraft_s"][:, -1]
    return records.tobytes()


def damaged(content: bytes, share: float) -> bytes:
    """Return `content` with bytes lost, inserted, zeroed or flipped in a share of its records."""
    rng = np.random.default_rng(1)
    size = LAYOUT.size
    parts = []
    for start in range(0, len(content), size):
        record = content[start : start + size]
        if rng.random() < share:
            at = int(rng.integers(4, size - 4))
            record = (
                record[:at] + record[at + 3 :],
                record[:at] + b"\x55\xaa" + record[at:],
                bytes(size),
                record[:-2] + bytes([record[-2] ^ 16]) + record[-1:],
            )[int(rng.integers(4))]
        parts.append(record)
    return b"".join(parts)


def decode_by_struct(content: bytes) -> list[tuple[float, ...]]:
    """Decode record by record with struct."""
    sensor = struct.Struct("<3hH3h")
    light = struct.Struct(">6H")
    fix = struct.Struct("<BHIB3d3fB3d3f3fBB")
    decoded = []
    for start in range(0, len(content), LAYOUT.size):
        values: list[float] = []
        for k in range(LAYOUT.sensors_per_record):
            at = start + 30 * k
            values.append(int.from_bytes(content[at : at + 4], "big"))
            words = sensor.unpack_from(content, at + 4)
            values += [word / 16 for word in words[:3]] + [word / 65.6 for word in words[4:]]
            values += [0.01 * (word & 0xFFF) * 2 ** (word >> 12) for word in light.unpack_from(content, at + 18)]
        values += fix.unpack_from(content, start + 30 * LAYOUT.sensors_per_record + 4)
        if content[start + LAYOUT.size - 2 : start + LAYOUT.size] != b"\r\n":
            raise ValueError("no CR LF")
        decoded.append(tuple(values))
    return decoded
