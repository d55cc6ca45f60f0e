import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from pygnc_station.server.series_api import MAX_MEANS, Summary, means_of
from pygnc_station.server_settings import Calibration, GadgetSettings
from pygnc_station.settings_types import Location
from pygnc_station.store import calibrations
from pygnc_station.store.calibrations import DatedCalibration
from pygnc_station.store.hourly import update_hours
from pygnc_station.store.query import ALWAYS, Span
from pygnc_station.store.readings import HOUR_MS, Column, Layout, NewReading, clock_ms, iso_time
from pygnc_station.store.retention import prune_to_statistics
from pygnc_station.store.store import Store
from tests.pygnc_station.server.samples import Running, server

LAYOUT = Layout("histogram", (Column("pm_2_5_ug_m3", "µg/m³"), Column("humidity_percent", "%"), Column("note")))
DAY_MS = 24 * HOUR_MS
START_MS = 1_790_000_000_000 // DAY_MS * DAY_MS
CALIBRATED = GadgetSettings(
    Location(53.35, -6.26), time_zone="America/New_York", calibration={"pm_2_5_ug_m3": Calibration(gain=0.5)}
)


def fill(store: Store, gadget: str, values: list[tuple[float, float | None]], start_ms: int, step_ms: int) -> None:
    store.append(
        store.stream(gadget, LAYOUT, family="opc_n3"),
        [
            NewReading(start_ms + rank * step_ms, 0, 0, "", json.dumps([pm, humidity, "ok"]), None)
            for rank, (pm, humidity) in enumerate(values)
        ],
    )


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Running]:
    with server(tmp_path / "server", gadgets={"opc a": CALIBRATED}) as running:
        yield running


def of(there: Running, **query: Any) -> Any:  # noqa: ANN401 - any JSON
    answer = httpx.get(f"{there.url}/api/v1/series/", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_plots_of_deleted_readings_show_their_statistics(there: Running) -> None:
    fill(there.store, "OPC A", [(float(rank), None) for rank in range(8)], START_MS, HOUR_MS // 4)
    prune_to_statistics(there.store, START_MS + HOUR_MS)
    points = of(there, gadget="OPC A", name="pm_2_5_ug_m3", form="raw")["points"]
    assert points == [
        [START_MS, 0.0], [START_MS + HOUR_MS // 2, 3.0],
        *([START_MS + HOUR_MS + rank * HOUR_MS // 4, 4.0 + rank] for rank in range(4)),
    ]  # fmt: skip
    means = of(there, gadget="OPC A", name="pm_2_5_ug_m3", form="mean")["points"]
    assert means == [[START_MS, 1.5, 0.0, 3.0, 1], [START_MS + HOUR_MS, 5.5, 4.0, 7.0, 1]]


def test_means_of_a_month_are_hourly_and_equal_those_of_the_readings(there: Running) -> None:
    values: list[tuple[float, float | None]] = [(rank % 37 / 3, 50.0) for rank in range(30 * 24 * 4)]
    fill(there.store, "OPC A", values, START_MS, 900_000)
    update_hours(there.store)
    found = of(there, gadget="OPC A", name="pm_2_5_ug_m3", form="mean")
    assert found["step_ms"] == HOUR_MS
    assert len(found["points"]) == 720
    for rank, (t_ms, mean, low, high, covered_h) in enumerate(found["points"]):
        assert covered_h == 1
        numbers = [pm for pm, _ in values[4 * rank : 4 * rank + 4]]
        assert t_ms == START_MS + rank * HOUR_MS
        assert (mean, low, high) == (pytest.approx(fmean(numbers)), min(numbers), max(numbers))
    day = {"timestamp__gte": iso_time(START_MS + DAY_MS), "timestamp__lte": iso_time(START_MS + 2 * DAY_MS - 1)}
    assert of(there, name="pm_2_5_ug_m3", form="mean", **day)["points"] == found["points"][24:48]


def test_a_fitted_calibration_corrects_values_from_its_time_on(there: Running) -> None:
    fill(there.store, "OPC A", [(13.0, 50.0), (26.0, 50.0), (26.0, 50.0)], START_MS, HOUR_MS)
    update_hours(there.store)
    dated = DatedCalibration(START_MS + 2 * HOUR_MS, 0.1, 3.0, 0.3)
    calibrations.add(there.store, "OPC A", "pm_2_5_ug_m3", dated, "REF", "{}", START_MS)
    query = {"gadget": "OPC A", "name": "pm_2_5_ug_m3"}
    expected = [5.0, 10.0, 5.0]  # gain 0.5 of the settings, then gain 0.1 and offset 3 of the fit
    assert [value for _, value in of(there, **query, corrected=True)["points"]] == pytest.approx(expected)
    assert [each[1] for each in of(there, **query, corrected=True, form="mean")["points"]] == pytest.approx(expected)
    assert [value for _, value in of(there, **query)["points"]] == [13.0, 26.0, 26.0]
    (gadget,) = httpx.get(f"{there.url}/api/v1/overview/").json()["gadgets"]
    assert gadget["values"][0] | {"value": 26.0, "corrected": 5.0} == gadget["values"][0]


def test_corrected_values_are_beside_raw_ones_and_the_store_is_unchanged(there: Running) -> None:
    fill(there.store, "OPC A", [(13.0, 50.0), (26.0, 50.0), (8.0, None)], START_MS, HOUR_MS)
    update_hours(there.store)
    query = {"gadget": "OPC A", "name": "pm_2_5_ug_m3"}
    expected = [5.0, 10.0, 4.0]  # growth 1.3 at 50 %, gain 0.5; without a humidity, only the gain
    assert [value for _, value in of(there, **query, corrected=True)["points"]] == pytest.approx(expected)
    assert [each[1] for each in of(there, **query, corrected=True, form="mean")["points"]] == pytest.approx(expected)
    assert [value for _, value in of(there, **query)["points"]] == [13.0, 26.0, 8.0]


def test_a_plot_of_many_readings_keeps_the_extremes_and_is_bounded(there: Running) -> None:
    values: list[tuple[float, float | None]] = [(5.0, None)] * 30_000
    values[17_123] = (99.0, None)
    values[20_001] = (-3.0, None)
    fill(there.store, "OPC A", values, START_MS, 60_000)
    update_hours(there.store)
    statements: list[str] = []
    event.listen(there.store.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    points = of(there, name="pm_2_5_ug_m3")["points"]
    assert not [statement for statement in statements if "FROM readings" in statement], "the disk would be slow"
    assert len(points) <= 1200
    assert (min(value for _, value in points), max(value for _, value in points)) == (-3.0, 99.0)
    assert points == sorted(points)


def test_refuses_unknown_forms_and_names_nothing_for_unknown_values(there: Running) -> None:
    answer = httpx.get(f"{there.url}/api/v1/series/", params={"form": "median"})
    assert answer.status_code == 400
    assert "form" in answer.json()["error"]
    assert of(there, name="none", form="mean")["points"] == []


@given(
    st.dictionaries(st.integers(400_000, 600_000), st.integers(-50, 50), min_size=1, max_size=40),
    st.one_of(st.none(), st.integers(1, 500_000)),
)
def test_means_of_any_span_are_few_and_lose_no_reading(hours: dict[int, int], asked_h: int | None) -> None:
    summaries = [Summary(hour, 2, 2.0 * value, value - 1, value + 1) for hour, value in sorted(hours.items())]
    first_ms = summaries[0].hour * HOUR_MS
    span = ALWAYS if asked_h is None else Span(first_ms, first_ms + asked_h * HOUR_MS)
    step_h, points = means_of(summaries, span)
    assert len(points) <= MAX_MEANS
    assert points == sorted(points)
    groups: dict[int, list[int]] = {}
    for hour, value in hours.items():
        groups.setdefault(hour // step_h * step_h * HOUR_MS, []).append(value)
    assert [point[0] for point in points] == sorted(groups)
    for t_ms, mean, low, high, covered_h in points:
        group = groups[int(t_ms)]
        assert covered_h == len(group)
        assert mean == pytest.approx(fmean(group))
        assert (low, high) == (min(group) - 1, max(group) + 1)


def test_partial_days_are_marked_by_their_hours(there: Running) -> None:
    fill(there.store, "OPC A", [(9.0, None)] * (24 * 40 + 7), START_MS, HOUR_MS)
    update_hours(there.store)
    year = {"timestamp__gte": iso_time(START_MS - 300 * DAY_MS), "timestamp__lte": iso_time(START_MS + 50 * DAY_MS)}
    found = of(there, gadget="OPC A", name="pm_2_5_ug_m3", form="mean", **year)
    assert found["step_ms"] == 24 * HOUR_MS
    assert [point[4] for point in found["points"]] == [24] * 40 + [7]


def test_days_above_limits_are_counted_in_the_time_zone_of_the_gadget(there: Running) -> None:
    # The first 4 hours belong to the day before in New York, which has too few of them.
    values: list[tuple[float, float | None]] = [(90.0, None)] * 4
    values += [(40.0, None)] * 24 + [(10.0, None)] * 24 + [(31.0, None)] * 20  # halved by the calibration
    fill(there.store, "OPC A", values, START_MS, HOUR_MS)
    update_hours(there.store)
    query = {"gadget": "OPC A", "name": "pm_2_5_ug_m3", "corrected": "true"}
    answer = httpx.get(f"{there.url}/api/v1/limits/", params=query)
    assert answer.status_code == 200, answer.text
    assert answer.json()["time_zone"] == "America/New_York"
    by_source = {(each["source"], each["period"]): each for each in answer.json()["results"]}
    who = by_source["WHO 2021", "day"]
    assert (who["limit"], who["days"], who["days_above"], who["days_allowed"]) == (15.0, 3, 2, 3)
    assert who["exceeded"] is None
    assert by_source["EU from 2030", "day"]["days_above"] == 0
    assert by_source["WHO 2021", "year"]["mean"] == pytest.approx((20 + 5 + 15.5) / 3)
    query["name"] = "humidity_percent"
    assert httpx.get(f"{there.url}/api/v1/limits/", params=query).json()["results"] == []


def overview(there: Running) -> Any:  # noqa: ANN401 - any JSON
    answer = httpx.get(f"{there.url}/api/v1/overview/")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_overview_contains_values_air_quality_and_places(there: Running) -> None:
    now_ms = clock_ms()
    hour_ms = now_ms // HOUR_MS * HOUR_MS
    fill(there.store, "OPC A", [(26.0, 50.0)] * 13, hour_ms - 12 * HOUR_MS, HOUR_MS)
    fill(there.store, "OPC B", [(40.0, 0.0)] * 12, hour_ms - 12 * HOUR_MS, HOUR_MS)
    fill(there.store, "old", [(40.0, 0.0)], START_MS, HOUR_MS)
    update_hours(there.store)
    found = overview(there)
    assert abs(found["time_ms"] - now_ms) < 60_000
    by_name = {each["gadget"]: each for each in found["gadgets"]}
    first = by_name["OPC A"]
    assert [each["name"] for each in first["values"]] == ["pm_2_5_ug_m3", "humidity_percent"]
    assert (first["values"][0]["value"], first["values"][0]["corrected"]) == (26.0, pytest.approx(10.0))
    assert first["location"] == {"latitude_deg": 53.35, "longitude_deg": -6.26}
    assert (first["air_quality"]["index"], first["air_quality"]["category"]) == (53, "Moderate")
    assert by_name["OPC B"]["air_quality"]["index"] == 112  # 49 / 19.9 * (40.0 - 35.5) + 101
    assert by_name["OPC B"]["location"] is None
    assert (first["time_zone"], by_name["OPC B"]["time_zone"]) == ("America/New_York", "UTC")
    assert by_name["OPC B"]["european_air_quality"] == {
        "index": 3, "category": "Moderate", "rank": 2, "name": "pm_2_5_ug_m3", "mean_ug_m3": 40.0
    }  # fmt: skip
    assert by_name["old"]["air_quality"] is None
    assert by_name["old"]["last_reading_ms"] == START_MS


def test_the_map_gets_its_coastline(there: Running) -> None:
    answer = httpx.get(f"{there.url}/api/v1/coastline/")
    rings = [[point.split(",") for point in line.split()] for line in answer.text.splitlines()]
    assert len(rings) > 100
    assert all(len(point) == 2 for ring in rings for point in ring)
