"""Comparison of particle counters with their neighbours."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pygnc_station.diagnosis.server import examine_server
from pygnc_station.server.background import compare_neighbours
from pygnc_station.server.fleet import SERVER, raised_alerts
from pygnc_station.server.neighbours import HOURS, Hour, Unit, distance_km, doubts
from pygnc_station.server_settings import GadgetSettings, Serve
from pygnc_station.settings import StationSettings
from pygnc_station.settings_types import Location
from pygnc_station.store.hourly import update_hours
from pygnc_station.store.readings import HOUR_MS, Column, Layout, NewReading
from pygnc_station.store.store import Store

THIS_HOUR = 497_000
PLACE = Location(53.35, -6.26)
Spoil = Callable[[int, float], float]


def as_measured(_: int, value: float) -> float:
    return value


def units(spoil: Spoil = as_measured, count: int = 4, seed: int = 1) -> list[Unit]:
    """Return units of one town; the last one is spoilt as a function of the hour, from 0, and the value."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(scale=0.25, size=HOURS)
    level = np.zeros(HOURS)
    for k in range(1, HOURS):
        level[k] = 0.95 * level[k - 1] + steps[k]
    found = []
    for rank in range(count):
        values = 12 * np.exp(level) * rng.normal(1.0, 0.12, HOURS) * rng.uniform(0.85, 1.15) + rng.normal(0, 0.5, HOURS)
        hours = {}
        for k, value in enumerate(np.maximum(values, 0.0)):
            if rng.random() < 0.05:
                continue
            seen = spoil(k, float(value)) if rank == count - 1 else float(value)
            spread = 0.0 if seen != value and seen == 7.0 else 1.0
            hours[THIS_HOUR - HOURS + k] = Hour(seen - spread, seen + spread, seen)
        found.append(Unit(f"unit {rank}", Location(53.35 + 0.01 * rank, -6.26), hours))
    return found


@pytest.mark.parametrize("seed", range(20))
def test_units_that_agree_are_not_doubted(seed: int) -> None:
    assert list(doubts(units(seed=seed), THIS_HOUR)) == []


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda k, value: 7.0 if k >= HOURS - 40 else value, "is stuck at 7 µg/m³ for"),
        (lambda k, value: value * (1 + 1.5 * k / HOURS), "drifts: its ratio to its neighbours has changed from"),
        (lambda k, value: value + 60 if k >= HOURS - 24 else value, "is implausible: "),
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_a_faulty_unit_is_doubted_and_no_other(spoil: Spoil, text: str, seed: int) -> None:
    found = list(doubts(units(spoil, seed=seed), THIS_HOUR))
    assert {doubt.gadget for doubt in found} == {"unit 3"}
    assert any(text in doubt.text for doubt in found)


def test_two_units_and_distant_units_are_not_compared() -> None:
    def spoil(_: int, value: float) -> float:
        return value + 500

    assert list(doubts(units(spoil, count=2), THIS_HOUR)) == []
    *near, last = units(spoil)
    assert list(doubts([*near, last._replace(location=Location(54.0, -6.26))], THIS_HOUR)) == []


def test_distances_are_those_on_the_sphere() -> None:
    assert distance_km(PLACE, PLACE) == 0.0
    assert distance_km(PLACE, Location(54.35, -6.26)) == pytest.approx(111.19, abs=0.02)
    assert distance_km(Location(0.0, 179.9), Location(0.0, -179.9)) == pytest.approx(22.24, abs=0.02)


def test_doctor_and_alerts_name_a_doubted_unit_until_it_is_right(tmp_path: Path) -> None:
    gadgets = {f"unit {rank}": GadgetSettings(Location(53.35, -6.26 + 0.01 * rank)) for rank in range(4)}
    settings = StationSettings(name="server", folder=str(tmp_path), serve=Serve(port=0, gadgets=gadgets, kappa=0.0))
    layout, now_ms = Layout("measurement", (Column("pm_2_5_ug_m3", "µg/m³"),)), THIS_HOUR * HOUR_MS + 1000
    with Store.open(settings.store_url) as store:
        for unit in units(lambda k, value: value + 90 if k >= HOURS - 30 else value):
            rows = [
                NewReading(hour * HOUR_MS + k * 900_000, 0, 0, "", json.dumps([each]), None)
                for hour, found in unit.hours.items()
                for k, each in enumerate((found.low, found.high))
            ]
            store.append(store.stream(unit.gadget, layout, family="pms5003"), rows)
        update_hours(store)
        compare_neighbours(store, settings, ["mail"], now_ms)
        with store.reads() as connection:
            (alert,) = raised_alerts(connection)[SERVER]
        assert alert.name == "sensor unit 3"
        assert alert.text.startswith("unit 3 is implausible: ")
        compare_neighbours(store, settings, ["mail"], now_ms + 60_000)
        with store.reads() as connection:
            assert raised_alerts(connection)[SERVER] == [alert]
        compare_neighbours(store, settings, ["mail"], now_ms + 40 * 24 * HOUR_MS)
        with store.reads() as connection:
            assert SERVER not in raised_alerts(connection)
    problems = [finding for finding in examine_server(settings, now_ms / 1000) if finding.subject == "gadget unit 3"]
    assert len(problems) == 1
    assert "`pygnc station colocate`" in problems[0].text
