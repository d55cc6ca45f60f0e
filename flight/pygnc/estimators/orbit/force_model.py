"""How much of the physics an orbit is worth: the better the receiver and the longer the arc, the more of it.

The effort follows from the accuracy that the fixes allow. Fixes with position sigma p and velocity sigma v locate an
orbit of mean motion n as well as positions of sigma e do, 1/e^2 = 1/p^2 + (n/v)^2, and N of them bring the error of
the position down to about 3 e / sqrt(N) (within 15 % of the Cramer-Rao bound at 500 km for arcs of 3 h and more).
What the force model leaves out shall stay below a quarter of that.
"""

import math
from dataclasses import dataclass
from typing import Final

_MEAN_MOTION_RAD_S: Final = 1.1e-3
"""At 500 km; 5 % more or less between 300 and 900 km."""


@dataclass(frozen=True, slots=True)
class ForceModel:
    """What the propagation takes into account.

    Attributes:
        gravity_degree: Degree and order of the gravity field.
        step_max_ms: Longest integration step.
        minor_forces: Whether tides and sunlight count, some 1e-7 m/s^2 each.
    """

    gravity_degree: int
    step_max_ms: int
    minor_forces: bool


_MODELS: Final = (
    (4.0, ForceModel(20, 60_000, minor_forces=False)),
    (2.0, ForceModel(40, 60_000, minor_forces=True)),
    (1.2, ForceModel(50, 30_000, minor_forces=True)),
    (0.0, ForceModel(70, 30_000, minor_forces=True)),
)
"""By the least accuracy in m for which they suffice. What degree 20, 40, 50 and 70 do not hold costs 2, 0.5, 0.1 and
0.06 m in 3 h, five times that in 12 h; steps of 60 s cost 5 cm in 3 h, of 30 s 1 cm."""


def attainable_accuracy_m(
    position_sigma_m: float, velocity_sigma_mps: float, arc_s: float, fix_interval_s: float
) -> float:
    """Error of position (3-D RMS over the arc, smoothed) that fixes every `fix_interval_s` seconds allow."""
    effective_m = 1.0 / math.hypot(1.0 / position_sigma_m, _MEAN_MOTION_RAD_S / velocity_sigma_mps)
    return 3.0 * effective_m / math.sqrt(max(arc_s / fix_interval_s, 1.0))


def model_for(accuracy_m: float) -> ForceModel:
    """The cheapest model that is good enough for an accuracy."""
    return next(model for least_m, model in _MODELS if accuracy_m >= least_m)
