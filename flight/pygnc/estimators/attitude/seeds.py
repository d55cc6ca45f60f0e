"""What a search begins with: attitudes and gyro biases that one sample allows.

All turns about the line to the Sun, each with several gyro biases along that line, which is what the line's motion does
not show. If the magnetometer's bias is known from before, Davenport's method on Sun and field takes the place of the
turns, and in the dark the field's line that of the Sun's.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.arrays import Array
from pygnc.estimators.attitude import wahba
from pygnc.estimators.attitude.hypotheses import Hypotheses, Prior
from pygnc.estimators.attitude.mag_bias import tells_field
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.window import Moment

_TURNS: Final = 12
_BIASES: Final = (0.0, 0.7, -0.7, 1.4, -1.4)
"""In prior standard deviations."""
_BRIGHT_SHARE: Final = 0.2
_SIGMA_RAD: Final = np.radians((15.0, 10.0))
"""Of the directions to the Sun, Earth's light and saturation included, and of the field."""
_APART_SINE: Final = 0.3
"""Sun and field closer to each other's line than this leave a turn open."""
_SHORTEST: Final = 1e-3
"""Opposite faces that cancel, in shares of full sunlight, or a field that the bias takes away, in uT."""


class Line(NamedTuple):
    """A direction as unit vector in body axes and in GCRF, each (3,)."""

    body: Array
    gcrf: Array

    @classmethod
    def along(cls, body: Array, gcrf: Array) -> "Line | None":
        """Of vectors of any length; None when the first has none."""
        length = np.linalg.norm(body)
        return cls(body / length, gcrf / np.linalg.norm(gcrf)) if length > _SHORTEST else None

    def turns(self) -> Array:
        """Attitudes in which it stands where it does, all around it, shape (k, 4)."""
        return wahba.about(self.body, self.gcrf, _TURNS)


def seeds(moment: Moment, settings: AttitudeSettings, prior: Prior, left_out: int | None) -> Hypotheses | None:
    """Attitudes and biases that a sample allows, without the light of one face; None when it says too little."""
    mounting = settings.mounting
    mag_body_ut = (moment.sample.mag_imu_ut - prior.mean[3:]).dot(mounting.magnetometer)
    field = Line.along(mag_body_ut, moment.surroundings.field_gcrf_ut)
    field = field if tells_field(prior) else None
    sun = sun_line(moment, settings, left_out)
    line = sun or field
    if line is None:
        return None
    if sun is None or field is None or np.linalg.norm(np.cross(sun.gcrf, field.gcrf)) < _APART_SINE:
        turns = line.turns()
    else:
        both = wahba.solve(np.array((sun.body, field.body)), np.array((sun.gcrf, field.gcrf)), _SIGMA_RAD)
        turns = both.quaternion[None]
    along = mounting.gyro.dot(line.body) * prior.sigma[:3].max()
    gyro = prior.mean[:3] + np.multiply.outer(np.array(_BIASES), along)
    return Hypotheses(
        np.repeat(turns, len(gyro), axis=0),
        np.tile(gyro, (len(turns), 1)),
        np.tile(prior.mean[3:], (len(turns) * len(gyro), 1)),
    )


def sun_line(moment: Moment, settings: AttitudeSettings, left_out: int | None) -> Line | None:
    """Where the Sun stands, by the sum of all light but that of one face; None in the dark."""
    share = moment.sample.lux / moment.sky.full_sun_lux
    if left_out is not None:
        share[left_out] = 0.0
    if moment.sky.sunlit_fraction <= 0.5 or share.max() <= _BRIGHT_SHARE:
        return None
    return Line.along(share.dot(np.array(settings.mounting.face_normals_body)), moment.sky.sun_gcrf)
