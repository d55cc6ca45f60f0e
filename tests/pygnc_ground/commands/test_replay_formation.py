"""`pygnc replay` on the files of several satellites."""

from pathlib import Path

import msgspec
import polars as pl
import pytest
from brahe import ccsds
from typer.testing import CliRunner, Result

from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.export import app as export_app
from pygnc_ground.commands.replay_document import ReplayDocument
from pygnc_ground.report import html
from pygnc_ground.tables.declaration import columns
from tests.pygnc.navigation.formation_batch import home
from tests.pygnc_command import app

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("formation_batch")]  # one worker makes its fixtures


def replay(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, words)])


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Two satellites with truth; the third has no files."""
    out, folder = tmp_path_factory.mktemp("formation"), home().parent
    words = ("--satellite", f"74={folder / '74'}", "--satellite", f"75={folder / '75'}")
    result = replay(*words, "--truth", folder / "74" / "truth.parquet", "--csv", "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def test_the_partner_is_compared_with_the_truth_beside_its_files(replayed: tuple[Path, str]) -> None:
    (line,) = [line for line in replayed[1].splitlines() if line.startswith("partner 75: 3-D")]
    assert line.endswith("certain")
    assert float(line.split("3-D RMS error ")[1].split()[0]) < 12.0


def test_json_has_the_partners(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(html, "write_report", lambda _result, file, _player: file.touch())
    folder = home().parent
    # The sigma of the partner without files is about its distance, which would make it known or not by chance.
    settings = tmp_path / "pygnc.toml"
    settings.write_text("[formation]\nsolved_sigma_ratio = 5.0\n", encoding="utf-8")
    words = ("--satellite", f"74={folder / '74'}", "--satellite", f"75={folder / '75'}", "--config", settings)
    result = replay(*words, "--no-csv", "--json", "--out", tmp_path / "out")
    found = msgspec.json.decode(result.stdout, type=ReplayDocument)
    assert found.formation is not None
    assert (found.ranges.received, found.ranges.used, found.ranges.not_used) == (100, 100, {})
    partners = {partner.partner_id: partner for partner in found.formation.partners}
    assert {number: partner.state for number, partner in partners.items()} == {75: "certain", 76: "ambiguous"}
    assert (partners[75].error_m, partners[75].mirror_distance_m) == (None, None)
    assert partners[75].sigma_m is not None
    # Its images differ by less than the uncertainty, which covers them all.
    assert partners[76].mirror_distance_m is None


def test_the_table_has_its_columns_and_a_row_for_each_moment(replayed: tuple[Path, str]) -> None:
    table = pl.read_csv(replayed[0] / "formation.csv")
    assert tuple(table.columns) == columns("formation", csv=True)
    of_partner = table.filter(pl.col("partner_id") == 75)
    assert len(of_partner) > 100
    assert of_partner["relative_r_m"].null_count() == 0


def test_an_encounter_becomes_a_message(replayed: tuple[Path, str], tmp_path: Path) -> None:
    found = CliRunner().invoke(export_app, [str(replayed[0]), "--as", "cdm", "--out", str(tmp_path)])
    assert found.exit_code == ExitCode.DONE, found.output
    table = pl.read_parquet(replayed[0] / "approaches.parquet").filter(pl.col("encounter") == "likeliest")
    row = table.filter((pl.col("partner_id") == 75) & (pl.col("orbit") == "best orbit")).row(0, named=True)
    message = ccsds.CDM.from_file(str(tmp_path / "partner-75-best-orbit.cdm"))
    assert message.miss_distance == pytest.approx(row["closest_m"], abs=1e-3)
    assert message.collision_probability == pytest.approx(row["probability_encounter"])
    relative = message.object2_state[:3] - message.object1_state[:3]
    assert relative == pytest.approx([row[f"closest_{axis}_gcrf_m"] for axis in "xyz"], abs=1e-5)


def test_the_report_has_the_formation(replayed: tuple[Path, str]) -> None:
    page = (replayed[0] / "report.html").read_text(encoding="utf-8")
    assert "Relative motion in three planes" in page
    assert "Relative position error against truth" in page


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--partner-truth", "75={none}"], ExitCode.USAGE, "requires --truth"),
        (["--truth", "{truth}", "--partner-truth", "75={none}"], ExitCode.INPUT, "No such file"),
        (["--truth", "{truth}", "--partner-truth", "{truth}"], ExitCode.USAGE, "write NAME=FILE"),
    ],
)
def test_user_errors_are_reported_in_one_line(words: list[str], code: ExitCode, says: str, tmp_path: Path) -> None:
    truth = home() / "truth.parquet"
    arguments = [word.format(none=tmp_path / "none.parquet", truth=truth) for word in words]
    result = replay(home() / "sense.bin", *arguments, "--out", tmp_path / "out")
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
