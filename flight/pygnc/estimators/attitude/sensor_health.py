"""Fault detection of sun sensors and gyro axes.

A sun sensor may be dark in sunlight (dead), or bright with the Sun behind its face (mirrored). Counters compare the
readings with the model while the attitude is known well enough. A face is excluded while one of its counters is above
zero: each reading that contradicts the model adds 1, each one that agrees subtracts 1. Gyro axes may be out of range or
stuck.
"""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.settings import GyroSettings, SunSensorSettings
from pygnc.estimators.attitude.state import Flags

DIRECT_SUN_SHARE: Final = 0.2
"""Fraction of full sunlight above which a face counts as seeing the Sun."""
_FAULT_COUNT: Final = 4
"""Value of a counter from which a face is flagged as dead or mirrored. Counters end at three times this value, so that
twelve right readings are enough for a face to be used again.
"""


@dataclass(frozen=True, slots=True, eq=False)
class FaceHealth:
    """Fault counters of the sun sensors.

    Attributes:
        dark: Dark minus bright readings in clear sunlight, limited to 0 to 12, shape (faces,).
        reversed: Bright minus dark readings with the Sun clearly behind the face, limited to 0 to 12, shape (faces,).
    """

    dark: Array
    reversed: Array

    @classmethod
    def unknown(cls, faces: int) -> "FaceHealth":
        """Return counters of zero for `faces` sun sensors."""
        return cls(np.zeros(faces), np.zeros(faces))

    @property
    def dead(self) -> Flags:
        """True for faces that are dark in sunlight and not mirrored, shape (faces,)."""
        flags: Flags = (self.dark >= _FAULT_COUNT) & ~self.mirrored
        return flags

    @property
    def mirrored(self) -> Flags:
        """True for faces that are bright with the Sun behind them, as if turned by 180 degrees, shape (faces,)."""
        flags: Flags = self.reversed >= _FAULT_COUNT
        return flags

    @property
    def trusted(self) -> Flags:
        """True for faces whose counters are both zero, shape (faces,)."""
        flags: Flags = (self.dark == 0.0) & (self.reversed == 0.0)
        return flags

    def with_suspect(self, face: int) -> "FaceHealth":
        """Return the counters with the face number `face` excluded until one reading in clear sunlight is bright."""
        dark = self.dark.copy()
        dark[face] = max(dark[face], 1.0)
        return FaceHealth(dark, self.reversed)

    def updated(self, share: Array, cosine: Array, expected_share: Array, settings: SunSensorSettings) -> "FaceHealth":
        """Return the counters after a sample in full sunlight at a known attitude.

        If no face is bright, the counters do not change, because the shadow model must then be wrong.

        Args:
            share: Measured illuminance as a fraction of full sunlight, shape (faces,); negative without a reading.
            cosine: Predicted cosine of the angle between face normal and Sun, shape (faces,).
            expected_share: Predicted illuminance as a fraction of full sunlight, shape (faces,).
            settings: Share below which a face is dark, and half of the cosine with which the Sun is clearly in front of
                a face, or, if negative, behind it.
        """
        dark_share, clear_cosine, count_max = settings.dark_share, 2.0 * settings.cosine_min, 3 * _FAULT_COUNT
        # In the usual case nothing changes; plain numbers detect that faster than small arrays.
        bright, wrong = False, False
        for seen, towards, expected in zip(share.tolist(), cosine.tolist(), expected_share.tolist(), strict=True):
            bright |= seen > DIRECT_SUN_SHARE
            wrong |= towards > clear_cosine and 0.0 <= seen < dark_share
            wrong |= towards < -clear_cosine and seen > expected + DIRECT_SUN_SHARE
        if not bright or not (wrong or np.count_nonzero(self.dark) or np.count_nonzero(self.reversed)):
            return self
        in_front = cosine > clear_cosine
        dark = (share >= 0.0) & (share < dark_share)
        behind = cosine < -clear_cosine
        unexpected = share > expected_share + DIRECT_SUN_SHARE
        change_dark = (in_front & dark).astype(float) - (in_front & ~dark)
        change_reversed = (behind & unexpected).astype(float) - (behind & ~unexpected)
        return FaceHealth(
            np.clip(self.dark + change_dark, 0.0, count_max), np.clip(self.reversed + change_reversed, 0.0, count_max)
        )


@dataclass(frozen=True, slots=True, eq=False)
class GyroHealth:
    """Faults of the three gyro axes, in sensor axes.

    Attributes:
        reading_rad_s: Last reading in sensor axes, rad/s, shape (3,); NaN before the first.
        repeats: Number of times that each axis repeated its reading while another axis changed, shape (3,).
        beyond_range: True for axes whose last reading was out of range, shape (3,).
        stuck: True for axes that repeat their reading, shape (3,).
    """

    reading_rad_s: Array = field(default_factory=lambda: np.full(3, np.nan))
    repeats: Array = field(default_factory=lambda: np.zeros(3))
    beyond_range: Flags = field(default_factory=lambda: np.zeros(3, np.bool_))
    stuck: Flags = field(default_factory=lambda: np.zeros(3, np.bool_))

    def updated(self, reading_rad_s: Array, settings: GyroSettings) -> "GyroHealth":
        """Return the health after the next reading, which is in sensor axes, rad/s, shape (3,)."""
        # Shortcut for the usual case without a fault; plain numbers are faster than small arrays.
        x, y, z = reading_rad_s.tolist()
        old_x, old_y, old_z = self.reading_rad_s.tolist()
        within_range = max(abs(x), abs(y), abs(z)) < settings.range_rad_s
        if within_range and x != old_x and y != old_y and z != old_z:
            return GyroHealth(reading_rad_s)
        same = x == old_x, y == old_y, z == old_z
        others_change = not all(same)
        counts = zip(same, self.repeats.tolist(), strict=True)
        repeats = [count + others_change if is_same else 0.0 for is_same, count in counts]
        if within_range and max(repeats) < settings.stuck_samples:
            return GyroHealth(reading_rad_s, np.array(repeats))
        beyond_range = np.abs(reading_rad_s) >= settings.range_rad_s
        stuck = (np.array(repeats) >= settings.stuck_samples) & ~beyond_range
        return GyroHealth(reading_rad_s, np.array(repeats), beyond_range, stuck)


class SensorHealth(NamedTuple):
    """Faults of sun sensors and gyro, which remain known when a track ends."""

    faces: FaceHealth
    gyro: GyroHealth

    @classmethod
    def unknown(cls, faces: int) -> "SensorHealth":
        """Return the health before the first sample, with `faces` sun sensors."""
        return cls(FaceHealth.unknown(faces), GyroHealth())
