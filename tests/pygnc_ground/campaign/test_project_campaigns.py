"""The project's own campaigns: each can run, and orbits of every class are estimated."""

from pathlib import Path

import pytest

from pygnc_ground.campaign.definition import RunPlan, count_runs, first_runs, read_campaign
from pygnc_ground.campaign.run import run_one

CAMPAIGNS = Path(__file__).resolve().parents[3] / "data" / "campaigns"
FILES = sorted(CAMPAIGNS.glob("*.toml"))
HIGH = tuple(first_runs(read_campaign(CAMPAIGNS / "orbit_high.toml")))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_definition_is_usable(path: Path) -> None:
    campaign = read_campaign(path)
    assert campaign.title
    assert count_runs(campaign) >= 100


@pytest.mark.slow
@pytest.mark.parametrize("plan", HIGH, ids=[plan.case for plan in HIGH])
def test_errors_agree_with_the_covariance_in_orbits_of_every_class(plan: RunPlan) -> None:
    row = run_one(plan).row
    assert row["error"] == ""
    for estimator in ("filter", "smoother", "batch"):
        assert row[f"orbit_{estimator}_nees"] < 2.0, estimator
        assert row[f"orbit_{estimator}_error_m"] < (6.0 if plan.case.endswith("realistic") else 2.0), estimator
    assert row["orbit_manoeuvres"] == 0.0
