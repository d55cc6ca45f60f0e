import pytest

from pygnc_ground.campaign.definition import count_runs, plan_run, runs_in_order
from tests.pygnc_ground.campaign.samples import short_campaign

NOISE = "scenario.gps.position_noise_m"
RAAN = "scenario.orbit.raan_deg"
SIGMA = "settings.orbit.measurement.position_sigma_default_m"


def test_runs_cover_cases_points_and_repetitions() -> None:
    campaign = short_campaign(
        seed=5,
        grid={NOISE: [1.0, 2.0], SIGMA: [3.0, 4.0]},
        random={RAAN: {"uniform": [0.0, 360.0]}},
        cases=[{"name": "slow"}, {"name": "fast", "scenario": {"attitude": {"rate_body_deg_s": [9.0, 0.0, 0.0]}}}],
    )
    assert count_runs(campaign) == 16
    plans = [plan_run(campaign, run) for run in range(16)]
    assert [plan.run for plan in plans] == list(range(16))
    assert [plan.seed for plan in plans] == [5, 6] * 8
    assert [plan.case for plan in plans] == ["slow"] * 8 + ["fast"] * 8
    assert {(plan.case, plan.parameters[NOISE], plan.parameters[SIGMA]) for plan in plans} == {
        (case, noise, sigma) for case in ("slow", "fast") for noise in (1.0, 2.0) for sigma in (3.0, 4.0)
    }
    # Equal repetitions have equal draws in all cases and points, so that these can be compared pair by pair.
    assert len({plan.parameters[RAAN] for plan in plans}) == 2
    last = plans[-1]
    assert last.scenario_settings().gps.position_noise_m == 2.0
    assert last.scenario_settings().seed == 6
    assert last.scenario_settings().attitude.rate_body_deg_s == (9.0, 0.0, 0.0)
    assert last.flight_settings().orbit.measurement.position_sigma_default_m == 4.0


def test_runs_of_a_repetition_follow_each_other_if_values_are_drawn() -> None:
    cases = [{"name": "a"}, {"name": "b"}, {"name": "c", "random": {RAAN: {"uniform": [0.0, 1.0]}}}]
    assert list(runs_in_order(short_campaign(cases=cases))) == [0, 2, 4, 1, 3, 5]
    assert list(runs_in_order(short_campaign(cases=cases[:2]))) == [0, 1, 2, 3]


def test_a_case_has_its_own_preset_and_draws() -> None:
    campaign = short_campaign(
        random={RAAN: {"uniform": [0.0, 1.0]}},
        cases=[{"name": "a"}, {"name": "b", "preset": "mm_velocity", "random": {RAAN: {"uniform": [90.0, 91.0]}}}],
    )
    first, second = plan_run(campaign, 0), plan_run(campaign, 2)
    assert first.parameters[RAAN] <= 1.0
    assert second.parameters[RAAN] >= 90.0
    assert second.scenario_settings().gps.velocity_noise_mps == 0.001


def test_a_star_stands_for_all_partners() -> None:
    drag, bias = "scenario.partners.*.drag_ratio", "scenario.partners.*.delay_bias_m"
    campaign = short_campaign(
        scenario={"formation": {"shape": "free"}, "partners": [{"id": 75}, {"id": 76}]},
        grid={drag: [1.0, 2.0]},
        random={bias: {"uniform": [1000.0, 1100.0]}},
        cases=[{"name": "two"}, {"name": "one", "scenario": {"partners": [{"id": 75}]}}],
    )
    plans = [plan_run(campaign, run) for run in range(count_runs(campaign))]
    for plan in plans:
        partners = plan.scenario_settings().partners
        assert [partner.drag_ratio for partner in partners] == [plan.parameters[drag]] * len(partners)
        assert [partner.delay_bias_m for partner in partners] == plan.parameters[bias]
    two, one = plans[0].parameters[bias], plans[-2].parameters[bias]
    assert len({*two}) == 2
    # A further partner does not change the draws of the others.
    assert two[:1] == one


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid": {NOISE: [1.0, -1.0]}}, "position_noise_m"),
        ({"grid": {NOISE: []}}, "grid"),
        ({"settings": {"logs": {"ceiling_bytes": -1}}}, "ceiling_bytes"),
        ({"preset": "nominl"}, "nominal"),
        ({"cases": [{"name": "a"}, {"name": "a"}]}, "same name"),
        ({"repetitions": 0}, "repetitions"),
        ({"random": {NOISE: 3.0}}, "position_noise_m"),
        ({"cases": 3}, "cases"),
        ({"estimators": {"formation": ["batch"]}}, "no partners"),
        ({"scenario": {"partners": 3}, "grid": {"scenario.partners.*.drag_ratio": [1.0]}}, "partners"),
        ({"scenario": {"partners": [3]}, "grid": {"scenario.partners.*.drag_ratio": [1.0]}}, "partners"),
        ({"scenario": {"orbit": 3}, "random": {RAAN: {"uniform": [0.0, 1.0]}}, "settings": {"orbit": 3}}, "orbit"),
        ({"estimators": {"bounds": ["formation"]}}, "no partners"),
        ({"preset": "formation4", "estimators": {"bounds": ["formation"]}}, "estimators.formation"),
        ({"preset": "formation4", "begin": "sunlight"}, "sunlight"),
        ({"preset": "formation4", "estimators": {"orbit": ["prediction"]}}, "without partners"),
        ({"estimators": {"predictions_h": [24.0, 24.1]}}, "predictions_h"),
        ({"estimators": {"predictions_h": []}}, "predictions_h"),
        ({"preset": "formation4", "settings": {"formation": {"own_id": 75}}}, "own_id"),
        ({"preset": "formation4", "estimators": {"formation": ["smoother"]}}, "formation"),
        ({"preset": "formation4", "estimators": {"formation": ["filter"], "bounds": ["formation"]}}, "batch"),
    ],
)
def test_an_unusable_value_is_refused_with_the_name_of_the_file(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^short\.toml: .*{message}"):
        short_campaign(**changes)
