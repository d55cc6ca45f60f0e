import brahe
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pygnc_ground.scenario.attitude_kinematics import to_body, without_sign_changes

components = st.floats(-100.0, 100.0)


@given(st.tuples(components, components, components), st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4))
def test_vectors_turn_as_brahes_rotation_matrix_says(vector: tuple[float, ...], parts: list[float]) -> None:
    length = np.linalg.norm(parts)
    assume(length > 1e-3)
    quaternion = np.array(parts) / length
    # brahe's matrix of a quaternion takes the other way round: from the outer frame to the turned one.
    matrix = np.asarray(brahe.Quaternion(*quaternion).to_rotation_matrix().to_matrix())
    turned = to_body(quaternion[np.newaxis], np.array([vector]))
    assert turned[0] == pytest.approx(matrix @ vector, abs=1e-9)


def test_a_turn_of_the_body_turns_vectors_backwards() -> None:
    quarter_about_z = np.array([[np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]])
    np.testing.assert_allclose(to_body(quarter_about_z, np.array([[1.0, 0.0, 0.0]])), [[0.0, -1.0, 0.0]], atol=1e-15)


def test_signs_follow_the_quaternion_before() -> None:
    turn = 0.1 * np.arange(100)
    smooth = np.column_stack((np.cos(turn), np.sin(turn), np.zeros((100, 2))))
    jumping = smooth * np.where(np.arange(100) % 7 < 3, 1.0, -1.0)[:, np.newaxis]
    np.testing.assert_array_equal(without_sign_changes(jumping), smooth)
    np.testing.assert_array_equal(without_sign_changes(smooth[:1]), smooth[:1])
