import brahe
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.scenario import attitude
from pygnc_ground.scenario.sensor_settings import Attitude

TUMBLE = Attitude(quaternion_gcrf_from_body=(0.5, -0.5, 0.5, 0.5), rate_body_deg_s=(1.0, -3.0, 0.4))
components = st.floats(-100.0, 100.0)


def test_the_body_rate_is_constant_and_the_declared_one() -> None:
    t_s, step_s = np.arange(0.0, 600.0, 17.0), 1e-3
    q, q_next = (attitude.quaternions_gcrf_from_body(TUMBLE, t_s + dt) for dt in (0.0, step_s))
    # q(t + dt) = q(t) * dq, and dq turns by rate * dt about the rate.
    for before, after in zip(q, q_next, strict=True):
        w, v = before[0], before[1:]
        turned = w * after[1:] - after[0] * v - np.cross(v, after[1:])
        np.testing.assert_allclose(2.0 * turned / step_s, attitude.rate_body_rad_s(TUMBLE), atol=1e-8)


def test_it_starts_where_the_settings_say_and_stays_a_unit_quaternion() -> None:
    q = attitude.quaternions_gcrf_from_body(TUMBLE, [0.0, 10_800.0])
    np.testing.assert_allclose(q[0], TUMBLE.quaternion_gcrf_from_body)
    np.testing.assert_allclose(np.linalg.norm(q, axis=1), 1.0, rtol=1e-12)


def test_no_rate_is_no_motion() -> None:
    q = attitude.quaternions_gcrf_from_body(Attitude(rate_body_deg_s=(0.0, 0.0, 0.0)), [0.0, 5.0, 9999.0])
    np.testing.assert_array_equal(q, np.tile([1.0, 0.0, 0.0, 0.0], (3, 1)))


@given(st.tuples(components, components, components), st.floats(0.0, 10_000.0))
def test_vectors_turn_as_braches_rotation_matrix_says(vector: tuple[float, float, float], t_s: float) -> None:
    q = attitude.quaternions_gcrf_from_body(TUMBLE, [t_s])
    # brahe's matrix of a quaternion takes the other way round: from the outer frame to the turned one.
    matrix = np.asarray(brahe.Quaternion(*q[0]).to_rotation_matrix().to_matrix())
    assert attitude.to_body(q, np.array([vector]))[0] == pytest.approx(matrix @ vector, abs=1e-9)
