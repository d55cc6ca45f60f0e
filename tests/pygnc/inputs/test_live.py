"""Live packets equal those of files, are written once, and inconsistent ones are reported."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq

from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import (
    LIVE,
    GnssFix,
    InputMessage,
    LivePacket,
    Message,
    RangeMeasurement,
    SensorSample,
    TimeMark,
)
from pygnc.bus.streams import StreamWriter
from pygnc.common.clock import MS_PER_WEEK
from pygnc.configuration.settings import Settings
from pygnc.formats.sense import STANDARD_LAYOUT
from pygnc.inputs.input_state import InputCounters
from pygnc.inputs.live import live_anomalies, live_message
from pygnc.inputs.range_files import RangeSeries
from pygnc.inputs.sense_file import sense_messages
from pygnc.tasks.ingest.task import IngestTask
from tests.pygnc.formats.streams import range_packets
from tests.pygnc.tasks.runs import run_in

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo" / "sense.bin"
BANDWIDTH_HZ = 812_500.0
RECORDS = 3


def from_file() -> list[Message]:
    records = np.frombuffer(DEMO.read_bytes()[: RECORDS * STANDARD_LAYOUT.size], STANDARD_LAYOUT.record)
    return sense_messages(records, np.arange(RECORDS), "sense.bin", STANDARD_LAYOUT, 1, settings=Settings())


def packets_of(messages: list[Message]) -> list[LivePacket]:
    packets = []
    for number, message in enumerate(messages, 1):
        assert isinstance(message, SensorSample | GnssFix)
        kind = "SENS" if isinstance(message, SensorSample) else "GPSS"
        packets.append(LivePacket(seq=number, kind=kind, radio_id=0, late=False, t_mono_ns=0, raw=message.raw))
    return packets


def test_live_sensor_and_gps_packets_equal_those_of_a_file() -> None:
    expected = from_file()
    for packet, message in zip(packets_of(expected), expected, strict=True):
        live = live_message(packet, packet.seq, Settings())
        arrival = {"t_mono_ns": packet.t_mono_ns} if isinstance(message, SensorSample) else {}
        assert live == msgspec.structs.replace(message, source=LIVE, offset=packet.seq, **arrival)


@pytest.mark.parametrize("radio_id", [0, 75])
def test_live_range_packets_equal_those_of_a_file(tmp_path: Path, radio_id: int) -> None:
    stream = list(range_packets(4, seed=1))
    (tmp_path / "rng00000.bin").write_bytes(b"".join(stream))
    row = RangeSeries(tmp_path, ["rng00000.bin"], Settings(), satellite_id=radio_id)
    for _ in row.scan():
        pass
    for number, message in enumerate(row.messages(np.arange(len(row.keys)), 1), 1):
        assert isinstance(message, GnssFix | RangeMeasurement)
        letters = ("GPSR", "RANG") if radio_id == 0 else ("PGPS", "PRNG")
        kind = letters[isinstance(message, RangeMeasurement)]
        packet = LivePacket(seq=number, kind=kind, radio_id=radio_id, late=False, t_mono_ns=0, raw=message.raw)
        live = live_message(packet, number, Settings())
        assert live == msgspec.structs.replace(message, source=LIVE, offset=number)


def test_a_time_mark_keeps_both_clocks() -> None:
    raw = (700).to_bytes(4, "little") + (250).to_bytes(2, "little")
    mark = live_message(LivePacket(seq=3, kind="TIME", radio_id=0, late=False, t_mono_ns=5, raw=raw), 9, Settings())
    assert mark == TimeMark(seq=9, source=LIVE, offset=3, t_spacecraft_s=700, ms=250, t_mono_ns=5)


def names_of(message: Message, counters: InputCounters) -> list[str]:
    return [name for name, _ in live_anomalies(message, counters)]


def test_reports_packets_that_are_inconsistent_with_earlier_ones() -> None:
    first, *_, last = from_file()
    assert isinstance(first, SensorSample)
    assert isinstance(last, GnssFix)
    assert last.t_spacecraft_s is not None
    counters = InputCounters()
    assert names_of(first, counters) == []
    counters.count(last)
    assert names_of(last, counters) == []
    late = msgspec.structs.replace(first, t_spacecraft_s=last.t_spacecraft_s - 7)
    assert names_of(late, counters) == []
    assert names_of(msgspec.structs.replace(first, t_spacecraft_s=10), counters) == ["clock_fell_back"]
    assert last.gps_ms is not None
    next_day = msgspec.structs.replace(last, gps_ms=last.gps_ms + MS_PER_WEEK)
    assert names_of(next_day, counters) == ["gps_time_apart"]
    before = msgspec.structs.replace(last, gps_ms=last.gps_ms - 61_000)
    assert names_of(before, counters) == ["gps_time_apart"]
    assert names_of(msgspec.structs.replace(next_day, gps_ms=None), counters) == []
    assert names_of(msgspec.structs.replace(next_day, satellite_id=75, t_spacecraft_s=1), counters) == []


class LostError(Exception):
    """The task is killed here."""


class LiveHome:
    """A run whose host sends packets, and whose ingest may be lost at a write."""

    def __init__(self, folder: Path) -> None:
        self.run = run_in(folder, has_terminal=True)
        self.events: list[str] = []
        self._host_context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        journal = JournalWriter(self.run.folder, self.run.runtime, LIVE, b"", lambda _: "in memory")
        self.host = StreamWriter(self._host_context, self.run.runtime, LIVE, journal)
        self._start()

    def _start(self) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.task = IngestTask(self.run, self._context, lambda _severity, name, _text: self.events.append(name))

    def lose(self) -> None:
        """As SIGKILL does it."""
        self._context.destroy(linger=0)
        self._start()

    def lost_at_write(self, number: int) -> None:
        """Let the task be lost in place of its write `number` from now on."""
        write, written = self.task._stream.write, 0

        def counted(messages: list[Message]) -> None:
            nonlocal written
            if messages and written == number:
                raise LostError
            written += bool(messages)
            write(messages)

        self.task._stream.write = counted  # type: ignore[method-assign, assignment]

    def work(self) -> None:
        for _ in range(3):
            self.task._next_look_s = 0.0
            for reader in self.task._live or ():
                reader.has_backlog = True  # as an announcement that was lost or is late would
            while self.task.work():
                pass

    def inputs(self) -> list[InputMessage]:
        records = JournalReader([self.run.folder], "input").read(10_000)
        return [msgspec.msgpack.decode(record.payload, type=InputMessage) for record in records]

    def close(self) -> None:
        self._context.destroy(linger=0)
        self._host_context.destroy(linger=0)


@pytest.fixture
def live_home(tmp_path: Path) -> Iterator[LiveHome]:
    home = LiveHome(tmp_path)
    yield home
    home.close()


@pytest.mark.parametrize("lost_at", range(0, 24, 3))
def test_each_live_packet_is_written_once_when_ingest_is_killed(live_home: LiveHome, lost_at: int) -> None:
    packets = packets_of(from_file())
    live_home.host.write(packets[:6])
    live_home.lost_at_write(lost_at)
    ranges = live_home.run.home / "range"
    try:
        live_home.work()
        ranges.mkdir()
        (ranges / "rng00000.bin").write_bytes(b"".join(range_packets(2, seed=1)))
        live_home.work()
        live_home.host.write(packets[6:])
        live_home.work()
    except LostError:
        live_home.lose()
        live_home.work()
        ranges.mkdir(exist_ok=True)
        (ranges / "rng00000.bin").write_bytes(b"".join(range_packets(2, seed=1)))
        if live_home.host.next_seq <= len(packets):
            live_home.host.write(packets[6:])
        live_home.work()
    inputs = live_home.inputs()
    live = [m for m in inputs if isinstance(m, SensorSample | GnssFix) and m.source == LIVE]
    assert [m.raw for m in live] == [packet.raw for packet in packets]
    assert [m.seq for m in inputs] == list(range(1, len(inputs) + 1))
    other = [m for m in inputs if isinstance(m, GnssFix | RangeMeasurement) and m.source != LIVE]
    assert b"".join(m.raw for m in other) == b"".join(range_packets(2, seed=1))
    counts = live_home.task.progress().counts
    assert counts["delivered_bytes"] == sum(len(m.raw) for m in live) + sum(len(m.raw) for m in other)
    assert counts["source_bytes"] == counts["delivered_bytes"]


def test_live_packets_do_not_start_a_new_batch(live_home: LiveHome) -> None:
    live_home.work()
    before = live_home.task.progress()
    live_home.host.write(packets_of(from_file()))
    live_home.work()
    after = live_home.task.progress()
    assert before.idle
    assert after.last_sequence_processed == before.last_sequence_processed
    assert after.counts["sensor_packets"] == 5 * RECORDS


def test_writes_acknowledged_packets_at_the_end(live_home: LiveHome) -> None:
    live_home.work()
    live_home.host.write(packets_of(from_file()))
    live_home.task.close()
    assert sum(isinstance(m, SensorSample) for m in live_home.inputs()) == 5 * RECORDS
    live_home.lose()


@pytest.mark.parametrize("lost_at", [None, 2])
@pytest.mark.parametrize("turns", [0, 1, 5])
def test_writes_acknowledged_packets_if_the_batch_is_cut_short(
    live_home: LiveHome, turns: int, lost_at: int | None
) -> None:
    """`lost_at` is the step at which the task is lost and begins again; None: it is not lost."""
    packets = packets_of(from_file())
    (live_home.run.home / "sense.bin").write_bytes(DEMO.read_bytes())
    live_home.host.write(packets)
    if lost_at is not None:
        live_home.lost_at_write(lost_at)
        with pytest.raises(LostError):
            live_home.work()
        live_home.lose()
    for _ in range(turns):
        assert live_home.task.work()
    live_home.task.close()
    inputs = live_home.inputs()
    live = [m for m in inputs if isinstance(m, SensorSample | GnssFix) and m.source == LIVE]
    assert [m.raw for m in live] == [packet.raw for packet in packets]
    assert inputs[-len(live) :] == live
    assert [m.seq for m in inputs] == list(range(1, len(inputs) + 1))
    live_home.lose()
