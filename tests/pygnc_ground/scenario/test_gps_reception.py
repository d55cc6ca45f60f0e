import numpy as np
import pytest

from pygnc_ground.scenario.gps_reception import Reception, receptions, time_statuses
from pygnc_ground.scenario.gps_settings import Gps

T_S = np.arange(0, 3600, 5)
RECORD_S = 25


def between(begin_s: int, end_s: int) -> slice:
    """Of T_S."""
    return slice(begin_s // 5, end_s // 5)


def test_a_cold_start_goes_from_nothing_over_the_time_to_a_fix() -> None:
    found = receptions(Gps(cold_start_s=600.0, time_unknown_fraction=0.25), T_S, RECORD_S, seed=1)
    for begin_s, end_s, kind in ((0, 150, Reception.NOTHING), (150, 600, Reception.TIME), (600, 3600, Reception.FIX)):
        assert {*found[between(begin_s, end_s)].tolist()} == {kind}


def test_the_time_status_follows_the_cold_start_as_recorded() -> None:
    receiver = Gps(cold_start_s=600.0)
    statuses = time_statuses(receiver, T_S, receptions(receiver, T_S, RECORD_S, seed=1))
    for begin_s, end_s, word in ((0, 300, 20), (300, 600, 120), (600, 660, 160), (660, 3600, 180)):
        assert {*statuses[between(begin_s, end_s)].tolist()} == {word}


def test_without_a_cold_start_the_status_is_the_set_one_at_once() -> None:
    receiver = Gps(time_status=160)
    assert {*time_statuses(receiver, T_S, receptions(receiver, T_S, RECORD_S, seed=1)).tolist()} == {160}


def test_outages_are_where_the_settings_put_them_and_the_clock_runs_freely_then() -> None:
    receiver = Gps(outages_s=((100.0, 50.0), (3000.0, 1e9)))
    found = receptions(receiver, T_S, RECORD_S, seed=1)
    out = ((T_S >= 100) & (T_S < 150)) | (T_S >= 3000)
    np.testing.assert_array_equal(found == Reception.INTERRUPTED, out)
    np.testing.assert_array_equal(time_statuses(receiver, T_S, found), np.where(out, 130, 180))


def test_a_cold_start_outlasts_an_outage_in_it() -> None:
    found = receptions(Gps(cold_start_s=100.0, outages_s=((0.0, 100.0),)), T_S, RECORD_S, seed=1)
    assert {*found[T_S < 100].tolist()} == {Reception.NOTHING, Reception.TIME}


def test_a_duty_cycle_gives_a_fix_in_one_record_of_so_many() -> None:
    found = receptions(Gps(fix_every_records=12), T_S, RECORD_S, seed=1)
    np.testing.assert_array_equal(found == Reception.FIX, T_S % 300 < 25)
    assert {*found.tolist()} == {Reception.FIX, Reception.INTERRUPTED}


def test_random_outages_take_the_share_of_time_that_rate_and_duration_make() -> None:
    t_s = np.arange(1_000_000)
    found = receptions(Gps(outage_rate_per_h=2.0, outage_mean_s=120.0), t_s, RECORD_S, seed=3)
    out = found == Reception.INTERRUPTED
    # Outages that begin by chance and may overlap leave exp(-rate * duration) of the time.
    assert np.mean(out) == pytest.approx(1.0 - np.exp(-2.0 / 30.0), rel=0.2)
    begins = np.count_nonzero(np.diff(out.astype(int)) == 1)
    assert begins == pytest.approx(2.0 * 1_000_000 / 3600.0 * np.exp(-2.0 / 30.0), rel=0.2)


def test_a_longer_scenario_begins_with_the_same_outages() -> None:
    receiver = Gps(outage_rate_per_h=5.0)
    whole = receptions(receiver, T_S, RECORD_S, seed=1)
    np.testing.assert_array_equal(receptions(receiver, T_S[:300], RECORD_S, seed=1), whole[:300])
    assert Reception.INTERRUPTED in whole
