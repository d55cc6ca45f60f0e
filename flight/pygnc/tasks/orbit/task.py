"""Orbit process: estimates the orbit from GPS fixes and, when idle, predicts it to the present.

The estimates are a function of the checkpoint and the input journal from there on, so a restarted task gives the same
estimates bit for bit.
"""

import math
import time
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from pygnc.bus import control
from pygnc.bus.messages import InputMessage, Message, OrbitEstimate
from pygnc.common.clock import LEAP_SECONDS_VALID_UNTIL_GPS_MS, utc_iso_from_gps_ms
from pygnc.configuration.data_files import EARTH_ORIENTATION_UPLOAD
from pygnc.configuration.run import Notify, Run
from pygnc.environment.gravity import gravity_by_all_coefficients
from pygnc.environment.time_scales import MS_PER_DAY
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.pipeline import orbit_response
from pygnc.outputs.omm_file import OmmFile
from pygnc.tasks.checkpoints import Checkpoint
from pygnc.tasks.memory import unmap_libraries
from pygnc.tasks.recovery import EstimatorTask
from pygnc.tasks.runtime import Context

PREDICTION_INTERVAL_S: Final = 1.0
LAST_PREDICTION_S: Final = 1.0
_EXPIRED: Final = {
    "leap_seconds": "leap seconds are known until {day}; UTC may be off by a second, update the flight software",
    "earth_orientation": f"table ends at {{day}}; upload a newer {EARTH_ORIENTATION_UPLOAD}",
}


class OrbitTask(EstimatorTask):
    """Process that reads the input stream and writes the orbit stream."""

    known_answers = (gravity_by_all_coefficients,)

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        super().__init__(run, context, notify, "orbit")
        self._tracker = OrbitTracker(run.settings.orbit, run.earth_orientation, self.saved.tracker)
        self._table_ends_ms = {
            "leap_seconds": LEAP_SECONDS_VALID_UNTIL_GPS_MS,
            "earth_orientation": run.earth_orientation.expires_gps_ms,
        }
        self._next_prediction_s = 0.0
        self._is_from_elements: bool | None = None
        self._omm_file = OmmFile(run, self._tracker, notify)
        self._has_propagated = False

    def wait_s(self) -> float:
        """Return the time until the next prediction, s."""
        return min(super().wait_s(), max(0.0, self._next_prediction_s - time.monotonic()))

    def work(self) -> bool:
        """Process inputs, else predict the orbit to the present, else fit elements; return True if more work waits."""
        messages = self.input.receive()
        for message in messages:
            self._process(message)
        if self.is_checkpoint_due(self.input.last_seq):
            self.save(self._tracker.checkpoint(), self.input.last_seq)
        if self.input.has_backlog or messages:
            self.note_work()
            return True
        now = time.monotonic()
        is_due = now >= self._next_prediction_s
        if (is_due and self._predict(now)) or self._omm_file.advance(now):
            self._has_propagated = True
            return True
        if is_due or self._has_propagated:
            self._has_propagated = False
            unmap_libraries()  # a few milliseconds of work each second would keep five megabytes in memory
        if not self.input.lost:
            self.look_again(self._tracker.checkpoint, self.input.last_seq)
        return False

    def repeat(self, start: Checkpoint, until: Checkpoint, take: Callable[[Message], None]) -> Checkpoint:
        """Process the inputs between two checkpoints again; see `pygnc.tasks.second_look.Repeat`."""
        tracker = OrbitTracker(self.run.settings.orbit, self.run.earth_orientation, start.tracker)
        last_seq = start.last_output_seq
        for message in self.journaled("input", InputMessage, start.last_input_seq, until.last_input_seq):
            for response in orbit_response(tracker, message, last_seq + 1).messages:
                last_seq += 1
                take(response)
        return replace(until, last_output_seq=last_seq, tracker=tracker.checkpoint())

    def progress(self) -> control.Progress:
        """Return the number of the last input and the fix counters: received = accepted + waiting + rejected."""
        return control.Progress(self.input.last_seq, counts=self._tracker.counts | self.stream_counts())

    def close(self) -> None:
        """Publish a last prediction for the status task; close streams and readers."""
        deadline = time.monotonic() + LAST_PREDICTION_S
        while not self.input.has_backlog and self._predict(time.monotonic()) and time.monotonic() < deadline:
            pass
        super().close()

    def _process(self, message: Message) -> None:
        response = orbit_response(self._tracker, message, self.output.last_seq + 1)
        estimates = response.estimates
        self._check_tables(estimates)
        self._report_origin(estimates)
        for notice in self._tracker.take_notices():
            self.notify(*notice)
        for estimate in estimates:
            if estimate.manoeuvre:
                self.notify("warning", "manoeuvre", manoeuvre_text(estimate))
        self.output.write(response.messages)

    def _report_origin(self, estimates: list[OrbitEstimate]) -> None:
        """Report when the orbit comes from uploaded elements, and when it comes from fixes after that."""
        for estimate in estimates:
            if estimate.from_elements == self._is_from_elements:
                continue
            if estimate.from_elements:
                age_days = (estimate.gps_ms - estimate.fix_gps_ms) / MS_PER_DAY
                sigma_km = 1e-3 * math.hypot(*estimate.position_sigma_m)
                text = (
                    f"the orbit comes from mean elements {age_days:.2f} days after their epoch, sigma {sigma_km:.1f} km"
                )
                self.notify("warning", "orbit_from_elements", text)
            elif self._is_from_elements:
                self.notify("info", "orbit_from_fixes", "fixes have replaced the orbit from mean elements")
            self._is_from_elements = estimate.from_elements

    def _check_tables(self, estimates: list[OrbitEstimate]) -> None:
        """Report once that the orbit is later than the tables of Earth orientation or of leap seconds."""
        for name, end_ms in self._table_ends_ms.items():
            if end_ms is not None and estimates and estimates[-1].gps_ms > end_ms:
                self._table_ends_ms[name] = None
                self.notify("warning", name, _EXPIRED[name].format(day=utc_iso_from_gps_ms(end_ms)[:10]))

    def _predict(self, now: float) -> bool:
        """Continue the prediction (`predict_to`); return True if more calls are needed to reach the present."""
        estimate, more = self._tracker.predict_to(self.run.spacecraft_time_s())
        if not more:
            self._next_prediction_s = now + PREDICTION_INTERVAL_S
        if estimate is not None:
            self.stream.publish_transient(estimate)
        return more


def manoeuvre_text(estimate: OrbitEstimate) -> str:
    """Return the text of the event of an estimate whose fix confirms a manoeuvre."""
    change = {"impulse": "impulse", "thrust_begin": "begin of a thrust", "thrust_end": "end of a thrust"}
    components = zip("RTN", estimate.delta_v_rtn_mps, estimate.delta_v_sigma_rtn_mps, strict=True)
    text = ", ".join(f"{axis} {1e3 * value:.0f} +- {1e3 * sigma:.0f}" for axis, value, sigma in components)
    when = utc_iso_from_gps_ms(estimate.manoeuvre_gps_ms)
    return f"{change[estimate.manoeuvre]} before {when}; change of the velocity so far in mm/s: {text}"
