import math

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.orbit.dynamics import STAGES, nystroem_step


def circle(step_s: float) -> float:
    """Error after one turn of a unit circle under 1/r^2 attraction, period 2 pi."""
    y, rate = np.array([1.0, 0.0]), np.array([0.0, 1.0])

    def attraction(_: int, position: Array) -> Array:
        inverse: Array = -position / np.linalg.norm(position) ** 3
        return inverse

    for _ in range(round(2.0 * math.pi / step_s)):
        y, rate = nystroem_step(y, rate, step_s, attraction)
    return float(np.linalg.norm(y - [1.0, 0.0]))


def test_the_error_falls_with_the_sixth_power_of_the_step() -> None:
    coarse, fine = circle(2.0 * math.pi / 40), circle(2.0 * math.pi / 80)
    assert fine < 2e-7
    assert math.log2(coarse / fine) > 5.7


def test_the_stages_see_their_times() -> None:
    """A quartic force of time alone is integrated exactly."""
    y, rate = nystroem_step(np.zeros(1), np.zeros(1), 2.0, lambda stage, _: np.array([(2.0 * STAGES[stage]) ** 4]))
    np.testing.assert_allclose(rate, [2.0**5 / 5.0], rtol=1e-14)
    np.testing.assert_allclose(y, [2.0**6 / 30.0], rtol=1e-14)


def test_a_step_back_undoes_a_step() -> None:
    y, rate = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.1, 0.2], [0.3, 0.4]])
    there = nystroem_step(y, rate, 0.1, lambda _, y: -y)
    again = nystroem_step(*there, -0.1, lambda _, y: -y)
    np.testing.assert_allclose(again, (y, rate), atol=1e-9)
