import numpy as np
from scipy.spatial.transform import Rotation

from pygnc_ground.scenario.attitude_tumble import tumble_states
from pygnc_ground.scenario.sensor_settings import Attitude

TUMBLE = Attitude(quaternion_gcrf_from_body=(0.5, -0.5, 0.5, 0.5), rate_body_deg_s=(1.0, -3.0, 0.4))


def test_the_body_turns_about_an_axis_fixed_in_it() -> None:
    t_s = np.array([0.0, 17.0, 10_800.0])
    states = tumble_states(TUMBLE, t_s)
    start = Rotation.from_quat([-0.5, 0.5, 0.5, 0.5])
    expected = start * Rotation.from_rotvec(np.outer(t_s, np.radians([1.0, -3.0, 0.4])))
    matrix = Rotation.from_quat(states.quaternion_gcrf_from_body, scalar_first=True).as_matrix()
    np.testing.assert_allclose(matrix, expected.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(np.degrees(states.rate_body_rad_s), np.tile([1.0, -3.0, 0.4], (3, 1)), rtol=1e-15)


def test_no_rate_is_no_motion() -> None:
    states = tumble_states(Attitude(rate_body_deg_s=(0.0, 0.0, 0.0)), np.array([0.0, 5.0, 9999.0]))
    np.testing.assert_array_equal(states.quaternion_gcrf_from_body, np.tile([1.0, 0.0, 0.0, 0.0], (3, 1)))
    assert not states.rate_body_rad_s.any()
