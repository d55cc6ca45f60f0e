"""The plug-ins in examples/, installed as packages into an environment of their own."""

import signal
import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pygnc.bus.messages import GnssFix
from pygnc.common.clock import utc_iso_from_gps_ms, week_from_gps_ms
from pygnc.configuration.settings import Settings
from pygnc.formats.sense import SenseLayout
from pygnc_ground.replay.inputs import from_files
from pygnc_station.store.readings import Column, Layout, NewReading, to_text
from pygnc_station.store.store import Store
from tests.plugin_environment import PluginEnvironment, create
from tests.programs import needs
from tests.pygnc_station.logger.samples import wait_for

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "data" / "demo"
RECORDS = 48
"""Sense records of the first twenty minutes."""
EXAMPLES = sorted(path.parent for path in (ROOT / "examples").glob("*/pyproject.toml"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180), pytest.mark.xdist_group("distributions"), needs("npm")]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> PluginEnvironment:
    return create(tmp_path_factory.mktemp("plugins"), EXAMPLES)


@pytest.fixture(scope="module")
def sense(there: PluginEnvironment) -> Path:
    """Return a sense file of the first twenty minutes of the demonstration."""
    path = there.folder / "sense.bin"
    path.write_bytes((DEMO / "sense.bin").read_bytes()[: RECORDS * SenseLayout().size])
    return path


def truth_as_stk() -> str:
    """Return the demonstration's truth as an ephemeris of STK."""
    table = pl.read_parquet(DEMO / "truth.parquet")
    gps_ms = (table["gps_week"] * 604_800_000 + table["gps_tow_ms"]).to_numpy()
    names = ["x_ecef_m", "y_ecef_m", "z_ecef_m", "vx_ecef_mps", "vy_ecef_mps", "vz_ecef_mps"]
    epoch = f"{datetime.fromisoformat(utc_iso_from_gps_ms(int(gps_ms[0]))):%d %b %Y %H:%M:%S}.000"
    rows = np.column_stack([(gps_ms - gps_ms[0]) / 1000, table.select(names).to_numpy()])
    lines = [" ".join(f"{value!r}" for value in row) for row in rows.tolist()]
    head = ["stk.v.11.0", "BEGIN Ephemeris", f"ScenarioEpoch {epoch}", "CoordinateSystem Fixed", "EphemerisTimePosVel"]
    return "\n".join([*head, *lines, "END Ephemeris", ""])


def fixes_as_log(sense: Path) -> tuple[str, int]:
    """Return the fixes of a sense file as a fix log, and their number."""
    lines = ["gps_week,gps_tow_s,x_m,y_m,z_m,vx_mps,vy_mps,vz_mps,sigma_m,sigma_mps,satellites"]
    for fix in from_files([sense], None, Settings()).messages:
        if isinstance(fix, GnssFix) and fix.gps_ms and fix.satellites_used >= 4:
            sigmas = (fix.position_sigma_m[0], fix.velocity_sigma_mps[0])
            week, tow_ms = week_from_gps_ms(fix.gps_ms)
            values = (tow_ms / 1000, *fix.position_ecef_m, *fix.velocity_ecef_mps, *sigmas)
            lines.append(",".join(map(repr, (week, *values, fix.satellites_used))))
    return "\n".join([*lines, ""]), len(lines) - 1


def test_the_environment_uses_its_own_packages(there: PluginEnvironment) -> None:
    done = there.run(
        "python", "-c", "import pygnc, pygnc_devices, csv_output; print(pygnc.__file__, csv_output.__file__)"
    )
    assert all(path.startswith(str(there.folder)) for path in done.stdout.split()), done


def test_a_station_writes_to_the_output_of_another_package(there: PluginEnvironment) -> None:
    (there.folder / "station.toml").write_text('[sinks.csv]\nfolder = "csv"\n')
    layout = Layout("rain", (Column("rain_mm", "mm"), Column("note")))
    with Store.open(str(there.folder / "readings.db")) as store:
        values = [(1.5, "a"), (2.5, "b, c")]
        new = [NewReading(1_760_000_000_000 + k, 0, 0, "", to_text(list(row)), None) for k, row in enumerate(values)]
        store.append(store.stream("gauge", layout), new)
    assert f"writes to {there.folder / 'csv'}" in there.run("pygnc", "station", "doctor").stdout
    file = there.folder / "csv" / "gauge_rain_2025-10-09.csv"
    command = [str(there.folder / "env/bin/pygnc"), "station", "publish"]
    with subprocess.Popen(command, cwd=there.folder, env=there.variables, stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_for(lambda: file.exists() and file.read_text().count("\n") == 3, "the rows")
        finally:
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate()
    assert (running.returncode, errors) == (0, "")
    assert file.read_text().splitlines() == [
        "time,rain_mm,note",
        "2025-10-09T08:53:20.000Z,1.5,a",
        '2025-10-09T08:53:20.001Z,2.5,"b, c"',
    ]


def test_a_truth_of_another_kind_gives_the_same_errors(there: PluginEnvironment, sense: Path) -> None:
    (there.folder / "truth.e").write_text(truth_as_stk())
    printed = []
    for truth in ("truth.e", str(DEMO / "truth.parquet")):
        words = ("replay", str(sense), "--truth", truth, "--no-csv", "--overwrite", "--out", "replayed")
        done = there.run("pygnc", *words)
        assert done.returncode == 0, done.stderr
        printed.append([line for line in done.stdout.splitlines() if "3-D RMS" in line])
    assert printed[0] == printed[1]
    assert len(printed[0]) >= 3


def test_damaged_and_unknown_truths_are_named_with_the_readers_line(there: PluginEnvironment) -> None:
    (there.folder / "cut.e").write_text(truth_as_stk()[:-200])
    (there.folder / "unknown").write_text("hello")
    for name, reason in (("cut.e", "cut.e: line "), ("unknown", "unknown: not a true orbit; ")):
        done = there.run("pygnc", "bound", str(DEMO / "sense.bin"), "--truth", name)
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert reason in done.stderr
    assert "STK ephemeris" in done.stderr


def test_a_log_of_another_kind_is_inspected_and_replayed(there: PluginEnvironment, sense: Path) -> None:
    text, count = fixes_as_log(sense)
    (there.folder / "fixes.csv").write_text(text + "2358,12\n")
    shown = there.run("pygnc", "inspect", "--messages", "1", "fixes.csv")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "fix log" in shown.stdout
    assert "GnssFix" in shown.stdout
    words = (
        "replay",
        "fixes.csv",
        "--truth",
        str(DEMO / "truth.parquet"),
        "--no-csv",
        "--overwrite",
        "--out",
        "from_log",
    )
    done = there.run("pygnc", *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{count} GPS records: ")
    refused = there.run("pygnc", *words, "--pipeline")
    assert (refused.returncode, refused.stderr.count("\n")) == (3, 1)
    assert "the flight software reads sense files only" in refused.stderr


def test_a_subcommand_is_listed_and_runs(there: PluginEnvironment) -> None:
    assert "A subcommand: convert GPS week" in there.run("pygnc", "--help").stdout
    assert there.run("pygnc", "gps-time", "2358", "345638").stdout.startswith("2025-03-20T")
    assert there.run("pygnc", "gps-time", "0", "1").returncode == 3


def test_an_uninstalled_plug_in_is_gone(there: PluginEnvironment) -> None:
    there.pip("uninstall", "--yes", "pygnc-example-gps-time")
    done = there.run("pygnc", "gps-time", "2358", "345638")
    assert (done.returncode, done.stderr.startswith("pygnc: no subcommand 'gps-time'")) == (2, True)
