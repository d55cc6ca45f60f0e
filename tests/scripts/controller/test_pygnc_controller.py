"""The module for controllers works with the Pi's side and runs in MicroPython."""

import ast
import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pygnc.formats import status
from pygnc.formats.gps_packet import RANGE_GPS_PACKET, SENSE_GPS_PACKET, decode_gps_packets
from pygnc.formats.ranges import RANGE_PACKET, decode_ranges
from pygnc.formats.sense import SENSOR_PACKET, encode_lux
from pygnc.host import channel as sessions
from pygnc.host import retransmission
from pygnc.host.channel import FRAGMENT_BYTES
from pygnc.host.channel_events import Received
from pygnc.host.sentence import Delivery, Direction, Sentence, SentenceParser, encode
from pygnc.host.sentence_types import (
    ACKN,
    CHUNK_BYTES,
    EVNT,
    HELO,
    STAT,
    VERSION,
    Capability,
    SentenceType,
)
from pygnc.host.transfer import CHUNK_BYTES_MIN
from pygnc_controller.emulator.serial_line import LineFaults
from scripts.bench.virtual_link import LineEnd
from scripts.controller import pygnc_controller as controller
from tests.fakes.memory_storage import MemoryStorage
from tests.fakes.transfer_line import PiEnd, batch, joined

SCRIPT = Path(controller.__file__)


class ControllerEnd:
    """The link of the controller on a simulated line; it polls its port every few milliseconds."""

    LOOK_S = 0.005

    def __init__(self, session: int = 0x1F03) -> None:
        self.link = controller.Link(session)
        self.upload: controller.Upload | None = None
        self.events: list[tuple[Any, ...]] = []
        self._now_ms = 0

    def end(self) -> LineEnd:
        return LineEnd(self._read, self._line, lambda: (self._now_ms + 1) / 1000.0 + self.LOOK_S)

    def _read(self, data: bytes, now_s: float) -> None:
        self._look(data, now_s)

    def _line(self, now_s: float) -> bytes | None:
        self._look(b"", now_s)
        return self.link.next_portion(self._now_ms)

    def _look(self, data: bytes, now_s: float) -> None:
        self._now_ms = int(now_s * 1000.0)
        for event in self.link.feed(data, self._now_ms):
            self.events.append(event)
            if self.upload is not None:
                self.upload.take(event, self._now_ms)
        if self.upload is not None:
            self.upload.pump(self._now_ms)

    def send_file(self, name: str, content: bytes) -> None:
        def read(offset: int, count: int) -> bytes:
            return content[offset : offset + count]

        self.upload = controller.Upload(self.link, name, len(content), zlib.crc32(content), read, transfer=1)

    def is_done(self) -> bool:
        return self.upload is not None and self.upload.state in {"done", "refused"}


# The same constants and status record.


def test_the_constants_match_the_flight_software() -> None:
    assert (controller.VERSION, controller.CHUNK, controller.CHUNK_MIN) == (VERSION, CHUNK_BYTES, CHUNK_BYTES_MIN)
    assert (controller.PORTION, controller.NESTING) == (FRAGMENT_BYTES, Capability.NESTING)
    assert controller.SESSION_STEP == sessions.SESSION_STEP
    assert controller.LIFE_MS == retransmission.UNORDERED_LIFETIME_S * 1000
    assert controller.SILENCE_MS == sessions.SILENCE_S * 1000


def test_a_status_record_with_appended_fields_is_decoded() -> None:
    record = status.encode({"phase": 2, "position_ecef_m_x": 6.9e6, "quaternion_w": 1.0, "events": 7})
    longer = record[:4] + b"\x63" + record[5:6] + struct.pack("<H", len(record) + 8) + record[8:-4] + bytes(8)
    for octets in (record, longer + struct.pack("<I", zlib.crc32(longer))):
        found = controller.decode_status(octets)
        assert found["phase"] == 2
        position, quaternion = found["position_ecef_m"], found["quaternion"]
        assert isinstance(position, tuple)
        assert isinstance(quaternion, tuple)
        assert (position[0], quaternion[0], found["events"]) == (6.9e6, 1.0, 7)
    for bad in (b"", record[:-1], record[:-1] + b"?", b"PGST" + bytes(8)):
        with pytest.raises(ValueError, match="status record"):
            controller.decode_status(bad)


# Packets.


def test_a_sensor_packet_is_decoded_by_the_flight_software() -> None:
    octets = controller.sensor_packet(946_684_801, [1, -2, 3], 26_001, [-4, 5, -6], [7, 8, 9, 10, 11, 0xBFFF])
    packet = np.frombuffer(octets, SENSOR_PACKET)[0]
    words = {name: packet[name].tolist() for name in SENSOR_PACKET.names or ()}
    assert words == {
        "t_spacecraft_s": 946_684_801,
        "mag": [1, -2, 3],
        "hall": 26_001,
        "gyro": [-4, 5, -6],
        "lux": [7, 8, 9, 10, 11, 0xBFFF],
    }


@given(st.floats(0.0, 200_000.0))
@example(655.25)  # above the full scale of an exponent by less than its step
def test_light_words_match_the_sensor(lux: float) -> None:
    assert controller.lux_word(lux) == encode_lux(lux)


def test_gps_packets_are_cut_from_the_log_of_the_receiver() -> None:
    # OEM7 manual, message 241 with its 28-byte binary header; all fields have different values.
    header = struct.pack(
        "<3sBHBBHHBBHiIHH", b"\xaa\x44\x12", 28, 241, 0, 32, 112, 0, 60, 180, 2278, 356_489_000, 0, 0, 0
    )
    position = struct.pack("<II3d3f", 0, 56, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5)
    velocity = struct.pack("<II3d3f", 1, 57, 7.5, 8.5, 9.5, 10.5, 11.5, 12.5)
    rest = struct.pack("<4s3f8BI", b"ABCD", 0.05, 13.5, 14.5, 12, 9, 8, 7, 6, 5, 4, 3, 0)
    log = header + position + velocity + rest
    sense = decode_gps_packets(np.frombuffer(controller.gps_packet(946_684_801, log), SENSE_GPS_PACKET))
    ranges = decode_gps_packets(np.frombuffer(controller.range_gps_packet(log), RANGE_GPS_PACKET))
    assert sense.t_spacecraft_s == 946_684_801
    assert sense.time_status == 180
    for fixes in (sense, ranges):
        assert (fixes.gps_week[0], fixes.gps_tow_ms[0]) == (2278, 356_489_000)
        assert (fixes.position_status[0], fixes.velocity_status[0]) == (0, 1)
        assert fixes.position_ecef_m.tolist() == [[1.5, 2.5, 3.5]]
        assert fixes.position_sigma_m.tolist() == [[4.5, 5.5, 6.5]]
        assert fixes.velocity_ecef_mps.tolist() == [[7.5, 8.5, 9.5]]
        assert fixes.velocity_sigma_mps.tolist() == [[10.5, 11.5, 12.5]]
        assert (fixes.differential_age_s[0], fixes.solution_age_s[0]) == (13.5, 14.5)
        assert (fixes.satellites_tracked[0], fixes.satellites_used[0]) == (12, 9)
        assert fixes.velocity_latency_s[0] == np.float32(0.05)
    assert controller.range_gps_packet(log)[:3] + controller.range_gps_packet(log)[-2:] == b"\xaa\x44\x12\r\n"


def test_a_range_packet_is_decoded_by_the_flight_software() -> None:
    octets = controller.range_packet(75, 60, 946_684_801, b"\x00\x01\x00", b"\x00\x5a\x94")
    measured = decode_ranges(np.frombuffer(octets, RANGE_PACKET))
    assert (measured.partner_id[0], measured.rssi_dbm[0], measured.t_spacecraft_s[0]) == (75, -30.0, 946_684_801)
    assert measured.range_m[0] == pytest.approx(1045.1, abs=0.05)


# Sentences.

WORDS = st.integers(0, 0xFFFF)


@given(
    st.sampled_from(["PING", "SENS", "UPCH"]), WORDS, st.sampled_from(["i", "r", "R"]), WORDS, st.binary(max_size=99)
)
def test_both_implementations_encode_the_same_line(
    kind: str, session: int, letter: str, number: int, octets: bytes
) -> None:
    sentence = Sentence(
        Direction.TO_PI, kind, session, Delivery(letter.lower()), number, octets, is_retry=letter.isupper()
    )
    line = controller.encode(kind, session, letter, number, octets)
    assert line == encode(sentence)
    assert controller.Parser().feed(line) == [(">", kind, session, letter, number, octets)]


@given(st.lists(st.one_of(st.binary(max_size=40), WORDS), max_size=8), st.integers(1, 50))
def test_both_parsers_find_the_same_sentences(parts: list[bytes | int], step: int) -> None:
    sentences = [
        Sentence(Direction.TO_HOST, "PONG", 7, Delivery.UNORDERED, part, bytes(part % 30))
        for part in parts
        if isinstance(part, int)
    ]
    stream = b"".join(
        part
        if isinstance(part, bytes)
        else encode(Sentence(Direction.TO_HOST, "PONG", 7, Delivery.UNORDERED, part, bytes(part % 30)))
        for part in parts
    )
    parser = controller.Parser()
    found = [s for at in range(0, len(stream), step) for s in parser.feed(stream[at : at + step])]
    assert [s[4] for s in found] == [s.number for s in sentences]


@given(st.binary(max_size=300), st.lists(st.integers(1, 400), max_size=4), st.integers(1, 60), st.integers(0, 2**32))
@example(b"16\x9c\x95\xc3\xc1", [27, 27, 27, 27], 1, 3001)
def test_the_parser_finds_nested_sentences(octets: bytes, places: list[int], step: int, flip: int) -> None:
    line = encode(Sentence(Direction.TO_HOST, "DNCH", 7, Delivery.ORDERED, 9, octets))
    stream, done = b"", 0
    for k, place in enumerate(sorted(min(place, len(line) - 2) for place in places)):
        stream += line[done:place] + encode(Sentence(Direction.TO_HOST, "PONG", 7, Delivery.UNORDERED, k, bytes(k)))
        done = place
    broken = bytearray(stream + line[done:] + b"\n")
    if flip % 2:
        at, bit = flip // 16 % len(broken), 1 << (flip // 2 % 8)
        broken[at] ^= bit
    parser = controller.Parser()
    found = [s for at in range(0, len(broken), step) for s in parser.feed(bytes(broken[at : at + step]))]
    theirs = [s.body for s in SentenceParser().feed(bytes(broken)).sentences]
    ours = [s[-1] for s in found]
    assert ours == theirs
    assert set(ours) <= {octets, *(bytes(k) for k in range(len(places)))}
    if not flip % 2:
        assert len(ours) == len(places) + 1


# On a line.

FAULTS = st.builds(
    LineFaults,
    lost=st.sampled_from([0.0, 1e-4, 1e-3]),
    flipped=st.sampled_from([0.0, 1e-4, 1e-3]),
    doubled=st.sampled_from([0.0, 1e-3]),
    stalled=st.sampled_from([0.0, 1e-3]),
    cuts=st.sampled_from([(), ((0.5, 2.0),), ((0.4, 25.0),)]),
)


@settings(max_examples=15)
@given(FAULTS, st.integers(0, 1000), st.integers(0, 20_000))
def test_uploads_on_a_faulty_line_are_exact(faults: LineFaults, seed: int, size: int) -> None:
    content = batch(size, seed)
    host, pi = ControllerEnd(), PiEnd(MemoryStorage())
    host.send_file("sense.bin", content)
    assert joined(host.end(), pi, faults, seed).run(host.is_done, 400.0)
    assert pi.storage.files == {"sense.bin": content}


def test_the_longest_batch_uploads_in_fourteen_seconds_of_line_time() -> None:
    content = batch(108_432)
    host, pi = ControllerEnd(), PiEnd(MemoryStorage())
    host.send_file("sense.bin", content)
    session = joined(host.end(), pi)
    assert session.run(host.is_done, 400.0)
    assert pi.storage.files == {"sense.bin": content}
    assert session.now_s <= 14.0


def test_a_packet_interrupts_a_chunk() -> None:
    content = batch(36_144)
    host, pi = ControllerEnd(), PiEnd(MemoryStorage())
    host.send_file("sense.bin", content)
    session = joined(host.end(), pi)
    delays_s = []
    for k in range(20):
        session.run(lambda: False, session.now_s + 0.0537)
        if not host.link.ready:
            continue
        sent_s = session.now_s
        host.link.send("SENS", bytes([k]) * 30, int(sent_s * 1000))
        assert session.run(lambda k=k: bytes([k]) * 30 in sensed(pi), sent_s + 1.0)  # type: ignore[misc]
        delays_s.append(session.now_s - sent_s)
    assert session.run(host.is_done, 60.0)
    assert len(delays_s) > 15
    assert max(delays_s) < 0.04
    assert pi.storage.files == {"sense.bin": content}
    assert not [event for event in pi.events if isinstance(event, Received) and event.is_retry]


def test_a_pi_without_nesting_receives_whole_lines() -> None:
    for able, is_whole in ((0, True), (Capability.NESTING, False)):
        link = controller.Link(5)
        hello = HELO.pack(1, 1, 8, able, 5, 1, 1, 1)
        link.feed(encode(Sentence(Direction.TO_HOST, "HELO", 7, Delivery.UNNUMBERED, 0, hello)), 0)
        while link.next_portion(0):
            pass
        link.send("UPCH", bytes(768), 0)
        portion = link.next_portion(0)
        assert portion is not None
        assert portion.endswith(b"\r\n") == is_whole


def test_an_old_hello_that_arrives_late_does_not_repeat_a_sentence() -> None:
    link = controller.Link(5)
    packet = Sentence(Direction.TO_HOST, "EVNT", 7, Delivery.UNORDERED, 1, EVNT.pack(0, tail=b"reset"))
    hello = Sentence(Direction.TO_HOST, "HELO", 7, Delivery.UNNUMBERED, 0, HELO.pack(1, 1, 16, 0, 5, 1, 1, 1))
    lines = (hello, packet, hello._replace(session=6), hello, packet._replace(is_retry=True))
    events = [event for line in lines for event in link.feed(encode(line), 0)]
    assert [event[0] for event in events] == ["connected", "sentence"]


def test_a_sentence_that_the_pi_holds_is_acknowledged_when_it_is_delivered() -> None:
    link = controller.Link(5)

    def tell(kind: SentenceType, body: bytes, now_ms: int) -> list[object]:
        line = encode(Sentence(Direction.TO_HOST, kind.name, 7, Delivery.UNNUMBERED, 0, body))
        return [event for event in link.feed(line, now_ms) if event[0] == "acknowledged"]

    def sent(now_ms: int) -> list[str]:
        lines = iter(lambda: link.next_portion(now_ms), None)
        return [number for line in lines if (number := line.split(b",")[2].decode())[0] in "rR"]

    tell(HELO, HELO.pack(1, 1, 16, 0, 5, 1, 1, 1), 0)
    first, second = (link.send("UPCL", bytes([k, 0]), 0) for k in range(2))
    assert sent(0) == ["r0001", "r0002"]
    assert tell(ACKN, ACKN.pack(1, 0b1, 0, 0xFFFFFFFF), 50) == []
    assert sent(3000) == ["R0001"]
    assert tell(ACKN, ACKN.pack(3, 0, 0, 0xFFFFFFFF), 3100) == [("acknowledged", first), ("acknowledged", second)]


def sensed(pi: PiEnd) -> list[bytes]:
    return [o.body.tail for o in pi.events if isinstance(o, Received) and o.kind.name == "SENS"]


def test_an_upload_resumes_after_a_restart_of_the_pi() -> None:
    content = batch(36_144)
    host, pi = ControllerEnd(), PiEnd(MemoryStorage())
    host.send_file("sense.bin", content)
    session = joined(host.end(), pi)
    session.run(lambda: False, 2.5)
    pi.start_again()
    assert session.run(host.is_done, 60.0)
    assert pi.storage.files == {"sense.bin": content}
    assert session.now_s < 7.0


def test_a_rejection_is_reported() -> None:
    host, pi = ControllerEnd(), PiEnd(MemoryStorage())
    host.send_file("main.py", b"print()")
    assert joined(host.end(), pi).run(host.is_done, 10.0)
    assert host.upload is not None
    assert host.upload.state == "refused"
    assert "main.py may not be written" in host.upload.cause


@settings(max_examples=6)
@given(FAULTS, st.integers(0, 1000))
def test_packets_and_answers_arrive_once(faults: LineFaults, seed: int) -> None:
    host, pi = ControllerEnd(), PiEnd(MemoryStorage())
    pi.react = lambda _outcome, _now_s: None
    session = joined(host.end(), pi, faults, seed)
    assert session.run(lambda: host.link.ready and pi.channel.is_ready, 60.0)
    tickets = []
    start_s = session.now_s

    def speak(k: int) -> Callable[[float], None]:
        def call(now_s: float) -> None:
            tickets.append(host.link.send("SENS", bytes([k]) * 30, int(now_s * 1000)))
            pi.channel.send(EVNT, EVNT.pack(0, tail=b"%d" % k), now_s)
            pi.channel.send(STAT, bytes(636), now_s)

        return call

    for k in range(20):
        session.at(start_s + 0.5 * k, speak(k))
    session.run(lambda: False, start_s + 25.0)
    arrived = [packet[0] for packet in sensed(pi)]
    assert len(set(arrived)) == len(arrived)
    settled = [event[1] for event in host.events if event[0] in {"acknowledged", "lost"}]
    assert set(tickets) <= set(settled)
    assert len(set(settled)) == len(settled)
    events = [event[3] for event in host.events if event[0] == "sentence" and event[1] == "EVNT"]
    assert len(set(events)) == len(events)
    if not faults.cuts and not faults.lost + faults.flipped + faults.doubled:
        assert len(arrived) == len(events) == 20


def test_an_incompatible_version_is_an_event() -> None:
    link = controller.Link(5)
    line = encode(Sentence(Direction.TO_HOST, "HELO", 1, Delivery.UNNUMBERED, 0, HELO.pack(7, 9, 1, 0, 5, 1, 1, 1)))
    assert link.feed(line, 0) == [("incompatible", 7, 9)]
    assert not link.ready


# The controller's Python.


def test_only_modules_of_micropython_are_used() -> None:
    tree = ast.parse(SCRIPT.read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {alias.name for node in imports for alias in node.names} == {"binascii", "struct"}
    unknown = ast.Match | ast.AnnAssign | ast.NamedExpr | ast.AsyncFunctionDef | ast.Delete | ast.With | ast.TryStar
    assert not [node for node in ast.walk(tree) if isinstance(node, unknown)]
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & {"translate", "removeprefix", "removesuffix", "casefold", "to_bytes", "from_bytes", "bit_count"}
    keywords = [k.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords]
    assert set(keywords) <= {"tail"}


def test_micropython_runs_it(tmp_path: Path) -> None:
    micropython = shutil.which(os.environ.get("MICROPYTHON", "micropython"))
    if micropython is None:
        pytest.skip("no micropython on the path, and MICROPYTHON names none: the file is checked for its syntax alone")
    shutil.copy(SCRIPT, tmp_path)
    content = batch(3000)
    hello = encode(Sentence(Direction.TO_HOST, "HELO", 7, Delivery.UNNUMBERED, 0, HELO.pack(1, 1, 8, 0, 5, 1, 1, 1)))
    record = status.encode({"phase": 2, "run_number": 70_000})
    (tmp_path / "run.py").write_text(
        "import pygnc_controller as c, binascii\n"
        f"content = {content!r}\n"
        "link = c.Link(5)\n"
        "read = lambda offset, count: content[offset:offset + count]\n"
        "up = c.Upload(link, 'sense.bin', len(content), binascii.crc32(content), read, transfer=1)\n"
        "def say(now):\n"
        "    line = link.next_line(now)\n"
        "    while line:\n"
        "        print(str(line[:-2], 'ascii'))\n"
        "        line = link.next_line(now)\n"
        "say(0)\n"
        f"data = b'pi@raspberrypi:~ $ \\0' + {hello!r}\n"
        "for event in link.feed(data, 10): up.take(event, 10)\n"
        "say(10)\n"
        f"print(c.decode_status({record!r})['run_number'])\n"
        "print(c.sensor_packet(1, [1, 2, 3], 4, [5, 6, 7], [c.lux_word(83865.6)] * 6))\n"
    )
    done = subprocess.run([micropython, "run.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert [line[:5] for line in lines[:4]] == [">HELO", ">HELO", ">ACKN", ">UPOP"] or [
        line[:5] for line in lines[:3]
    ] == [">HELO", ">ACKN", ">UPOP"]
    for line in lines[:3]:
        assert controller.Parser().feed(line.encode() + b"\r\n")
    assert lines[-2] == "70000"
    assert lines[-1] == str(controller.sensor_packet(1, [1, 2, 3], 4, [5, 6, 7], [0xBFFF] * 6))
