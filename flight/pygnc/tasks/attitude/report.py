"""What became of a sensor sample, as the message that goes out."""

from typing import Final, NamedTuple

import numpy as np

from pygnc.bus.messages import AttitudeEstimate, SensorSample, Vector3
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeUpdate, Mode
from pygnc.estimators.attitude.sample import SampleCorrection
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import ATTITUDE, AttitudeState, Flags
from pygnc.tasks.attitude.environment import Around
from pygnc.tasks.attitude.mag_calibration import TotalBias

NO_TIME: Final = "no_time"
"""The sample's GPS time is not known."""
_BRIGHT_SHARE: Final = 0.05
"""Light that only the Sun, or the Earth lit by it, gives."""


class Outcome(NamedTuple):
    """What became of one sample.

    Attributes:
        sample: The sample.
        gps_ms: Its time; None when it is not known.
        around: What was around then.
        update: What the filter said; None when the sample did not get that far.
        late: Whether the orbit task had not answered in time.
        calibrated: The magnetometer's bias by its calibration, which needs no attitude; None before that has succeeded.
        calibrated_anew: Whether that is worth an event.
    """

    sample: SensorSample
    gps_ms: int | None
    around: Around
    update: AttitudeUpdate | None
    late: bool
    calibrated: TotalBias | None = None
    calibrated_anew: bool = False


class AttitudeReport:
    """Makes messages with one set of settings."""

    def __init__(self, settings: AttitudeSettings) -> None:
        self._mounting = settings.mounting
        self._correction = SampleCorrection(settings)
        self._bright_lux = _BRIGHT_SHARE * settings.sun_sensors.full_sun_lux

    def estimate(
        self, outcome: Outcome, known: AttitudeState | None, mag_bias_ut: Array | None, through: int, seq: int
    ) -> AttitudeEstimate:
        """The message for an outcome.

        Args:
            outcome: What became of a sample.
            known: The filter's state, be it of an older sample: its gyro bias holds.
            mag_bias_ut: What is known of the bias of corrected readings, be the attitude unknown.
            through: Number of the newest input.
            seq: Number of the message.
        """
        sample, update = outcome.sample, outcome.update
        state = None if update is None else update.state
        magnetometer = self._correction.magnetometer
        mag_ut = magnetometer.corrected_ut(np.array(sample.mag_imu_ut))
        if mag_bias_ut is not None:
            mag_ut = mag_ut - mag_bias_ut
        if update is not None:
            rate_body_rad_s = update.rate_body_rad_s
        else:
            gyro_bias_rad_s = np.zeros(3) if known is None else known.gyro_bias_rad_s
            rate_body_rad_s = (self._correction.gyro_rad_s(sample) - gyro_bias_rad_s).dot(self._mounting.gyro)
        return AttitudeEstimate(
            seq=seq,
            through=through,
            input_seq=sample.seq,
            t_spacecraft_s=sample.t_spacecraft_s,
            gps_ms=outcome.gps_ms,
            mode=Mode.SEARCHING.value if update is None else update.mode.value,
            quaternion_gcrf_from_body=None if state is None else _quadruple(state.quaternion),
            rate_body_rad_s=_triple(rate_body_rad_s),
            mag_body_ut=_triple(mag_ut.dot(self._mounting.magnetometer)),
            gyro_bias_imu_rad_s=None if state is None else _triple(state.gyro_bias_rad_s),
            mag_bias_imu_ut=None if mag_bias_ut is None else _triple(magnetometer.total_bias_ut(mag_bias_ut)),
            sigma_rad=None if state is None else _triple(state.sigma[ATTITUDE]),
            in_sun=bool(self._correction.lux(sample).max() > self._bright_lux) if update is None else update.in_sun,
            orbit_age_s=outcome.around.orbit_age_s,
            orbit_late=outcome.late,
            nis=0.0 if update is None else update.nis,
            dof=0 if update is None else update.dof,
            cause=_cause(update),
            found=update is not None and update.restarted,
            dead_faces=() if update is None else _numbers(update.faces.dead),
            mirrored_faces=() if update is None else _numbers(update.faces.mirrored),
            stuck_gyro_axes=() if update is None else _numbers(update.gyro.stuck),
            gyro_axes_beyond_range=() if update is None else _numbers(update.gyro.beyond_range),
            mag_calibration_sigma_ut=None if outcome.calibrated is None else outcome.calibrated.sigma_ut,
        )


def _cause(update: AttitudeUpdate | None) -> str:
    if update is None:
        return NO_TIME
    return "" if update.cause is None else update.cause.value


def _numbers(flags: Flags) -> tuple[int, ...]:
    return tuple(np.flatnonzero(flags).tolist()) if flags.any() else ()


def _triple(vector: Array) -> Vector3:
    x, y, z = vector.tolist()
    return x, y, z


def _quadruple(vector: Array) -> tuple[float, float, float, float]:
    w, x, y, z = vector.tolist()
    return w, x, y, z
