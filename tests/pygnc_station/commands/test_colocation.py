"""`pygnc station colocate`, on a store with a unit, a reference, gaps and humidity."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.store.query import between, streams
from pygnc_station.store.readings import HOUR_MS, iso_time
from pygnc_station.store.store import Store
from tests.pygnc_station.server.test_colocation import FIRST_HOUR, TRUTH, fill_co_location

BESIDE = ("colocate", "OPC_7", "STATION", "--reference-value", "pm25")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "station.toml"
    path.write_text('name = "server"\n[store]\nurl = "readings.db"\n[serve]\n')
    with Store.open(str(tmp_path / "readings.db")) as store:
        fill_co_location(store, "OPC_7")
    return path


def _invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_fits_reports_and_applies_a_calibration(settings: Path, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "readings.db")) as store:
        before = between(store, streams(store))
    shown = _invoke(*BESIDE, "--settings", settings, "--out", tmp_path / "residuals.csv")
    assert "on 20 days" in shown
    assert "mean residual at 50 % to 70 % humidity" in shown
    assert "nothing is changed; --apply-from TIME" in shown
    rows = list(csv.DictReader((tmp_path / "residuals.csv").read_text().splitlines()))
    assert float(rows[0]["residual"]) == pytest.approx(
        float(rows[0]["reference"]) - float(rows[0]["corrected"]), abs=2e-4
    )
    assert "there are no calibrations" in _invoke("calibrations", "--settings", settings)

    found = json.loads(_invoke(*BESIDE, "--settings", settings, "--json", "--apply-from", "2026-01-01"))
    for value, sigma, truth in zip(found["fit"], found["sigma"], TRUTH, strict=True):
        assert abs(value - truth) < 4 * sigma
    assert found["corrected"]["rms"] < found["stored"]["rms"]
    assert "1 OPC_7 pm_2_5_ug_m3 from 2026-01-01T00:00:00.000Z: gain" in _invoke("calibrations", "--settings", settings)
    assert json.loads(_invoke("calibrations", "--settings", settings, "--json"))["report"]["hours"] == len(rows)
    with Store.open(str(tmp_path / "readings.db")) as store:
        assert between(store, streams(store)) == before
    assert "removed calibration 1" in _invoke("calibrations", "--settings", settings, "--remove", 1)
    for number in (1, 10**20):
        refused = _invoke("calibrations", "--settings", settings, "--remove", number, code=ExitCode.INPUT)
        assert f"calibration {number} does not exist" in refused
    log = _invoke("audit", "--settings", settings)
    assert 'Calibrate a gadget: "OPC_7" beside "STATION", pm_2_5_ug_m3, from 2026-01-01T00:00:00.000Z' in log
    assert "Remove a calibration: number 1" in log


def test_a_fit_without_humidity_has_no_kappa(settings: Path) -> None:
    shown = _invoke(*BESIDE, "--settings", settings, "--no-humidity")
    assert "kappa" not in shown
    assert "gain" in shown


def test_a_short_period_is_reported_as_such(settings: Path) -> None:
    shown = _invoke(*BESIDE, "--settings", settings, "--until", iso_time((FIRST_HOUR + 96) * HOUR_MS))
    assert "days are few for an uncertainty; 14 days or more are better" in shown
    assert "common hours" in _invoke(*BESIDE, "--settings", settings, "--since", "2030-01-01", code=ExitCode.INPUT)


def test_unknown_names_are_explained(settings: Path) -> None:
    shown = _invoke("colocate", "OPC_8", "STATION", "--settings", settings, code=ExitCode.INPUT)
    assert "OPC_8: the store has no readings of this gadget; known gadgets: OPC_7, STATION" in shown
    shown = _invoke("colocate", "OPC_7", "STATION", "--settings", settings, code=ExitCode.INPUT)
    assert "STATION: no reading contains pm_2_5_ug_m3; choose a value from pm25" in shown
    assert "invalid time" in _invoke(*BESIDE, "--settings", settings, "--since", "soon", code=ExitCode.USAGE)
