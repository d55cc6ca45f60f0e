import numpy as np
import pytest

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from tests.pygnc.environment.authority import EOP, brahe, ecef_state, orientation_table
from tests.pygnc.environment.moments import moments

STATE_GCRF = np.array([4_897_631.4, -749_565.6, 4_842_564.5, -5_364.9, -801.9, 5_301.8])


@pytest.fixture(scope="module")
def frames() -> EarthFrames:
    return EarthFrames(orientation_table())


def test_states_agree_with_brahe_to_a_millimetre(frames: EarthFrames) -> None:
    for gps_ms in moments():
        ours = frames.ecef_state_from_gcrf(gps_ms).dot(STATE_GCRF)
        brahes = ecef_state(gps_ms, STATE_GCRF)
        # brahe interpolates UT1-UTC, which makes no sense in the day before a leap second; leave that day out.
        if not 57_753.0 <= gps_ms / 86_400_000 + 44_244.0 < 57_754.001:
            assert np.abs(ours[:3] - brahes[:3]).max() < 1e-3
            assert np.abs(ours[3:] - brahes[3:]).max() < 1e-6


def test_states_agree_with_brahe_without_earth_orientation() -> None:
    frames = EarthFrames(EarthOrientationTable.none())
    brahe.set_global_eop_provider_from_static_provider(brahe.StaticEOPProvider.from_zero())
    try:
        for gps_ms in moments()[8:40]:
            ours = frames.ecef_state_from_gcrf(gps_ms).dot(STATE_GCRF)
            assert np.abs(ours - ecef_state(gps_ms, STATE_GCRF)).max() < 1e-3
    finally:
        brahe.set_global_eop_provider_from_file_provider(EOP)


def test_velocity_is_the_derivative_of_position(frames: EarthFrames) -> None:
    half_ms = 500
    for gps_ms in moments()[8:20]:
        positions = []
        for step_ms in (-half_ms, half_ms):
            moved = STATE_GCRF.copy()
            moved[:3] += moved[3:] * step_ms * 1e-3
            positions.append(frames.ecef_state_from_gcrf(gps_ms + step_ms).dot(moved)[:3])
        velocity = (positions[1] - positions[0]) / (2 * half_ms * 1e-3)
        # The chord over a second differs from the tangent by the Earth's rotation cubed, 1e-5 m/s.
        np.testing.assert_allclose(velocity, frames.ecef_state_from_gcrf(gps_ms).dot(STATE_GCRF)[3:], atol=5e-5)


def test_offsets_are_the_moments_they_stand_for(frames: EarthFrames) -> None:
    gps_ms = moments()[30]
    offsets_s = np.array([0.0, 7.5, 15.0, 22.5, 30.0])
    together = frames.at(gps_ms, offsets_s).ecef_from_gcrf
    for offset_s, rotation in zip(offsets_s, together, strict=True):
        alone = frames.at(gps_ms + round(1e3 * offset_s), np.zeros(1)).ecef_from_gcrf[0]
        assert np.abs((rotation - alone).dot(STATE_GCRF[:3])).max() < 2e-3


def test_rotations_are_rotations_about_the_axis_given(frames: EarthFrames) -> None:
    attitude = frames.at(moments()[50], np.array([0.0, 1.0]))
    for rotation in attitude.ecef_from_gcrf:
        np.testing.assert_allclose(rotation.dot(rotation.T), np.eye(3), atol=1e-15)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
    turn = attitude.ecef_from_gcrf[0].T.dot(attitude.ecef_from_gcrf[1])
    axis = np.array([turn[1, 2] - turn[2, 1], turn[2, 0] - turn[0, 2], turn[0, 1] - turn[1, 0]]) / 2.0
    np.testing.assert_allclose(axis, attitude.rotation_gcrf_rad_s, rtol=1e-8, atol=1e-12)
    assert np.linalg.norm(attitude.rotation_gcrf_rad_s) == pytest.approx(EARTH_ROTATION_RAD_S)
