"""Readings of the computer's own sensors in place of the host's, in the samples of the attitude.

The host's live packet still gives time and the other measurements of a sample. It takes the newest reading of the own
sensor before it, by the clock of the computer. Samples of files are older than the run's readings and stay as they are.
"""

import math
from typing import Final

import msgspec

from pygnc.bus.messages import DeviceReading, SensorSample, Vector3
from pygnc.estimators.attitude.settings import OwnSensorSettings

_UT_PER_T: Final = 1e6
_VALUES: Final = {
    "gyro": (("rate_x_rad_s", "rate_y_rad_s", "rate_z_rad_s"), 1.0),
    "magnetometer": (("mag_x_t", "mag_y_t", "mag_z_t"), _UT_PER_T),
}
"""Values of a reading that each setting names, in the words of all drivers, and their factor to the sample's unit."""
_FIELDS: Final = {"gyro": "gyro_imu_rad_s", "magnetometer": "mag_imu_ut"}
_MISSING: Final = (math.nan, math.nan, math.nan)


class OwnSensors(msgspec.Struct):
    """Newest reading of each sensor that replaces one of the host's, with its time of arrival in ns."""

    newest: dict[str, tuple[int, Vector3]] = {}

    def take(self, reading: DeviceReading, settings: OwnSensorSettings) -> None:
        """Keep a reading if the settings name its sensor, and if it has all three values."""
        for name, (values, factor) in _VALUES.items():
            if reading.device == getattr(settings, name):
                x, y, z = (reading.values.get(value) for value in values)
                if isinstance(x, int | float) and isinstance(y, int | float) and isinstance(z, int | float):
                    self.newest[name] = reading.t_mono_ns, (factor * x, factor * y, factor * z)

    def measured(self, sample: SensorSample, settings: OwnSensorSettings) -> SensorSample:
        """Return a sample with the readings of own sensors.

        A reading that is missing or older than `age_max_s` becomes NaN, so that the filter rejects the sample.
        """
        if sample.t_mono_ns is None:
            return sample
        own: dict[str, Vector3] = {}
        for name, field in _FIELDS.items():
            if getattr(settings, name):
                t_mono_ns, value = self.newest.get(name, (-math.inf, _MISSING))
                own[field] = value if sample.t_mono_ns - t_mono_ns <= 1e9 * settings.age_max_s else _MISSING
        return msgspec.structs.replace(sample, **own) if own else sample
