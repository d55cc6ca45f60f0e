import math
from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.environment.drag import harris_priester
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames, rtn_axes
from pygnc.estimators.orbit.dynamics import OrbitDynamics, nystroem_step, perturbation
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc.estimators.orbit.state import OrbitState
from tests.pygnc.environment.authority import brahe, epoch
from tests.pygnc.estimators.orbit.truth import ORIENTATION, propagate, sun_synchronous

SETTINGS = OrbitSettings()
WITHOUT_DRAG = replace(SETTINGS, spacecraft=SpacecraftSettings(area_m2=0.0))
FRAMES = EarthFrames(ORIENTATION)
TRUTH = sun_synchronous()
BEGIN_MS = TRUTH.gps_ms[0]
HOUR_MS = 3_600_000
STATE = np.concatenate((TRUTH.gcrf[0], [0.3, 1e-7, -2e-7, 3e-7]))
SIGMA = np.array([10.0] * 3 + [0.01] * 3 + [0.5] + [1e-7] * 3)


@pytest.mark.parametrize("degree", [20, 50, 70])
def test_ninety_minutes_agree_with_brahe_to_a_decimetre(degree: int) -> None:
    """Same gravity, Sun and Moon; an integrator, frames and ephemerides of its own, and tides of more terms."""
    end_ms = BEGIN_MS + 5_400_000
    expected = propagate(TRUTH.gcrf[0], [BEGIN_MS, end_ms], degree, tides=True)[-1]
    ours = OrbitDynamics(replace(WITHOUT_DRAG, gravity_degree=degree), FRAMES).propagate_vector(
        BEGIN_MS, np.concatenate((TRUTH.gcrf[0], np.zeros(4))), end_ms
    )[0]
    assert np.linalg.norm(ours[:3] - expected[:3]) < 0.15
    assert np.linalg.norm(ours[3:6] - expected[3:]) < 1.5e-4


class BraheSunMoon:
    """Sun and Moon of the peer, whose Moon is 0.08 degrees off: 4 m in 6 h at geostationary altitude."""

    def at(self, gps_ms: int, offset_s: float = 0.0) -> tuple[Array, Array]:
        moment = epoch(gps_ms) + offset_s
        return np.asarray(brahe.sun_position(moment)), np.asarray(brahe.moon_position(moment))


@pytest.mark.parametrize(("semi_major_axis_m", "eccentricity"), [(22.3e6, 0.7), (9.0e6, 0.2), (42.164e6, 0.0003)])
def test_six_hours_in_high_orbits_agree_with_brahe(
    semi_major_axis_m: float, eccentricity: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a perigee of 310 km, and at geostationary altitude, where Sun and Moon displace by 2 km."""
    elements = np.array([semi_major_axis_m, eccentricity, 28.0, 30.0, 90.0, 270.0])
    begin = np.asarray(brahe.state_koe_to_eci(elements, brahe.AngleFormat.DEGREES), dtype=np.float64)
    end_ms = BEGIN_MS + 6 * HOUR_MS
    expected = propagate(begin, [BEGIN_MS, end_ms], tides=True, radiation=True)[-1]
    dynamics = OrbitDynamics(replace(SETTINGS, spacecraft=SpacecraftSettings(drag_coefficient=0.0)), FRAMES)
    monkeypatch.setattr(dynamics, "_sun_moon", BraheSunMoon())
    ours = dynamics.propagate_vector(BEGIN_MS, np.concatenate((begin, np.zeros(4))), end_ms)[0]
    assert np.linalg.norm(ours[:3] - expected[:3]) < 0.4
    assert np.linalg.norm(ours[3:6] - expected[3:]) < 4e-4


def test_the_step_length_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    dynamics = OrbitDynamics(SETTINGS, FRAMES)
    long_steps = dynamics.propagate_vector(BEGIN_MS, STATE, BEGIN_MS + HOUR_MS)[0]
    monkeypatch.setattr(dynamics, "_model", replace(SETTINGS.force_model, step_max_ms=10_000))
    short_steps = dynamics.propagate_vector(BEGIN_MS, STATE, BEGIN_MS + HOUR_MS)[0]
    assert np.linalg.norm(long_steps[:3] - short_steps[:3]) < 2e-3


def test_backward_propagation_reverses_forward_propagation() -> None:
    dynamics = OrbitDynamics(SETTINGS, FRAMES)
    there = dynamics.propagate_vector(BEGIN_MS, STATE, BEGIN_MS + HOUR_MS)[0]
    back = dynamics.propagate_vector(BEGIN_MS + HOUR_MS, there, BEGIN_MS)[0]
    np.testing.assert_allclose(back[:3], STATE[:3], atol=1e-3)
    np.testing.assert_allclose(back[3:], STATE[3:], atol=1e-6)


def transition_by_differences(dynamics: OrbitDynamics, step_s: float) -> Array:
    columns = []
    for index, step in enumerate([10.0] * 3 + [0.01] * 3 + [1e-3] + [1e-6] * 3):
        shift = np.zeros(10)
        shift[index] = step
        ends = [dynamics.step(BEGIN_MS, STATE + sign * shift, step_s)[0] for sign in (1.0, -1.0)]
        columns.append((ends[0] - ends[1]) / (2.0 * step))
    return np.array(columns).T


@pytest.mark.parametrize("step_s", [0.5, 25.0, -30.0])
def test_the_state_transition_is_the_derivative(step_s: float) -> None:
    dynamics = OrbitDynamics(SETTINGS, FRAMES)
    _, transition, _ = dynamics.step(BEGIN_MS, STATE, step_s)
    # In units of what each element is known to, so that metres and radians compare.
    error = (transition - transition_by_differences(dynamics, step_s)) * SIGMA / SIGMA[:, None]
    assert np.abs(error).max() < 1e-4


def test_the_covariance_is_carried_by_transition_and_noise() -> None:
    """Sigma points propagated by the full dynamics agree with the covariance, except for process noise."""
    dynamics = OrbitDynamics(SETTINGS, FRAMES)
    end_ms = BEGIN_MS + 600_000
    before = OrbitState(BEGIN_MS, STATE, np.diag(SIGMA))
    after = dynamics.propagate(before, end_ms)
    spread = [
        (
            dynamics.propagate_vector(BEGIN_MS, STATE + s, end_ms)[0]
            - dynamics.propagate_vector(BEGIN_MS, STATE - s, end_ms)[0]
        )
        / 2.0
        for s in np.diag(SIGMA)
    ]
    carried = np.array(spread).T.dot(np.array(spread))
    noise = after.covariance - carried
    assert (np.linalg.eigvalsh(noise / np.outer(SIGMA, SIGMA)) > -1e-3).all()
    assert abs(noise[3, 3]) < 4e-8
    np.testing.assert_allclose(after.x, dynamics.propagate_vector(BEGIN_MS, STATE, end_ms)[0], rtol=0.0, atol=1e-9)


def test_rejects_backward_propagation_of_covariances() -> None:
    state = OrbitState(BEGIN_MS, STATE, np.diag(SIGMA))
    with pytest.raises(ValueError, match="gps_ms"):
        OrbitDynamics(SETTINGS, FRAMES).propagate(state, BEGIN_MS - 1)


@pytest.mark.parametrize(
    "velocity_mps", [[0.0, 5_000.0, 4_000.0], [-5_000.0, 2_000.0, 1_000.0], [3_000.0, 8_500.0, 8_000.0]]
)
def test_orbits_that_hit_the_earth_or_leave_it_stay_finite(velocity_mps: list[float]) -> None:
    x = np.concatenate(([6_600_000.0, 0.0, 0.0], velocity_mps, np.zeros(4)))
    after = OrbitDynamics(SETTINGS, FRAMES).propagate(OrbitState(BEGIN_MS, x, np.diag(SIGMA)), BEGIN_MS + 3 * HOUR_MS)
    assert np.isfinite(after.x).all()
    assert np.isfinite(after.sqrt_covariance).all()
    assert np.linalg.norm(after.x[:3]) > 6_000_000.0


SPACECRAFT = SpacecraftSettings(mass_kg=1.58, area_m2=0.02, drag_coefficient=2.2, reflectivity_coefficient=0.0)
NO_AREA = SpacecraftSettings(area_m2=0.0)
SUN_M = np.array([1.2e11, -0.8e11, -0.35e11])
MOON_M = np.array([-2.5e8, 2.6e8, 1.2e8])
EARTH_ROTATION = np.array([0.0, 0.0, EARTH_ROTATION_RAD_S])
FORCE_STATE = np.array([4_897_631.4, -749_565.6, 4_842_564.5, -5_364.9, -801.9, 5_301.8, 0.4, 1e-7, -2e-7, 3e-7])
STEPS = np.array([100.0] * 3 + [1.0] * 3 + [1e-3] + [1e-7] * 3)


def acceleration(x: Array, spacecraft: SpacecraftSettings = SPACECRAFT) -> Array:
    return perturbation(x, SUN_M, MOON_M, EARTH_ROTATION, spacecraft)[0]


def test_the_partials_are_the_derivatives() -> None:
    _, partials = perturbation(FORCE_STATE, SUN_M, MOON_M, EARTH_ROTATION, SPACECRAFT)
    for column, step in enumerate(STEPS):
        shift = np.zeros(10)
        shift[column] = step
        difference = (acceleration(FORCE_STATE + shift) - acceleration(FORCE_STATE - shift)) / (2.0 * step)
        # The partials neglect the tide and the rotation of the empirical axes.
        left_out = (acceleration(FORCE_STATE + shift, NO_AREA) - acceleration(FORCE_STATE - shift, NO_AREA)) / (
            2.0 * step
        )
        expected = difference if column >= 6 else difference - left_out
        np.testing.assert_allclose(partials[:, column], expected, atol=0.01 * np.abs(expected).max())


def test_drag_agrees_with_brahe_at_the_same_density() -> None:
    density, _ = harris_priester(FORCE_STATE[:3], SUN_M, np.array([0.0, 0.0, 1.0]))
    expected = brahe.accel_drag(FORCE_STATE[:6], density * np.exp(0.4), 1.58, 0.02, 2.2, np.eye(3))
    drag = acceleration(FORCE_STATE) - acceleration(FORCE_STATE, NO_AREA)
    np.testing.assert_allclose(drag, expected, rtol=1e-6)


def test_no_drag_on_a_satellite_that_rotates_with_the_earth() -> None:
    x = np.zeros(10)
    x[:3] = (6_900_000.0, 0.0, 0.0)
    x[4] = EARTH_ROTATION_RAD_S * 6_900_000.0 + 1e-3
    drag = acceleration(x) - acceleration(x, NO_AREA)
    assert np.abs(drag).max() < 1e-16


def test_the_axes_are_radial_transverse_and_normal() -> None:
    axes = rtn_axes(FORCE_STATE[:3], FORCE_STATE[3:6])
    np.testing.assert_allclose(axes, brahe.rotation_rtn_to_eci(FORCE_STATE[:6]), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(1.0)


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


def test_stages_are_at_the_quarters_of_the_step() -> None:
    """A quartic force of time alone is integrated exactly."""
    y, rate = nystroem_step(np.zeros(1), np.zeros(1), 2.0, lambda stage, _: np.array([(2.0 * stage / 4.0) ** 4]))
    np.testing.assert_allclose(rate, [2.0**5 / 5.0], rtol=1e-14)
    np.testing.assert_allclose(y, [2.0**6 / 30.0], rtol=1e-14)


def test_a_step_back_undoes_a_step() -> None:
    y, rate = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.1, 0.2], [0.3, 0.4]])
    there = nystroem_step(y, rate, 0.1, lambda _, y: -y)
    again = nystroem_step(*there, -0.1, lambda _, y: -y)
    np.testing.assert_allclose(again, (y, rate), atol=1e-9)
