"""Scenario files split into a batch to upload and live packets to stream."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pygnc.common.clock import MS_PER_WEEK
from pygnc.formats.range_scan import scan as scan_ranges
from pygnc.formats.ranges import PacketKind
from pygnc.formats.sense_scan import SenseScan
from pygnc.formats.sense_scan import scan as scan_sense
from pygnc.host.sentence_types import GPSR, GPSS, PGPS, PRNG, RANG, SENS, TIME, SentenceType
from pygnc.inputs.range_folders import RangeFolder, list_range_files

OWN_ID: Final = 74
STEP_MAX_S: Final = 600
"""Longer gaps and backward steps count as steps of the clock."""
MARK_INTERVAL_S: Final = 60.0
AFTER_THE_BATCH_S: Final = 60


class TimedPacket(NamedTuple):
    """Live packet.

    Attributes:
        after_s: Time after the first packet, scenario seconds.
        kind: Type of its sentence.
        values: Fields of its sentence before the packet.
        body: Bytes of the packet.
    """

    after_s: float
    kind: SentenceType
    values: tuple[int, ...]
    body: bytes


@dataclass(frozen=True)
class Scenario:
    """Input of a controller.

    Attributes:
        batch: Files to upload by name.
        packets: Live packets in order of time.
        start_s: Spacecraft time at the start of main.py, s.
    """

    batch: dict[str, bytes]
    packets: list[TimedPacket]
    start_s: int


def load_scenario(folder: Path, live_s: float) -> Scenario:
    """Read `sense.bin` and range files from a folder; the last `live_s` seconds are live, the rest is the batch.

    Raises:
        OSError: A file cannot be read.
        ValueError: `sense.bin` has no valid record.
    """
    content = (folder / "sense.bin").read_bytes()
    found = scan_sense(content)
    if len(found.records) == 0:
        raise ValueError(f"{folder / 'sense.bin'}: no valid record in {len(content)} bytes; choose another folder")
    elapsed_s = _elapsed_s(found)
    split = int(np.searchsorted(elapsed_s, elapsed_s[-1] - live_s, side="right")) if live_s > 0.0 else len(elapsed_s)
    if split == len(elapsed_s):
        batch = {"sense.bin": content} | _split_ranges(folder, None)[0]
        return Scenario(batch, [], int(found.records["gps"]["t_spacecraft_s"][-1]) + AFTER_THE_BATCH_S)
    batch = {"sense.bin": content[: int(found.offsets[split])]} if split else {}
    packets = list(_sense_packets(found, elapsed_s, split))
    range_batch, range_packets = _split_ranges(folder, _gps_ms(found.records["gps"][split]))
    batch |= range_batch
    packets = sorted([*packets, *range_packets], key=lambda packet: packet.after_s)
    return Scenario(batch, packets, int(found.records["sensors"]["t_spacecraft_s"][split, 0]))


def with_time_marks(packets: list[TimedPacket], start_s: int) -> Iterator[TimedPacket]:
    """Yield the packets with time marks between them, for packets that are sent in real time."""
    due_s = 0.0
    for packet in packets:
        if packet.after_s >= due_s:
            yield TimedPacket(
                packet.after_s, TIME, (start_s + int(packet.after_s), int(packet.after_s % 1.0 * 1e3)), b""
            )
            due_s = packet.after_s + MARK_INTERVAL_S
        yield packet


def _elapsed_s(found: SenseScan) -> NDArray[np.float64]:
    """Return the time of each record after the first record, s, without clock steps, shape (M,)."""
    steps = np.diff(found.records["gps"]["t_spacecraft_s"].astype(np.int64))
    steps = np.where((steps < 0) | (steps > STEP_MAX_S), 0, steps)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _sense_packets(found: SenseScan, elapsed_s: NDArray[np.float64], split: int) -> Iterator[TimedPacket]:
    after_s = 0.0
    first = found.records[split]
    lead_s = min(STEP_MAX_S, max(0.0, float(first["gps"]["t_spacecraft_s"]) - float(first["sensors"][0][0])))
    for record, record_s in zip(found.records[split:], elapsed_s[split:] - elapsed_s[split] + lead_s, strict=True):
        for sensor in record["sensors"]:
            earlier_s = float(record["gps"]["t_spacecraft_s"]) - float(sensor["t_spacecraft_s"])
            after_s = max(after_s, record_s - (earlier_s if 0.0 <= earlier_s <= STEP_MAX_S else 0.0))
            yield TimedPacket(after_s, SENS, (), sensor.tobytes())
        after_s = max(after_s, float(record_s))
        yield TimedPacket(after_s, GPSS, (), record["gps"].tobytes())


def _split_ranges(folder: Path, split_ms: int | None) -> tuple[dict[str, bytes], list[TimedPacket]]:
    """Return the parts of the range files before GPS time `split_ms`, and the live packets; None: all is batch."""
    batch: dict[str, bytes] = {}
    packets: list[TimedPacket] = []
    for source in list_range_files(folder, OWN_ID)[0]:
        for row in source.rows():
            contents = [(folder / name).read_bytes() for name in row]
            cut, live = _live_ranges(b"".join(contents), split_ms, source.satellite_id)
            packets += live
            for name, octets in zip(row, contents, strict=True):
                if cut > 0 or split_ms is None:
                    batch[_upload_name(source, name)] = octets[:cut]
                cut -= len(octets)
    return batch, packets


def _live_ranges(octets: bytes, split_ms: int | None, satellite_id: int) -> tuple[int, list[TimedPacket]]:
    """Return the offset of the live part and its packets."""
    if split_ms is None:
        return len(octets), []
    found = scan_ranges(octets)
    fixes, ranges = iter(found.fixes), iter(found.ranges)
    values = (satellite_id,) if satellite_id else ()
    kinds = (PGPS, PRNG) if satellite_id else (GPSR, RANG)
    now_ms, cut, packets = 0, len(octets), []
    for kind, offset in zip(found.kinds, found.offsets, strict=True):
        packet = next(fixes) if kind == PacketKind.GPS else next(ranges)
        if kind == PacketKind.GPS:
            now_ms = _gps_ms(packet) or now_ms
        if now_ms >= split_ms:
            cut = min(cut, int(offset))
            packets.append(TimedPacket((now_ms - split_ms) * 1e-3, kinds[kind], values, packet.tobytes()))
    return cut, packets


def _upload_name(source: RangeFolder, name: str) -> str:
    """Return the name of a range file for the upload."""
    file = Path(name).name if Path(name).name != "range.bin" else "rng00000.bin"
    return f"range/partner_{source.satellite_id}/{file}" if source.satellite_id else f"range/{file}"


def _gps_ms(packet: NDArray[np.void]) -> int | None:
    """Return the GPS time of a packet, ms; None if the receiver had no time."""
    week = int(packet["gps_week"])
    return week * MS_PER_WEEK + int(packet["gps_tow_ms"]) if week else None
