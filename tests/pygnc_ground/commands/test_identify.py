"""`pygnc identify` with an orbit and with the frequencies of a pass, and its errors."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.identify import app
from pygnc_ground.exports.choices import Notation
from pygnc_ground.exports.orbit_messages import omm
from scripts.bench.bench_identify import Launch, observed_pass
from tests.pygnc_ground.orbit.test_passes import TLE


def identify(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    file = tmp_path / "iss.tle"
    file.write_text("\n".join(("ISS (ZARYA)", *TLE)))
    return file


def test_elements_are_found_in_their_catalogue(catalogue: Path, tmp_path: Path) -> None:
    out = tmp_path / "objects.parquet"
    found = identify(catalogue, catalogue, "--out", out)
    assert found.exit_code == ExitCode.DONE, found.output
    assert "1 object compared" in found.output
    assert ": ISS (ZARYA) 25544 1998-067A." in found.output
    table = pl.read_parquet(out)
    assert table["object"].to_list() == ["ISS (ZARYA) 25544 1998-067A", "none of these"]
    assert table["probability"].sum() == pytest.approx(1.0)


def test_frequencies_of_a_pass_need_their_station(tmp_path: Path) -> None:
    launch = Launch(5, 2)
    gps_ms = launch.begin_ms + 24 * 3_600_000
    launch.publish(gps_ms)
    seen = observed_pass(launch, gps_ms)
    rows = [
        f"{utc_iso_from_gps_ms(ms)},{hz:.1f}" for ms, hz in zip(seen.gps_ms.tolist(), seen.frequency_hz, strict=True)
    ]
    file, elements = tmp_path / "pass.csv", tmp_path / "launch.omm"
    file.write_text("\n".join(["utc,frequency_hz", *rows]))
    elements.write_text("\n".join(omm(one, (), one.epoch_gps_ms).text(Notation.KVN) for _, one in launch.sets[:20]))
    station = f"--station={seen.station.latitude_deg},{seen.station.longitude_deg},{seen.station.height_m}"
    found = identify(file, elements, station)
    assert found.exit_code == ExitCode.DONE, found.output
    assert "20 objects compared" in found.output
    assert found.output.splitlines()[1].startswith("60001")
    assert identify(file, elements).exit_code == ExitCode.USAGE
    far = identify(file, elements, "--station=0,0,0")
    assert (far.exit_code, "no object of the catalogue was above the horizon of 0,0,0" in far.stderr) == (
        ExitCode.INPUT,
        True,
    )
    file.write_text("utc,frequency_hz\n2025-03-20,437e6\n")
    assert "line 2" in identify(file, elements, station).stderr


@pytest.mark.parametrize(
    ("source", "words", "code", "reason"),
    [
        ("iss.tle", ("missing.tle",), ExitCode.INPUT, "missing.tle"),
        ("missing", ("iss.tle",), ExitCode.INPUT, "missing"),
        ("iss.tle", ("empty",), ExitCode.INPUT, "no object"),
        ("empty", ("iss.tle",), ExitCode.INPUT, "empty"),
        ("iss.tle", ("iss.tle", "--station", "1,2"), ExitCode.USAGE, "--station is for frequencies"),
        ("iss.tle", ("iss.tle", "--out", "a.txt"), ExitCode.USAGE, ".parquet"),
    ],
)
def test_mistakes_are_named(  # noqa: PLR0917
    source: str, words: tuple[str, ...], code: ExitCode, reason: str, catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(catalogue.parent)
    Path("empty").touch()
    found = identify(source, *words)
    assert (found.exit_code, reason in found.stderr) == (code, True), found.stderr
