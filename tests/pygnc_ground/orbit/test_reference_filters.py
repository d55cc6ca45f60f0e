"""The flight's square-root filter against filterpy, on matrices and on an orbit.

What sigma points make of the same fixes.
"""

from dataclasses import replace

import numpy as np
import pytest
from filterpy.kalman import ExtendedKalmanFilter, KalmanFilter

from pygnc.common.arrays import Array
from pygnc.estimators import kalman
from pygnc.estimators.orbit.dynamics import LinearStep
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import SIZE, OrbitState, to_ecef
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.orbit.reference_filters import Observe, UkfOrbitFilter
from tests.pygnc.estimators.orbit.truth import ORIENTATION, Truth, displaced, make_fixes, position_only, sun_synchronous

WHITE = replace(
    OrbitSettings(),
    measurement=replace(OrbitSettings().measurement, correlated_errors=False),
    manoeuvre_detection=False,
)

pytestmark = pytest.mark.slow
"""The reference filters have no other hypotheses on the errors, and detect no manoeuvres."""
STEP_S = 25.0
EYE = np.eye(3)


def constant_acceleration() -> tuple[Array, Array]:
    """Transition (9, 9) of position, velocity, acceleration, and root of the noise (9, 3) of a jump in the latter."""
    block = np.array([[1.0, STEP_S, 0.5 * STEP_S**2], [0.0, 1.0, STEP_S], [0.0, 0.0, 1.0]])
    return np.kron(block, EYE), np.kron(block[:, 2:], 1e-6 * EYE)


def clohessy_wiltshire(mean_motion: float = 1.107e-3) -> tuple[Array, Array]:
    """Relative motion near a circular orbit, radial, transverse, normal (Clohessy & Wiltshire, 1960)."""
    n, sine, cosine = mean_motion, np.sin(mean_motion * STEP_S), np.cos(mean_motion * STEP_S)
    transition = np.array(
        [
            [4.0 - 3.0 * cosine, 0.0, 0.0, sine / n, 2.0 * (1.0 - cosine) / n, 0.0],
            [6.0 * (sine - n * STEP_S), 1.0, 0.0, -2.0 * (1.0 - cosine) / n, 4.0 * sine / n - 3.0 * STEP_S, 0.0],
            [0.0, 0.0, cosine, 0.0, 0.0, sine / n],
            [3.0 * n * sine, 0.0, 0.0, cosine, 2.0 * sine, 0.0],
            [-6.0 * n * (1.0 - cosine), 0.0, 0.0, -2.0 * sine, 4.0 * cosine - 3.0, 0.0],
            [0.0, 0.0, -n * sine, 0.0, 0.0, cosine],
        ]
    )
    return transition, np.concatenate((5e-4 * STEP_S * EYE, 1e-3 * EYE))


@pytest.mark.parametrize(("transition", "noise"), [constant_acceleration(), clohessy_wiltshire()])
def test_on_a_linear_system_roots_and_whole_covariances_agree(transition: Array, noise: Array) -> None:
    random = np.random.default_rng(4)
    size = len(transition)
    partials, sigma = np.eye(6, size), np.repeat([10.0, 0.01], 3)
    reference = KalmanFilter(dim_x=size, dim_z=6)
    reference.F, reference.Q = transition, noise.dot(noise.T)
    reference.H, reference.R = partials, np.diag(sigma * sigma)
    x, root = np.zeros(size), np.diag(np.repeat([1e3, 1.0, 1e-3], 3)[:size])
    reference.x, reference.P = x, root.dot(root.T)
    true = root.dot(random.normal(size=size))
    for _ in range(300):
        true = transition.dot(true) + noise.dot(random.normal(size=3))
        measured = partials.dot(true) + sigma * random.normal(size=6)
        x = transition.dot(x)
        root = kalman.triangular(np.concatenate((transition.dot(root), noise), axis=1))
        x, root, nis = kalman.update(x, root, measured - partials.dot(x), partials, sigma)
        reference.predict()
        reference.update(measured)
        scale = np.sqrt(np.diagonal(reference.P))
        np.testing.assert_allclose((x - reference.x) / scale, 0.0, atol=1e-9)
        np.testing.assert_allclose((root.dot(root.T) - reference.P) / np.outer(scale, scale), 0.0, atol=1e-9)
        assert nis == pytest.approx(reference.mahalanobis**2, rel=1e-9)


class EkfOrbitFilter(UkfOrbitFilter):
    """Extended Kalman filter by filterpy.

    It keeps the covariance P itself: F P F' + Q in the prediction, Joseph's form in the update. With equal models and
    equal decisions it differs from the flight's square-root filter by rounding only.
    """

    def _predict_by_library(self, state: OrbitState, step: LinearStep) -> tuple[Array, Array]:
        ekf = _ekf(state, 1)
        ekf.F, ekf.Q = step.transition, step.sqrt_noise.dot(step.sqrt_noise.T)
        ekf.predict()
        # It moves the state by F as well, which is right for deviations only.
        return step.x, ekf.P

    def _update_by_library(self, state: OrbitState, observe: Observe) -> tuple[Array, Array, float]:
        size = len(observe(state.x).residual)
        ekf = _ekf(state, size)
        # Measurements count from the fix: measured is zero, and predicted the residual's negative.
        ekf.update(
            np.zeros(size),
            HJacobian=lambda x: observe(x).partials,
            Hx=lambda x: -observe(x).residual,
            R=np.eye(size),
        )
        return ekf.x, ekf.P, float(ekf.mahalanobis) ** 2


def _ekf(state: OrbitState, measured: int) -> ExtendedKalmanFilter:
    ekf = ExtendedKalmanFilter(dim_x=SIZE, dim_z=measured)
    ekf.x, ekf.P = state.x, state.covariance
    return ekf


# --- On an orbit --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fixes() -> list[Fix]:
    """One hour."""
    return make_fixes(sun_synchronous(1.0))


def both(fixes: list[Fix], settings: OrbitSettings | None = None) -> list[tuple[OrbitUpdate, OrbitUpdate]]:
    """Return the estimates of the flight's filter and of filterpy's at each fix."""
    filters = [kind(settings or WHITE, ORIENTATION) for kind in (OrbitFilter, EkfOrbitFilter)]
    ours, theirs = ([update for fix in fixes for update in one.process(fix)] for one in filters)
    assert len(ours) == len(fixes)
    return list(zip(ours, theirs, strict=True))


def assert_alike(pairs: list[tuple[OrbitUpdate, OrbitUpdate]]) -> None:
    """Same verdicts, and states within a micrometre and 1e-9 of their standard deviations."""
    for ours, theirs in pairs:
        for name in ("fix", "position_cause", "velocity_cause", "dof", "restarted_from_ms"):
            assert getattr(ours, name) == getattr(theirs, name)
        assert ours.nis == pytest.approx(theirs.nis, rel=1e-9)
        assert (ours.empirical_factor is None) == (theirs.empirical_factor is None)
        if ours.empirical_factor is not None and theirs.empirical_factor is not None:
            np.testing.assert_allclose(ours.empirical_factor, theirs.empirical_factor, rtol=1e-9)
        assert (ours.position is None, ours.velocity is None) == (theirs.position is None, theirs.velocity is None)
        assert (ours.state is None) == (theirs.state is None)
        if ours.state is None or theirs.state is None:
            continue
        assert ours.state.gps_ms == theirs.state.gps_ms
        scale = np.sqrt(np.diagonal(ours.state.covariance))
        np.testing.assert_allclose((ours.state.x - theirs.state.x) / scale, 0.0, atol=1e-9)
        np.testing.assert_allclose(ours.state.x[:3], theirs.state.x[:3], rtol=0.0, atol=1e-6)
        difference = (ours.state.covariance - theirs.state.covariance) / np.outer(scale, scale)
        np.testing.assert_allclose(difference, 0.0, atol=1e-9)


def test_on_an_orbit_it_is_the_flight_filter_to_rounding(fixes: list[Fix]) -> None:
    pairs = both(fixes)
    assert_alike(pairs)
    assert sum(theirs.dof == 6 for _, theirs in pairs) == len(fixes) - 5


def test_it_takes_the_same_decisions_on_bad_fixes(fixes: list[Fix]) -> None:
    """A wild position, a wild velocity, no velocity, an outage, then a receiver that is elsewhere for good."""
    bad = fixes.copy()
    bad[20] = displaced(bad[20], np.array((1e4, 0.0, 0.0)))
    bad[30] = replace(bad[30], velocity_ecef_mps=fixes[35].velocity_ecef_mps)
    bad[40] = position_only(bad[40])
    elsewhere = [replace(ahead, gps_ms=fix.gps_ms) for fix, ahead in zip(fixes[80:100], fixes[90:], strict=False)]
    pairs = both([*bad[:50], *bad[70:80], *elsewhere, fixes[10]])
    assert_alike(pairs)
    assert sum(not ours.position_accepted for ours, _ in pairs) == 11
    assert sum(ours.restarted_from_ms is not None for ours, _ in pairs) == 1


def test_widens_the_process_noise_like_the_flight_filter(fixes: list[Fix]) -> None:
    """Drag of a satellite a hundred times lighter, and certain of it."""
    settings = WHITE
    wrong = replace(
        settings,
        spacecraft=replace(settings.spacecraft, mass_kg=0.01 * settings.spacecraft.mass_kg),
        process_noise=replace(settings.process_noise, drag_log_sigma=0.01, density_variation=0.0),
    )
    pairs = both(fixes, wrong)
    assert_alike(pairs)
    assert max(theirs.empirical_factor[0] for _, theirs in pairs if theirs.empirical_factor is not None) > 10.0


def test_after_too_long_a_gap_it_starts_again_too(fixes: list[Fix]) -> None:
    settings = WHITE
    settings = replace(settings, start=replace(settings.start, gap_max_s=600.0))
    pairs = both(fixes[:20] + fixes[60:70], settings)
    assert_alike(pairs)
    assert pairs[22][1].restarted_from_ms == fixes[60].gps_ms


def test_few_fixes_start_it_when_no_more_come(fixes: list[Fix]) -> None:
    reference = EkfOrbitFilter(WHITE, ORIENTATION)
    assert reference.initialise_from_buffered() == ()
    with pytest.raises(ValueError, match="not initialised"):
        reference.predict(fixes[3].gps_ms)
    assert [reference.process(fix) for fix in fixes[:3]] == [()] * 3
    assert [update.fix for update in reference.initialise_from_buffered()] == fixes[:3]
    assert reference.state is not None
    assert reference.initialise_from_buffered() == ()
    assert reference.process(fixes[3])[0].dof == 6


def test_predictions_agree_with_the_flight_filter(fixes: list[Fix]) -> None:
    ours, theirs = (kind(WHITE, ORIENTATION) for kind in (OrbitFilter, EkfOrbitFilter))
    for fix in fixes[:30]:
        ours.process(fix)
        theirs.process(fix)
    expected, predicted = (one.predict(fixes[100].gps_ms) for one in (ours, theirs))
    for of_ours, of_theirs in zip(to_ecef(expected, ours.frames), to_ecef(predicted, theirs.frames), strict=True):
        np.testing.assert_allclose(of_ours, of_theirs, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(theirs.predict(fixes[100].gps_ms, predicted).x, predicted.x)
    with pytest.raises(ValueError, match="back"):
        theirs.predict(fixes[0].gps_ms)


START = 5


@pytest.fixture(scope="module")
def truth() -> Truth:
    """One hour."""
    return sun_synchronous(1.0)


@pytest.fixture(scope="module")
def ukf_fixes(truth: Truth) -> list[Fix]:
    return make_fixes(truth)


def states(orbit: OrbitFilter, fixes: list[Fix]) -> tuple[Array, Array]:
    """State vectors and standard deviations after the start, each (n, 10)."""
    known = [update.state for fix in fixes for update in orbit.process(fix)][START:]
    return (
        np.array([state.x for state in known if state]),
        np.array([np.sqrt(np.diagonal(state.covariance)) for state in known if state]),
    )


def rms_m(positions_m: Array) -> float:
    return float(np.sqrt((positions_m[:, :3] ** 2).sum(axis=1).mean()))


def test_it_stays_within_decimetres_of_the_flight_filter(truth: Truth, fixes: list[Fix]) -> None:
    ours, sigma = states(OrbitFilter(WHITE, ORIENTATION), fixes)
    theirs, their_sigma = states(UkfOrbitFilter(WHITE, ORIENTATION), fixes)
    assert rms_m(theirs - ours) < 0.3
    assert (np.abs(theirs - ours)[:, :6] < 0.6 * sigma[:, :6]).all()
    np.testing.assert_allclose(their_sigma[:, :6], sigma[:, :6], rtol=0.1)
    assert rms_m(theirs[:, :6] - truth.gcrf[START:]) < rms_m(ours[:, :6] - truth.gcrf[START:]) + 0.3


def test_with_a_well_known_drag_factor_linearising_costs_less_than_a_millimetre(fixes: list[Fix]) -> None:
    settings = WHITE
    settings = replace(settings, process_noise=replace(settings.process_noise, drag_log_sigma=0.01))
    ours, sigma = states(OrbitFilter(settings, ORIENTATION), fixes)
    theirs, their_sigma = states(UkfOrbitFilter(settings, ORIENTATION), fixes)
    assert rms_m(theirs - ours) < 1e-3
    assert (np.abs(theirs - ours) < 1e-3 * sigma).all()
    np.testing.assert_allclose(their_sigma, sigma, rtol=1e-3)


def test_uncertain_drag_has_the_mean_of_a_lognormal_factor(fixes: list[Fix]) -> None:
    """exp(s^2 / 2) times the median (Aitchison & Brown, 1957), which is what the flight's filter takes."""
    spread, settings = 0.8, WHITE
    airless = replace(settings, spacecraft=replace(settings.spacecraft, drag_coefficient=0.0))
    reference, ours = UkfOrbitFilter(settings, ORIENTATION), OrbitFilter(settings, ORIENTATION)
    for fix in fixes[:START]:
        ours.process(fix)
    assert ours.state is not None
    root = np.diag([1e-3] * 3 + [1e-6] * 3 + [spread] + [1e-12] * 3)
    start, end_ms = replace(ours.state, sqrt_covariance=root), ours.state.gps_ms + 30_000
    free, median, mean = (
        one.predict(end_ms, start).x[3:6] for one in (OrbitFilter(airless, ORIENTATION), ours, reference)
    )
    ratio = np.linalg.norm(mean - free) / np.linalg.norm(median - free)
    assert ratio == pytest.approx(np.exp(0.5 * spread**2), abs=0.005)


def test_rejects_outliers_and_reinitialises_from_agreeing_fixes(fixes: list[Fix]) -> None:
    wild = displaced(fixes[10], np.array((1e4, 0.0, 0.0)))
    elsewhere = [replace(ahead, gps_ms=fix.gps_ms) for fix, ahead in zip(fixes[15:27], fixes[30:], strict=False)]
    reference = UkfOrbitFilter(WHITE, ORIENTATION)
    updates = [update for fix in [*fixes[:10], wild, *fixes[11:15], *elsewhere] for update in reference.process(fix)]
    assert [update.fix.seq for update in updates if not update.position_accepted] == [10, *range(30, 39)]
    assert updates[10].position is not None
    assert updates[10].position.chi_square > 1e5
    assert [update.fix.seq for update in updates if update.restarted_from_ms] == [39]
    assert {update.dof for update in updates[5:15]} == {3, 6}


def test_long_predictions_keep_the_covariance_positive(fixes: list[Fix]) -> None:
    """Three fixes contain almost nothing about drag, so the covariance grows most over three hours."""
    reference = UkfOrbitFilter(WHITE, ORIENTATION)
    for fix in fixes[:3]:
        reference.process(fix)
    reference.initialise_from_buffered()
    covariance = reference.predict(fixes[2].gps_ms + 3 * 3_600_000).covariance
    scale = np.sqrt(np.diagonal(covariance))
    assert np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0] > 1e-8
