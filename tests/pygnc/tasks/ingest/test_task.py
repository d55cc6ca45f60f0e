"""Ingest in one process: after a loss at any write, a restarted ingest gives the same journal."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest
import zmq

from pygnc.bus import control, journal_writer
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import (
    LIVE,
    BatchEnd,
    GnssFix,
    InputMessage,
    LivePacket,
    Message,
    RangeMeasurement,
    TimeMark,
    UploadedElements,
)
from pygnc.bus.streams import encode
from pygnc.inputs import batch
from pygnc.inputs.input_state import InputsChangedError
from pygnc.tasks.ingest import task
from pygnc.tasks.ingest.task import IngestTask
from tests.e2e.conftest import DEMO
from tests.pygnc.formats.streams import range_packets
from tests.pygnc.tasks.runs import run_in

RECORDS, RECORD_BYTES = 20, 251
SENSE = (DEMO / "sense.bin").read_bytes()[: RECORDS * RECORD_BYTES]
RECORD = SENSE[:RECORD_BYTES]
STREAM = b"".join(range_packets(8, seed=5))
TLE = b"""\
1 25544U 98067A   21264.51782528  .00002893  00000-0  58680-4 0  9996
2 25544  51.6442 208.5856 0001458  47.2277  50.1624 15.48919419302874
"""
STEPS = (
    {"range/rng00003.bin": STREAM[:333], "range/partner_75/rng00000.bin": STREAM, "pygnc_elements.txt": TLE},
    {"range/rng00003.bin": STREAM[333:500], "range/rng00004.bin": STREAM[500:700], "pygnc_elements.txt": b"x"},
    {"range/partner_76/rng65535.bin": STREAM[:650]},
    {"range/rng00005.bin": STREAM[700:], "range/partner_76/rng00000.bin": STREAM[650:]},
)
"""Content appended to each file: first the batch, then what comes behind it."""


class LostError(Exception):
    """The task is killed here."""


class Home:
    """A home whose ingest may be lost."""

    def __init__(self, folder: Path) -> None:
        self.run = run_in(folder)
        self.home = self.run.home
        self.events: list[tuple[str, str, str]] = []
        self.writes = 0
        self._task: IngestTask | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None

    def append(self, step: dict[str, bytes]) -> None:
        for name, content in step.items():
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            with (self.home / name).open("ab") as file:
                file.write(content)

    def work(self, lost_at: int | None = None, writes: int | None = None) -> None:
        """Work until nothing is left to do, or until so many writes are made.

        The task is lost instead of making write number `lost_at`.
        """
        if self._task is None:
            self._context = zmq.Context()
            self._task = IngestTask(self.run, self._context, lambda *event: self.events.append(event))
            write = self._task._stream.write

            def counted(messages: Sequence[Message]) -> None:
                if messages and self.writes == lost_at:
                    raise LostError
                self.writes += bool(messages)
                write(messages)

            self._task._stream.write = counted  # type: ignore[method-assign]
        self._task._next_look_s = 0.0
        while self.writes != writes and self._task.work():
            pass
        if self.writes == writes:
            return
        self._task._next_look_s = 0.0
        while self._task.work():
            pass

    def lose(self) -> None:
        """As SIGKILL does it: nothing is closed in order."""
        assert self._context is not None
        self._context.destroy(linger=0)
        self._task = self._context = None

    def journal(self) -> list[bytes]:
        return [record.payload for record in JournalReader([self.run.folder], "input").read(10_000)]

    def counts(self) -> Mapping[str, object]:
        assert self._task is not None
        return self._task.progress().counts


@pytest.fixture
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Home]]:
    made = [Home(tmp_path_factory.mktemp(name)) for name in ("undisturbed", "lost")]
    yield made
    for home in made:
        if home._context is not None:
            home.lose()


@pytest.fixture(autouse=True)
def _small_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many writes, so that many places can be tried."""
    monkeypatch.setattr(batch, "RECORDS_PER_STEP", 4)
    monkeypatch.setattr(task, "LOOK_INTERVAL_S", 0.0)


def without_times(payloads: list[bytes]) -> list[Message]:
    """Messages but for the times of modification, which differ between two homes."""
    messages = [msgspec.msgpack.decode(payload, type=InputMessage) for payload in payloads]
    return [
        msgspec.structs.replace(message, modified_ns=0) if hasattr(message, "modified_ns") else message
        for message in messages
    ]


@pytest.mark.parametrize("lost_at", range(30))
def test_a_restart_after_any_write_gives_the_same_journal(homes: list[Home], lost_at: int) -> None:
    undisturbed, lost = homes
    times_lost = 0
    for step in STEPS:
        undisturbed.append(step)
        undisturbed.work()
        lost.append(step)
        try:
            lost.work(lost_at)
        except LostError:
            lost.lose()
            lost.work()
            times_lost += 1
    assert times_lost == (lost_at < undisturbed.writes)
    expected = undisturbed.journal()
    assert without_times(lost.journal()) == without_times(expected)
    assert lost.counts() == undisturbed.counts()
    packets = [m for m in without_times(expected) if isinstance(m, GnssFix | RangeMeasurement)]
    for satellite_id in (0, 75, 76):
        assert b"".join(m.raw for m in packets if m.satellite_id == satellite_id) == STREAM


def test_elements_come_before_the_batch_and_a_damaged_file_is_named(homes: list[Home]) -> None:
    home, _ = homes
    for step in STEPS[:2]:
        home.append(step)
        home.work()
    messages = without_times(home.journal())
    first, second = (message for message in messages if isinstance(message, UploadedElements))
    assert messages[0] == first
    assert first.elements is not None
    assert (first.elements.catalogue_number, first.epoch_line, first.fault) == (25544, 1, "")
    assert (second.elements, second.fault.partition(":")[0]) == (None, "line 3")
    (refused,) = (text for _, name, text in home.events if name == "elements_refused")
    assert refused.startswith("pygnc_elements.txt, line 3: 3 element lines instead of 2")


def test_every_write_is_tried(homes: list[Home]) -> None:
    home, _ = homes
    for step in STEPS:
        home.append(step)
        home.work()
    assert 22 <= home.writes <= 30


def test_reports_files_that_are_missing_after_a_restart(homes: list[Home]) -> None:
    home, _ = homes
    home.append(STEPS[0])
    home.work()
    home.lose()
    home.append({"range/rng00009.bin": STREAM})
    with pytest.raises(LostError):
        home.work(lost_at=home.writes + 2)
    home.lose()
    (home.home / "range" / "rng00009.bin").unlink()
    home.append(STEPS[1])
    home.work()
    assert ("error", "arrival_broken_off", str(InputsChangedError())) in home.events
    numbers = [message.seq for message in without_times(home.journal()) if hasattr(message, "seq")]
    assert numbers == list(range(1, len(numbers) + 1))
    assert sum(isinstance(message, BatchEnd) for message in without_times(home.journal())) == 1
    own = [m for m in without_times(home.journal()) if isinstance(m, GnssFix | RangeMeasurement) and not m.satellite_id]
    assert b"".join(m.raw for m in own if m.source != "range/rng00009.bin") in STREAM


def test_reads_nothing_twice_without_the_beginning_of_the_journal(
    homes: list[Home], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_writer, "SEGMENT_BYTES", 2000)  # in memory only the newest segments are kept
    home, _ = homes
    home.append(STEPS[0])
    home.work()
    home.lose()
    before = home.journal()
    min(home.run.folder.glob("input-*")).unlink()
    home.work()
    home.append(STEPS[1])
    home.work()
    assert [name for severity, name, _ in home.events if severity == "error"] == ["arrival_broken_off"]
    assert home.journal() == before[-len(home.journal()) :]


@pytest.fixture
def sense_home(homes: list[Home]) -> Home:
    """Return a home with a sense file whose records are announced, but not yet written."""
    home, _ = homes
    home.append({"sense.bin": SENSE})
    home.work(writes=1)
    return home


def fixes(home: Home) -> int:
    return sum(isinstance(message, GnssFix) for message in without_times(home.journal()))


def test_uses_the_part_of_a_growing_sense_file_that_was_read(sense_home: Home) -> None:
    sense_home.append({"sense.bin": RECORD})
    sense_home.work()
    assert fixes(sense_home) == RECORDS
    assert sense_home.counts()["delivered_bytes"] == len(SENSE)
    assert [text for _, name, text in sense_home.events if name == "input_changed"] == [
        f"sense.bin was changed after its first {len(SENSE)} bytes had been read; the next run reads the rest"
    ]


def test_a_restarted_task_uses_the_same_part_of_a_growing_sense_file(sense_home: Home) -> None:
    sense_home.append({"sense.bin": RECORD})
    sense_home.lose()
    sense_home.work()
    assert fixes(sense_home) == RECORDS
    assert sense_home.counts()["delivered_bytes"] == len(SENSE)


@pytest.mark.parametrize("payload", [b"\xc1", b"\x91" * 5000, encode(["SensorSample", "of a later form"])])
def test_a_restarted_task_drops_counts_and_reports_an_undecodable_message_and_loses_no_other(
    sense_home: Home, payload: bytes
) -> None:
    sense_home.lose()
    journal = sense_home.run.open_journal("input")
    journal.append([payload])  # in place of the first packet
    last_seq = journal.last_seq
    sense_home.work()
    assert [record.seq for record in JournalReader([sense_home.run.folder], "input").read(10_000)][-1] > last_seq
    readable = [message for message in sense_home.journal() if message != payload]
    assert len(readable) == len(sense_home.journal()) - 1
    assert sum(isinstance(message, GnssFix) for message in without_times(readable)) == RECORDS
    assert isinstance(without_times(readable)[-1], BatchEnd)
    assert sense_home.counts()["lost_messages"] == 1
    assert [name for _, name, _ in sense_home.events if name == control.DROPPED] == [control.DROPPED]
    sense_home.append(STEPS[0])
    sense_home.work()
    assert any(isinstance(message, RangeMeasurement) for message in without_times(sense_home.journal()[last_seq:]))


@pytest.mark.parametrize("is_lost", [False, True])
def test_packets_of_a_replaced_sense_file_are_not_counted_as_delivered(sense_home: Home, *, is_lost: bool) -> None:
    (sense_home.home / "sense.bin").write_bytes(bytes(len(SENSE)))
    if is_lost:
        sense_home.lose()
    sense_home.work()
    assert fixes(sense_home) == 0
    counts = sense_home.counts()
    assert (counts["source_bytes"], counts["delivered_bytes"], counts["damaged_bytes"]) == (len(SENSE), 0, len(SENSE))
    assert sum(isinstance(message, BatchEnd) for message in without_times(sense_home.journal())) == 1


def test_live_packets_without_a_known_form_are_dropped_and_reported(tmp_path: Path) -> None:
    run = run_in(tmp_path, has_terminal=True)
    forms = (("SENS", b"short"), ("GPSS", b""), ("RANG", b"?"), ("WHAT", b"unknown"), ("TIME", bytes(6)))
    packets = [
        LivePacket(seq=seq, kind=kind, radio_id=0, late=False, t_mono_ns=0, raw=raw)
        for seq, (kind, raw) in enumerate(forms, 1)
    ]
    host = journal_writer.JournalWriter(run.folder, run.runtime, LIVE, b"")
    host.append([encode(packet) for packet in packets])
    host.close()
    names: list[str] = []
    with zmq.Context() as context:
        ingest = IngestTask(run, context, lambda _severity, name, _text: names.append(name))
        while ingest.work():
            pass
        ingest.close()
    reader = JournalReader([run.folder], "input")
    decode = msgspec.msgpack.Decoder(InputMessage).decode
    live = [message for record in reader.read(100) if isinstance(message := decode(record.payload), TimeMark)]
    reader.close()
    assert [mark.offset for mark in live] == [5]
    assert names.count(control.DROPPED) == 4


def test_a_message_whose_record_is_damaged_before_a_restart_leaves_its_number_to_no_other(tmp_path: Path) -> None:
    run = run_in(tmp_path, has_terminal=True)
    host = journal_writer.JournalWriter(run.folder, run.runtime, LIVE, b"")

    def fly(arrival: bytes | None = None) -> list[bytes]:
        with zmq.Context() as context:
            ingest = IngestTask(run, context, lambda *_: None)
            while ingest.work():
                pass
            if arrival:
                (run.home / "pygnc_elements.txt").write_bytes(arrival)
            while ingest.work():
                pass
            context.destroy(linger=0)  # as SIGKILL does it: nothing is closed in order
        return [record.payload for record in JournalReader([run.folder], "input").read(100)]

    before = fly(TLE)
    (path,) = run.folder.glob("input-*")
    content = bytearray(path.read_bytes())
    content[-9] ^= 4
    path.write_bytes(content)
    host.append([encode(LivePacket(seq=1, kind="TIME", radio_id=0, late=False, t_mono_ns=0, raw=bytes(6)))])
    host.close()
    after = fly()
    assert after[: len(before)] == before
    assert len(after) == len(before) + 1
