"""Task base class, control channel and heap."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from pygnc.bus import control, journal_writer
from pygnc.bus.messages import BatchEnd
from pygnc.bus.streams import encode
from pygnc.tasks.runtime import Task
from tests.pygnc.tasks.runs import run_in


class WritesOnce(Task):
    """Writes one message when it starts and nothing afterwards."""

    def work(self) -> bool:
        return False

    def progress(self) -> control.Progress:
        return control.Progress()


def test_the_last_message_of_a_quiet_task_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_in(tmp_path)
    synced: list[int] = []
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 3_600.0)
    with zmq.Context() as context:
        task = WritesOnce(run, context, lambda *_: None)
        task.open_stream("quiet").write([BatchEnd(seq=1, cause="")])
        monkeypatch.setattr(os, "fdatasync", synced.append)
        monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
        task.serve_streams()
        task.close()
    assert len(synced) == 1  # closing calls fsync


def test_messages_of_a_stream_that_cannot_be_decoded_are_dropped_counted_and_reported_once(tmp_path: Path) -> None:
    events: list[tuple[str, str, str]] = []

    def notify(severity: str, name: str, text: str) -> None:
        events.append((severity, name, text))

    with zmq.Context() as context:
        task = WritesOnce(run_in(tmp_path), context, notify)
        journal = task.open_stream("quiet").journal
        first, last = (encode(BatchEnd(seq=seq, cause="")) for seq in (1, 6))
        not_text = encode(["BatchEnd", 2, "??"]).replace(b"??", b"\xff\xfe")
        nested = b"\x91" * 10_000
        later_form = encode(["BatchEnd", "of a later form"])
        journal.append([first, b"\xc1", not_text, encode(["BatchEnd", 2, ""])[:-1] + nested, later_form, last])
        reader = task.open_reader("quiet", BatchEnd)
        assert [message.seq for message in reader.receive(10)] == [1, 6]
        assert (reader.lost, reader.last_seq) == (4, 6)
        reader.close()
        task.close()
    assert [(severity, name) for severity, name, _ in events] == [("warning", control.DROPPED)]
    assert "quiet" in events[0][2]


def test_a_transient_message_that_cannot_be_decoded_is_dropped(tmp_path: Path) -> None:
    with zmq.Context() as context:
        task = WritesOnce(run_in(tmp_path), context, lambda *_: None)
        stream = task.open_stream("quiet")
        reader = task.open_reader("quiet", BatchEnd)
        while not stream.socket.poll(100):
            pass
        stream.socket.send_multipart([b"quiet", b"live", b"\xc1"])
        assert reader.socket.poll(5000)
        assert reader.receive(10) == []
        assert reader.receive(10) == []
        assert reader.take_transient() is None
        reader.close()
        task.close()


def test_a_message_of_the_supervisor_that_cannot_be_decoded_is_skipped() -> None:
    ours, theirs = control.make_pair()
    with ours, theirs:
        ours.send(b"\xc1")
        control.send(ours, control.Ping(2))
        assert control.receive_from_supervisor(theirs) == control.Ping(2)
        assert control.receive_from_supervisor(theirs) is None


def test_a_control_channel_keeps_messages_apart() -> None:
    ours, theirs = control.make_pair()
    with ours, theirs:
        assert isinstance(ours, socket.socket)
        for counter in (1, 2):
            control.send(ours, control.Ping(counter))
        assert [control.receive_from_supervisor(theirs) for _ in range(3)] == [control.Ping(1), control.Ping(2), None]


CODE = """
import threading
from pathlib import Path
from pygnc.tasks import runtime

runtime.share_heap_among_threads()
blocks = []
thread = threading.Thread(target=lambda: blocks.extend(bytes(60_000) for _ in range(30)))
thread.start()
thread.join()
runtime.trim_heap()
lines = Path("/proc/self/maps").read_text().splitlines()
bounds = next(line for line in lines if line.endswith("[heap]")).split()[0].split("-")
first, last = (int(bound, 16) for bound in bounds)
print(sum(first <= id(block) < last for block in blocks))
"""


def test_threads_allocate_from_one_heap() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True)
    assert int(done.stdout) == 30
