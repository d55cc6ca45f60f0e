"""What sigma points make of the same fixes."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.gps_fix import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.orbit.reference_filters import ReferenceFilter, UkfOrbitFilter
from tests.pygnc.estimators.orbit.truth import ORIENTATION, Truth, displaced, make_fixes, sun_synchronous

START = 5


@pytest.fixture(scope="module")
def truth() -> Truth:
    """One hour."""
    return sun_synchronous(1.0)


@pytest.fixture(scope="module")
def fixes(truth: Truth) -> list[Fix]:
    return make_fixes(truth)


def states(orbit: OrbitFilter | ReferenceFilter, fixes: list[Fix]) -> tuple[Array, Array]:
    """State vectors and standard deviations after the start, each (n, 10)."""
    known = [update.state for fix in fixes for update in orbit.process(fix)][START:]
    return (
        np.array([state.x for state in known if state]),
        np.array([np.sqrt(np.diagonal(state.covariance)) for state in known if state]),
    )


def rms_m(positions_m: Array) -> float:
    return float(np.sqrt((positions_m[:, :3] ** 2).sum(axis=1).mean()))


def test_it_stays_within_decimetres_of_the_flight_filter(truth: Truth, fixes: list[Fix]) -> None:
    ours, sigma = states(OrbitFilter(OrbitSettings(), ORIENTATION), fixes)
    theirs, their_sigma = states(UkfOrbitFilter(OrbitSettings(), ORIENTATION), fixes)
    assert rms_m(theirs - ours) < 0.3
    assert (np.abs(theirs - ours)[:, :6] < 0.6 * sigma[:, :6]).all()
    np.testing.assert_allclose(their_sigma[:, :6], sigma[:, :6], rtol=0.1)
    assert rms_m(theirs[:, :6] - truth.gcrf[START:]) < rms_m(ours[:, :6] - truth.gcrf[START:]) + 0.3


def test_with_a_well_known_drag_factor_linearising_costs_less_than_a_millimetre(fixes: list[Fix]) -> None:
    settings = OrbitSettings()
    settings = replace(settings, process_noise=replace(settings.process_noise, drag_log_sigma=0.01))
    ours, sigma = states(OrbitFilter(settings, ORIENTATION), fixes)
    theirs, their_sigma = states(UkfOrbitFilter(settings, ORIENTATION), fixes)
    assert rms_m(theirs - ours) < 1e-3
    assert (np.abs(theirs - ours) < 1e-3 * sigma).all()
    np.testing.assert_allclose(their_sigma, sigma, rtol=1e-3)


def test_uncertain_drag_has_the_mean_of_a_lognormal_factor(fixes: list[Fix]) -> None:
    """exp(s^2 / 2) times the median (Aitchison & Brown, 1957), which is what the flight's filter takes."""
    spread, settings = 0.8, OrbitSettings()
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


def test_it_rejects_what_is_wild_and_starts_again_where_fixes_agree(fixes: list[Fix]) -> None:
    wild = displaced(fixes[10], np.array((1e4, 0.0, 0.0)))
    elsewhere = [replace(ahead, gps_ms=fix.gps_ms) for fix, ahead in zip(fixes[15:20], fixes[30:], strict=False)]
    reference = UkfOrbitFilter(OrbitSettings(), ORIENTATION)
    updates = [update for fix in [*fixes[:10], wild, *fixes[11:15], *elsewhere] for update in reference.process(fix)]
    assert [update.fix.seq for update in updates if not update.position_accepted] == [10, 30, 31]
    assert updates[10].position is not None
    assert updates[10].position.chi_square > 1e5
    assert [update.fix.seq for update in updates if update.restarted_from_ms] == [32]
    assert {update.dof for update in updates[5:15]} == {3, 6}


def test_long_predictions_keep_the_covariance_positive(fixes: list[Fix]) -> None:
    """Of three fixes, which know next to nothing of drag, over three hours."""
    reference = UkfOrbitFilter(OrbitSettings(), ORIENTATION)
    for fix in fixes[:3]:
        reference.process(fix)
    reference.finish_start()
    covariance = reference.predict(fixes[2].gps_ms + 3 * 3_600_000).covariance
    scale = np.sqrt(np.diagonal(covariance))
    assert np.linalg.eigvalsh(covariance / np.outer(scale, scale))[0] > 1e-8
