"""Formation process: estimates the orbits of the partners from ranges, fixes of all satellites and our own orbit.

The estimates are a function of the checkpoint and of the input and orbit journals. The checkpoint holds all results,
also those of a solution's stages, but not the observations: a restarted task reads the inputs before the checkpoint
again, continues, and writes what is not in its journal yet. The estimators are loaded only when a packet concerns a
partner.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import (
    FormationMessage,
    InputMessage,
    Message,
    OrbitMessage,
    concerns_partner,
)
from pygnc.inputs.journaled import decode_input
from pygnc.navigation.pipeline import FormationStage
from pygnc.tasks.recovery import CheckpointFile, ResumableWriter
from pygnc.tasks.runtime import Notify, Run, Task, trim_heap

if TYPE_CHECKING:
    from pygnc.navigation.formation import FormationResult, Problem

MESSAGES_PER_STEP: Final = 64
"""Maximum number of messages read in a step. A larger number would cost memory: Python keeps its pools of small
objects."""
STEP_MS: Final = 50
ORBIT_PATIENCE_S: Final = 60.0
"""Longest wait for the next message of the orbit task, which responds to the end of the batch after all its fixes."""

SMALLER: Final = 4
"""Factor by which arcs are shortened each time the task has run out of memory."""


def _solve(problem: "Problem", result: "Future[FormationResult]") -> None:
    try:
        result.set_result(problem())
    except Exception as error:  # noqa: BLE001 - the task raises it again, and its crash is reported
        result.set_exception(error)


def _begin_to_solve(problem: "Problem") -> "Future[FormationResult]":
    """Solve a problem in a thread, so that the task responds meanwhile; if there is no thread left, solve it here."""
    result: Future[FormationResult] = Future()
    try:
        threading.Thread(target=_solve, args=(problem, result), daemon=True).start()
    except RuntimeError:
        _solve(problem, result)
    return result


class Checkpoint(msgspec.Struct, frozen=True):
    """State of a restarted task: last messages read and written, and the tracker.

    After lack of memory the task has shorter arcs. A checkpoint is valid for the same number of such kills only.
    """

    memory_kills: int
    last_input_seq: int = 0
    last_orbit_seq: int = 0
    last_output_seq: int = 0
    tracker: bytes = b""


class FormationTask(Task):
    """Process that reads the input and orbit streams and writes the formation stream."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream("formation")
        self._checkpoint = CheckpointFile(run.runtime / "formation.checkpoint", Checkpoint, notify)
        saved = self._checkpoint.load()
        if saved is None or saved.memory_kills != run.memory_kills:
            saved = Checkpoint(run.memory_kills)
        self._saved = saved
        self._saved_seq, self._saved_stage = saved.last_input_seq, ("", 0)
        self._output = ResumableWriter(self._stream, saved.last_output_seq)
        self._stage: FormationStage | None = None
        self._input = self.open_reader("input", InputMessage, after_seq=saved.last_input_seq)
        self._orbit = self.open_reader("orbit", OrbitMessage, after_seq=saved.last_orbit_seq)
        self._inputs: deque[Message] = deque()
        self._solving: Future[FormationResult] | None = None
        self._messages: Iterator[list[FormationMessage]] | None = None
        self._last_input_seq = 0
        self._orbit_failed = False
        self._orbit_due_s = math.inf

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Return the input socket; `work` reads orbits only when the tracker awaits one."""
        return [self._input.socket]

    def work(self) -> bool:
        """Process waiting inputs, orbits and problems; load the estimators with the first packet of a partner."""
        if not self._inputs:
            self._inputs += self._input.receive(MESSAGES_PER_STEP)
        if self._stage is None:
            if not self._saved.tracker:
                while self._inputs and not concerns_partner(self._inputs[0]):
                    self._inputs.popleft()
            if self._saved.tracker or self._inputs:
                self._stage = self._make_stage()
        if self._stage is not None:
            self._advance(self._stage)
        is_blocked = self._stage is not None and (self._messages is not None or self._stage.tracker.is_blocked)
        if not self._inputs and not is_blocked:
            self._last_input_seq = self._input.last_seq
        return self._input.has_backlog or bool(self._inputs) or is_blocked

    def on_run_state(self, state: control.RunState) -> None:
        """Store the failure of the orbit task, which then sends no more orbits."""
        self._orbit_failed = any(task.name == "orbit" and task.state == "failed" for task in state.tasks)

    def progress(self) -> control.Progress:
        """Return the progress with the range counters: received = used + rejected + held + without time."""
        counts = ({} if self._stage is None else self._stage.tracker.counts) | {
            "lost_messages": self._input.lost + self._orbit.lost,
            "not_recorded": self.not_recorded(),
        }
        return control.Progress(last_sequence_processed=self._last_input_seq, counts=counts)

    def close(self) -> None:
        """Close the journal of estimates."""
        self._stream.close()
        self._input.close()
        self._orbit.close()

    def _advance(self, stage: FormationStage) -> None:
        """Take messages and solve problems for about `STEP_MS`."""
        step_ends_s = time.monotonic() + STEP_MS * 1e-3
        while time.monotonic() < step_ends_s:
            messages = None if self._messages is None else next(self._messages, None)
            if messages is not None:
                self._output.write(messages)
                continue
            if self._messages is not None:
                self._messages = None
                self._save_if_due(stage)
            is_late = stage.tracker.awaits_orbit and self._orbit_is_late(stage)
            self._messages = stage.step(orbit_is_late=is_late, solve=self._solve)
            if self._messages is None:
                self._save_if_due(stage)
                return

    def _solve(self, problem: "Problem") -> "FormationResult | None":
        """Solve a problem in a thread; return its result, or None while it is being solved."""
        if self._solving is None:
            self._solving = _begin_to_solve(problem)
        if not wait((self._solving,), STEP_MS * 1e-3).done:
            return None
        trim_heap()
        result, self._solving = self._solving.result(), None
        return result

    def _save_if_due(self, stage: FormationStage) -> None:
        """Save a checkpoint once a second while inputs arrive, and after each stage of a solution."""
        tracker = stage.tracker
        is_due = self._checkpoint.is_due and stage.last_input_seq > self._saved_seq
        if tracker.stage == self._saved_stage and not is_due:
            return
        if tracker.stage != self._saved_stage:
            trim_heap()  # a stage leaves megabytes behind
        self._saved_seq, self._saved_stage = stage.last_input_seq, tracker.stage
        last_seqs = stage.last_input_seq, stage.last_orbit_seq, self._output.last_seq
        self._checkpoint.save(Checkpoint(self.run.memory_kills, *last_seqs, tracker.checkpoint()))

    def _make_stage(self) -> FormationStage:
        """Load the estimators and process the inputs before the waiting ones, or continue from the checkpoint."""
        from pygnc.navigation.formation import FormationTracker  # noqa: PLC0415 - takes megabytes that most runs do not need

        settings, saved = self.run.settings, self._saved
        if self.run.memory_kills:
            arc_max_s = settings.formation.arc_max_s / SMALLER**self.run.memory_kills
            settings = replace(settings, formation=replace(settings.formation, arc_max_s=arc_max_s))
            self.notify("warning", "smaller", f"after lack of memory, arcs are limited to {arc_max_s:.0f} s")
        tracker = FormationTracker(settings, self.run.earth_orientation, saved.tracker or None)
        if saved.tracker:
            tracker.restore(self._inputs_before(saved.last_input_seq + 1))
            posed, stages = tracker.stage
            if posed:
                self.notify("info", "continued", f"continues the solution of the {posed}; complete stages: {stages}")
        else:
            for message in self._inputs_before(self._inputs[0].seq):
                tracker.process(message)
        stage = FormationStage(tracker, saved.last_input_seq, saved.last_orbit_seq)
        stage.inputs = self._inputs
        return stage

    def _inputs_before(self, before_seq: int) -> Iterator[Message]:
        """Yield the inputs before number `before_seq` from the journal."""
        journal = JournalReader(self.run.journal_folders, "input")
        while records := journal.read(MESSAGES_PER_STEP):
            for record in records:
                if record.seq >= before_seq:
                    journal.close()
                    return
                yield decode_input(record.payload)
        journal.close()

    def _orbit_is_late(self, stage: FormationStage) -> bool:
        """Receive orbits; return True if there is none `ORBIT_PATIENCE_S` after the previous one."""
        if not stage.orbits:
            stage.orbits += self._orbit.receive(MESSAGES_PER_STEP)
        now = time.monotonic()
        if stage.orbits:
            self._orbit_due_s = math.inf
        elif self._orbit_failed or now >= self._orbit_due_s:
            self._orbit_due_s = math.inf
            text = "no response from the orbit task; solving the formation with the last orbit"
            self.notify("warning", "orbit_late", text)
            return True
        else:
            self._orbit_due_s = min(self._orbit_due_s, now + ORBIT_PATIENCE_S)
            if not self._orbit.has_backlog:
                self._orbit.socket.poll(STEP_MS)
        return False
