"""Scores of errors drawn from the bound, and of wrong solutions."""

from functools import cache

import numpy as np
import pytest

from pygnc_ground.campaign.formation_accuracy import SCORED_EPOCHS, Estimate, score_estimate, true_motion, world_bound
from pygnc_ground.campaign.formation_world import FormationKind, FormationWorld, Instruments, formation_world
from pygnc_ground.formation.bound import FormationBound, FormationMotion
from pygnc_ground.orbit.solution import BoolArray, FloatArray

pytestmark = pytest.mark.slow

MESH = Instruments("mesh", range_noise_m=1.0, mesh=True, fixed=4)
SURE = np.zeros(2, dtype=np.bool_)


@cache
def world() -> tuple[FormationWorld, FormationMotion]:
    made = formation_world(5, FormationKind.BOUNDED, satellites=3, minutes=20)
    return made, true_motion(made)


def bound() -> FormationBound:
    return world_bound(*world(), MESH)


def efficient(seed: int) -> FloatArray:
    """Errors as large as the bound, at the scored moments, (p, n, 6)."""
    root = bound().root[:, SCORED_EPOCHS]
    return np.asarray(root @ np.random.default_rng(seed).standard_normal(root.shape[-1]))


def estimate(
    *errors: FloatArray, ambiguous: BoolArray = SURE, unsolved: BoolArray = SURE, claimed: float = 1.0
) -> Estimate:
    """Hypotheses with these errors, whose covariance is the bound's times `claimed`."""
    states = bound().motion.states_gcrf[:, SCORED_EPOCHS]
    covariance = np.tile(claimed * bound().covariance_gcrf[:, SCORED_EPOCHS], (len(errors), 1, 1, 1, 1))
    return Estimate(states[1:] - states[:1] + np.array(errors), covariance, ambiguous, unsolved, 0.0)


def test_an_efficient_estimator_reaches_the_bound_and_a_nees_of_six() -> None:
    scores = [score_estimate(estimate(efficient(seed)), bound()) for seed in range(60)]
    error_m = np.sqrt(np.mean([score.error_m**2 for score in scores], axis=0))
    np.testing.assert_allclose(error_m, bound().rms_m, rtol=0.15)
    np.testing.assert_allclose(scores[0].formal_m, scores[0].bound_m)
    np.testing.assert_allclose(scores[0].bound_m, bound().rms_m, rtol=0.05)
    assert np.mean([score.nees for score in scores]) == pytest.approx(6.0, rel=0.15)
    assert sum(score.wrong_and_certain for score in scores) == 0


def test_a_quarter_of_the_covariance_gives_four_times_the_nees() -> None:
    honest, proud = (score_estimate(estimate(efficient(1), claimed=claimed), bound()) for claimed in (1.0, 0.25))
    np.testing.assert_allclose(proud.nees, 4.0 * honest.nees, rtol=1e-6)


def test_scores_the_nearest_right_hypothesis_and_the_first_claim() -> None:
    image = np.zeros_like(efficient(1))
    image[0, :, 2] = 500.0
    score = score_estimate(estimate(image + efficient(1), 2.0 * efficient(1), efficient(1)), bound())
    assert score.error_m[0] == pytest.approx(500.0, rel=0.05)
    assert (score.right_error_m < 10.0).all()
    assert score.found.all()
    assert score.right_error_m[0] == pytest.approx(score_estimate(estimate(efficient(1)), bound()).error_m[0])
    np.testing.assert_array_equal(score.wrong, [True, False])
    assert score.wrong_and_certain == 1


def test_scores_the_given_hypothesis() -> None:
    nearest, other = (score_estimate(estimate(efficient(seed)), bound()) for seed in (1, 2))
    both = estimate(0.1 * efficient(1), efficient(1), efficient(2))
    score = score_estimate(both, bound(), np.array([1, 2]))
    np.testing.assert_allclose(score.nees, [nearest.nees[0], other.nees[1]])
    np.testing.assert_allclose(score.right_error_m, [nearest.right_error_m[0], other.right_error_m[1]])


def test_the_nearest_hypothesis_has_a_smaller_nees_than_a_random_one() -> None:
    pairs = [estimate(efficient(2 * seed), efficient(2 * seed + 1)) for seed in range(25)]
    blind = np.mean([score_estimate(pair, bound(), np.zeros(2, dtype=np.int64)).nees for pair in pairs])
    assert blind == pytest.approx(6.0, rel=0.2)
    assert np.mean([score_estimate(pair, bound()).nees for pair in pairs]) < 0.9 * blind


def test_flagged_partners_are_not_wrong_and_certain() -> None:
    image = np.zeros_like(efficient(1))
    image[0, :, 2] = 500.0
    for doubted, false_claims in (([True, False], 0), ([False, True], 1)):
        flags = np.array(doubted)
        for doubtful in (estimate(image, ambiguous=flags), estimate(image, unsolved=flags)):
            score = score_estimate(doubtful, bound())
            np.testing.assert_array_equal(score.wrong, [True, False])
            assert score.wrong_and_certain == false_claims
            np.testing.assert_array_equal(score.found, [False, True])


def test_a_partner_without_an_orbit_has_nan_scores() -> None:
    nothing = efficient(1)
    nothing[0] = np.nan
    score = score_estimate(estimate(nothing, unsolved=np.array([True, False])), bound())
    np.testing.assert_array_equal(np.isnan(score.right_error_m), [True, False])
    np.testing.assert_array_equal(np.isnan(score.nees), [True, False])
    np.testing.assert_array_equal(score.found, [False, True])
    assert score.wrong_and_certain == 0
