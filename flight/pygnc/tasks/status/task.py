"""Status process: writes the status record and the info line, at each change of the run's phase and once a second.

It reports the newest estimates of orbit, attitude and formation, and the health and counters of all tasks as received
from the supervisor.
"""

import contextlib
import errno
import math
import time
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Final

import msgspec
import zmq

from pygnc.bus import control
from pygnc.bus.journal_files import list_segments
from pygnc.bus.messages import (
    AttitudeEstimate,
    ClosestApproach,
    FormationEstimate,
    FormationMessage,
    Message,
    OrbitEstimate,
    OrbitMessage,
)
from pygnc.common.clock import gps_ms_from_spacecraft_s, week_from_gps_ms
from pygnc.formats import info, journal, status
from pygnc.formats.causes import find_causes
from pygnc.formats.status import PARTNERS, AttitudeMode, OrbitMode, Phase, TaskState, Value
from pygnc.tasks.runtime import Notify, Run, Task
from pygnc_system.files import durable_write, overwrite, read_input, reserve_space

_VARIANCES = (0, 2, 5)
"""Indices of the position's variances in the lower triangle of a 6 x 6 covariance."""
INTERVAL_S: Final = 1.0
STATUS_FILE: Final = "pygnc_status.bin"
INFO_FILE: Final = "pygnc_info.txt"
RESERVE_FILE: Final = "reserve"
RESERVE_BYTES: Final = 1 << 15
"""Space reserved in the run's folder, so that the status can be written when the journals have filled the disk."""
MESSAGES_PER_STEP: Final = 64
"""Maximum number of messages read in a step. A larger number would cost memory: Python keeps its pools of objects."""


class StatusTask(Task):
    """Process that reads the streams of estimates and writes the status files."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._orbits = self.open_reader("orbit", OrbitMessage)
        self._attitudes = self.open_reader("attitude", AttitudeEstimate)
        self._formations = self.open_reader("formation", FormationMessage)
        self._newest = NewestEstimates()
        self._state = control.RunState("starting", "", (), 0)
        # The first record is written when the tasks are up, at the latest after `INTERVAL_S`.
        self._phase_written = self._state.phase
        self._next_write_s = time.monotonic() + INTERVAL_S
        self._generation = 0
        self._fault = ""
        self._causes_reported = {"DISK"}  # it has events of its own
        self._reserve = run.folder / RESERVE_FILE
        with contextlib.suppress(OSError):
            reserve_space(self._reserve, RESERVE_BYTES)

        self._readers = (self._orbits, self._attitudes, self._formations)

    def sockets(self) -> list["zmq.Socket[bytes]"]:
        """Return the sockets of the estimates."""
        return [reader.socket for reader in self._readers]

    def work(self) -> bool:
        """Read the newest estimates; write the status if it is due."""
        more = self._take()
        now = time.monotonic()
        if now >= self._next_write_s or self._state.phase != self._phase_written:
            self._next_write_s = now + INTERVAL_S
            self._write()
        return more

    def _take(self) -> bool:
        """Read new estimates; return True if more are waiting."""
        received = [reader.receive(MESSAGES_PER_STEP) for reader in self._readers]
        for message in [*chain.from_iterable(received), self._orbits.take_transient()]:
            self._newest.take(message)
        return any(reader.is_behind for reader in self._readers)

    def on_run_state(self, state: control.RunState) -> None:
        """Store the state of the run."""
        self._state = state

    def progress(self) -> control.Progress:
        """Return the number of the last orbit estimate read."""
        return control.Progress(self._orbits.last_seq, counts={"not_recorded": int(bool(self._fault))})

    def close(self) -> None:
        """Write the last status, with the last estimates, which may be in the journals only."""
        for reader in self._readers:
            reader.has_backlog = True
        while self._take():
            pass
        self._write()
        with contextlib.suppress(OSError):
            self._reserve.unlink()
        for reader in self._readers:
            reader.close()

    def _write(self) -> None:
        self._generation += 1
        self._phase_written = self._state.phase
        values = run_fields(self.run, self._state) | self._newest.fields(self.run.spacecraft_time_s())
        values["generation"] = self._generation
        self._report_causes(status.decode(status.encode(values)))
        try:
            write_status(self.run, values, self._state.limits)
            self._fault = ""
        except OSError as error:
            fault = f"{error.filename or self.run.home}: {error.strerror}"
            if fault != self._fault:
                self._fault = fault
                self.notify("error", "status_not_written", fault)

    def _report_causes(self, values: dict[str, Value]) -> None:
        """Report once each cause that the record contains; the others have events of their own."""
        causes = find_causes(values, {})
        for word in causes.keys() - self._causes_reported:
            self.notify("warning", "limited", f"{word}: {causes[word]}")
        self._causes_reported |= causes.keys()


def write_status(run: Run, values: dict[str, Value], limits: Mapping[str, str]) -> None:
    """Replace the status record and the info line in the home, or if that is impossible in the private folder.

    Raises:
        OSError: the files in the home cannot be written.
    """
    record = status.encode(values)
    fields = status.decode(record)
    files = {STATUS_FILE: record, INFO_FILE: info.compose(fields, find_causes(fields, limits))}
    try:
        for name, content in files.items():
            _replace(run, name, content)
            (run.runtime / name).unlink(missing_ok=True)
    except OSError:
        with contextlib.suppress(OSError):  # the host link reads these
            for name, content in files.items():
                durable_write(run.runtime / name, content)
        raise


def _replace(run: Run, name: str, content: bytes) -> None:
    """Replace a file in the home; on a full disk, use the reserved space, then the old file's."""
    try:
        durable_write(run.home / name, content)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        (run.folder / RESERVE_FILE).unlink(missing_ok=True)
        try:
            durable_write(run.home / name, content)
        except OSError:
            overwrite(run.home / name, content)


class NewestEstimates:
    """Newest estimate of each kind."""

    def __init__(self) -> None:
        self.orbit: OrbitEstimate | None = None
        self._attitude: AttitudeEstimate | None = None
        self._partners = PartnerStatus()

    def take(self, message: Message | None) -> None:
        """Store a message of any of the estimators' streams."""
        if isinstance(message, OrbitEstimate):
            self.orbit = message
        elif isinstance(message, AttitudeEstimate):
            self._attitude = message
        elif message is not None:
            self._partners.take(message)

    def fields(self, t_spacecraft_s: int) -> dict[str, Value]:
        """Return the status fields of all estimates."""
        return orbit_fields(self.orbit, t_spacecraft_s) | attitude_fields(self._attitude) | self._partners.fields()


class PartnerStatus:
    """Newest estimate and closest approach of each partner, as fields of the status record."""

    def __init__(self) -> None:
        self._estimates: dict[int, FormationEstimate] = {}
        self._approaches: dict[int, ClosestApproach] = {}

    def take(self, message: Message) -> None:
        """Store a message of the formation stream."""
        if isinstance(message, FormationEstimate):
            self._estimates[message.partner_id] = message
        elif isinstance(message, ClosestApproach):
            known = self._approaches.get(message.partner_id)
            if known is None or message.last_input_seq > known.last_input_seq or message.chi2 < known.chi2:
                self._approaches[message.partner_id] = message

    def fields(self) -> dict[str, Value]:
        """Return the status fields of at most `PARTNERS` partners, the lowest ids first."""
        values: dict[str, Value] = {}
        for k, partner_id in enumerate(sorted(self._estimates)[:PARTNERS]):
            fields = _partner_fields(self._estimates[partner_id], self._approaches.get(partner_id))
            values |= {f"partner{k}_{name}": value for name, value in fields.items()}
        return values


def _partner_fields(estimate: FormationEstimate, approach: ClosestApproach | None) -> dict[str, Value]:
    week, tow_ms = week_from_gps_ms(estimate.gps_ms)
    values: dict[str, Value] = {
        "id": estimate.partner_id,
        "ambiguous": estimate.ambiguous,
        "gps_week": week,
        "gps_tow_ms": tow_ms,
    }
    if estimate.position_rtn_m is None or estimate.velocity_rtn_mps is None or estimate.covariance_rtn is None:
        return values
    sigma_m = [math.sqrt(estimate.covariance_rtn[place]) for place in _VARIANCES]
    values |= _components("rtn_m", estimate.position_rtn_m) | _components("rtn_mps", estimate.velocity_rtn_mps)
    values |= _components("sigma_m", sigma_m)
    numbers = {
        "bias_m": estimate.range_bias_m,
        "residual_m": estimate.range_residual_m,
        "chi2_best": estimate.chi2_best,
        "chi2_mirror": estimate.chi2_mirror,
    }
    if approach is not None:
        numbers |= {
            "closest_m": approach.distance_m,
            "closest_sigma_m": approach.sigma_m,
            "closest_in_s": (approach.gps_ms - estimate.gps_ms) * 1e-3,
        }
    return values | {name: value for name, value in numbers.items() if value is not None}


def write_final_status(run: Run, state: control.RunState) -> None:
    """Write the last status if the status task was killed before it did: the newest estimates are in the journals.

    Args:
        run: the run.
        state: its final state.
    """
    try:
        last = status.decode(read_input(run.home / STATUS_FILE))
    except (OSError, status.StatusError):
        last = {}
    if last.get("run_number") != run.number:
        last = {}
    if last.get("phase") == Phase[state.phase.upper()]:
        return
    newest = NewestEstimates()
    decode = msgspec.msgpack.Decoder(OrbitMessage | AttitudeEstimate | FormationMessage).decode
    try:
        for stream in ("orbit", "attitude", "formation"):
            for segment in list_segments(run.journal_folders, stream)[-2:]:
                for record in journal.scan(segment.path.read_bytes()).records:
                    if record.kind is journal.Kind.MESSAGE:
                        newest.take(decode(record.payload))
        fields = newest.fields(run.spacecraft_time_s())
        if _orbit_epoch(last) > _orbit_epoch(fields):  # the last record has a prediction, the journal has none
            fields |= {name: last[name] for name in orbit_fields(newest.orbit, 0)}
        fields |= run_fields(run, state) | {"generation": int(last.get("generation", 0)) + 1}
        write_status(run, fields, state.limits)
    except OSError:
        return  # the events and the exit code report a disk that fails


def _orbit_epoch(fields: dict[str, Value]) -> tuple[Value, Value]:
    return fields.get("orbit_gps_week", 0), fields.get("orbit_gps_tow_ms", 0)


def final_causes(run: Run, limits: Mapping[str, str]) -> list[str]:
    """Return the words for what limits the results of a run that has ended."""
    for folder in (run.runtime, run.home):
        with contextlib.suppress(OSError, status.StatusError):
            return list(find_causes(status.decode(read_input(folder / STATUS_FILE)), limits))
    return []


def run_fields(run: Run, state: control.RunState) -> dict[str, Value]:
    """Return the status fields that describe the run and its tasks."""
    values: dict[str, Value] = {
        "phase": Phase[state.phase.upper()],
        "run_number": run.number,
        "uptime_s": run.spacecraft_time_s() - run.start.t_spacecraft_s,
        "spacecraft_time_s": run.spacecraft_time_s(),
        "events": state.events,
        "not_recorded": state.not_recorded,
    }
    for task in state.tasks:
        values[f"task_{task.name}_state"] = TaskState[task.state.upper()]
        values[f"task_{task.name}_restarts"] = task.restarts
        values[f"task_{task.name}_through"] = task.progress.last_sequence_processed
        for name, count in task.progress.counts.items():
            values[name] = int(values.get(name, 0)) + count
    return values


def orbit_fields(estimate: OrbitEstimate | None, t_spacecraft_s: int) -> dict[str, Value]:
    """Return the status fields that describe the orbit."""
    if estimate is None:
        return {}
    week, tow_ms = week_from_gps_ms(estimate.gps_ms)
    mode = OrbitMode.AT_FIX if estimate.gps_ms == estimate.fix_gps_ms else OrbitMode.PREDICTED
    values: dict[str, Value] = {
        "orbit_mode": OrbitMode.ELEMENTS if estimate.from_elements else mode,
        "orbit_gps_week": week,
        "orbit_gps_tow_ms": tow_ms,
        "orbit_age_s": (estimate.gps_ms - estimate.fix_gps_ms) * 1e-3,
        "nis_mean": estimate.nis_mean if estimate.nis_count else math.nan,
        "nis_count": estimate.nis_count,
    }
    if estimate.spacecraft_to_gps_ms is not None:
        now_ms = gps_ms_from_spacecraft_s(t_spacecraft_s, estimate.spacecraft_to_gps_ms)
        values["gps_week"], values["gps_tow_ms"] = week_from_gps_ms(now_ms)
    for name in ("position_ecef_m", "velocity_ecef_mps", "position_sigma_m", "velocity_sigma_mps"):
        values |= _components(name, getattr(estimate, name))
    return values


def attitude_fields(estimate: AttitudeEstimate | None) -> dict[str, Value]:
    """Return the status fields that describe the attitude."""
    if estimate is None:
        return {}
    values: dict[str, Value] = {
        "attitude_mode": AttitudeMode[estimate.mode.upper()],
        "in_sun": estimate.in_sun,
        "attitude_orbit_age_s": math.nan if estimate.orbit_age_s is None else estimate.orbit_age_s,
        "dead_faces": _bits(estimate.dead_faces),
        "mirrored_faces": _bits(estimate.mirrored_faces),
        "stuck_gyro_axes": _bits(estimate.stuck_gyro_axes),
        "gyro_axes_beyond_range": _bits(estimate.gyro_axes_beyond_range),
    }
    if estimate.gps_ms is not None:
        values["attitude_gps_week"], values["attitude_gps_tow_ms"] = week_from_gps_ms(estimate.gps_ms)
    values |= _components("quaternion", estimate.quaternion_gcrf_from_body, "wxyz")
    vectors = {
        "rate_body_rad_s": estimate.rate_body_rad_s,
        "mag_body_ut": estimate.mag_body_ut,
        "attitude_sigma_rad": estimate.sigma_rad,
        "gyro_bias_rad_s": estimate.gyro_bias_imu_rad_s,
        "mag_bias_ut": estimate.mag_bias_imu_ut,
        "mag_calibration_sigma_ut": estimate.mag_calibration_sigma_ut,
    }
    for name, vector in vectors.items():
        values |= _components(name, vector)
    return values


def _components(name: str, vector: Sequence[float] | None, axes: str = "xyz") -> dict[str, Value]:
    return {} if vector is None else {f"{name}_{axis}": value for axis, value in zip(axes, vector, strict=True)}


def _bits(numbers: tuple[int, ...]) -> int:
    return sum(1 << number for number in numbers)
