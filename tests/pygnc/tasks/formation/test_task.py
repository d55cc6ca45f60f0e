"""The formation task waits for the orbit task as long as it responds."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import zmq

from pygnc.bus.control import DROPPED
from pygnc.bus.messages import BatchEnd
from pygnc.bus.streams import StreamWriter, encode
from pygnc.tasks.formation import task as module
from pygnc.tasks.formation.task import ORBIT_PATIENCE_S, FormationTask
from tests.pygnc.navigation import formation_batch as batch
from tests.pygnc.tasks.runs import run_in

pytestmark = pytest.mark.xdist_group("formation_batch")  # one worker makes the batch


def test_a_slow_orbit_task_is_awaited_and_a_silent_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, notices = 0.0, []
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now_s))
    run, context = run_in(tmp_path), zmq.Context()
    try:
        inputs = StreamWriter(context, run.runtime, "input", run.open_journal("input"))
        orbits = StreamWriter(context, run.runtime, "orbit", run.open_journal("orbit"))
        task = FormationTask(run, context, lambda _, name, __: notices.append(name))
        inputs.write(batch.inputs())
        messages = [message for answer in batch.answers().values() for message in answer]
        for message in messages[:5]:
            orbits.write([message])
            while (task._stage is None or task._stage.last_orbit_seq < message.seq) and not notices:
                task.work()
            now_s += 0.8 * ORBIT_PATIENCE_S
            task.work()
        assert notices == []
        now_s += 0.4 * ORBIT_PATIENCE_S
        task.work()
        assert notices == ["orbit_late"]
        task.close()
    finally:
        context.destroy(linger=0)


def test_a_damaged_input_before_the_checkpoint_counts_as_lost(tmp_path: Path) -> None:
    run, context = run_in(tmp_path), zmq.Context()
    try:
        journal = run.open_journal("input")
        journal.append([encode(BatchEnd(seq=seq, cause="")) for seq in range(1, 9)])
        (file,) = run.folder.iterdir()
        content = bytearray(file.read_bytes())
        content[-10] ^= 3  # in the last record; the CRC corrects a single bit
        file.write_bytes(content)
        task = FormationTask(run, context, lambda *_: None)
        assert (len([*task._inputs_before(8)]), task.input.lost) == (7, 0)
        assert (len([*task._inputs_before(9)]), task.input.lost) == (7, 1)
        task.close()
        journal.close()
    finally:
        context.destroy(linger=0)


def test_an_undecodable_input_before_the_checkpoint_is_dropped_counted_and_reported(tmp_path: Path) -> None:
    run, context, notices = run_in(tmp_path), zmq.Context(), list[str]()
    try:
        journal = run.open_journal("input")
        good = [encode(BatchEnd(seq=seq, cause="")) for seq in (1, 2, 5)]
        journal.append([*good[:2], b"\xc1", b"\x91" * 5000, good[2]])
        task = FormationTask(run, context, lambda _, name, __: notices.append(name))
        assert [message.seq for message in task._inputs_before(6)] == [1, 2, 5]
        assert task.input.lost == 2
        assert notices == [DROPPED]
        task.close()
        journal.close()
    finally:
        context.destroy(linger=0)
