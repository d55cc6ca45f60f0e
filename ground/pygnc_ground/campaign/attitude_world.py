"""Flights of a scenario's files through the flight's own chain: ingest, orbit, environment and attitude.

Nothing but the files reaches the estimators. The truth serves the comparison only.
"""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from pygnc.bus.messages import Message
from pygnc.common import quaternion
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.estimators.attitude.filter import AttitudeUpdate
from pygnc.estimators.attitude.state import ATTITUDE, AttitudeState
from pygnc.formats.sense import STANDARD_LAYOUT
from pygnc.tasks.orbit.tracker import OrbitTracker
from pygnc_ground.attitude.smoother import smooth
from pygnc_ground.campaign.orbit_world import ORIENTATION
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.replay.collect import AttitudeCollector, FormationCollector, SampleRecord, collect
from pygnc_ground.replay.inputs import from_files
from pygnc_ground.scenario.generate import TrueStates, generate
from pygnc_ground.scenario.settings import Settings
from pygnc_ground.truth.attitude_truth import AttitudeTruth, TrueAttitude

Change = Callable[[Message], Message | None]
"""Change of an input message; None removes it."""
_LIT: Final = 0.5
_SAID_SIGMAS: Final = 3.0
"""An error within this many claimed sigmas is one that the estimate admits."""


def unchanged(message: Message) -> Message:
    """Return the message."""
    return message


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeFlight:
    """Sense file of a scenario from the first record in sunlight on, and its truth."""

    sense: bytes
    truth: TrueStates

    @classmethod
    def of(cls, settings: Settings) -> "AttitudeFlight":
        """Generate the flight of a scenario."""
        scenario = generate(settings)
        lit = scenario.truth.sunlit_fraction.reshape(-1, STANDARD_LAYOUT.sensors_per_record) > _LIT
        begin = int(np.argmax(lit.all(axis=1)))
        return cls(scenario.sense[begin * STANDARD_LAYOUT.size :], scenario.truth)

    def inputs(self) -> list[Message]:
        """Return the messages that the ingest task makes of the file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "sense.bin"
            path.write_bytes(self.sense)
            return list(from_files([path], None, FlightSettings()).messages)


@dataclass(frozen=True, slots=True, eq=False)
class FlownAttitude:
    """Estimates for n samples with a time, and the truth at these times."""

    records: list[SampleRecord]
    updates: list[AttitudeUpdate]
    gps_ms: IntArray
    """Times by the estimator, shape (n,)."""
    true: TrueAttitude
    lit: BoolArray
    """True if more than half of the Sun's disc is visible, shape (n,)."""
    errors: "AttitudeTrace" = field(init=False)
    smoothed: "AttitudeTrace" = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "errors", self._trace([update.state for update in self.updates]))
        object.__setattr__(self, "smoothed", self._trace(smooth(self.updates)))

    def _trace(self, states: "list[AttitudeState | None]") -> "AttitudeTrace":
        angle, sigma, nees = np.full((3, len(states)), np.nan)
        for row, (state, update) in enumerate(zip(states, self.updates, strict=True)):
            if state is not None:
                turn = quaternion.error_vector(self.true.quaternion[row], state.quaternion)
                moved = update.time_sigma_s * update.rate_body_rad_s
                covariance = state.covariance[ATTITUDE, ATTITUDE] + np.outer(moved, moved)
                angle[row], sigma[row] = np.linalg.norm(turn), np.sqrt(np.trace(covariance))
                nees[row] = turn @ np.linalg.solve(covariance, turn) / 3.0
        return AttitudeTrace(np.degrees(angle), np.degrees(sigma), nees)


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeTrace:
    """Errors of n estimates about all three axes; NaN without an attitude."""

    angle_deg: FloatArray
    sigma_deg: FloatArray
    """Claimed standard deviation."""
    nees: FloatArray
    """Normalised error squared per degree of freedom."""

    @property
    def known(self) -> BoolArray:
        """True with an attitude, shape (n,)."""
        return np.isfinite(self.angle_deg)

    def wrong(self, limit_deg: float, *, said: bool) -> BoolArray:
        """Return True for errors above the limit that the estimate admits, or does not admit, by its sigma."""
        with np.errstate(invalid="ignore"):
            admits = self.angle_deg <= _SAID_SIGMAS * self.sigma_deg
            return np.asarray((self.angle_deg > limit_deg) & (admits if said else ~admits))


def fly(flight: AttitudeFlight, settings: FlightSettings | None = None, change: Change = unchanged) -> FlownAttitude:
    """Run the file through the flight's chain; `change` alters the input messages."""
    own = settings or FlightSettings()
    attitude = AttitudeCollector(own.attitude, ORIENTATION)
    messages: Iterator[Message] = (changed for message in flight.inputs() if (changed := change(message)) is not None)
    collect(
        messages, OrbitTracker(own.orbit, ORIENTATION), attitude, FormationCollector(own, ORIENTATION), lambda: None
    )
    records = [record for record in attitude.records if record.outcome.update is not None]
    updates = [record.outcome.update for record in records if record.outcome.update is not None]
    gps_ms = np.array([update.gps_ms for update in updates], dtype=np.int64)
    truth = flight.truth
    rows = TrueAttitude(
        truth.quaternion_gcrf_from_body, truth.rate_body_rad_s, truth.gyro_bias_imu_rad_s, truth.mag_bias_imu_ut
    )
    nearest = np.abs(truth.gps_ms[:, None] - gps_ms[None, :]).argmin(axis=0)
    return FlownAttitude(
        records, updates, gps_ms, AttitudeTruth(truth.gps_ms, rows).at(gps_ms), truth.sunlit_fraction[nearest] > _LIT
    )
