"""Formation process: estimates the orbits of the partners from ranges, fixes of all satellites and our own orbit.

The estimates are a function of the checkpoint and of the input and orbit journals. The checkpoint contains all results,
including those of the completed stages of a solution, but not the observations. A restarted task therefore reads the
inputs before the checkpoint again, continues, and writes the messages that are not in its journal yet. The estimators
are loaded only when a packet concerns a partner. The second look repeats solutions, which need seconds, and reads all
inputs; it is therefore taken less often than by the other tasks.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final

import msgspec

from pygnc.bus import control
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import FormationMessage, InputMessage, Message, OrbitMessage, concerns_partner
from pygnc.bus.streams import MESSAGES_PER_STEP
from pygnc.configuration.run import Notify, Run
from pygnc.environment.gravity import gravity_by_all_coefficients
from pygnc.inputs.journaled import decode_input
from pygnc.navigation.pipeline import FormationStage
from pygnc.tasks.checkpoints import Checkpoint
from pygnc.tasks.memory import return_memory_early, trim_heap
from pygnc.tasks.recovery import EstimatorTask
from pygnc.tasks.runtime import Context, PollSource

if TYPE_CHECKING:
    from pygnc.navigation.formation import FormationResult, Problem

STEP_MS: Final = 50
ORBIT_PATIENCE_S: Final = 60.0
"""Longest wait for the next message of the orbit task, which responds to the end of the batch after all its fixes."""
SECOND_LOOK_INTERVAL_S: Final = 600.0
SMALLER: Final = 4
"""Divisor of the maximum arc length for each time that the task has run out of memory."""


def _solve(problem: "Problem", result: "Future[FormationResult]") -> None:
    try:
        result.set_result(problem())
    except Exception as error:  # noqa: BLE001 - the task raises it again, and its crash is reported
        result.set_exception(error)


def _begin_to_solve(problem: "Problem") -> "Future[FormationResult]":
    """Solve a problem in a thread, so that the task still responds to pings; if no thread is left, solve it here."""
    result: Future[FormationResult] = Future()
    try:
        threading.Thread(target=_solve, args=(problem, result), daemon=True).start()
    except RuntimeError:
        _solve(problem, result)
    return result


class FormationTask(EstimatorTask):
    """Process that reads the input and orbit streams and writes the formation stream."""

    known_answers = (gravity_by_all_coefficients,)
    look_interval_s = SECOND_LOOK_INTERVAL_S

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        super().__init__(run, context, notify, "formation", run.memory_kills)
        self._orbit = self.open_orbits()
        self._saved_stage = ("", 0)
        self._stage: FormationStage | None = None
        self._inputs: deque[Message] = deque()
        self._solving: Future[FormationResult] | None = None
        self._messages: Iterator[list[FormationMessage]] | None = None
        self._last_input_seq = 0
        self._orbit_due_s = math.inf

    def sockets(self) -> Sequence[PollSource]:
        """Return the input socket; `work` reads orbits only when the tracker awaits one."""
        return [self.input.socket]

    def work(self) -> bool:
        """Process waiting inputs, orbits and least-squares problems; return True if more work waits."""
        if not self._inputs:
            self._inputs += self.input.receive()
        if self._stage is None:
            if not self.saved.tracker:
                while self._inputs and not concerns_partner(self._inputs[0]):
                    self._inputs.popleft()
            if self.saved.tracker or self._inputs:
                self._stage = self._make_stage()
        if self._stage is not None:
            self._advance(self._stage)
        is_blocked = self._stage is not None and (self._messages is not None or self._stage.tracker.is_blocked)
        if not self._inputs and not is_blocked:
            self._last_input_seq = self.input.last_seq
        more = self.input.has_backlog or bool(self._inputs) or is_blocked
        if more:
            self.note_work()
        elif self._stage is not None and not (self.run.memory_kills or self.input.lost or self._orbit.lost):
            stage, tracker = self._stage, self._stage.tracker
            self.look_again(tracker.checkpoint, stage.last_input_seq, stage.last_orbit_seq, tracker.digest)
        return more

    def repeat(self, start: Checkpoint, until: Checkpoint, take: Callable[[Message], None]) -> Checkpoint:
        """Process the inputs between two checkpoints again; see `pygnc.tasks.second_look.Repeat`."""
        from pygnc.navigation.formation import FormationTracker  # noqa: PLC0415 - as in `_make_stage`

        tracker = FormationTracker(self.run.settings, self.run.earth_orientation, start.tracker)
        inputs = self.journaled("input", InputMessage, start.last_input_seq, until.last_input_seq)
        orbits = self.journaled("orbit", OrbitMessage, start.last_orbit_seq, until.last_orbit_seq)
        if start.tracker:
            tracker.restore(self.journaled("input", InputMessage, 0, start.last_input_seq))
        else:
            for message in inputs:
                if concerns_partner(message):
                    inputs = chain((message,), inputs)
                    break
                tracker.process(message)
        stage = FormationStage(tracker, start.last_input_seq, start.last_orbit_seq)
        last_seq = start.last_output_seq
        for messages in self.repeated(stage, inputs, orbits):
            last_seq += len(messages)
            for message in messages:
                take(message)
        return msgspec.structs.replace(
            until,
            last_input_seq=stage.last_input_seq,
            last_orbit_seq=stage.last_orbit_seq,
            last_output_seq=last_seq,
            tracker=tracker.checkpoint(),
            digest=tracker.digest(),
        )

    def progress(self) -> control.Progress:
        """Return the progress with the range counters: received = used + rejected + held + without time."""
        counts = {} if self._stage is None else self._stage.tracker.counts
        return control.Progress(self._last_input_seq, counts=counts | self.stream_counts())

    def _advance(self, stage: FormationStage) -> None:
        """Process messages and solve least-squares problems for about `STEP_MS`."""
        step_ends_s = time.monotonic() + STEP_MS * 1e-3
        while time.monotonic() < step_ends_s:
            messages = None if self._messages is None else next(self._messages, None)
            if messages is not None:
                self.output.write(messages)
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
        is_new_stage = tracker.stage != self._saved_stage
        if is_new_stage:
            trim_heap()  # a stage leaves megabytes of unused memory in the heap
        if is_new_stage or self.is_checkpoint_due(stage.last_input_seq):
            self._saved_stage = tracker.stage
            self.save(tracker.checkpoint(), stage.last_input_seq, stage.last_orbit_seq)

    def _make_stage(self) -> FormationStage:
        """Load the estimators; continue from the checkpoint, or process all inputs that were received before."""
        from pygnc.navigation.formation import FormationTracker  # noqa: PLC0415 - needs megabytes; most runs do not use it

        return_memory_early()
        settings, saved = self.run.settings, self.saved
        if self.run.memory_kills:
            arc_max_s = settings.formation.arc_max_s / SMALLER**self.run.memory_kills
            settings = replace(settings, formation=replace(settings.formation, arc_max_s=arc_max_s))
            self.notify("warning", "smaller", f"after lack of memory, arcs are limited to {arc_max_s:.0f} s")
        tracker = FormationTracker(settings, self.run.earth_orientation, saved.tracker)
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
        """Yield the inputs before number `before_seq` from the journal; damaged and undecodable ones count as lost."""
        journal = JournalReader(self.run.journal_folders, "input")
        next_seq = 1
        while next_seq < before_seq and (records := journal.read(min(MESSAGES_PER_STEP, before_seq - next_seq))):
            for record in records:
                self.input.lost += min(record.seq, before_seq) - next_seq
                next_seq = record.seq + 1
                if record.seq >= before_seq:
                    break
                message = self.decode("input", decode_input, record.payload)
                if message is None:
                    self.input.lost += 1
                else:
                    yield message
        self.input.lost += max(0, before_seq - next_seq)
        journal.close()

    def _orbit_is_late(self, stage: FormationStage) -> bool:
        """Receive orbits; return True if the orbit task has failed or sent none for `ORBIT_PATIENCE_S`."""
        if not stage.orbits:
            stage.orbits += self._orbit.receive()
        now = time.monotonic()
        if stage.orbits:
            self._orbit_due_s = math.inf
        elif self.orbit_failed or now >= self._orbit_due_s:
            self._orbit_due_s = math.inf
            self.note_late_orbit()
            text = "no response from the orbit task; solving the formation with the last orbit"
            self.notify("warning", "orbit_late", text)
            return True
        else:
            self._orbit_due_s = min(self._orbit_due_s, now + ORBIT_PATIENCE_S)
            if not self._orbit.has_backlog:
                self._orbit.socket.poll(STEP_MS)
        return False
