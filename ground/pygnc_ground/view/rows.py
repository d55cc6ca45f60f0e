"""Rows of the player's tables from the messages of a run, as they arrive."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from pygnc.bus.messages import (
    AttitudeEstimate,
    Event,
    FormationEstimate,
    Message,
    OrbitEstimate,
    RangeMeasurement,
    SensorSample,
    SourceFile,
    Vector3,
)
from pygnc.common.clock import gps_ms_from_week, unix_ms_from_gps_ms
from pygnc.formats.status import COUNTERS, REJECT_CAUSES, SAMPLE_CAUSES, Value
from pygnc_cli.text import printable
from pygnc_ground.view.feed import LAST_GROUP, Feed
from pygnc_ground.wording import meaning

_XYZ: Final = "xyz"
_RTN: Final = "rtn"
_UNKNOWN: Final[Vector3] = (math.nan, math.nan, math.nan)
_DEG: Final = 180.0 / math.pi
_MODES: Final = {"fine": "nominal", "coarse": "warning"}
_SEVERITIES: Final = {"info": "nominal", "warning": "warning", "error": "alarm"}
_TEXT_MAX: Final = 300
_TRIANGLE: Final = ("rr", "tr", "tt", "nr", "nt", "nn")
"""Covariance of the position, lower triangle, row by row, with which that of position and velocity begins."""


_QUEUES: Final = {"fixes_waiting": "fixes", "samples_held": "samples", "ranges_held": "ranges"}
"""Counters of the status record by what waits, with their labels."""
_LOSSES: Final = {
    "lost_messages": "lost messages",
    "rejected": "rejected fixes",
    "not_used": "samples not used",
    "ranges_rejected": "rejected ranges",
    "restarts": "restarts of tasks",
}
"""Counters of the status record, and sums of some, with their labels."""


def _named(prefix: str, axes: str = _XYZ) -> list[str]:
    return [f"{prefix}_{axis}" for axis in axes]


def _scaled(values: Iterable[float] | None, factor: float = 1.0) -> Iterable[float]:
    return _UNKNOWN if values is None else (factor * value for value in values)


class Rows:
    """Adds the messages of a run to a feed.

    Args:
        feed: Receives the rows.
        start: Spacecraft time in ms and monotonic clock in ns of one instant of the run; None if unknown.

    Attributes:
        newest_unix_ms: Time of the newest row; None before the first.
    """

    def __init__(self, feed: Feed, start: tuple[int, int] | None = None) -> None:
        self.start = start
        self.newest_unix_ms: float | None = None
        self._feed = feed
        self._offset_ms: int | None = None
        self._first_offset_ms: int | None = None
        self._mode = ""
        self._orbit_cause = ""
        self._faults: tuple[object, ...] = ()
        self._states: dict[int, str] = {}
        self._ranges: dict[int, float] = {}
        self._last_sample_ms = -math.inf

    def add(self, message: Message) -> None:
        """Add a message; those that the page does not show are ignored."""
        match message:
            case OrbitEstimate():
                self._add_orbit(message)
            case AttitudeEstimate():
                self._add_attitude(message)
            case FormationEstimate():
                self._add_partner(message)
            case SensorSample():
                self._add_sample(message)
            case RangeMeasurement():
                self._add_range(message)
            case SourceFile() if message.damaged_bytes or message.fault:
                self._add_damage(message)
            case Event():
                self._add_event(message)

    def add_status(self, values: Mapping[str, Value]) -> None:
        """Add the queues and losses of a status record, and all its counters as they are now."""
        if self._feed.declare("counters", [*_QUEUES, *_LOSSES]):
            add = self._feed.plots.add
            add(LAST_GROUP, "Waiting in queues", "1", "counters", {label: name for name, label in _QUEUES.items()})
            add(LAST_GROUP, "Losses and rejections", "1", "counters", {label: name for name, label in _LOSSES.items()})
        counts = {name: value for name, value in values.items() if isinstance(value, int)}
        restarts = {name: count for name, count in counts.items() if name.endswith("_restarts") and count}
        shown = {
            **counts,
            "rejected": sum(counts[f"rejected_{cause}"] for cause in REJECT_CAUSES),
            "not_used": sum(counts[f"samples_{cause}"] for cause in SAMPLE_CAUSES),
            "restarts": sum(restarts.values()),
        }
        gps_ms = gps_ms_from_week(counts["gps_week"], counts["gps_tow_ms"])
        if gps_ms is not None:
            row = (float(shown[name]) for name in (*_QUEUES, *_LOSSES))
            self._row("counters", unix_ms_from_gps_ms(gps_ms), row)
        newest = {name: counts[name] for name in counts if name in COUNTERS and counts[name]} | restarts
        self._feed.note("counters", {name.replace("_", " "): count for name, count in newest.items()})

    def unix_ms(self, spacecraft_ms: int) -> float | None:
        """Return the time of a spacecraft time; None while the clock map is unknown."""
        return None if self._offset_ms is None else unix_ms_from_gps_ms(spacecraft_ms + self._offset_ms)

    def _row(self, table: str, unix_ms: float, values: Iterable[float], labels: tuple[str, ...] = ()) -> None:
        self.newest_unix_ms = max(unix_ms, self.newest_unix_ms or unix_ms)
        self._feed.add(table, unix_ms, [*values], labels)

    def _event(self, unix_ms: float | None, level: str, text: str) -> None:
        at = self.newest_unix_ms if unix_ms is None else unix_ms
        if at is not None:
            self._feed.add_event(at, level, printable(text)[:_TEXT_MAX])

    def _add_orbit(self, message: OrbitEstimate) -> None:
        names = ("x", "y", "z", "sigma", "nis", "clock", *_named("sigma", _RTN))
        if self._feed.declare("orbit", names, ("cause",), precise="x y z"):
            add = self._feed.plots.add
            add("Orbit", "Position sigma, 3-D", "m", "orbit", {"filter": "sigma"}, logarithmic=True)
            lines = {axis: f"sigma_{axis}" for axis in _RTN}
            add("Orbit", "Position sigma, radial, transverse, normal", "m", "orbit", lines, logarithmic=True)
            add("Fixes", "Innovation, χ² per degree of freedom", "1", "orbit", {"χ²": "nis"}, logarithmic=True)
            add("Fixes", "Clock map, GPS minus spacecraft time, from the first", "ms", "orbit", {"offset": "clock"})
        unix_ms = unix_ms_from_gps_ms(message.gps_ms)
        self._offset_ms = message.spacecraft_to_gps_ms or self._offset_ms
        self._first_offset_ms = self._offset_ms if self._first_offset_ms is None else self._first_offset_ms
        known = self._offset_ms is not None and self._first_offset_ms is not None
        clock_ms = float((self._offset_ms or 0) - (self._first_offset_ms or 0)) if known else math.nan
        ratio = message.nis / message.nis_dof if message.nis_dof else math.nan
        triangle = message.covariance_rtn
        variances = _UNKNOWN if triangle is None else (triangle[0], triangle[2], triangle[5])
        sigmas = (math.sqrt(value) if value >= 0.0 else math.nan for value in variances)
        is_repeated = not message.accepted and message.gps_ms == message.fix_gps_ms  # another record of the same time
        cause = meaning(message.cause) if message.cause and not is_repeated else ""
        sigma_m = math.hypot(*message.position_sigma_m)
        self._row("orbit", unix_ms, (*message.position_gcrf_m, sigma_m, ratio, clock_ms, *sigmas), (cause,))
        if cause != self._orbit_cause and cause:
            self._event(unix_ms, "warning", f"GPS record not used: {cause}")
        self._orbit_cause = cause
        if message.manoeuvre:
            self._event(unix_ms, "warning", f"manoeuvre: {message.manoeuvre.replace('_', ' ')}")

    def _add_attitude(self, message: AttitudeEstimate) -> None:
        names = ["qw", "qx", "qy", "qz", *_named("rate"), *_named("gyro_bias"), *_named("mag_bias")]
        names += [*_named("sigma"), *_named("body"), "nis"]
        if self._feed.declare("attitude", names, ("mode",), precise="qw qx qy qz"):
            for title, unit, prefix in (
                ("Body rate", "deg/s", "rate"),
                ("Attitude sigma about the body axes", "deg", "sigma"),
                ("Gyro bias", "deg/s", "gyro_bias"),
                ("Magnetometer bias", "µT", "mag_bias"),
            ):
                lines = dict(zip(_XYZ, _named(prefix), strict=True))
                self._feed.plots.add("Attitude", title, unit, "attitude", lines, logarithmic=prefix == "sigma")
            title = "Innovation, χ² per degree of freedom"
            self._feed.plots.add("Attitude", title, "1", "attitude", {"χ²": "nis"}, logarithmic=True)
        if message.gps_ms is None:
            return
        unix_ms = unix_ms_from_gps_ms(message.gps_ms)
        quaternion = message.quaternion_gcrf_from_body or (math.nan,) * 4
        values = [
            *quaternion,
            *_scaled(message.rate_body_rad_s, _DEG),
            *_scaled(message.gyro_bias_imu_rad_s, _DEG),
            *_scaled(message.mag_bias_imu_ut),
            *_scaled(message.sigma_rad, _DEG),
            *message.mag_body_ut,
            message.nis / message.dof if message.dof else math.nan,
        ]
        self._row("attitude", unix_ms, values, (message.mode,))
        self._note_attitude(message, unix_ms)

    def _note_attitude(self, message: AttitudeEstimate, unix_ms: float) -> None:
        """Add events of the attitude, and the eclipse."""
        if message.mode != self._mode:
            words = f"attitude {message.mode}" if message.mode in _MODES else "attitude unknown, search"
            self._event(unix_ms, _MODES.get(message.mode, "stale"), words)
            self._mode = message.mode
        faults = (message.dead_faces, message.mirrored_faces, message.stuck_gyro_axes, message.gyro_axes_beyond_range)
        if faults != self._faults:
            names = ("dead faces", "mirrored faces", "stuck gyro axes", "gyro axes beyond range")
            found = [f"{name} {', '.join(map(str, of))}" for name, of in zip(names, faults, strict=True) if of]
            if found or self._faults:
                self._event(unix_ms, "alarm" if found else "nominal", "; ".join(found) or "sensors without faults")
            self._faults = faults
        eclipses = self._feed.eclipses
        if not message.in_sun and not (eclipses and eclipses[-1][1] == self._last_sample_ms):
            eclipses.append([unix_ms, unix_ms])
        if not message.in_sun:
            eclipses[-1][1] = unix_ms
        self._last_sample_ms = unix_ms

    def _add_partner(self, message: FormationEstimate) -> None:
        partner, name = message.partner_id, f"partner {message.partner_id}"
        columns = [*_RTN, *_named("sigma", _RTN), *_TRIANGLE, *_named("mirror", _RTN)]
        if self._feed.declare(name, columns, ("state",)):
            self._feed.partners.append(partner)
            for axis, word in zip(_RTN, ("radial", "transverse", "normal"), strict=True):
                lines = {"filter": axis, "mirror": f"mirror_{axis}"}
                title = f"Relative position, {word}"
                self._feed.plots.add(f"Partner {partner}", title, "m", name, lines, band=f"sigma_{axis}", to=axis)
        unix_ms = unix_ms_from_gps_ms(message.gps_ms)
        state = "ambiguous" if message.ambiguous else "unknown" if message.position_rtn_m is None else "certain"
        if state != self._states.get(partner):
            self._states[partner] = state
            cause = f": {meaning(message.cause, 'range')}" if message.cause else ""
            level = {"certain": "nominal", "ambiguous": "warning"}.get(state, "stale")
            self._event(unix_ms, level, f"orbit of partner {partner} {state}{cause}")
        triangle = (message.covariance_rtn or ())[:6] or (math.nan,) * 6
        sigmas = (math.sqrt(max(0.0, triangle[place])) for place in (0, 2, 5))
        position, mirror = message.position_rtn_m or _UNKNOWN, message.mirror_rtn_m or _UNKNOWN
        self._row(name, unix_ms, (*position, *sigmas, *triangle, *mirror), (state,))
        if message.range_residual_m is not None:
            self._declare_ranges(partner)
            values = (self._ranges.pop(partner, math.nan), message.range_residual_m)
            self._row(f"ranges {partner}", unix_ms, values, ("",))

    def _declare_ranges(self, partner: int) -> None:
        name = f"ranges {partner}"
        if self._feed.declare(name, ("range_m", "residual_m"), ("cause",)):
            add, group = self._feed.plots.add, f"Partner {partner}"
            add(group, "Measured range with the delay bias", "m", name, {"range": "range_m"}, dots=True)
            add(group, "Residual of the range", "m", name, {"residual": "residual_m"}, dots=True)

    def _add_range(self, message: RangeMeasurement) -> None:
        if not message.satellite_id:
            self._ranges[message.partner_id] = message.range_m

    def _add_sample(self, message: SensorSample) -> None:
        unix_ms = self.unix_ms(1000 * message.t_spacecraft_s + message.t_spacecraft_ms)
        if unix_ms is None:
            return
        lights = [f"light{number}" for number in range(len(message.lux))]
        name = "sensors" if len(lights) == 6 else f"sensors {len(lights)}"
        if self._feed.declare(name, [*_named("gyro"), *_named("field"), *lights]):
            add = self._feed.plots.add
            add("Sensors", "Gyro, raw, sensor axes", "deg/s", name, dict(zip(_XYZ, _named("gyro"), strict=True)))
            add("Sensors", "Magnetometer, raw, sensor axes", "µT", name, dict(zip(_XYZ, _named("field"), strict=True)))
            if lights:
                faces = {f"sensor {number + 1}": light for number, light in enumerate(lights)}
                add("Sensors", "Light on the Sun sensors", "lux", name, faces)
        self._row(name, unix_ms, (*_scaled(message.gyro_imu_rad_s, _DEG), *message.mag_imu_ut, *message.lux))

    def _add_damage(self, message: SourceFile) -> None:
        names = [*self._feed.about.get("damaged", [])]
        if (name := printable(message.name)) not in names:
            self._feed.note("damaged", [*names, name])

    def _add_event(self, message: Event) -> None:
        unix_ms = None
        if self.start is not None:
            unix_ms = self.unix_ms(self.start[0] + (message.t_mono_ns - self.start[1]) // 1_000_000)
        level = _SEVERITIES.get(message.severity, "warning")
        self._event(unix_ms, level, f"{message.task}: {message.name}: {message.text}")
