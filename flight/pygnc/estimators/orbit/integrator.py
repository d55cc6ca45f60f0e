"""One step of a sixth-order Runge-Kutta-Nystroem method for y'' = f(t, y).

Source: J. Albrecht, ZAMM 35 (1955) 100-101; five stages at the quarters of the step.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from pygnc.environment.arrays import Array

STAGES: Final = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
"""Where the stages lie, as fractions of the step."""

_STAGE_WEIGHTS: Final = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1.0 / 32.0, 0.0, 0.0, 0.0, 0.0],
        [-1.0 / 24.0, 1.0 / 6.0, 0.0, 0.0, 0.0],
        [3.0 / 32.0, 1.0 / 8.0, 1.0 / 16.0, 0.0, 0.0],
        [0.0, 3.0 / 7.0, -1.0 / 14.0, 1.0 / 7.0, 0.0],
    ]
)
_END_WEIGHTS: Final = np.array(
    [
        [7.0 / 90.0, 4.0 / 15.0, 1.0 / 15.0, 4.0 / 45.0, 0.0],
        [7.0 / 90.0, 16.0 / 45.0, 2.0 / 15.0, 16.0 / 45.0, 7.0 / 90.0],
    ]
)


def nystroem_step(y: Array, rate: Array, step_s: float, second: Callable[[int, Array], Array]) -> tuple[Array, Array]:
    """Advance y and dy/dt by `step_s`, which may be negative.

    Args:
        y: Any shape.
        rate: dy/dt, same shape.
        step_s: Step length.
        second: Gives d2y/dt2 at stage 0 to 4 for y there.

    Returns:
        y and dy/dt at the end.
    """
    straight = y.ravel() + (STAGES * step_s)[:, None] * rate.ravel()
    weights = _STAGE_WEIGHTS * (step_s * step_s)
    curvature = np.zeros(straight.shape)
    for stage in range(len(STAGES)):
        y_stage = straight[stage] + weights[stage].dot(curvature)
        curvature[stage] = second(stage, y_stage.reshape(y.shape)).ravel()
    end, end_rate = _END_WEIGHTS.dot(curvature).reshape(2, *y.shape)
    return y + step_s * (rate + step_s * end), rate + step_s * end_rate
