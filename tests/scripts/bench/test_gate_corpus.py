"""Corpus of the gate: its scenarios can be generated, and formations have a truth."""

from pathlib import Path

import pytest

from pygnc_ground.gate.check import replay_run
from scripts.bench.gate_corpus import SCENARIOS, add_scenario


@pytest.mark.slow
@pytest.mark.parametrize("name", ["formation", "ranges"])
def test_errors_of_formations_are_known(name: str, tmp_path: Path) -> None:
    found = replay_run(add_scenario(tmp_path / "corpus", SCENARIOS / f"{name}.toml"))
    error = {one.name: one.error for one in found.accuracy}
    of_messages, of_nearest = error["partner 75 position"], error["partner 75 nearest candidate position"]
    assert of_messages is not None
    assert of_nearest is not None
    assert 0.0 < of_nearest < of_messages
