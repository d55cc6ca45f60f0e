"""Uploaded mean elements as a source of orbits while there is none from fixes.

Without any GPS time, the spacecraft clock is taken as UTC if its time is then near the epoch of the elements. A clock
that was never set starts in the year 2000 and cannot be near this epoch by chance.
"""

import math
from typing import Final, TypeAlias

import msgspec
import numpy as np

from pygnc.bus.messages import UploadedElements
from pygnc.common.clock import gps_ms_from_unix_ms, spacecraft_offset_ms, utc_iso_from_gps_ms
from pygnc.environment.frames import EarthFrames
from pygnc.environment.sgp4 import Sgp4Error
from pygnc.environment.time_scales import MS_PER_DAY
from pygnc.estimators.clock.clock_map import ClockMap
from pygnc.estimators.kalman import triangular
from pygnc.estimators.orbit.elements_orbit import elements_state
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import POSITION, VELOCITY, OrbitState, to_ecef

_CLOCK_SIGMA_S: Final = 30.0
"""Standard deviation of the spacecraft clock as UTC; it covers a clock that counts GPS or TAI seconds (37 s)."""
_SIGMAS: Final = 5.0
"""Least difference along the track that is reported, and largest one that may remain, in sigmas of the elements."""

Notice: TypeAlias = tuple[str, str, str]
"""Event for the log: severity, name and text."""


class ElementsMemory(msgspec.Struct):
    """State of an `ElementsSource` that a restarted task needs.

    Attributes:
        upload: Newest usable elements; None before.
        is_reported: True if an event has reported that these elements could not be used.
        clock_as_utc_ms: GPS time minus spacecraft time if the spacecraft clock counts UTC; None until it is needed.
        is_compared: True if these elements were compared with the orbit from fixes.
    """

    upload: UploadedElements | None = None
    is_reported: bool = False
    clock_as_utc_ms: int | None = None
    is_compared: bool = False


class ElementsSource:
    """Source of orbits by the newest uploaded elements; changes `memory` and appends events to `notices`."""

    def __init__(
        self, settings: OrbitSettings, frames: EarthFrames, memory: ElementsMemory, notices: list[Notice]
    ) -> None:
        self._settings = settings
        self._frames = frames
        self.memory = memory
        self._notices = notices

    @property
    def epoch_gps_ms(self) -> int:
        """Epoch of the elements, GPS ms; 0 without elements."""
        upload = self.memory.upload
        return upload.elements.epoch_gps_ms if upload and upload.elements else 0

    def take(self, upload: UploadedElements) -> None:
        """Use newly uploaded elements from now on; ignore an upload without elements, whose file was refused."""
        if upload.elements is not None:
            self.memory.upload, self.memory.is_reported, self.memory.is_compared = upload, False, False

    def at_spacecraft_time(self, t_spacecraft_s: int | None, clock: ClockMap) -> OrbitState | None:
        """Return the orbit at a spacecraft time by the clock map or, without any GPS time, the clock as UTC."""
        if t_spacecraft_s is None:
            return None
        gps_ms = clock.to_gps_ms(t_spacecraft_s)
        if gps_ms is not None:
            return self.at(gps_ms)
        as_utc_ms = gps_ms_from_unix_ms(1000 * t_spacecraft_s)
        if clock.offset_ms is not None or abs(as_utc_ms - self.epoch_gps_ms) > self._age_max_ms:
            return None
        state = self.at(as_utc_ms)
        if state is None:
            return None
        self.memory.clock_as_utc_ms = spacecraft_offset_ms(t_spacecraft_s, as_utc_ms)
        along_track = np.zeros((len(state.x), 1))
        along_track[POSITION, 0] = _CLOCK_SIGMA_S * state.x[VELOCITY]
        radius_m = float(np.linalg.norm(state.x[POSITION]))
        speed_mps = float(np.linalg.norm(state.x[VELOCITY]))
        along_track[VELOCITY, 0] = -_CLOCK_SIGMA_S * (speed_mps / radius_m) ** 2 * state.x[POSITION]
        root = np.concatenate((state.sqrt_covariance, along_track), axis=1)
        return OrbitState(state.gps_ms, state.x, triangular(root))

    def at(self, gps_ms: int) -> OrbitState | None:
        """Return the orbit at `gps_ms`; None without elements. If they are too old or fail, also report that once."""
        upload = self.memory.upload
        if upload is None or upload.elements is None:
            return None
        age_ms = gps_ms - upload.elements.epoch_gps_ms
        if abs(age_ms) > self._age_max_ms:
            side, limit = "before" if age_ms > 0 else "after", self._settings.elements.age_max_days
            epoch = utc_iso_from_gps_ms(upload.elements.epoch_gps_ms)
            reason = f"epoch {epoch} is {abs(age_ms) / MS_PER_DAY:.1f} days {side} the present; the limit is {limit:g}"
            self._report(f"{upload.name}, line {upload.epoch_line}: {reason}")
            return None
        try:
            return elements_state(upload.elements, gps_ms, self._frames, self._settings)
        except Sgp4Error as error:
            self._report(f"{upload.name}: {error}")
            return None

    def compare(self, state: OrbitState) -> None:
        """Report, once per upload, an orbit from fixes that is where the elements are seconds earlier or later.

        Fixes whose times are all wrong by the same seconds, such as GPS time stated as UTC, show it in no other way.
        """
        upload = self.memory.upload
        if upload is None or self.memory.is_compared or abs(state.gps_ms - self.epoch_gps_ms) > self._age_max_ms:
            return
        self.memory.is_compared = True
        expected = self.at(state.gps_ms)
        if expected is None:
            return
        found, there = to_ecef(state, self._frames), to_ecef(expected, self._frames)
        square = float(there.velocity_mps.dot(there.velocity_mps))
        ahead_s = float(there.velocity_mps.dot(found.position_m - there.position_m)) / square
        moved = self.at(state.gps_ms + round(1e3 * ahead_s)) if abs(ahead_s) <= _CLOCK_SIGMA_S else None
        if moved is None:
            return
        sigma_m = math.hypot(*there.position_sigma_m)
        off_m = math.dist(found.position_m, to_ecef(moved, self._frames).position_m)
        if abs(ahead_s) * math.sqrt(square) > _SIGMAS * sigma_m >= off_m:
            wrong = f"{-ahead_s:+.1f} +- {sigma_m / math.sqrt(square):.1f} s"
            text = f"the fixes agree with the elements of {upload.name} if the times of the fixes are wrong by {wrong}"
            self._notices.append(("warning", "fix_times", f"{text}; they are used as they are"))

    @property
    def _age_max_ms(self) -> float:
        return self._settings.elements.age_max_days * MS_PER_DAY

    def _report(self, reason: str) -> None:
        if not self.memory.is_reported:
            self.memory.is_reported = True
            text = f"{reason}; the elements are not used, upload newer ones"
            self._notices.append(("error", "elements_refused", text))
