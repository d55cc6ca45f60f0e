"""Attempts that were scheduled while the clock was set ahead."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.store.readings import DAY_MS, clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import note_failure, retry_delay_ms, retry_state, waiting_ms
from tests.pygnc_station.store.samples import START_MS

YEAR_MS = 365 * DAY_MS


def test_an_attempt_is_due_when_its_delay_has_passed_or_is_longer_than_any() -> None:
    for failures in (1, 5, 100):
        delay_ms = retry_delay_ms(failures)
        assert waiting_ms(START_MS + delay_ms, START_MS) == delay_ms
        assert waiting_ms(START_MS + delay_ms, START_MS + delay_ms) == 0
        assert waiting_ms(START_MS + delay_ms + YEAR_MS, START_MS) == 0


@pytest.mark.parametrize("transfer", ["upload", "sync"])
def test_a_failure_under_a_clock_set_ahead_delays_nothing(tmp_path: Path, transfer: str) -> None:
    path = tmp_path / "station.toml"
    path.write_text(
        'name = "roof"\n[store]\nurl = "r.db"\n[upload]\nurl = "http://127.0.0.1:9"\n'
        '[sync]\nurl = "mysql://pi:word@127.0.0.1:9/readings"\n'
    )
    (tmp_path / "gateway_key.txt").write_text("k" * 20)
    with Store.open(str(tmp_path / "r.db")) as store:
        note_failure(store, transfer, "no connection", clock_ms() + YEAR_MS)
        result = CliRunner().invoke(app, [transfer, "--settings", str(path)])
        assert result.exit_code == ExitCode.NETWORK, result.output
        assert 0 < retry_state(store, transfer).next_try_ms - clock_ms() < 20_000
        result = CliRunner().invoke(app, [transfer, "--settings", str(path)])
        assert "the next attempt is due in" in result.output
