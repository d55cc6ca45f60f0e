from pathlib import Path

import pytest

from scripts.generate.campaign_tables import main
from tests.pygnc_ground.campaign.test_report import write_results


def test_each_case_has_a_row_with_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_results(tmp_path / "c", {"title": "Orbit", "cases": [{"name": "slow"}, {"name": "fast"}]})
    assert main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Orbit: 3 runs, 1 failed." in lines
    (of_orbit, of_attitude) = (line for line in lines if line.startswith("| slow |"))
    assert of_orbit.count(" m (1.00 m); ") == 3
    assert of_attitude.count("|") == 11
