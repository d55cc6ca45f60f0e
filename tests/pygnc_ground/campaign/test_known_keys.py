from typing import Any

import pytest

from pygnc_ground.campaign.definition import campaign_from_tables

NOISE = "scenario.gps.position_noise_m"
UNKNOWN: list[tuple[dict[str, Any], str, str]] = [
    ({"repetition": 3}, "repetition", "repetitions"),
    ({"scenario": {"gps": {"position_nose_m": 1.0}}}, "scenario.gps.position_nose_m", NOISE),
    ({"scenario": {"partners": [{"idd": 75}]}}, "scenario.partners[0].idd", "scenario.partners[0].id"),
    ({"settings": {"orbit": {"screning": {}}}}, "settings.orbit.screning", "settings.orbit.screening"),
    ({"estimators": {"orbits": ["filter"]}}, "estimators.orbits", "estimators.orbit"),
    ({"grid": {"scenario.gps.position_noise": [1.0]}}, "scenario.gps.position_noise", NOISE),
    ({"random": {"scenari.gps.position_noise_m": {"uniform": [0.0, 1.0]}}}, "scenari.gps.position_noise_m", NOISE),
    ({"random": {NOISE: {"unform": [0.0, 1.0]}}}, f"random.{NOISE}.unform", f"random.{NOISE}.uniform"),
    (
        {"cases": [{"name": "a", "scenario": {"gsp": {}}}]},
        "cases[0].scenario.gsp",
        "cases[0].scenario.gps",
    ),
    (
        {"grid": {"scenario.partners.*.drag_rato": [1.0]}},
        "scenario.partners.*.drag_rato",
        "scenario.partners.*.drag_ratio",
    ),
    ({"grid": {"scenario.partners.drag_ratio": [1]}}, "scenario.partners.drag_ratio", "scenario.partners.*.drag_ratio"),
    ({"sensor_faults": [{"kind": "gap", "begin": 3.0}]}, "sensor_faults[0].begin", "sensor_faults[0].begin_s"),
]


@pytest.mark.parametrize(("tables", "unknown", "nearest"), UNKNOWN, ids=[unknown for _, unknown, _ in UNKNOWN])
def test_an_unknown_key_is_named_with_the_nearest_known_one(tables: dict[str, Any], unknown: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=r"^c\.toml: ") as caught:
        campaign_from_tables(tables, "c.toml")
    words = str(caught.value).replace(";", " ").split()
    assert unknown in words
    assert nearest in words


def test_a_varied_table_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scenario\.gps.*position_noise_m"):
        campaign_from_tables({"grid": {"scenario.gps": [1.0]}}, "c.toml")
