"""Targets for records of the flight software itself, and for tables and elements that are uploaded."""

import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import msgspec

from pygnc.common.mean_elements import RANGES, ElementsError, MeanElements
from pygnc.configuration.data_files import COLUMNS, DataFileError, load_earth_orientation, read_earth_orientation
from pygnc.formats import journal, omm_record, status
from pygnc.formats.causes import find_causes
from pygnc.formats.elements import parse_elements
from pygnc.formats.gps_packet import (
    SENSE_GPS,
    decode_gps_packets,
)
from pygnc.formats.info import SIZE_MAX, compose
from pygnc.inputs.host_packets import fix_messages
from pygnc.inputs.journaled import decode_input
from pygnc.tasks.checkpoints import Checkpoint, CheckpointFile
from pygnc_ground.exports.choices import Notation
from pygnc_ground.exports.orbit_messages import omm
from tests.fuzz import mutations
from tests.fuzz.mutations import OCTETS, sealed_at_end, struct_fields
from tests.fuzz.target import Target, cut_of, finite, folder, sealing, tiles
from tests.pygnc.formats.streams import sense_records

ENUMERATIONS: dict[str, set[Any]] = {
    "orbit_mode": set(status.OrbitMode),
    "attitude_mode": set(status.AttitudeMode),
    "phase": set(status.Phase),
}


def check_status(data: bytes) -> None:
    try:
        fields = status.decode(data)
    except status.StatusError:
        return
    values = {name: value for name, value in fields.items() if name not in status._FIXED}
    again = status.decode(status.encode(values))
    assert repr({name: again[name] for name in values}) == repr(values)
    filled, dropped = status.fill(values)
    assert all(repr(filled[name]) == repr(value) for name, value in values.items() if name not in dropped)
    assert not finite(values[name] for name in dropped) or not dropped
    causes = find_causes(fields, {})
    if all(fields[name] in members for name, members in ENUMERATIONS.items()):
        text = compose(fields, causes)
        assert len(text) <= SIZE_MAX
        assert text.isascii()


def check_omm_record(data: bytes) -> None:
    try:
        elements, values = omm_record.decode(data)
    except omm_record.OmmRecordError:
        return
    check_elements_values(elements)
    others = {name: value for name, value in values.items() if name not in RANGES}
    if finite(value for value in values.values() if not isinstance(value, bytes)):
        assert omm_record.encode(elements, others) == data


def check_elements_values(elements: MeanElements) -> None:
    for name, (low, high) in RANGES.items():
        assert low <= getattr(elements, name) <= high
    assert (elements.name + elements.designator).isascii()


def check_elements(data: bytes) -> None:
    try:
        parsed = parse_elements(data)
    except ElementsError:
        return
    check_elements_values(parsed.elements)
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert 1 <= parsed.epoch_line <= len(lines)
    text = omm(parsed.elements, (), 1_000_000_000_000, ("fuzz",)).text(Notation.KVN)
    again = parse_elements(text.encode()).elements
    assert abs(again.epoch_gps_ms - parsed.elements.epoch_gps_ms) <= 1
    for name in RANGES:
        assert math.isclose(getattr(again, name), getattr(parsed.elements, name), rel_tol=1e-9, abs_tol=1e-9)


def check_journal(data: bytes) -> None:
    whole = journal.scan(data)
    records = [(record.offset, record.offset + 20 + len(record.payload)) for record in whole.records]
    tiles(0, len(data), records, whole.damage)
    for record in whole.records:
        encoded = journal.encode(record.kind, record.seq, record.payload)
        read = data[record.offset : record.offset + len(encoded)]
        assert (int.from_bytes(read) ^ int.from_bytes(encoded)).bit_count() <= 1  # the CRC corrects one flipped bit
    first = journal.scan(data[: cut_of(data)], final=False)
    rest = journal.scan(data[first.consumed :], base_offset=first.consumed, final=True)
    assert [*first.records, *rest.records] == whole.records
    place, found = 0, []
    while place < len(data):
        part = journal.scan(data[place:], base_offset=place, limit=1)
        assert part.consumed > 0
        place += part.consumed
        found += part.records
    assert found == whole.records
    for record in whole.records:
        try:
            message = decode_input(record.payload)
        except msgspec.DecodeError:
            continue
        assert repr(decode_input(msgspec.msgpack.encode(message))) == repr(message)


def check_checkpoint(data: bytes) -> None:
    path = folder() / "fuzz.checkpoint"
    path.with_name("fuzz.checkpoint.previous").unlink(missing_ok=True)
    path.write_bytes(data)
    notices: list[str] = []
    file = CheckpointFile(path, lambda *words: notices.append(words[1]))
    loaded = file.load()
    assert (loaded is None) == (notices == ["checkpoint"])
    if loaded is not None:
        file.save(loaded)
        assert file.load() == loaded


def check_orientation(data: bytes) -> None:
    path = folder() / "pygnc_earth_orientation.csv"
    path.write_bytes(data)
    try:
        table = read_earth_orientation(path)
    except DataFileError:
        return
    values = table.at(1_400_000_000_000)
    assert finite(values)
    assert max(map(abs, values[1:])) < 5e-6
    load_earth_orientation(path.parent)


def seal_checkpoint(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data[4:])) + data[4:]


def seal_journal(data: bytes) -> bytes:
    """Correct length and CRC-32 of every record, from one sync to the next."""
    parts = data.split(journal.SYNC)
    sealed = [parts[0]]
    for part in parts[1:]:
        if len(part) >= 16:
            body = part[:2] + struct.pack("<H", (len(part) - 16) % 65536) + part[4:-4]
            sealed.append(body + struct.pack("<I", zlib.crc32(body)))
        else:
            sealed.append(part)
    return journal.SYNC.join(sealed)


def elements_seeds() -> list[bytes]:
    tle = (
        b"ISS (ZARYA)\n1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927\n"
        b"2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537\n"
    )
    elements = parse_elements(tle).elements
    kvn = omm(elements, (), 1_000_000_000_000, ("fuzz",)).text(Notation.KVN)
    pairs = [line.split(" = ") for line in kvn.splitlines() if " = " in line]
    xml = "".join(f"<{name}>{value}</{name}>\n" for name, value in pairs)
    message = f'<?xml version="1.0"?>\n<omm>{xml}</omm>'
    return [tle, kvn.encode(), json.dumps([dict(pairs)], indent=0).encode(), message.encode()]


def journal_seeds() -> list[bytes]:
    payloads = [
        msgspec.msgpack.encode(message)
        for message in fix_messages(
            decode_gps_packets(sense_records(2)["gps"]), [(k, "sense.bin", 0, bytes(99)) for k in range(2)], SENSE_GPS
        )
    ]
    records = [journal.encode(journal.Kind.HEADER, 0, b"header"), *journal.encode_messages(1, payloads)]
    return [b"".join(records), b"".join([*records, journal.encode(journal.Kind.FOOTER, 2, b"")])]


def record_targets() -> dict[str, Target]:
    """Return the targets by name."""
    checkpoint = msgspec.msgpack.encode(Checkpoint(5, 4, 3, bytes(40), 1))
    record = status.encode(status.fill({"run_number": 4, "orbit_mode": 1, "quaternion_w": 1.0})[0] | status._FIXED)
    older = [Path(__file__).parents[1] / "pygnc" / "formats" / f"status-{version}.bin" for version in (4, 5, 6)]
    elements = elements_seeds()
    omm = omm_record.encode(parse_elements(elements[0]).elements, {field.name: 1 for field in omm_record.FIELDS[13:]})
    days = b"".join(b"\n%d,-0.1,0.05,0.3,0.1,-0.2" % day for day in range(60_000, 60_009))
    orientation = b"# fuzz\n" + COLUMNS.encode() + days
    status_fields = struct_fields([field.code for field in status.FIELDS])
    omm_fields = struct_fields([field.code for field in omm_record.FIELDS])
    statuses = mutations.records(status_fields, status.SIZE, sealed_at_end)
    omms = mutations.records(omm_fields, omm_record.SIZE, sealed_at_end)
    files = mutations.text([b"EPOCH", b"NaN", b"<!DOCTYPE a>", b"<a>", b"[["])
    checkpoints = sealing(mutations.records(OCTETS, 64), seal_checkpoint)
    journals = sealing(mutations.records(OCTETS, 150), seal_journal)
    return {
        "status": Target(check_status, statuses, [record, *(path.read_bytes() for path in older)], status.SIZE + 8),
        "omm_record": Target(check_omm_record, omms, [omm], 128),
        "elements": Target(check_elements, files, elements),
        "journal": Target(check_journal, journals, journal_seeds(), 2048),
        "checkpoint": Target(check_checkpoint, checkpoints, [seal_checkpoint(bytes(4) + checkpoint)], 512),
        "orientation": Target(check_orientation, mutations.text([b"nan", b"1e300", b","]), [orientation]),
    }
