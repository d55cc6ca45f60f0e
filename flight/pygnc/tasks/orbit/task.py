"""Estimates the orbit from GPS fixes and predicts it to the present while nothing else is to do.

What it gives is a function of its checkpoint and of the input journal from there on: a restarted task gives the same
estimates bit for bit.
"""

import time
from typing import Final

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.messages import InputMessage, Message, OrbitEstimate
from pygnc.bus.streams import StreamReader
from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.configuration.data_files import EARTH_ORIENTATION_UPLOAD
from pygnc.tasks.orbit.tracker import OrbitTracker, TrackerState, mark_behind
from pygnc.tasks.recovery import Answers, CheckpointFile
from pygnc.tasks.runtime import Notify, Run, Task

MESSAGES_A_TURN: Final = 64
PREDICTION_INTERVAL_S: Final = 1.0
LAST_PREDICTION_S: Final = 1.0


class Checkpoint(msgspec.Struct, frozen=True):
    """All that a restarted task needs: the next input, the next message, and the tracker's memory."""

    through: int
    given: int
    tracker: TrackerState


class OrbitTask(Task):
    """Follows the input stream and writes the orbit stream."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream("orbit")
        self._checkpoint = CheckpointFile(run.runtime / "orbit.checkpoint", Checkpoint)
        checkpoint = self._checkpoint.load()
        self._tracker = OrbitTracker(
            run.settings.orbit, run.earth_orientation, checkpoint.tracker if checkpoint else None
        )
        self._answers = Answers(self._stream, checkpoint.given if checkpoint else 0)
        self._saved_through = checkpoint.through if checkpoint else 0
        decode = msgspec.msgpack.Decoder(InputMessage).decode
        self._input = StreamReader(
            context, run.runtime, "input", run.journal_folders, decode, after_seq=self._saved_through
        )
        self._orientation_expires_ms = run.earth_orientation.expires_gps_ms
        self._next_prediction_s = 0.0

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Wake for inputs."""
        return [self._input.socket]

    def work(self) -> bool:
        """Process what has come; with nothing to do, carry the prediction on to the present."""
        messages = self._input.receive(MESSAGES_A_TURN)
        for message in messages:
            self._answer(message)
        if self._checkpoint.is_due and self._input.through > self._saved_through:
            self._saved_through = self._input.through
            self._checkpoint.save(Checkpoint(self._saved_through, self._answers.given, self._tracker.checkpoint()))
        if self._input.behind or messages:
            return True
        now = time.monotonic()
        if now >= self._next_prediction_s:
            return self._predict(now)
        return False

    def progress(self) -> control.Progress:
        """Balance the books of the fixes."""
        counts = self._tracker.counts | {
            "lost_messages": self._input.lost,
            "not_recorded": self.not_recorded(),
        }
        return control.Progress(through=self._input.through, counts=counts)

    def close(self) -> None:
        """Leave the status task a last look at the present; close the journal of estimates."""
        deadline = time.monotonic() + LAST_PREDICTION_S
        while not self._input.behind and self._predict(time.monotonic()) and time.monotonic() < deadline:
            pass
        self._stream.close()
        self._input.close()

    def _answer(self, message: Message) -> None:
        first_seq = self._answers.given + 1
        estimates = self._tracker.take(message, first_seq)
        self._watch_earth_orientation(estimates)
        self._answers.write([*estimates, *mark_behind(message, estimates, first_seq)])

    def _watch_earth_orientation(self, estimates: list[OrbitEstimate]) -> None:
        """Say it once when the orbit goes on behind the last day of the table."""
        expires_ms = self._orientation_expires_ms
        if expires_ms is not None and estimates and estimates[-1].gps_ms > expires_ms:
            self._orientation_expires_ms = None
            day = utc_iso_from_gps_ms(expires_ms)[:10]
            self.notify(
                "warning", "earth_orientation", f"the table ends at {day}; upload a newer {EARTH_ORIENTATION_UPLOAD}"
            )

    def _predict(self, now: float) -> bool:
        """Do one slice of the prediction; return whether more is needed to reach the present."""
        estimate, more = self._tracker.predict_to(self.run.spacecraft_time_s())
        if not more:
            self._next_prediction_s = now + PREDICTION_INTERVAL_S
        if estimate is not None:
            self._stream.show(estimate)
        return more
