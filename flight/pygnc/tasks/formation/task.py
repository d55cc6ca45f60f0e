"""Estimates where the partners are from ranges, fixes of all satellites, and the orbit that the orbit task gives.

What it gives is a function of both journals, input and orbit, from their beginnings on. There is no checkpoint: a
restarted task reads them again and solves the same arcs, and writes what is not in its journal yet. Until something of
a partner comes, the estimators are not even loaded.
"""

import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.journal_reader import JournalReader
from pygnc.bus.messages import (
    FormationMessage,
    GpsFix,
    InputMessage,
    Message,
    OrbitEstimate,
    OrbitMessage,
    OrbitWatermark,
    RangeMeasurement,
)
from pygnc.bus.streams import StreamReader
from pygnc.tasks.recovery import ResumableWriter
from pygnc.tasks.runtime import Notify, Run, Task

if TYPE_CHECKING:
    from pygnc.tasks.formation.tracker import Answer, FormationTracker, Problem

MESSAGES_A_TURN: Final = 64
"""What so many have taken stays with the process: Python keeps the pools of small objects."""
TURN_MS: Final = 50
ORBIT_PATIENCE_S: Final = 60.0
"""The end of a batch is answered when all of its fixes have been worked on."""


class Solving(threading.Thread):
    """A problem that is worked on while the task goes on to answer the supervisor.

    Attributes:
        answer: What came out; None before the end.
        error: What went wrong.
    """

    def __init__(self, problem: "Problem") -> None:
        super().__init__(daemon=True)
        self._problem = problem
        self.answer: Answer | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        """Solve it."""
        try:
            self.answer = self._problem()
        except Exception as error:  # noqa: BLE001 - it is raised again by the task, whose crash is reported
            self.error = error


class FormationTask(Task):
    """Follows the streams of inputs and orbits and writes the formation stream."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream("formation")
        self._output = ResumableWriter(self._stream)
        self._tracker: FormationTracker | None = None
        folders = run.journal_folders
        self._decode_input = msgspec.msgpack.Decoder(InputMessage).decode
        decode_orbit = msgspec.msgpack.Decoder(OrbitMessage).decode
        self._input = StreamReader(context, run.runtime, "input", folders, self._decode_input)
        self._orbit = StreamReader(context, run.runtime, "orbit", folders, decode_orbit)
        self._inputs: deque[Message] = deque()
        self._orbits: deque[Message] = deque()
        self._solving: Solving | None = None
        self._through = 0
        self._estimates: list[FormationMessage] = []
        self._orbit_failed = False
        self._orbit_due_s = math.inf

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Wake for inputs; orbits are looked at when one is needed."""
        return [self._input.socket]

    def work(self) -> bool:
        """Take what has come, until there is something to be solved; look after that."""
        if self._solving is not None:
            return self._look_after(self._solving)
        tracker = self._tracker
        if tracker is not None and tracker.problem is not None:
            self._solving = Solving(tracker.problem)
            self._solving.start()
            return True
        if tracker is not None and tracker.awaits_orbit:
            self._take_orbits(tracker)
            return True
        if not self._inputs:
            self._inputs += self._input.receive(MESSAGES_A_TURN)
        turn_ends_s = time.monotonic() + TURN_MS * 1e-3
        while self._inputs and not self._is_held_up and time.monotonic() < turn_ends_s:
            self._take(self._inputs.popleft())
        self._output.write(self._estimates)
        self._estimates = []
        if not self._inputs and not self._is_held_up:
            self._through = self._input.last_seq
        return self._input.has_backlog or bool(self._inputs) or self._is_held_up

    @property
    def _is_held_up(self) -> bool:
        tracker = self._tracker
        return tracker is not None and (tracker.problem is not None or tracker.awaits_orbit)

    def on_run_state(self, state: control.RunState) -> None:
        """Note whether the orbit task is given up."""
        self._orbit_failed = any(task.name == "orbit" and task.state == "failed" for task in state.tasks)

    def progress(self) -> control.Progress:
        """Balance the books of the ranges."""
        counts = ({} if self._tracker is None else self._tracker.counts) | {
            "lost_messages": self._input.lost + self._orbit.lost,
            "not_recorded": self.not_recorded(),
        }
        return control.Progress(last_sequence_processed=self._through, counts=counts)

    def close(self) -> None:
        """Close the journal of estimates."""
        self._stream.close()
        self._input.close()
        self._orbit.close()

    def _take(self, message: Message) -> None:
        if self._tracker is None and _is_of_a_partner(message):
            self._tracker = self._make_tracker(message)
        if self._tracker is not None:
            self._estimates += self._tracker.process(message)

    def _make_tracker(self, first: Message) -> "FormationTracker":
        """Load the estimators, and catch up with the inputs before the first of a partner."""
        from pygnc.tasks.formation.tracker import FormationTracker  # noqa: PLC0415 - megabytes that most runs do without

        tracker = FormationTracker(self.run.settings, self.run.earth_orientation)
        journal = JournalReader(self.run.journal_folders, "input")
        while records := journal.read(MESSAGES_A_TURN):
            for record in records:
                message = self._decode_input(record.payload)
                if message == first:
                    journal.close()
                    return tracker
                tracker.process(message)
        return tracker

    def _look_after(self, solving: Solving) -> bool:
        """Wait a turn for the solution; write what it says. True: there is more to do."""
        solving.join(TURN_MS * 1e-3)
        if solving.is_alive():
            return True
        self._solving = None
        if solving.error is not None:
            raise solving.error
        if self._tracker is not None and solving.answer is not None:
            self._output.write(self._tracker.accept(solving.answer))
        return True

    def _take_orbits(self, tracker: "FormationTracker") -> None:
        """Take orbits until the awaited one; wait a turn for it, but not for ever."""
        if not self._orbits:
            self._orbits += self._orbit.receive(MESSAGES_A_TURN)
        while self._orbits and tracker.awaits_orbit:
            orbit = self._orbits.popleft()
            if isinstance(orbit, OrbitEstimate | OrbitWatermark):
                tracker.take_orbit(orbit)
        now = time.monotonic()
        if not tracker.awaits_orbit:
            self._orbit_due_s = math.inf
        elif self._orbit_failed or now >= self._orbit_due_s:
            self._orbit_due_s = math.inf
            self.notify("warning", "orbit_late", "no answer from the orbit task; the formation is solved without")
            tracker.give_up_orbit()
        else:
            self._orbit_due_s = min(self._orbit_due_s, now + ORBIT_PATIENCE_S)
            if not self._orbit.has_backlog:
                self._orbit.socket.poll(TURN_MS)


def _is_of_a_partner(message: Message) -> bool:
    return isinstance(message, RangeMeasurement) or (isinstance(message, GpsFix) and not message.is_own)
