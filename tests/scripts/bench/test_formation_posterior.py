"""Hypotheses that contain the truth, and the expected NEES of normal errors and wrong covariances."""

from functools import cache

import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.formation.solution import FormationSolution
from pygnc_ground.campaign.flight import SimulatedFlight, fly
from pygnc_ground.campaign.formation_scores import FormationErrors, FormationHypotheses
from pygnc_ground.scenario.settings import Formation, Partner, Ranging, Settings
from scripts.bench.formation_posterior import (
    ExpectedNees,
    JudgedSolution,
    distances_after_minimisation,
    expected_nees,
    judged_solution,
    true_hypotheses,
)

pytestmark = pytest.mark.slow

CALIBRATED = FlightSettings(formation=FormationSettings(range_bias_m=1_050.0, range_bias_sigma_m=20.0))
STAR = Settings(
    seed=4,
    duration_s=3_840,
    sample_interval_s=12,
    ranging=Ranging(noise_m=10.0),
    formation=Formation(shape="bounded"),
    partners=(Partner(id=75, delay_bias_m=1_040.0), Partner(id=76, delay_bias_m=1_070.0)),
)
FIXED = replace(STAR, formation=replace(STAR.formation, all_satellites=True), partners=STAR.partners[:1])


@cache
def solved(scenario: Settings) -> tuple[SimulatedFlight, FormationSolution, JudgedSolution]:
    flight = SimulatedFlight.of(scenario)
    solution = fly(flight.inputs(CALIBRATED), CALIBRATED, attitude=False, formation=True).formation
    assert solution is not None
    return flight, solution, judged_solution(solution, flight.satellites, scenario)


def test_minimisation_from_a_hypothesis_returns_to_it() -> None:
    flight, solution, judged = solved(replace(STAR, partners=STAR.partners[:1]))
    of_hypotheses = distances_after_minimisation(judged, judged.hypotheses)[:, 0]
    assert of_hypotheses.argmin(axis=1).tolist() == list(range(len(solution.hypotheses)))
    assert of_hypotheses.min(axis=1).max() < 0.1
    hypothesis, distance = true_hypotheses(judged)
    assert float(distance[0]) < 0.1
    times = np.array([solution.reference.epoch_ms])
    estimate = FormationHypotheses.of(solution, (75,), times)
    assert np.all(FormationErrors.of(estimate, flight.true_states_gcrf(times), hypothesis).nees < 30.0)


def test_a_partner_alone_has_the_same_true_hypothesis() -> None:
    judged = solved(STAR)[2]
    together, _ = true_hypotheses(judged)
    for partner in (1, 2):
        alone, distance = true_hypotheses(judged.alone(partner))
        found = judged.alone(partner).hypotheses[[int(alone[0]), int(together[partner - 1])]]
        relative_position_m = (found[0] - found[1])[7:10] - (found[0] - found[1])[:3]
        assert np.abs(relative_position_m).max() < 1.0
        assert float(distance[0]) < 0.1


def test_the_truth_has_the_biases_of_the_radios() -> None:
    judged = solved(STAR)[2]
    assert judged.equations.pairs == ((74, 75), (74, 76))
    np.testing.assert_array_equal(judged.truth[21:23], [1_040.0, 1_070.0])


@pytest.fixture(name="judged")
def judged_fixture() -> JudgedSolution:
    return solved(FIXED)[2]


def expected(judged: JudgedSolution) -> ExpectedNees:
    return expected_nees(judged.alone(1), int(true_hypotheses(judged)[0][0]))


def test_expected_nees_of_normal_errors_is_chi_square(judged: JudgedSolution) -> None:
    found = expected(judged)
    assert found.mean == pytest.approx(6.0, abs=0.8)
    assert found.variance == pytest.approx(12.0, rel=0.5)
    assert 0.0 < found.below < 1.0


def test_half_the_covariance_doubles_the_expected_nees(judged: JudgedSolution) -> None:
    timid, bold = expected(judged), expected(judged._replace(covariances=0.5 * judged.covariances))
    assert bold.mean == pytest.approx(2.0 * timid.mean)
    assert bold.below == timid.below


def test_a_distant_truth_exceeds_all_samples(judged: JudgedSolution) -> None:
    far = judged.truth.copy()
    far[7] += 100.0
    assert expected_nees(judged._replace(truth=far).alone(1), 0).below == 1.0
