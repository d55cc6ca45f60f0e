"""Task base class, control channel and heap."""

import os
import socket
import zlib
from collections import deque
from pathlib import Path
from typing import ClassVar

import pytest
import zmq

from pygnc.bus import control, journal_writer
from pygnc.bus.messages import BatchEnd
from pygnc.bus.streams import encode
from pygnc.supervisor.process import STATE_CHANGED, TaskSpec
from pygnc.tasks.runtime import IDLE_WAIT_S, WAIT_S, Task, TaskLoop, run_task
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


def test_a_task_with_unsynced_records_waits_half_as_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_writer, "SYNC_INTERVAL_S", 0.0)
    with zmq.Context() as context:
        task = WritesOnce(run_in(tmp_path), context, lambda *_: None)
        stream = task.open_stream("quiet")
        stream.write([BatchEnd(seq=1, cause="")])
        assert task.wait_s() == WAIT_S
        task.serve_streams()
        assert task.wait_s() == WAIT_S  # the result of the sync is not known yet
        stream.journal.finish_sync()
        assert task.wait_s() == IDLE_WAIT_S
        task.close()


class Quiet(Task):
    """Has nothing to do; counts how often it is asked to work, and the states of the run that it receives."""

    works = 0
    phases: ClassVar[list[str]] = []

    def work(self) -> bool:
        Quiet.works += 1
        return False

    def wait_s(self) -> float:
        return 60.0

    def progress(self) -> control.Progress:
        return control.Progress(7)

    def on_run_state(self, state: control.RunState) -> None:
        Quiet.phases.append(state.phase)


def test_pings_and_repeated_states_of_the_run_do_not_wake_a_quiet_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = control.RunState("idle", (), 3)
    messages = [state, *[control.Ping(1), state, control.Ping(2), state] * 5, control.RunState("idle", (), 4)]
    script = deque[control.ControlMessage]([*messages, control.Ping(3), control.Stop(0.0)])

    class Poller(zmq.Poller):
        def poll(self, timeout: int | None = None) -> list[tuple[object, int]]:
            if timeout:
                control.send(ours, script.popleft())
            return super().poll(timeout)

    ours, theirs = control.make_pair()
    monkeypatch.setattr("pygnc.tasks.status.task.StatusTask", Quiet)
    monkeypatch.setattr(zmq, "Poller", Poller)
    with ours, theirs:
        spec, run = TaskSpec("status", "", "StatusTask", (), (), 4), run_in(tmp_path)
        assert run_task(spec, run, theirs, zlib.crc32(run.constants())) == 0
        pongs = [message for _ in range(20) if isinstance(message := control.receive_from_task(ours), control.Pong)]
    assert Quiet.phases == ["idle", "idle", "idle"]  # before each step
    assert [pong.counter for pong in pongs if pong.counter] == [1, 2] * 5 + [3]
    assert {pong.progress.last_sequence_processed for pong in pongs} == {7}
    assert Quiet.works == 4  # at the start, for two states of the run, and before the end


class Derived(Quiet):
    """Stores a value that follows from the state of the run; a bit flips in it in each step."""

    is_idle = False
    found: ClassVar[list[bool]] = []

    def on_run_state(self, state: control.RunState) -> None:
        self.is_idle = state.phase == "idle"

    def work(self) -> bool:
        Derived.found.append(self.is_idle)
        self.is_idle = not self.is_idle
        return False

    def wait_s(self) -> float:
        return 0.0


def test_a_value_that_follows_from_the_state_of_the_run_is_set_again_before_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Poller(zmq.Poller):
        def poll(self, timeout: int | None = None) -> list[tuple[object, int]]:
            del timeout
            if len(Derived.found) == 4:
                control.send(ours, control.Stop(0.0))
            return []

    ours, theirs = control.make_pair()
    monkeypatch.setattr("pygnc.tasks.status.task.StatusTask", Derived)
    monkeypatch.setattr(zmq, "Poller", Poller)
    with ours, theirs:
        control.send(ours, control.RunState("idle", (), 3))
        spec, run = TaskSpec("status", "", "StatusTask", (), (), 4), run_in(tmp_path)
        assert run_task(spec, run, theirs, zlib.crc32(run.constants())) == 0
    assert Derived.found == [True] * 5


class Changed(Quiet):
    """Ends at once, in a loop of which a bit has flipped while the task worked."""

    ends: ClassVar[list[bool]] = []

    def work(self) -> bool:
        self.main_has_ended = True
        return False

    def close(self) -> None:
        Changed.ends.append(self.main_has_ended)


def test_a_flipped_bit_does_not_make_a_task_take_main_for_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = control.make_pair()
    monkeypatch.setattr("pygnc.tasks.status.task.StatusTask", Changed)
    with ours, theirs:
        control.send(ours, control.Stop(0.0))
        spec, run = TaskSpec("status", "", "StatusTask", (), (), 4), run_in(tmp_path)
        assert run_task(spec, run, theirs, zlib.crc32(run.constants())) == 0
    assert Changed.ends == [False]


def test_a_bit_that_flips_in_the_loop_while_it_waits_ends_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Poller(zmq.Poller):
        def poll(self, timeout: int | None = None) -> list[tuple[object, int]]:
            if timeout:
                loops[0]._main ^= 1
            return []

    def run_noted(loop: TaskLoop) -> None:
        loops.append(loop)
        run_loop(loop)

    loops: list[TaskLoop] = []
    run_loop = TaskLoop.run
    ours, theirs = control.make_pair()
    monkeypatch.setattr("pygnc.tasks.status.task.StatusTask", Quiet)
    monkeypatch.setattr(zmq, "Poller", Poller)
    monkeypatch.setattr(TaskLoop, "run", run_noted)
    with ours, theirs:
        spec, run = TaskSpec("status", "", "StatusTask", (), (), 4), run_in(tmp_path)
        assert run_task(spec, run, theirs, zlib.crc32(run.constants())) == STATE_CHANGED
    loops[0]._context.destroy(linger=0)


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
