import numpy as np
import numpy.typing as npt
import pytest

from pygnc_ground.scenario.attitude_path import acceleration_gcrf_mps2, position_spline
from tests.pygnc_ground.scenario.circular_orbit import CircularOrbit, FloatArray

ORBIT = CircularOrbit(inclination_rad=1.7)


@pytest.mark.parametrize("last_s", [4.0, 25.0, 10_797.0])
def test_position_and_acceleration_are_the_orbits_own(last_s: float) -> None:
    t_s = np.linspace(0.0, last_s, 501)
    position_m = ORBIT.states_gcrf(t_s)[:, :3]
    np.testing.assert_allclose(position_spline(ORBIT, last_s)(t_s), position_m, rtol=0, atol=1e-3)
    central_mps2 = -(ORBIT.mean_motion_rad_s**2) * position_m
    np.testing.assert_allclose(acceleration_gcrf_mps2(ORBIT, t_s), central_mps2, rtol=0, atol=1e-5)


def test_nothing_is_asked_of_the_path_outside_the_span() -> None:
    asked: list[float] = []

    class Watched(CircularOrbit):
        def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
            times_s = np.asarray(t_s, dtype=np.float64)
            asked.extend(times_s.tolist())
            return super().states_gcrf(times_s)

    position_spline(Watched(), 95.0)
    acceleration_gcrf_mps2(Watched(), np.array([95.0, 3.0]))
    assert (min(asked), max(asked)) == (0.0, 95.0)
