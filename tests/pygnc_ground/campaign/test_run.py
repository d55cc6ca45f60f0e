import math

from pygnc_ground.campaign.definition import plan_run
from pygnc_ground.campaign.run import run_one
from pygnc_ground.campaign.schema import METRICS, runs_schema
from tests.pygnc_ground.campaign.samples import short_campaign

ALL = {
    "orbit": ["filter", "smoother", "batch"],
    "attitude": ["filter", "smoother"],
    "bounds": ["orbit", "attitude"],
    "attitude_settled_s": 300.0,
}


def test_a_run_has_all_figures_of_the_schema() -> None:
    campaign = short_campaign(scenario={"duration_s": 6000, "sample_interval_s": 10}, begin="sunlight", estimators=ALL)
    result = run_one(plan_run(campaign, 0))
    assert result.row["error"] == ""
    unknown = {column.name for column in METRICS if math.isnan(result.row.get(column.name, math.nan))}
    assert all("delta_v" in name or name.startswith("formation") for name in unknown), unknown
    assert result.row.keys() <= runs_schema(campaign).keys()
    assert 0.0 < result.row["orbit_filter_error_m"] < 15.0
    assert 0.5 < result.row["orbit_smoother_sigma_m"] / result.row["orbit_smoother_bound_m"] < 2.0
    assert result.row["attitude_smoother_error_deg"] < 5.0
    assert {row.estimator for row in result.bins} == {
        *(f"orbit {name}" for name in ("filter", "smoother", "batch")),
        *(f"attitude {name}" for name in ("filter", "smoother")),
    }
    mean_square = sum(row.epochs * row.error**2 for row in result.bins if row.estimator == "orbit filter")
    assert mean_square > 0.0


def test_equal_plans_give_equal_figures_whatever_ran_before() -> None:
    campaign = short_campaign(grid={"scenario.gps.position_noise_m": [5.0, 10.0]})
    first = run_one(plan_run(campaign, 3))
    others = [run_one(plan_run(campaign, run)) for run in (0, 1, 2)]
    again = run_one(plan_run(campaign, 3))
    assert repr(again.row) == repr(first.row)
    assert repr(again.bins) == repr(first.bins)
    assert all(other.row["orbit_filter_error_m"] != first.row["orbit_filter_error_m"] for other in others)


def test_skipped_attitudes_do_not_change_the_orbit() -> None:
    with_attitude = run_one(plan_run(short_campaign(), 0)).row
    campaign = short_campaign(estimators={"attitude": []})
    without = run_one(plan_run(campaign, 0)).row
    assert "attitude_nis" not in without
    assert repr({name: with_attitude[name] for name in without}) == repr(without)


def test_a_failure_is_kept_with_seed_and_traceback() -> None:
    outage = {"gps": {"outages_s": [[0.0, 300.0]]}}
    row = run_one(plan_run(short_campaign(seed=7, scenario=outage), 1)).row
    assert row["status"] == "failed"
    assert row["seed"] == 8
    assert "no orbit" in row["error"]
    assert "score_orbit" in row["traceback"]
