"""Readings of the computer's own sensors in the samples of the attitude, in place of the host's or beside them.

The host's live packet still gives time and the other measurements of a sample. The sample gets the newest reading of
the own sensor that arrived before, by the clock of the computer. Samples from files, which are older, stay as they are.
"""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from pygnc.bus.messages import DeviceReading, SensorSample
from pygnc.estimators.attitude.measurement_models import measurement_models
from pygnc.estimators.attitude.settings import AttitudeSettings, OwnSensorSettings

_REPLACED: Final = {
    "gyro": ("gyro_imu_rad_s", ("rate_x_rad_s", "rate_y_rad_s", "rate_z_rad_s")),
    "magnetometer": ("mag_imu_ut", ("mag_x_t", "mag_y_t", "mag_z_t")),
}
"""Sensors, by setting, that replace one of the host: field of the sample, and names of the device's values."""
_UT_PER_T: Final = 1e6

DeviceValues = Mapping[str, tuple[str, ...]]
"""Names, which all drivers use, of the values that each sensor of `OwnSensorSettings` must have."""


def device_values(settings: AttitudeSettings) -> DeviceValues:
    """Return the names of the values that each setting of `OwnSensorSettings` takes from its device."""
    replaced = {name: words for name, (_, words) in _REPLACED.items()}
    return replaced | {model.name: model.device_values for model in measurement_models(settings) if model.device_values}


class OwnSensors(msgspec.Struct):
    """Newest reading of each sensor that the settings name, with its monotonic time of arrival in ns."""

    newest: dict[str, tuple[int, tuple[float, ...]]] = {}

    def take(self, reading: DeviceReading, settings: OwnSensorSettings, values: DeviceValues) -> None:
        """Keep a reading if the settings name its device and all values of the sensor are present and finite."""
        for name, words in values.items():
            if reading.device == getattr(settings, name):
                values_by_word = (reading.values.get(word) for word in words)
                numbers = tuple(
                    value for value in values_by_word if isinstance(value, int | float) and math.isfinite(value)
                )
                factor = _UT_PER_T if name == "magnetometer" else 1.0
                if len(numbers) == len(words):
                    self.newest[name] = reading.t_mono_ns, tuple(factor * value for value in numbers)

    def measured(self, sample: SensorSample, settings: OwnSensorSettings, values: DeviceValues) -> SensorSample:
        """Return a sample with the readings of own sensors.

        If a reading is missing or older than `age_max_s`, one that replaces the host's becomes NaN, so that the filter
        rejects the sample; an additional one is left out.
        """
        if sample.t_mono_ns is None:
            return sample
        replaced: dict[str, tuple[float, ...]] = {}
        readings: dict[str, tuple[float, ...]] = {}
        for name in values:
            if not getattr(settings, name):
                continue
            t_mono_ns, reading = self.newest.get(name, (-math.inf, ()))
            is_fresh = sample.t_mono_ns - t_mono_ns <= 1e9 * settings.age_max_s
            if name in _REPLACED:
                replaced[_REPLACED[name][0]] = reading if is_fresh else (math.nan,) * 3
            elif is_fresh:
                readings[name] = reading
        if not replaced and not readings:
            return sample
        return msgspec.structs.replace(sample, **replaced, readings=sample.readings | readings)
