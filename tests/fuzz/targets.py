"""Parsers under test: seeds, mutator and properties of each.

A check raises if an input violates a property: an exception that is not declared, bytes that are neither used nor
reported, a result that depends on the pieces in which the input arrives, a value that does not survive encoding, or a
number that is not finite or not in its range.
"""

import dataclasses
import json
import math
import random
import shutil
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pygnc.common.mean_elements import RANGES, ElementsError, MeanElements
from pygnc.configuration.data_files import COLUMNS, DataFileError, load_earth_orientation, read_earth_orientation
from pygnc.configuration.load import ConfigurationError, settings_from_tables, table_from_text
from pygnc.configuration.settings import Settings
from pygnc.configuration.trial import RECORD_FILE, Record, Tables, Trial, read_record
from pygnc.formats import journal, omm_record, range_scan, sense_scan, status
from pygnc.formats.causes import find_causes
from pygnc.formats.damage import Damage
from pygnc.formats.elements import parse_elements
from pygnc.formats.gps_packet import (
    RANGE_GPS,
    RANGE_GPS_PACKET,
    SENSE_GPS,
    SENSE_GPS_PACKET,
    decode_gps_packets,
    encode_gps_packets,
)
from pygnc.formats.info import SIZE_MAX, compose
from pygnc.formats.omm import write_kvn
from pygnc.formats.ranges import RANGE_PACKET, PacketKind, decode_ranges, encode_ranges
from pygnc.formats.sense import SENSOR_PACKET, STANDARD_LAYOUT, SenseLayout, decode_sensors, encode_records
from pygnc.formats.sense_assembler import Assembled, SenseAssembler
from pygnc.host.channel import Channel
from pygnc.host.channel_events import Received
from pygnc.host.connection import HostConnection
from pygnc.host.parameters import Parameters, decode_slots, encode_slot
from pygnc.host.sentence import LINE_MAX, Delivery, Direction, Sentence, SentenceParser, encode
from pygnc.host.sentence_types import HELO, LIVE_TYPES, PSET, TYPES, Capability, Sender, SentenceType
from pygnc.host.settings_slots import NAMES, load_settings, named_values
from pygnc.host.transfer import Refusal
from pygnc.inputs.host_packets import fix_messages, range_messages, sample_messages
from pygnc.inputs.journaled import decode_input
from pygnc.navigation.orbit import fix_from, screen
from pygnc.tasks.checkpoints import Checkpoint, CheckpointFile
from tests.fakes.memory_storage import MemoryStorage
from tests.fuzz import mutations
from tests.fuzz.mutations import Mutate, fields_of, sealed_at_end, struct_fields
from tests.pygnc.formats.streams import range_packets, sense_records

Check = Callable[[bytes], None]
PATH = Path("fuzz")
SCREENING = Settings().orbit.screening


class Target(NamedTuple):
    """A parser under test; `size_max` limits the inputs, in bytes."""

    check: Check
    mutate: Mutate
    seeds: Sequence[bytes]
    size_max: int = 4096


def finite(values: Iterable[Any]) -> bool:
    return all(math.isfinite(value) for value in values)


def cut_of(data: bytes) -> int:
    """A place to divide an input, which depends on its content."""
    return zlib.crc32(data) % (len(data) + 1)


def tiles(start: int, stop: int, pieces: Iterable[tuple[int, int]], damage: Sequence[Damage]) -> None:
    """Check that packets and damage cover the input without gap and overlap."""
    place = start
    for begin, end in sorted([*pieces, *((entry.start, entry.stop) for entry in damage)]):
        assert begin == place < end
        place = end
    assert place == stop


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


def check_sentences(data: bytes) -> None:
    whole = SentenceParser()
    parsed = whole.feed(data + b"\r\n")
    assert len(whole._pending) < LINE_MAX
    divided = SentenceParser()
    parts = [divided.feed(data[: cut_of(data)]), divided.feed(data[cut_of(data) :] + b"\r\n")]
    assert [*parts[0].sentences, *parts[1].sentences] == parsed.sentences
    assert [*parts[0].skipped, *parts[1].skipped] == parsed.skipped
    skipped = 0
    for entry in parsed.skipped:
        assert 0 <= entry.start < entry.stop <= len(data)
        skipped += sum(0x20 <= octet < 0x7F for octet in data[entry.start : entry.stop])
    lines = [encode(sentence) for sentence in parsed.sentences]
    used = sum(len(line) - 2 for line in lines)
    waiting = len(whole._interrupted.text) if whole._interrupted else 0
    assert used + skipped + waiting == sum(0x20 <= octet < 0x7F for octet in data)
    for sentence, line in zip(parsed.sentences, lines, strict=True):
        assert SentenceParser().feed(line).sentences == [sentence]


@dataclasses.dataclass
class Desk:
    """Services of a run that accept everything."""

    taken: int = 0

    def take_packet(self, received: Received) -> None:
        assert received.kind.name in LIVE_TYPES
        self.taken += 1

    def report(self, kind: SentenceType) -> bytes:
        return bytes(kind.tail_max + 1)

    def stop(self) -> None:
        pass


REQUESTS = [*TYPES.values()]


def check_requests(data: bytes) -> None:
    """Sentences with a valid form: type, delivery of the type, next or any number, and body are the input's."""
    slots = [b"", b""]
    storage = MemoryStorage({"pygnc_batch/sense.bin": bytes(3000), "pygnc_status.bin": bytes(9)})
    parameters = Parameters({"logs.ceiling_bytes": 5, "host.port": ""}, lambda _: None, slots, slots.__setitem__)
    channel = Channel(Direction.TO_HOST, 9, "pygnc", Capability.LIVE)
    connection = HostConnection(channel, storage, parameters, Desk())
    numbers = {Delivery.ORDERED: 1, Delivery.UNORDERED: 1, Delivery.UNNUMBERED: 0}
    hello = HELO.pack(1, 1, 64, int(Capability.NESTING), 9, 1, 1, 1, tail=b"fuzz")
    connection.take(encode(Sentence(Direction.TO_PI, "HELO", 7, Delivery.UNNUMBERED, 0, hello)), 1.0)
    assert channel.is_ready
    place, now_s = 0, 1.0
    while place + 4 <= len(data):
        which, options, size, step = data[place : place + 4]
        body = data[place + 4 : place + 4 + size]
        place += 4 + size
        kind = REQUESTS[which % len(REQUESTS)]
        number = numbers[kind.delivery] if options & 7 else 257 * step
        if options & 7:
            numbers[kind.delivery] = (number + 1) % (1 << 16)
        session = 7 if options & 56 else step
        now_s += step * (0.001 if options & 64 else 0.1)
        sentence = Sentence(Direction.TO_PI, kind.name, session, kind.delivery, number, body, bool(options & 128))
        connection.take(encode(sentence), now_s)
        for _ in range(5000):
            if connection.next_output(now_s) is None:
                break
        else:
            raise AssertionError("the output does not end")
        assert connection.channel.wakeup_s() > now_s
    assert decode_slots(slots).damaged == ()


def check_settings(settings: Settings) -> None:
    """Settings that were accepted are in range and equal themselves after a conversion to tables."""
    tables = msgspec.to_builtins(settings)
    assert msgspec.convert(tables, Settings) == settings
    assert finite(number for value in named_values(settings).values() for number in numbers_in(value))


def numbers_in(value: object) -> Iterable[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers_in(item)


def check_toml(data: bytes) -> None:
    try:
        tables = Tables(table_from_text(data.decode("utf-8", "replace"), "fuzz"), {"logs": {"reserve_bytes": 7}})
        settings = settings_from_tables(tables, PATH)
    except ConfigurationError:
        return
    check_settings(settings)
    content = msgspec.json.encode(tables)
    stored = msgspec.json.decode(content, type=Tables)
    assert msgspec.json.encode(stored) == content
    assert settings_from_tables(stored, PATH) == settings
    assert not Trial.of_flown(PATH, tables).is_given_up


@cache
def all_settings() -> dict[str, Any]:
    return named_values(Settings())


def check_parameters(data: bytes) -> None:
    """Lines of PSET; what is accepted is stored, and a start with the stored text is possible."""
    slots = [b"", b""]

    def accept(text: str) -> object:
        return settings_from_tables(Tables({}, table_from_text(text, "fuzz")), PATH)

    parameters = Parameters(all_settings(), accept, slots, slots.__setitem__)
    for line in data.split(b"\n")[:8]:
        tail = line[: PSET.tail_max]
        if len(tail) < PSET.tail_min:
            continue
        try:
            received = Received(PSET, 1, PSET.unpack(tail), is_late=False, is_retry=False)
            answers = parameters.handle(received)
        except Refusal:
            continue
        assert len(answers) == 1
        stored = decode_slots(slots)
        assert stored.damaged == ()
        settings = accept(stored.text)
        assert isinstance(settings, Settings)
        check_settings(settings)
        Parameters(all_settings(), accept, slots, slots.__setitem__)


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
    text = write_kvn(parsed.elements, ("fuzz",), 1_000_000_000_000)
    again = parse_elements(text.encode()).elements
    assert abs(again.epoch_gps_ms - parsed.elements.epoch_gps_ms) <= 1
    for name in RANGES:
        assert math.isclose(getattr(again, name), getattr(parsed.elements, name), rel_tol=1e-9, abs_tol=1e-9)


def check_journal(data: bytes) -> None:
    whole = journal.scan(data)
    records = [(record.offset, record.offset + 20 + len(record.payload)) for record in whole.records]
    tiles(0, len(data), records, whole.damage)
    for record in whole.records:
        assert data.startswith(journal.encode(record.kind, record.seq, record.payload), record.offset)
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


@cache
def folder() -> Path:
    """A folder in memory for the parsers that read files."""
    path = Path(tempfile.mkdtemp(prefix="pygnc-fuzz-", dir="/dev/shm"))
    import atexit  # noqa: PLC0415 - only with the folder

    atexit.register(shutil.rmtree, path)
    return path


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


def check_slots(data: bytes) -> None:
    """Two slots, divided by a line."""
    home = folder() / "slots"
    home.mkdir(exist_ok=True)
    for name, content in zip(NAMES, (data + b"\n--\n").split(b"\n--\n"), strict=False):
        (home / name).write_bytes(content)
    loaded = load_settings(None, home)
    check_settings(loaded.settings)
    stored = decode_slots([(home / name).read_bytes() for name in NAMES])
    if stored.generation:
        Parameters(all_settings(), lambda _: None, [encode_slot(stored.generation, stored.text)], lambda *_: None)


def check_trial(data: bytes) -> None:
    home = folder() / "trial"
    home.mkdir(exist_ok=True)
    (home / RECORD_FILE).write_bytes(data)
    record, fault = read_record(home)
    loaded = load_settings(None, home)
    check_settings(loaded.settings)
    assert not fault or loaded.fault
    assert isinstance(record.failed, int)


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


def seal_records(data: bytes) -> bytes:
    """Correct the length and the CRC-32 of a slot; the others of a record."""
    if data[:4] == b"PGPS" and len(data) >= 14:
        body = data[:8] + struct.pack("<H", (len(data) - 14) % 65536) + data[10:-4]
        return body + struct.pack("<I", zlib.crc32(body))
    return sealed_at_end(data)


def seal_trial(data: bytes) -> bytes:
    _, _, content = data.partition(b"\n")
    return b"%08x\n" % zlib.crc32(content) + content


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


def sealing(mutate: Mutate, seal: Callable[[bytes], bytes]) -> Mutate:
    """A mutator that corrects check sums in nine of ten cases."""
    return lambda data, dice: seal(mutate(data, dice)) if dice.randrange(10) else mutate(data, dice)


def repeated(item: list[tuple[int, str]], size: int, count: int) -> list[tuple[int, str]]:
    """Fields of a record of `count` items of `size` bytes."""
    return [(k * size + offset, code) for k in range(count) for offset, code in item]


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


def sentence_seeds() -> list[bytes]:
    lines = []
    for number, kind in enumerate(TYPES.values()):
        body = bytes(struct.calcsize("<" + "".join(field.code for field in kind.fields))) + b"a" * kind.tail_min
        direction = Direction.TO_HOST if kind.sender is Sender.PI else Direction.TO_PI
        lines.append(encode(Sentence(direction, kind.name, 7, kind.delivery, number, body)))
    return [*lines[::4], b"".join(lines[::3]), b"pi@pi:~$ " + lines[3][:20] + lines[5] + lines[3][20:]]


def request_seeds() -> list[bytes]:
    seeds = []
    for which, kind in enumerate(REQUESTS):
        size = struct.calcsize("<" + "".join(field.code for field in kind.fields))
        tail = {
            "UPOP": b"sense.bin",
            "DNOP": b"pygnc_batch/sense.bin",
            "PGET": b"host.port",
            "PSET": b"host.port = 'a'",
        }
        body = bytes(size) + tail.get(kind.name, b"a" * kind.tail_min)
        seeds.append(bytes([which, 255, len(body), 1]) + body)
    return [*seeds, b"".join(seeds)]


def settings_seeds() -> list[bytes]:
    lines = [f"{name} = {json.dumps(value)}" for name, value in all_settings().items() if value is not None]
    device = '[devices.imu]\nfamily = "gx2"\nport = "a"\ninterval_s = 2.0\noptions = {timer_hz = 10}\nstream = "CC"'
    sections = "[logs]\nceiling_bytes = 64\n[attitude.gyro]\nscale = 1.5\n[orbit]\nfixes = 5"
    return [text.encode() for text in ("\n".join(lines), device, sections, "\n".join(lines[::9]), lines[0])]


def elements_seeds() -> list[bytes]:
    tle = (
        b"ISS (ZARYA)\n1 25544U 98067A   08264.51782528 -.00002182  00000-0 -11606-4 0  2927\n"
        b"2 25544  51.6416 247.4627 0006703 130.5360 325.0288 15.72125391563537\n"
    )
    elements = parse_elements(tle).elements
    kvn = write_kvn(elements, ("fuzz",), 1_000_000_000_000)
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


def make_targets() -> dict[str, Target]:
    """All targets by name."""
    words = [name.encode() for name in all_settings()]
    settings = settings_seeds()
    slot = encode_slot(3, "logs.reserve_bytes = 9\nattitude.gyro.scale = 2.0\n")
    checkpoint = msgspec.msgpack.encode(Checkpoint(5, 4, 3, bytes(40), 1))
    flown = msgspec.json.encode(Record(Tables({"logs": {"reserve_bytes": 7}}), 5, 1))
    record = status.encode(status.fill({"run_number": 4, "orbit_mode": 1, "quaternion_w": 1.0})[0] | status._FIXED)
    older = [Path(__file__).parents[1] / "pygnc" / "formats" / f"status-{version}.bin" for version in (4, 5, 6)]
    elements = elements_seeds()
    parsed = parse_elements(elements[0]).elements
    omm = omm_record.encode(parsed, {field.name: 1 for field in omm_record.FIELDS[13:]})
    days = b"".join(b"\n%d,-0.1,0.05,0.3,0.1,-0.2" % day for day in range(60_000, 60_009))
    orientation = b"# fuzz\n" + COLUMNS.encode() + days
    octets = [(k, "<B") for k in range(64)]
    packets = mutations.records(fields_of(SENSOR_PACKET), 30)
    status_fields = struct_fields([field.code for field in status.FIELDS])
    omm_fields = struct_fields([field.code for field in omm_record.FIELDS])
    statuses = mutations.records(status_fields, status.SIZE, sealed_at_end)
    omms = mutations.records(omm_fields, omm_record.SIZE, sealed_at_end)
    trials = sealing(mutations.text([b"flown", b"failed"]), seal_trial)
    files = mutations.text([b"EPOCH", b"NaN", b"<!DOCTYPE a>", b"<a>", b"[["])
    checkpoints = sealing(mutations.records(octets, 64), seal_checkpoint)
    order = random.Random(1)  # noqa: S311 - repeatable
    return {
        "sense": sense_target(STANDARD_LAYOUT),
        "sense_unterminated": sense_target(SenseLayout(5, terminated=False)),
        "sense_one_sensor": sense_target(SenseLayout(1)),
        "range": range_target(),
        "assembler": Target(check_assembler, packets, [assembler_seed(order) for _ in range(4)]),
        "sentences": Target(check_sentences, mutations.sentences, sentence_seeds(), 1200),
        "requests": Target(check_requests, mutations.records(octets, 16), request_seeds(), 1024),
        "toml": Target(check_toml, mutations.text(words), settings),
        "parameters": Target(check_parameters, mutations.text(words), settings),
        "slots": Target(check_slots, sealing(mutations.text(words), seal_records), [slot, slot + b"\n--\n" + slot]),
        "trial": Target(check_trial, trials, [seal_trial(b"\n" + flown)]),
        "status": Target(check_status, statuses, [record, *(path.read_bytes() for path in older)], status.SIZE + 8),
        "omm_record": Target(check_omm_record, omms, [omm], 128),
        "elements": Target(check_elements, files, elements),
        "journal": Target(check_journal, sealing(mutations.records(octets, 150), seal_journal), journal_seeds(), 2048),
        "checkpoint": Target(check_checkpoint, checkpoints, [seal_checkpoint(bytes(4) + checkpoint)], 512),
        "orientation": Target(check_orientation, mutations.text([b"nan", b"1e300", b","]), [orientation]),
    }
