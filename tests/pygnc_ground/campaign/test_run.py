import math
from typing import Any

import pytest

from pygnc_ground.campaign.definition import plan_run
from pygnc_ground.campaign.run import run_one
from pygnc_ground.campaign.schema import runs_schema
from pygnc_ground.tables.declaration import columns
from tests.pygnc_ground.campaign.samples import short_campaign

ALL = {
    "orbit": ["filter", "smoother", "batch"],
    "attitude": ["filter", "smoother"],
    "bounds": ["orbit", "attitude"],
    "attitude_settled_s": 300.0,
}


@pytest.mark.slow
def test_a_run_has_all_figures_of_the_schema() -> None:
    campaign = short_campaign(scenario={"duration_s": 6000, "sample_interval_s": 10}, begin="sunlight", estimators=ALL)
    result = run_one(plan_run(campaign, 0))
    assert result.row["error"] == ""
    figures = [name for name in columns("runs") if name.startswith(("orbit_", "attitude_", "formation_"))]
    unknown = {name for name in figures if math.isnan(result.row.get(name, math.nan))}
    absent = ("delta_v", "outage", "formation", "prediction")
    assert all(any(part in name for part in absent) for name in unknown), unknown
    assert result.row.keys() <= runs_schema(campaign).keys()
    assert 0.0 < result.row["orbit_filter_error_m"] < 15.0
    assert 0.5 < result.row["orbit_smoother_sigma_m"] / result.row["orbit_smoother_bound_m"] < 2.0
    assert result.row["attitude_smoother_error_deg"] < 5.0
    assert {row.estimator for row in result.bins} == {
        *(f"orbit {name}" for name in ("filter", "smoother", "batch")),
        *(f"attitude {name}" for name in ("filter", "smoother")),
    }
    mean_square = sum(row.epochs * row.error_rms**2 for row in result.bins if row.estimator == "orbit filter")
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


@pytest.mark.slow
def test_the_errors_at_the_end_of_a_time_without_fixes_are_kept() -> None:
    def row(*outages_s: tuple[float, float]) -> dict[str, Any]:
        scenario = {"duration_s": 4500, "forces": {"gravity_degree": 100}, "gps": {"outages_s": outages_s}}
        campaign = short_campaign(scenario=scenario, estimators={"orbit": ["filter", "smoother"], "attitude": []})
        return run_one(plan_run(campaign, 0)).row

    during, last, short = row((600.0, 100.0), (1800.0, 1500.0)), row((2400.0, 2100.0)), row((1800.0, 500.0))
    for name, of in (("filter", during), ("smoother", during), ("filter", last)):
        ratio = of[f"orbit_{name}_outage_m"] / of[f"orbit_{name}_outage_sigma_m"]
        assert 0.05 < ratio < 3.0, name
    assert during["orbit_filter_outage_m"] > 3.0 * during["orbit_smoother_outage_m"] > 0.0
    # No fix follows, or the time is too short.
    assert not [name for name in last if "smoother_outage" in name]
    assert not [name for name in short if "outage" in name]


def test_predictions_of_a_denser_air_than_they_assume_are_off_by_its_drag() -> None:
    def row(bias: float) -> dict[str, Any]:
        campaign = short_campaign(
            scenario={
                "duration_s": 25,
                "sample_interval_s": 5,
                "forces": {"gravity_degree": 100, "density_bias": bias},
            },
            estimators={"orbit": ["prediction"], "predictions_h": [1.0, 6.0], "attitude": []},
        )
        result = run_one(plan_run(campaign, 0))
        assert result.row["error"] == ""
        assert [(one.estimator, one.begin_s) for one in result.bins] == [
            ("orbit prediction", 3600.0),
            ("orbit prediction", 21600.0),
        ]
        assert result.bins[1].error_rms == result.row["orbit_prediction_error_m"]
        return result.row

    usual, denser = row(0.0), row(4.0)
    assert 0.0 < usual["orbit_prediction_nees"] < 5.0
    assert usual["orbit_prediction_error_m"] < 3.0 * usual["orbit_prediction_sigma_m"]
    assert denser["orbit_prediction_error_m"] > 3.0 * denser["orbit_prediction_sigma_m"]
    assert not [name for name in usual if name.startswith("orbit_filter")]
