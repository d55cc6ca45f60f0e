"""Corpus of the gate: its scenarios can be generated and contain every effect, and formations have a truth."""

from pathlib import Path

import msgspec
import pytest

from pygnc_ground.gate.check import replay_run
from pygnc_ground.scenario.presets import scenario_settings
from pygnc_ground.scenario.settings import Settings
from scripts.bench.gate_corpus import SCENARIOS, add_scenario, scenario_files
from tests.pygnc_ground.scenario.effects import EFFECTS, FAULTS


def test_a_flight_shows_each_effect() -> None:
    plain = msgspec.to_builtins(Settings())
    flights = [msgspec.to_builtins(scenario_settings(None, path)) for path in scenario_files()]
    wiring = {"gyro_axes", "faces"}  # mag_axes shows the check of the axes
    for settings in (EFFECTS, FAULTS):
        for section, names in settings.items():
            for name in {*names} - wiring:
                assert any(flight[section][name] != plain[section][name] for flight in flights), f"{section}.{name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["formation", "ranges"])
def test_errors_of_formations_are_known(name: str, tmp_path: Path) -> None:
    found = replay_run(add_scenario(tmp_path / "corpus", SCENARIOS / f"{name}.toml"))
    error = {one.name: one.error for one in found.accuracy}
    of_messages, of_nearest = error["partner 75 position"], error["partner 75 nearest candidate position"]
    assert of_messages is not None
    assert of_nearest is not None
    assert 0.0 < of_nearest < of_messages
