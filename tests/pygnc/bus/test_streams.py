"""Streams between real processes: every message once and in order."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import msgpack
import msgspec
import pytest
import zmq

from pygnc.bus import streams
from pygnc.bus.journal_files import list_segments
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import BatchEnd, InputMessage, Message
from pygnc.bus.streams import StreamReader, StreamWriter, socket_file

COUNT = 20_000
FORK = multiprocessing.get_context("fork")
decode = msgspec.msgpack.Decoder(InputMessage).decode


Context = zmq.Context[zmq.Socket[bytes]]


def make_writer(context: Context, folder: Path) -> StreamWriter:
    return StreamWriter(context, folder, "input", JournalWriter(folder, folder, "input", b""))


def make_reader(context: Context, folder: Path, after_seq: int = 0) -> StreamReader:
    return StreamReader(context, folder, "input", [folder], decode, after_seq=after_seq)


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context() as context:
        yield context


def messages(first: int, count: int) -> list[BatchEnd]:
    return [BatchEnd(seq=seq, cause="x" * 100) for seq in range(first, first + count)]


def be_writer(folder: Path, control: Connection) -> None:
    """Write as fast as possible, report the duration, then answer new readers until asked to end."""
    writer = make_writer(zmq.Context(), folder)
    control.recv()
    begin = time.monotonic()
    while writer.journal.last_seq < COUNT:
        # Several messages are announced by a mark, single ones as they are.
        writer.write(messages(writer.next_seq, 50 if writer.next_seq % 1000 < 500 else 1))
    control.send(time.monotonic() - begin)
    while not control.poll(0.02):
        writer.answer_subscriptions()
    writer.close()


def be_reader(folder: Path, control: Connection, limit: int, after_seq: int) -> None:
    """Read all, tell the number read whenever 1000 more are there."""
    reader = make_reader(zmq.Context(), folder, after_seq)
    seen = after_seq
    control.send(seen)
    while seen < COUNT:
        if not reader.has_backlog:
            reader.socket.poll(100)
        for message in reader.receive(limit):
            assert isinstance(message, BatchEnd)
            assert message.seq == seen + 1, f"{message.seq} after {seen}"
            seen = message.seq
            if seen % 1000 == 0:
                control.send(seen)
    assert reader.lost == 0
    control.send("done")


class Process:
    """A child process and our end of its pipe."""

    def __init__(self, target: object, *arguments: object) -> None:
        self.pipe, theirs = FORK.Pipe()
        folder, *rest = arguments
        self.process = FORK.Process(target=target, args=(folder, theirs, *rest), daemon=True)  # type: ignore[arg-type]
        self.process.start()
        theirs.close()

    def hear(self) -> object:
        assert self.pipe.poll(30), "no word for 30 s"
        return self.pipe.recv()

    def hear_until_done(self) -> None:
        while self.hear() != "done":
            pass
        self.process.join(5)
        assert self.process.exitcode == 0

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Process]:
    process = Process(be_writer, tmp_path)
    yield process
    process.pipe.send("end")
    process.process.join(10)
    assert process.process.exitcode == 0


def test_a_flooded_slow_reader_gets_every_message(tmp_path: Path, writer: Process) -> None:
    slow = Process(be_reader, tmp_path, 3, 0)
    slow.hear()
    writer.pipe.send("go")
    slow.hear_until_done()
    writer.hear()


def test_a_stopped_reader_delays_nobody_and_misses_nothing(tmp_path: Path, writer: Process) -> None:
    stopped, other = Process(be_reader, tmp_path, 512, 0), Process(be_reader, tmp_path, 512, 0)
    stopped.hear()
    other.hear()
    stopped.send_signal(signal.SIGSTOP)
    writer.pipe.send("go")
    other.hear_until_done()
    assert writer.hear() is not None
    stopped.send_signal(signal.SIGCONT)
    stopped.hear_until_done()


def test_a_late_starter_begins_with_the_first_message(tmp_path: Path, writer: Process) -> None:
    writer.pipe.send("go")
    writer.hear()
    late = Process(be_reader, tmp_path, 512, 0)
    late.hear_until_done()


def test_the_successor_of_a_killed_reader_continues_after_the_given_number(tmp_path: Path, writer: Process) -> None:
    killed = Process(be_reader, tmp_path, 10, 0)
    killed.hear()
    writer.pipe.send("go")
    reached = killed.hear()
    killed.send_signal(signal.SIGKILL)
    assert isinstance(reached, int)
    Process(be_reader, tmp_path, 512, reached).hear_until_done()
    writer.hear()


def test_a_restarted_writer_continues_the_numbers(context: Context, tmp_path: Path) -> None:
    with closing(make_reader(context, tmp_path)) as reader:
        with closing(make_writer(context, tmp_path)) as first:
            first.write(messages(1, 10))
        with closing(make_writer(context, tmp_path)) as second:
            assert second.next_seq == 11
            second.write(messages(11, 5))
            assert heard(reader, 15) == list(range(1, 16))


def test_a_new_reader_gets_messages_announced_before_it_joined(context: Context, tmp_path: Path) -> None:
    with closing(make_writer(context, tmp_path)) as writer, closing(make_reader(context, tmp_path)) as reader:
        assert reader.receive(100) == []
        writer.write(messages(1, 10))  # the subscription is on its way
        assert writer.socket.poll(5000)
        writer.answer_subscriptions()
        assert heard(reader, 10) == list(range(1, 11))


@pytest.fixture
def joined(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[StreamWriter, StreamReader]]:
    """A writer and a reader that has joined, and does not look into the journal just because time goes by."""
    monkeypatch.setattr(streams, "LOOK_INTERVAL_S", 3600.0)
    with closing(make_writer(context, tmp_path)) as writer, closing(make_reader(context, tmp_path)) as reader:
        assert reader.receive(100) == []
        assert writer.socket.poll(5000)
        writer.answer_subscriptions()
        yield writer, reader


def test_reads_messages_that_a_full_queue_dropped(
    joined: tuple[StreamWriter, StreamReader],
) -> None:
    writer, reader = joined
    write_one_by_one(writer, 2000)
    assert heard(reader, 2000) == list(range(1, 2001))


def test_reads_dropped_messages_after_announcements_of_known_ones(
    joined: tuple[StreamWriter, StreamReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = joined
    write_one_by_one(writer, 1950)

    def decode_late(payload: bytes) -> object:
        """The journal has been read, the queue is still full of what stands in it."""
        message = decode(payload)
        if message.seq == 1950:
            write_one_by_one(writer, 50)
        return message

    monkeypatch.setattr(reader, "_decode", decode_late)
    reader.has_backlog = True
    assert heard(reader, 2000) == list(range(1, 2001))


def test_reading_the_journal_does_not_hide_transient_messages(joined: tuple[StreamWriter, StreamReader]) -> None:
    writer, reader = joined
    assert reader.socket.poll(5000)
    assert reader.receive(100) == []  # the greeting
    writer.publish_transient(BatchEnd(seq=0, cause="now"))
    assert reader.socket.poll(5000)
    reader.has_backlog = True
    assert reader.receive(100) == []
    assert reader.take_transient() == BatchEnd(seq=0, cause="now")


def test_reads_unannounced_messages_after_the_look_interval(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LOOK_INTERVAL_S", 0.1)
    with closing(make_writer(context, tmp_path)) as writer, closing(make_reader(context, tmp_path)) as reader:
        assert reader.receive(100) == []
        writer.journal.append([streams.encode(message) for message in messages(1, 3)])
        deadline = time.monotonic() + 10.0
        seen: list[Message] = []
        while len(seen) < 3 and time.monotonic() < deadline:
            seen += reader.receive(100)
            reader.socket.poll(20)
        assert len(seen) == 3


def test_a_removed_socket_and_journal_are_made_again(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "LOOK_INTERVAL_S", 0.0)
    with closing(make_writer(context, tmp_path)) as writer:
        writer.answer_subscriptions()
        for path in tmp_path.iterdir():
            path.unlink()
        writer.answer_subscriptions()
        with closing(make_reader(context, tmp_path)) as reader:
            assert reader.receive(100) == []
            assert writer.socket.poll(5000)
            writer.write(messages(1, 3))
            assert heard(reader, 3) == [1, 2, 3]


def test_announced_messages_that_are_no_longer_in_the_journal_count_as_lost(context: Context, tmp_path: Path) -> None:
    with closing(make_writer(context, tmp_path)) as writer:
        writer.write(messages(1, 3))
        list_segments([tmp_path], "input")[0].path.unlink()
        with closing(make_reader(context, tmp_path)) as reader:
            assert writer.socket.poll(5000)
            writer.answer_subscriptions()
            while reader.last_seq < 3:
                assert reader.has_backlog or reader.socket.poll(5000)
                assert reader.receive(100) == []
            assert reader.lost == 3


def test_a_position_beyond_the_end_of_the_stream_is_noticed(joined: tuple[StreamWriter, StreamReader]) -> None:
    writer, reader = joined
    write_one_by_one(writer, 2000)
    assert heard(reader, 2000)[-1] == 2000
    assert not reader.is_beyond_end()
    reader.last_seq ^= 1 << 11
    assert reader.is_beyond_end()


def write_one_by_one(writer: StreamWriter, count: int) -> None:
    """Write messages that are announced one by one, with what they say."""
    for _ in range(count):
        writer.write(messages(writer.next_seq, 1))


def heard(reader: StreamReader, count: int) -> list[int]:
    """Read until so many messages have come."""
    seen: list[int] = []
    while len(seen) < count:
        assert reader.has_backlog or reader.socket.poll(5000)
        seen += [m.seq for m in reader.receive(100) if isinstance(m, BatchEnd)]
    return seen


def test_messages_are_plain_messagepack(context: Context, tmp_path: Path) -> None:
    with closing(make_writer(context, tmp_path)) as writer, context.socket(zmq.SUB) as plain:
        plain.subscribe(b"input")
        plain.connect(f"ipc://{socket_file(tmp_path, 'input')}")
        while not plain.poll(20):  # the subscription is on its way
            writer.answer_subscriptions()
        writer.write(messages(1, 1))
        payload = b""
        while not payload:
            _, _, payload = plain.recv_multipart()
    assert msgpack.unpackb(payload) == ["BatchEnd", 1, "x" * 100]


def test_a_transient_message_is_neither_numbered_nor_journaled(context: Context, tmp_path: Path) -> None:
    with closing(make_writer(context, tmp_path)) as writer, closing(make_reader(context, tmp_path)) as reader:
        shown = None
        while shown is None:
            writer.publish_transient(BatchEnd(seq=0, cause="now"))
            reader.socket.poll(20)
            reader.receive(10)
            shown = reader.take_transient()
        assert shown == BatchEnd(seq=0, cause="now")
        assert writer.journal.last_seq == reader.last_seq == 0


@pytest.mark.parametrize("bit", [0, 14])
def test_a_writer_whose_last_number_has_changed_writes_nothing(context: Context, tmp_path: Path, bit: int) -> None:
    writer = make_writer(context, tmp_path)
    writer.write(messages(1, 5))
    writer.journal.last_seq ^= 1 << bit
    with pytest.raises(RuntimeError, match="number of the last message"):
        writer.write(messages(writer.next_seq, 1))
    writer.close()
