"""Errors drawn from the bound, wrong hypotheses, and a flight whose formation is judged."""

import math
from functools import cache

import numpy as np
import pytest

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.definition import plan_run
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.campaign.formation_scores import FormationErrors, FormationHypotheses, worst_moments
from pygnc_ground.campaign.run import RunResult, run_one
from pygnc_ground.campaign.time_bins import rms_of
from pygnc_ground.formation.bound import FormationBound, FormationPriors, bound_of_satellites
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.formation import satellites
from pygnc_ground.scenario.settings import settings_from_tables
from pygnc_ground.tables.declaration import columns
from tests.pygnc_ground.campaign.samples import short_campaign

SCENARIO = {
    "seed": 5,
    "duration_s": 1200,
    "sample_interval_s": 12,
    "ranging": {"noise_m": 1.0},
    "formation": {"shape": "bounded", "all_satellites": True},
    "partners": [{"id": 75}, {"id": 76}],
}
NO_FLAGS = np.zeros((2, 2), dtype=np.bool_)


@cache
def bound() -> FormationBound:
    settings = settings_from_tables(SCENARIO, "test")
    frames, everyone = EarthFrames(ORIENTATION), satellites(settings)
    return bound_of_satellites(settings, everyone, OrbitSettings(), frames, FormationPriors())


def efficient(seed: int) -> FloatArray:
    """Errors as large as the bound, (p, n, 6)."""
    root = bound().root
    return np.asarray(root @ np.random.default_rng(seed).standard_normal(root.shape[-1]))


def estimate(*errors: FloatArray, claimed: float = 1.0) -> FormationHypotheses:
    """Hypotheses with these errors, whose covariance is the bound's times `claimed`."""
    states = bound().motion.states_gcrf
    covariance = np.tile(claimed * bound().root @ bound().root.swapaxes(-1, -2), (len(errors), 1, 1, 1, 1))
    return FormationHypotheses(states[1:] - states[:1] + np.array(errors), covariance, NO_FLAGS)


def judged(*errors: FloatArray, claimed: float = 1.0, right: IntArray | None = None) -> FormationErrors:
    return FormationErrors.of(estimate(*errors, claimed=claimed), bound().motion.states_gcrf, right)


def mirrored() -> FloatArray:
    image = np.zeros_like(efficient(1))
    image[0, :, 2] = 500.0
    return image


def test_an_efficient_estimator_reaches_the_bound_and_a_nees_of_six() -> None:
    found = [judged(efficient(seed)) for seed in range(60)]
    error_m = np.sqrt(np.mean([each.error_m**2 for each in found], axis=(0, 2)))
    np.testing.assert_allclose(error_m, bound().rms_m, rtol=0.2)
    np.testing.assert_allclose(found[0].sigma_m, bound().position_m)
    assert np.mean([each.nees for each in found]) == pytest.approx(6.0, rel=0.15)
    assert not np.any([each.wrong for each in found])


def test_a_quarter_of_the_covariance_gives_four_times_the_nees() -> None:
    honest, proud = (judged(efficient(1), claimed=claimed) for claimed in (1.0, 0.25))
    np.testing.assert_allclose(proud.nees, 4.0 * honest.nees, rtol=1e-6)


def test_the_nearest_right_hypothesis_and_the_first_claim_are_judged() -> None:
    found = judged(mirrored() + efficient(1), 2.0 * efficient(1), efficient(1))
    assert rms_of(found.best_m[0]) == pytest.approx(500.0, rel=0.05)
    np.testing.assert_allclose(found.error_m[0], judged(efficient(1)).error_m[0])
    np.testing.assert_array_equal(found.wrong, [True, False])
    np.testing.assert_array_equal(found.found, [True, True])


def test_a_given_hypothesis_is_judged_whatever_its_errors() -> None:
    nearest, other = (judged(efficient(seed)) for seed in (1, 2))
    found = judged(0.1 * efficient(1), efficient(1), efficient(2), right=np.array([1, 2]))
    np.testing.assert_allclose(found.nees, [nearest.nees[0], other.nees[1]])
    np.testing.assert_allclose(found.error_m, [nearest.error_m[0], other.error_m[1]])


def test_the_worst_moment_of_certain_orbits_is_judged() -> None:
    times = np.arange(0.0, 3600.0, 120.0)
    right, wrong = np.ones(30), np.ones(30)
    wrong[[3, 10, 11, 12, 29]] = 6.0, 5.5, 70.0, 5.5, 6.0
    assert worst_moments([(times, right), (times, wrong)]) == {"worst_sigmas": 70.0, "beyond_s": 360.0}
    assert worst_moments([(times, right)]) == {"worst_sigmas": 1.0, "beyond_s": 0.0}
    assert math.isnan(worst_moments([])["worst_sigmas"])


def test_a_partner_without_an_orbit_is_not_found() -> None:
    nothing = efficient(1)
    nothing[0] = np.nan
    found = judged(nothing)
    np.testing.assert_array_equal(found.found, [False, True])
    assert np.isnan(found.error_m[0]).all()
    assert np.isfinite(found.error_m[1]).all()
    # Without any orbit within ten sigmas the nearest one is judged.
    far = judged(mirrored(), 2.0 * mirrored())
    np.testing.assert_array_equal(far.found, [False, True])
    assert rms_of(far.error_m[0]) == pytest.approx(500.0)


BATCH = {"attitude": [], "formation": ["batch"], "bounds": ["formation"]}
FILTER = {"attitude": [], "formation": ["filter"]}
CALIBRATED = {"formation": {"range_bias_m": 1050.0, "range_bias_sigma_m": 20.0}}


def flown(**changes: object) -> RunResult:
    scenario = SCENARIO | {"forces": {"gravity_degree": 100}} | changes
    campaign = short_campaign(estimators=BATCH, scenario=scenario, settings=CALIBRATED)
    return run_one(plan_run(campaign, 0))


def flags(result: RunResult) -> list[float]:
    return [result.row[f"formation_batch_{name}"] for name in ("ambiguous", "unsolved", "missing", "wrong", "silent")]


@pytest.mark.slow
def test_fixes_and_ranges_of_all_determine_the_formation() -> None:
    result = flown()
    row = result.row
    assert row["error"] == ""
    figures = {name for name in columns("runs") if name.startswith("formation_batch")}
    assert figures <= row.keys()
    assert not [name for name in row if name.startswith("formation_filter")]
    assert row["formation_batch_partners"] == 2.0
    assert flags(result) == [0.0] * 5
    error_m, sigma_m, bound_m = (row[f"formation_batch_{name}_m"] for name in ("error", "sigma", "bound"))
    assert 0.3 < error_m / sigma_m < 2.0
    assert sigma_m == pytest.approx(bound_m, rel=0.2)
    assert error_m <= row["formation_batch_worst_m"] < 10.0
    assert row["formation_batch_nis"] == pytest.approx(1.0, abs=0.4)
    bins = [each for each in result.bins if each.estimator == "formation batch"]
    assert [each.begin_s for each in bins] == [0.0, 600.0, 1200.0]
    assert all(0.3 < each.nis_per_dof < 2.0 for each in bins)
    mean_square = sum(each.epochs * each.error_rms**2 for each in bins) / sum(each.epochs for each in bins)
    assert mean_square == pytest.approx(error_m**2)


@pytest.mark.slow
@pytest.mark.parametrize("everyone", [True, False])
def test_the_filter_is_judged_in_the_half_that_is_received_live(*, everyone: bool) -> None:
    scenario = SCENARIO | {
        "duration_s": 3840,
        "forces": {"gravity_degree": 100},
        "formation": {"shape": "bounded", "all_satellites": everyone},
    }
    result = run_one(plan_run(short_campaign(estimators=FILTER, scenario=scenario, settings=CALIBRATED), 0))
    row = result.row
    assert row["error"] == ""
    assert not [name for name in row if name.startswith("formation_batch")]
    assert {name for name in row if name.startswith("formation_filter")} <= {*columns("runs")}
    names = ("partners", "ambiguous", "unsolved", "silent")
    assert [row[f"formation_filter_{name}"] for name in names] == [2.0, 0.0 if everyone else 2.0, 0.0, 0.0]
    bins = [each for each in result.bins if each.estimator == "formation filter"]
    if everyone:
        assert 0.3 < row["formation_filter_error_m"] / row["formation_filter_sigma_m"] < 2.0
        assert row["formation_filter_error_m"] <= row["formation_filter_worst_m"] < 10.0
        assert 0.2 < row["formation_filter_nees"] < 3.0
        assert min(each.begin_s for each in bins) == 1800.0
    else:
        assert math.isnan(row["formation_filter_error_m"])
        assert not bins


@pytest.mark.slow
def test_ranges_alone_are_reported_as_ambiguous() -> None:
    alone = flown(formation={"shape": "bounded", "all_satellites": False})
    assert alone.row["orbit_filter_error_m"] < 20.0
    ambiguous, unsolved, _, _, silent = flags(alone)
    assert ambiguous + unsolved >= 2.0
    assert silent == 0.0


@pytest.mark.slow
def test_the_formation_does_not_change_the_orbit() -> None:
    scenario = SCENARIO | {"forces": {"gravity_degree": 4}}
    campaigns = [
        short_campaign(estimators={"attitude": [], "formation": names}, scenario=scenario) for names in ([], ["batch"])
    ]
    without, judged_row = (run_one(plan_run(campaign, 0)).row for campaign in campaigns)
    assert repr({name: judged_row[name] for name in without}) == repr(without)
