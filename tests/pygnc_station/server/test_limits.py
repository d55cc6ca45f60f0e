from datetime import UTC, date
from zoneinfo import ZoneInfo

import pytest

from pygnc_station.server.limits import daily_means, exceedances, limits, parse_limits
from pygnc_station.store.readings import HOUR_MS

SUMMER_TIME_H = 1_774_746_000_000 // HOUR_MS  # 2026-03-29T01:00:00Z, when summer time begins in Europe


def test_limits_are_those_of_the_guidelines_and_directives() -> None:
    found = {
        (name, limit.source, limit.period): (limit.ug_m3, limit.days_allowed)
        for name, all_ in limits().items()
        for limit in all_
    }
    assert found == {
        ("pm_2_5_ug_m3", "WHO 2021", "day"): (15, 3),
        ("pm_2_5_ug_m3", "WHO 2021", "year"): (5, 0),
        ("pm_2_5_ug_m3", "EU from 2030", "day"): (25, 18),
        ("pm_2_5_ug_m3", "EU from 2030", "year"): (10, 0),
        ("pm_2_5_ug_m3", "EU until 2029", "year"): (25, 0),
        ("pm_10_ug_m3", "WHO 2021", "day"): (45, 3),
        ("pm_10_ug_m3", "WHO 2021", "year"): (15, 0),
        ("pm_10_ug_m3", "EU from 2030", "day"): (45, 18),
        ("pm_10_ug_m3", "EU from 2030", "year"): (20, 0),
        ("pm_10_ug_m3", "EU until 2029", "day"): (50, 35),
        ("pm_10_ug_m3", "EU until 2029", "year"): (40, 0),
    }


def test_days_begin_at_local_midnight_and_need_eighteen_hours() -> None:
    first = SUMMER_TIME_H - 2  # 00:00 in Berlin; this day has 23 hours
    hours = [(first + rank, 10.0) for rank in range(23)] + [(first + 23 + rank, 20.0) for rank in range(17)]
    berlin = ZoneInfo("Europe/Berlin")
    assert daily_means(hours, berlin) == {date(2026, 3, 29): 10.0}
    hours.append((first + 40, 20.0))
    assert daily_means(hours, berlin) == {date(2026, 3, 29): 10.0, date(2026, 3, 30): 20.0}
    assert daily_means(hours, UTC) == {date(2026, 3, 29): pytest.approx((22 * 10 + 2 * 20) / 24)}


def test_a_year_is_judged_by_three_quarters_of_its_days() -> None:
    daily, yearly = (each for each in limits()["pm_2_5_ug_m3"] if each.source == "WHO 2021")
    year = [4.0] * 362 + [16.0] * 3
    assert exceedances(daily, year)["exceeded"] is False
    assert exceedances(daily, [*year, 15.1])["exceeded"] is True
    assert exceedances(daily, [*year, 15.0])["days_above"] == 3
    assert exceedances(daily, [16.0] * 3)["exceeded"] is None
    assert exceedances(daily, [16.0] * 4)["exceeded"] is True  # further days cannot change it
    assert exceedances(yearly, year)["exceeded"] is False
    assert exceedances(yearly, [6.0] * 274)["exceeded"] is True
    assert exceedances(yearly, [6.0] * 273)["exceeded"] is None
    assert exceedances(yearly, [])["mean"] is None


def test_an_invalid_line_is_named() -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse_limits("# title\npm_10_ug_m3 45 week 0 WHO")
