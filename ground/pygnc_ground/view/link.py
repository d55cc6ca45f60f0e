"""Link to a flight through the streaming interface, as a host that only asks for the status and listens.

The Pi sends no estimates but those in its status record, so each record is a row of orbit, attitude and partners.
"""

import math
import secrets
import time
from pathlib import Path
from typing import Final

from pygnc.bus.messages import AttitudeEstimate, Event, FormationEstimate, OrbitEstimate, Vector3
from pygnc.common.clock import gps_ms_from_week, unix_ms_from_gps_ms
from pygnc.formats.status import PARTNERS, AttitudeMode, OrbitMode, Phase, StatusError, Value, decode
from pygnc.host.channel import Channel
from pygnc.host.channel_events import Connected, Incompatible, LineDown, Received
from pygnc.host.port import Port
from pygnc.host.sentence import Direction, SentenceParser
from pygnc.host.sentence_types import EVNT, STAT, STRQ, ReportKind
from pygnc_cli.text import printable
from pygnc_ground.view.feed import Feed
from pygnc_ground.view.rows import Rows

ASK_S: Final = 0.5
"""Interval of status requests: a record of below 1000 bytes takes 0.12 s at 115200 baud."""
SILENT_S: Final = 10.0
_REOPEN_S: Final = 1.0
_SEVERITIES: Final = ("info", "warning", "error")
_UNKNOWN: Final[Vector3] = (math.nan, math.nan, math.nan)
_J2000_UNIX_MS: Final = 946_728_000_000
_DAY_MS: Final = 86_400_000


class LinkSource:
    """Status records and events of a flight at a serial port or terminal.

    Args:
        port: Path of the port.
        baud: Speed in bit/s; None for a terminal whose speed is left as it is.

    Attributes:
        feed: Feed of the link.

    Raises:
        OSError: The port cannot be opened.
    """

    def __init__(self, port: Path, baud: int | None) -> None:
        self.feed = Feed(f"live at {port}")
        self._path, self._baud = port, baud
        self._rows = Rows(self.feed)
        self._channel = Channel(Direction.TO_PI, 1 + secrets.randbelow(65_535), "pygnc view")
        self._parser = SentenceParser()
        self._port = self._opened()
        self._ask_at_s = self._open_at_s = 0.0
        self._heard_s = time.monotonic()
        self.feed.tell("waiting", f"{port}: waiting for an answer")
        self._newest: dict[str, int] = {}

    def describe(self) -> str:
        """Return what is shown, for the terminal."""
        return f"the flight at {self._path}"

    def step(self) -> bool:
        """Exchange what there is with the Pi."""
        now_s = time.monotonic()
        if not self._port.is_open:
            self._reopen(now_s)
            return False
        self._receive(now_s)
        if self._channel.is_ready and now_s >= self._ask_at_s:
            self._ask_at_s = now_s + ASK_S
            self._channel.send(STRQ, STRQ.pack(ReportKind.STATUS), now_s)
        while self._port.ready_in_s() <= 0.0 and (output := self._channel.next_output(now_s)) is not None:
            self._port.write(output)
        if now_s - self._heard_s > SILENT_S:
            self.feed.tell("waiting", f"{self._path}: no answer; does main.py run at the other end?")
        return False

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _opened(self) -> Port:
        return (
            Port.open_terminal(str(self._path)) if self._baud is None else Port.open_serial(str(self._path), self._baud)
        )

    def _reopen(self, now_s: float) -> None:
        if now_s < self._open_at_s:
            return
        self._open_at_s = now_s + _REOPEN_S
        self._port.close()
        try:
            self._port = self._opened()
        except OSError as error:
            self.feed.tell("lost", f"{self._path}: {error.strerror or error}; waiting for the port")

    def _receive(self, now_s: float) -> None:
        for sentence in self._parser.feed(self._port.read()).sentences:
            self._channel.receive(sentence, now_s)
        for event in self._channel.pop_events():
            match event:
                case Connected():
                    self._heard_s = now_s
                    self.feed.tell("following", f"{self._path}: connected to {printable(event.software)}")
                case Incompatible():
                    versions = f"{event.version_min} to {event.version_max}"
                    self.feed.tell("lost", f"{self._path}: the Pi speaks versions {versions} of the protocol only")
                case LineDown():
                    self.feed.tell("silent", f"{self._path}: the line is interrupted; reconnecting")
                case Received(kind=kind) if kind is STAT:
                    self._heard_s = now_s
                    self._take_status(event.body.tail)
                case Received(kind=kind) if kind is EVNT:
                    self._take_event(event.body.fields["severity"], event.body.tail)

    def _take_event(self, severity: int, tail: bytes) -> None:
        name, _, text = tail.decode(errors="replace").partition(":")
        word = _SEVERITIES[severity] if severity < len(_SEVERITIES) else "warning"
        self._rows.add(Event(0, "flight", word, name, text.strip(), 0, 0))

    def _take_status(self, record: bytes) -> None:
        try:
            values = decode(record)
        except StatusError as error:
            self.feed.tell("silent", f"{self._path}: {error}")
            return
        phase = next((one.name.lower().replace("_", " ") for one in Phase if one == values["phase"]), "unknown phase")
        self.feed.tell("following", f"{self._path}: run {int(values['run_number'])}, {phase}")
        self._rows.add_status(values)
        for message in (_orbit(values), _attitude(values), *(_partner(values, k) for k in range(PARTNERS))):
            # A record repeats what has not changed.
            if message is None or message.gps_ms is None:
                continue
            key = f"{type(message).__name__} {getattr(message, 'partner_id', '')}"
            if self._newest.get(key) != message.gps_ms:
                self._newest[key] = message.gps_ms
                self._rows.add(message)


def _vector(values: dict[str, Value], name: str) -> Vector3:
    x, y, z = (float(values[f"{name}_{axis}"]) for axis in "xyz")
    return x, y, z


def _gps_ms(values: dict[str, Value], prefix: str) -> int | None:
    return gps_ms_from_week(int(values[f"{prefix}_gps_week"]), int(values[f"{prefix}_gps_tow_ms"]))


def _orbit(values: dict[str, Value]) -> OrbitEstimate | None:
    gps_ms = _gps_ms(values, "orbit")
    if values["orbit_mode"] == OrbitMode.NONE or gps_ms is None:
        return None
    fixed, speed = _vector(values, "position_ecef_m"), _vector(values, "velocity_ecef_mps")
    offset_ms = None
    now_ms = gps_ms_from_week(int(values["gps_week"]), int(values["gps_tow_ms"]))
    if now_ms is not None:
        offset_ms = now_ms - 1000 * int(values["spacecraft_time_s"])
    return OrbitEstimate(
        seq=0,
        last_input_seq=0,
        gps_ms=gps_ms,
        fix_gps_ms=gps_ms,
        position_ecef_m=fixed,
        velocity_ecef_mps=speed,
        position_sigma_m=_vector(values, "position_sigma_m"),
        velocity_sigma_mps=_vector(values, "velocity_sigma_mps"),
        position_gcrf_m=inertial(fixed, unix_ms_from_gps_ms(gps_ms)),
        velocity_gcrf_mps=_UNKNOWN,
        accepted=True,
        cause="",
        nis=float(values["nis_mean"]),
        nis_dof=1,
        nis_mean=float(values["nis_mean"]),
        nis_count=int(values["nis_count"]),
        spacecraft_to_gps_ms=offset_ms,
    )


def _attitude(values: dict[str, Value]) -> AttitudeEstimate | None:
    words = ((AttitudeMode.SEARCHING, "searching"), (AttitudeMode.COARSE, "coarse"), (AttitudeMode.FINE, "fine"))
    mode = next((word for number, word in words if number == values["attitude_mode"]), None)
    if mode is None:
        return None
    is_known = mode != "searching"
    w, (x, y, z) = float(values["quaternion_w"]), _vector(values, "quaternion")
    return AttitudeEstimate(
        seq=0,
        last_input_seq=0,
        input_seq=0,
        t_spacecraft_s=int(values["spacecraft_time_s"]),
        gps_ms=_gps_ms(values, "attitude"),
        mode=mode,
        quaternion_gcrf_from_body=(w, x, y, z) if is_known else None,
        rate_body_rad_s=_vector(values, "rate_body_rad_s"),
        mag_body_ut=_vector(values, "mag_body_ut"),
        gyro_bias_imu_rad_s=_vector(values, "gyro_bias_rad_s") if is_known else None,
        mag_bias_imu_ut=_vector(values, "mag_bias_ut"),
        sigma_rad=_vector(values, "attitude_sigma_rad") if is_known else None,
        in_sun=bool(values["in_sun"]),
        orbit_age_s=None,
        orbit_late=False,
        nis=math.nan,
        dof=0,
        cause="",
        found=False,
    )


def _partner(values: dict[str, Value], number: int) -> FormationEstimate | None:
    prefix = f"partner{number}"
    gps_ms = _gps_ms(values, prefix)
    if not values[f"{prefix}_id"] or gps_ms is None:
        return None
    r, t, n = (sigma**2 for sigma in _vector(values, f"{prefix}_sigma_m"))
    residual_m = float(values[f"{prefix}_residual_m"])
    return FormationEstimate(
        seq=0,
        last_input_seq=0,
        input_seq=0,
        gps_ms=gps_ms,
        partner_id=int(values[f"{prefix}_id"]),
        cause="",
        position_rtn_m=_vector(values, f"{prefix}_rtn_m"),
        covariance_rtn=(r, 0.0, t, 0.0, 0.0, n),
        range_residual_m=residual_m if math.isfinite(residual_m) else None,
        ambiguous=bool(values[f"{prefix}_ambiguous"]),
    )


def inertial(fixed_m: Vector3, unix_ms: float) -> Vector3:
    """Return a position in ITRF in inertial axes that differ from GCRF by less than 0.3 degrees until 2050.

    Only the Earth rotation angle is used, as by the page, so its ground track is right.
    """
    turns = 0.779_057_273_264 + 1.002_737_811_911_354_48 * (unix_ms - _J2000_UNIX_MS) / _DAY_MS
    angle = 2.0 * math.pi * (turns % 1.0)
    x, y, z = fixed_m
    return math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y, z
