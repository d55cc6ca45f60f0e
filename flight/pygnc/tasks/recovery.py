"""Restart of a task without loss or repetition: checkpoints, and output that is written once.

A task that is a function of its inputs saves its state and the number of the last input processed in a checkpoint. A
restarted task loads it, processes the inputs after it again, and so computes some messages a second time.
`ResumableWriter` drops the messages that are in the journal already. `EstimatorTask` combines both.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec

from pygnc.bus import control
from pygnc.bus.journal_files import last_number
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import InputMessage, Message, OrbitMessage
from pygnc.bus.streams import MESSAGES_PER_STEP, StreamReader, StreamWriter
from pygnc.configuration.run import Notify, Run
from pygnc.navigation.pipeline import Stage
from pygnc.tasks.checkpoints import Checkpoint, CheckpointFile
from pygnc.tasks.runtime import Context, Task
from pygnc.tasks.seal import StateChangedError
from pygnc.tasks.second_look import INTERVAL_S, SecondLook

T = TypeVar("T")


class ResumableWriter:
    """Writer of a task's output stream that drops messages that an earlier process of the task has written.

    Attributes:
        last_seq: Number of the last message produced, dropped messages included; at first that of the checkpoint.
    """

    def __init__(self, stream: StreamWriter, last_seq: int = 0) -> None:
        self._stream = stream
        self.last_seq = last_seq
        self._repeated = max(0, stream.journal.last_seq - last_seq)
        self._lacking = max(0, last_seq - stream.journal.last_seq)

    def write(self, messages: Sequence[Message]) -> None:
        """Write the next messages, except those that an earlier process has written to the journal.

        Raises:
            StateChangedError: A number has changed; by a wrong one, messages would be dropped, or given a number twice.
        """
        if self._stream.journal.last_seq != self.last_seq + self._repeated - self._lacking:
            raise StateChangedError("the position in the task's own stream has changed")
        repeated = min(self._repeated, len(messages))
        self._repeated -= repeated
        self.last_seq += len(messages)
        if messages[repeated:]:
            self._stream.write(messages[repeated:])


class EstimatorTask(Task):
    """Base class of tasks whose stream of estimates is a function of the checkpoint and of the journals after it.

    Task and stream have the same name. A checkpoint is ignored if it was made after another number of memory kills, or
    if the journal lacks a message written before it, for example because the last record is damaged.

    Attributes:
        saved: Checkpoint from which the task continues.
        stream: Stream of estimates.
        output: Writer of new estimates to the stream.
        input: Reader of the input stream after the checkpoint.
        orbit_failed: True once the orbit task has failed after all restarts; set only with `reports_run`.
        look_interval_s: Minimum time between two second looks, s.
        is_repeatable: `Checkpoint.is_repeatable` of the next checkpoint.
    """

    look_interval_s: float = INTERVAL_S

    def __init__(self, run: Run, context: Context, notify: Notify, name: str, memory_kills: int = 0) -> None:
        super().__init__(run, context, notify)
        self._checkpoint = CheckpointFile(run.runtime / f"{name}.checkpoint", notify)
        self.stream = self.open_stream(name)
        saved = self._checkpoint.load()
        if saved and (lacking := self._lacking(saved, name)):
            notify("warning", "checkpoint", f"no journal contains {lacking}; all inputs are processed again")
            saved = None
        self.saved = saved if saved and saved.memory_kills == memory_kills else Checkpoint(memory_kills=memory_kills)
        self._saved_seq = self.saved.last_input_seq
        self.is_repeatable = self.saved.is_repeatable
        self.output = ResumableWriter(self.stream, self.saved.last_output_seq)
        self.input = self.open_reader("input", InputMessage, after_seq=self._saved_seq)
        self.orbit_failed = False
        self._second_look = SecondLook(run, name, self.repeat, notify, self.look_interval_s)

    def _lacking(self, saved: Checkpoint, name: str) -> str:
        """Return the message before a checkpoint that is in no readable journal, such as a damaged one at its end."""
        numbers = ((name, saved.last_output_seq), ("input", saved.last_input_seq), ("orbit", saved.last_orbit_seq))
        for stream, seq in numbers:
            end = last_number(self.run.journal_folders, stream) if seq else None
            if end is not None and seq > end:
                return f"message {seq} of {stream}"
        return ""

    def open_orbits(self) -> StreamReader:
        """Open the orbit stream for reading after the checkpoint."""
        return self.open_reader("orbit", OrbitMessage, after_seq=self.saved.last_orbit_seq)

    def on_run_state(self, state: control.RunState) -> None:
        """Set `orbit_failed` if the orbit task has failed after all restarts, so that no more orbits will arrive."""
        self.orbit_failed = any(task.name == "orbit" and task.state == "failed" for task in state.tasks)

    @abstractmethod
    def repeat(self, start: Checkpoint, until: Checkpoint, take: Callable[[Message], None]) -> Checkpoint:
        """Process the inputs between two checkpoints again; see `pygnc.tasks.second_look.Repeat`."""

    def repeated(self, stage: Stage[Any, T], inputs: Iterator[Message], orbits: Iterator[Message]) -> Iterator[T]:
        """Yield the results of a stage for journaled messages, which it takes in the same order as in flight."""
        while True:
            waiting, messages = (stage.orbits, orbits) if stage.tracker.awaits_orbit else (stage.inputs, inputs)
            waiting.extend(islice(messages, 1))
            results = stage.step()
            if results is None:
                return
            yield from results

    def journaled(self, name: str, kind: object, after_seq: int, last_seq: int) -> Iterator[Message]:
        """Yield the messages of a journal from the one after `after_seq` to `last_seq`.

        Raises:
            LookupError: A message is not in the journal.
        """
        decode: Callable[[bytes], Message] = msgspec.msgpack.Decoder(kind).decode
        journal = JournalReader(self.run.journal_folders, name, after_seq)
        while after_seq < last_seq:
            records = journal.read(min(MESSAGES_PER_STEP, last_seq - after_seq))
            for record in records:
                if record.seq == after_seq + 1:
                    after_seq += 1
                    yield decode(record.payload)
            if not records or records[-1].seq != after_seq:
                raise LookupError(f"journal {name} lacks message {after_seq + 1}")

    def note_work(self) -> None:
        """Postpone the second look, because the task is not idle."""
        self._second_look.note_work()

    def note_late_orbit(self) -> None:
        """Take no second look any more, because an estimate has not awaited its orbit."""
        self.is_repeatable = False
        self._checkpoint.hasten()

    def wait_s(self) -> float:
        """Return the time until journals must be synced or the second look needs attention, s."""
        return min(super().wait_s(), self._second_look.wait_s())

    def look_again(
        self,
        tracker: Callable[[], bytes],
        last_input_seq: int,
        last_orbit_seq: int = 0,
        digest: Callable[[], int] = lambda: 0,
    ) -> None:
        """Verify the state of an idle task by a repetition of the inputs before it, if the journals determine it.

        Raises:
            StateChangedError: The state is wrong; the task must be restarted, from a checkpoint with the right state.
        """
        if not self.is_repeatable:
            return
        memory_kills = self.saved.memory_kills
        right = self._second_look.advance(
            last_input_seq,
            lambda: Checkpoint(last_input_seq, last_orbit_seq, self.output.last_seq, tracker(), memory_kills, digest()),
        )
        if right is not None:
            self._checkpoint.save(right)
            text = f"the repetition of the inputs up to {right.last_input_seq} resulted in another state"
            raise StateChangedError(text)

    def close(self) -> None:
        """End a repetition in progress, and close streams and readers."""
        self._second_look.close()
        super().close()

    def is_checkpoint_due(self, last_input_seq: int) -> bool:
        """Return True if the newest checkpoint is older than `INTERVAL_S` and inputs have been processed since."""
        return self._checkpoint.is_due and last_input_seq > self._saved_seq

    def save(self, tracker: bytes, last_input_seq: int, last_orbit_seq: int = 0) -> None:
        """Save a checkpoint with the encoded state of a tracker that has processed messages up to these numbers."""
        self._saved_seq = last_input_seq
        self._checkpoint.save(
            Checkpoint(
                last_input_seq,
                last_orbit_seq,
                self.output.last_seq,
                tracker,
                self.saved.memory_kills,
                is_repeatable=self.is_repeatable,
            )
        )
