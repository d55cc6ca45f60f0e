import numpy as np
import polars as pl
import pytest

from pygnc_ground.campaign.schema import runs_schema
from pygnc_ground.campaign.statistics import (
    Estimator,
    Group,
    accuracy,
    bin_series,
    containments,
    differences,
    groups,
    sensitivities,
    worst_runs,
)
from pygnc_ground.tables.declaration import schema
from tests.pygnc_ground.campaign.samples import drawn_tables, short_campaign

FILTER = Estimator("orbit", "filter")
NOISE = "scenario.gps.position_noise_m"


def group_of(errors: list[float], seeds: list[int], name: str = "g") -> Group:
    campaign = short_campaign()
    table = pl.DataFrame({"run": seeds, "seed": seeds, "orbit_filter_error_m": errors, "orbit_filter_sigma_m": 1.0})
    columns = {key: dtype for key, dtype in runs_schema(campaign).items() if key not in table.columns}
    return Group(name, table.with_columns(pl.lit(None, dtype).alias(key) for key, dtype in columns.items()), 0)


def test_the_interval_of_the_error_contains_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(40):
        found = accuracy(group_of(np.abs(rng.normal(0.0, 2.0, 60)).tolist(), list(range(60))), FILTER)
        inside += found.error_band.low < 2.0 < found.error_band.high
    assert inside >= 33


def test_groups_are_the_points_of_the_grid_and_the_cases() -> None:
    campaign, tables = drawn_tables(grid={NOISE: [5.0, 10.0]}, cases=[{"name": "a"}, {"name": "b"}])
    found = groups(campaign, tables["runs"])
    assert [group.name for group in found] == [f"{c}, position_noise_m = {n}" for c in "ab" for n in (5, 10)]
    assert sum(group.failed for group in found) == int((tables["runs"]["status"] == "failed").sum()) == 1


def test_pairs_show_differences_that_independent_runs_do_not() -> None:
    rng = np.random.default_rng(2)
    common = rng.lognormal(0.0, 1.0, 30)
    ours, theirs = group_of((1.05 * common).tolist(), list(range(30))), group_of(common.tolist(), list(range(30)))
    (found,) = differences([ours], [theirs])
    assert found.paired
    assert found.ratio == pytest.approx(1.05)
    assert found.verdict == "worse"
    (other,) = differences([ours], [group_of(common.tolist(), list(range(100, 130)))])
    assert not other.paired
    assert other.verdict == "not distinguishable"
    (same,) = differences([theirs], [theirs])
    assert same.verdict == "not distinguishable"
    assert differences([ours, theirs], [group_of([1.0], [1], "other")]) == []


def test_the_error_depends_on_the_setting_that_drives_it() -> None:
    campaign, tables = drawn_tables(random={NOISE: {"uniform": [1.0, 10.0]}}, repetitions=40)
    (found,) = (one for one in sensitivities(campaign, tables["runs"]) if one.estimator == FILTER)
    assert found.parameter == NOISE
    assert found.correlation > 0.9
    assert found.p_value < 1e-6


def test_the_worst_run_and_the_course_are_found() -> None:
    campaign, tables = drawn_tables(repetitions=10)
    runs = tables["runs"].drop_nulls("orbit_filter_error_m")
    worst = runs.sort("orbit_filter_error_m", descending=True)["run"][0]
    assert worst_runs(campaign, tables["runs"], 3)[0].run == worst
    bins = tables["bins"]
    series = bin_series([bins[:40], bins[40:]], 600.0)[FILTER.label]
    assert series["hours"].to_list() == [300.0 / 3600.0, 900.0 / 3600.0]
    assert series["runs"].to_list() == [9, 9]


def test_predictions_are_within_their_errors_as_often_as_they_were_drawn() -> None:
    campaign, tables = drawn_tables(repetitions=400, bin_s=3600.0, estimators={"predictions_h": [1.5, 4.0]})
    rng = np.random.default_rng(9)
    rows = [
        (run, "orbit prediction", begin_s, 1, abs(rng.normal(0.0, size)), 1.0, None, rng.chisquare(3) / 3.0, None)
        for run in range(400)
        for begin_s, size in ((3600.0, 1.0), (14400.0, 2.0))
    ]
    bins = pl.DataFrame(rows, schema=schema("bins"), orient="row")
    found = containments(campaign, groups(campaign, tables["runs"]), [bins[:300], tables["bins"], bins[300:]])
    first, second = found
    assert (first.hours, second.hours) == (1.5, 4.0)
    assert first.runs == second.runs == 399  # one has failed
    assert first.along == pytest.approx(0.95, abs=0.03)
    assert second.along == pytest.approx(0.673, abs=0.06)  # of errors twice as large as stated
    assert second.ellipsoid == pytest.approx(0.95, abs=0.03)
    assert second.sigmas_m == (1.0, 1.0, 1.0)
    assert not containments(campaign, groups(campaign, tables["runs"]), [tables["bins"]])
