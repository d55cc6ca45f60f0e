"""Choice of the force model and of the integration step, by the accuracy of the fixes and by the altitude.

Fixes with position sigma p and velocity sigma v locate an orbit of mean motion n as well as positions of sigma e do,
with 1/e^2 = 1/p^2 + (n/v)^2, and N of them reduce the position error to about 3 e / sqrt(N) (within 15 % of the
Cramer-Rao bound at 500 km for arcs of 3 h and more). The effect of neglected forces should stay below a quarter of
that.

The field of degree l decreases with the radius r as (R/r)^l. Above 1000 km the degree is reduced to one whose factor
equals that of the full degree at 1000 km. Steps are inversely proportional to the angular rate: longer above 1000 km,
shorter at a perigee where the satellite is faster than in any circular orbit.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from pygnc.common.arrays import Array
from pygnc.environment.gravity import EARTH_RADIUS_M, GM_EARTH_M3_S2

_LOW_RADIUS_M: Final = EARTH_RADIUS_M + 1_000_000.0
"""Radius up to which the full degree and step apply."""
_RATE_MAX_RAD_S: Final = 1.2e-3
"""Angular rate of a circular orbit at 150 km; the steps of the models suffice up to it."""
_STEP_UNIT_MS: Final = 5_000
"""Step lengths are multiples of this, so that cached tables per step length can be used again."""


@dataclass(frozen=True, slots=True)
class ForceModel:
    """Forces of the propagation.

    Attributes:
        gravity_degree: Degree and order of the gravity field.
        step_max_ms: Longest integration step, ms.
        minor_forces: True to include solid Earth tides and radiation pressure, some 1e-7 m/s^2 each.
    """

    gravity_degree: int
    step_max_ms: int
    minor_forces: bool

    def at(self, position_m: Array, velocity_mps: Array) -> "ForceModel":
        """Return the force model, with its longest step, for a position and velocity; in low orbits the model itself.

        Orbits with a longer period than at 1000 km include the minor forces, whose effect grows with its square.

        Args:
            position_m: Geocentric position, GCRF, m, shape (3,).
            velocity_mps: Velocity, GCRF, m/s, shape (3,).
        """
        radius_m = math.sqrt(position_m.dot(position_m))
        speed_squared = float(velocity_mps.dot(velocity_mps))
        rate_rad_s = math.sqrt(max(speed_squared / radius_m**2, GM_EARTH_M3_S2 / radius_m**3))
        # The energy decides for the whole orbit: sunlight applied to only a part of it would change the period.
        is_high = speed_squared > GM_EARTH_M3_S2 * (2.0 / radius_m - 1.0 / _LOW_RADIUS_M)
        minor_forces = self.minor_forces or is_high
        if radius_m > _LOW_RADIUS_M:
            factor = math.sqrt(GM_EARTH_M3_S2 / _LOW_RADIUS_M**3) / rate_rad_s
        elif rate_rad_s > _RATE_MAX_RAD_S:
            factor = _RATE_MAX_RAD_S / rate_rad_s
        else:
            return self if minor_forces == self.minor_forces else replace(self, minor_forces=minor_forces)
        # Longer steps would cause errors of 0.1 m per revolution, because the attraction by Sun and Moon changes.
        step_ms = min(int(self.step_max_ms * factor), 300_000)
        step_ms = max(step_ms - step_ms % _STEP_UNIT_MS, _STEP_UNIT_MS)
        return ForceModel(degree_at(radius_m, self.gravity_degree), step_ms, minor_forces)


_MODELS: Final = (
    (4.0, ForceModel(20, 60_000, minor_forces=False)),
    (2.0, ForceModel(40, 60_000, minor_forces=True)),
    (1.2, ForceModel(50, 30_000, minor_forces=True)),
    (0.0, ForceModel(70, 30_000, minor_forces=True)),
)
"""Force models, each with the least position error in m for which it suffices. The gravity field beyond degree 20, 40,
50 and 70 causes errors of 2, 0.5, 0.1 and 0.06 m in 3 h and five times as much in 12 h; steps of 60 s cause 5 cm in 3
h, steps of 30 s 1 cm.
"""


def attainable_accuracy_m(
    position_sigma_m: float, velocity_sigma_mps: float, arc_s: float, fix_interval_s: float
) -> float:
    """Return the position error in m (3-D RMS over the arc, smoothed) that fixes every `fix_interval_s` allow."""
    # 1.1e-3 rad/s is the mean motion at 500 km altitude; it differs by 5 % between 300 and 900 km.
    effective_m = 1.0 / math.hypot(1.0 / position_sigma_m, 1.1e-3 / velocity_sigma_mps)
    return 3.0 * effective_m / math.sqrt(max(arc_s / fix_interval_s, 1.0))


def select_force_model(accuracy_m: float) -> ForceModel:
    """Return the cheapest force model that suffices for a position error in m."""
    return next(model for least_m, model in _MODELS if accuracy_m >= least_m)


def degree_at(radius_m: float, degree: int) -> int:
    """Return the degree of gravity that is as accurate at a distance in m as `degree` is at an altitude of 1000 km."""
    if radius_m <= _LOW_RADIUS_M:
        return degree
    equal = degree * math.log(_LOW_RADIUS_M / EARTH_RADIUS_M) / math.log(radius_m / EARTH_RADIUS_M)
    # A reduction below degree 20 would save little, 10 us per step.
    return min(degree, max(20, math.ceil(equal)))
