"""`pygnc replay` on the demonstration data, on a run's journal, and through the real processes."""

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from brahe import ccsds
from mcap.reader import make_reader
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from pygnc.common import quaternion
from pygnc.formats.elements import parse_elements
from pygnc.formats.sense import SenseLayout
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.commands.export import app as export_app
from pygnc_ground.commands.replay_document import ReplayDocument
from pygnc_ground.replay import pipeline
from pygnc_ground.report import html
from pygnc_ground.report.player import page, scripts
from pygnc_ground.report.text import attitude_lines, count_line, formation_lines
from pygnc_ground.tables.declaration import columns
from tests.demo_elements import as_tle, demo_elements, without_fixes
from tests.pygnc_command import app
from tests.pygnc_ground.report import attitude_samples, formation_samples, samples
from tests.pygnc_ground.report.samples import BEGIN_MS

pytestmark = pytest.mark.timeout(180)  # the first test makes a whole replay

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "data" / "demo"
TRUTH = DEMO / "truth.parquet"
RECORD_BYTES = SenseLayout().size
HOUR = 144
FEW = 24


def replay(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, words)])


@pytest.fixture(scope="module")
def hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """First hour of the demonstration data."""
    file = tmp_path_factory.mktemp("hour") / "sense.bin"
    file.write_bytes((DEMO / "sense.bin").read_bytes()[: HOUR * RECORD_BYTES])
    return file


@pytest.fixture
def few(hour: Path, tmp_path: Path) -> Path:
    """First ten minutes, for tests of what does not depend on the number of records."""
    file = tmp_path / "few.bin"
    file.write_bytes(hour.read_bytes()[: FEW * RECORD_BYTES])
    return file


@pytest.fixture
def without_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the figures: they take seconds and have tests of their own."""
    monkeypatch.setattr(html, "write_report", lambda _result, file, _player: file.touch())


@pytest.fixture(scope="module")
def replayed(hour: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and output of a replay of that hour with the truth."""
    out = tmp_path_factory.mktemp("replayed") / "out"
    result = replay(hour, "--truth", TRUTH, "--out", out)
    assert result.exit_code == 0, result.output
    return out, result.stdout


def document(result: Result) -> ReplayDocument:
    """Return the document on standard output, which has nothing else."""
    assert result.exit_code == 0, result.output
    assert (result.stdout.count("\n"), result.stdout[-1:]) == (1, "\n")
    return msgspec.json.decode(result.stdout, type=ReplayDocument)


@pytest.mark.usefixtures("without_report")
def test_json_has_the_figures_of_the_text(few: Path, tmp_path: Path) -> None:
    words = (few, "--truth", TRUTH, "--no-csv", "--out", tmp_path / "out")
    text, found = replay(*words).stdout, document(replay(*words, "--json", "--overwrite"))
    assert text.startswith(f"{found.records} GPS records: {found.records_used} used, 0 not used\n")
    assert found.records_not_used == {}
    error_m = found.orbits["batch"].position_error_m
    assert error_m is not None
    assert f"batch    3-D RMS error after a third of the time: {error_m:.3f} m" in text
    assert f"{found.attitude.samples} sensor samples: " in text
    assert [f"{file.path}  {file.size_bytes} bytes" for file in found.files] == text.splitlines()[-len(found.files) :]
    assert (found.pipeline_agrees, found.formation) == (None, None)


@pytest.mark.usefixtures("without_report")
def test_json_has_null_for_errors_without_a_truth(few: Path, tmp_path: Path) -> None:
    found = document(replay(few, "--no-csv", "--json", "--out", tmp_path / "out"))
    assert {one.position_error_m for one in found.orbits.values()} == {None}
    assert {one.overall.error_deg for one in found.attitude.estimates.values()} == {None}
    failed = replay(tmp_path / "none", "--json", "--out", tmp_path / "other")
    assert (failed.exit_code, failed.stdout) == (ExitCode.INPUT, "")


@pytest.mark.slow
def test_every_table_is_written_in_both_forms(replayed: tuple[Path, str]) -> None:
    out, printed = replayed
    names = ("orbit", "orbit_smoothed", "orbit_batch", "attitude", "attitude_smoothed", "rejected", "fixes")
    files = {f"{name}.{form}" for name in names for form in ("parquet", "csv")}
    files |= {"report.html", "replay.json", "orbit_state.json"}
    assert {path.name for path in out.iterdir()} == files
    assert all(str(out / name) in printed for name in files)
    for name in ("orbit", "orbit_smoothed", "orbit_batch"):
        table = pl.read_parquet(out / f"{name}.parquet")
        assert tuple(table.columns) == columns(name)
        assert len(table) == HOUR
        assert table.null_count().drop("nis", "accepted").sum_horizontal().item() == 0
        in_csv = table.select(columns(name, csv=True))
        assert read_csv(out / f"{name}.csv", in_csv.schema).equals(in_csv)


def export(*words: str | Path) -> Result:
    return CliRunner().invoke(export_app, [*map(str, words)])


@pytest.mark.parametrize("notation", ["kvn", "xml"])
def test_a_folder_becomes_messages(replayed: tuple[Path, str], notation: str, tmp_path: Path) -> None:
    kinds = ("opm", "oem", "aem", "cdm", "starlink", *(["omm"] if notation == "kvn" else []))
    wanted = [word for kind in kinds for word in ("--as", kind)]
    words = ("--notation", notation, "--name", "DEMO", "--designator", "2025-001A", "--predict", "0.5")
    found = export(replayed[0], *wanted, *words, "--out", tmp_path / "messages")
    assert found.exit_code == ExitCode.DONE, found.output
    assert "partner.cdm: there is no predicted encounter with a partner; it is not written" in found.output
    ending = "" if notation == "kvn" else f".{notation}"
    names = {f"{name}{ending}" for name in ("orbit.opm", "orbit.oem", "attitude.aem")} | {"starlink.oem"}
    names |= {"orbit.omm"} if notation == "kvn" else set()
    assert {path.name for path in (tmp_path / "messages").iterdir()} == names
    table = pl.read_parquet(replayed[0] / "orbit_smoothed.parquet")
    states = next(iter(ccsds.OEM.from_file(str(tmp_path / "messages" / f"orbit.oem{ending}")).segments)).states
    kept = table.filter(pl.int_range(pl.len()) % 3 == 0)  # fixes are 25 s apart, states at least 60 s
    assert np.array([state.position for state in states]) == pytest.approx(
        kept.select(f"{axis}_gcrf_m" for axis in "xyz").to_numpy(), abs=0.5e-6
    )
    opm = ccsds.OPM.from_file(str(tmp_path / "messages" / f"orbit.opm{ending}"))
    last = pl.read_parquet(replayed[0] / "orbit.parquet")[-1].select(f"{axis}_gcrf_m" for axis in "xyz")
    assert opm.position == pytest.approx(last.row(0), abs=0.5e-6)
    (segment,) = ccsds.AEM.from_file(str(tmp_path / "messages" / f"attitude.aem{ending}")).segments
    attitudes = pl.read_parquet(replayed[0] / "attitude_smoothed.parquet").drop_nulls("qw_gcrf_from_body")
    assert len(segment.states) == len(attitudes)
    if notation == "kvn":
        elements = parse_elements((tmp_path / "messages" / "orbit.omm").read_bytes()).elements
        assert (elements.name, elements.designator) == ("DEMO", "2025-001A")


def test_a_folder_becomes_an_mcap_file(replayed: tuple[Path, str], tmp_path: Path) -> None:
    assert export(replayed[0], "--as", "mcap", "--out", tmp_path).exit_code == ExitCode.DONE
    with (tmp_path / "estimates.mcap").open("rb") as file:
        messages = [(channel.topic, message) for _, channel, message in make_reader(file).iter_messages()]
    table = pl.read_parquet(replayed[0] / "orbit.parquet").drop("utc")
    rows = [msgspec.json.decode(message.data) for topic, message in messages if topic == "/orbit"]
    assert rows == [
        {name: value for name, value in row.items() if value is not None} for row in table.iter_rows(named=True)
    ]
    at, location = next(
        (message.log_time, msgspec.json.decode(message.data)) for topic, message in messages if topic == "/location"
    )
    first = pl.read_parquet(replayed[0] / "orbit_smoothed.parquet")[0]
    assert at == first["utc"].dt.epoch("ms").item() * 1_000_000
    variances = first.select(pl.col("^sigma_[xyz]_ecef_m$") ** 2).sum_horizontal().item()
    assert sum(location["position_covariance"][::4]) == pytest.approx(variances)
    assert 500e3 < location["altitude"] < 560e3


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["{none}"], ExitCode.INPUT, "has no orbit_state.json; name a folder that pygnc replay or pygnc orbit of this"),
        (["{out}", "--name", "A\nB"], ExitCode.USAGE, "--name: 'A\\nB' is not up to 60 characters of printable ASCII"),
        (["{out}", "--as", "png"], ExitCode.USAGE, "'png' is not one of"),
    ],
)
def test_export_explains_a_mistake(
    replayed: tuple[Path, str], tmp_path: Path, words: list[str], code: ExitCode, says: str
) -> None:
    found = export(*(word.format(none=tmp_path, out=replayed[0]) for word in words), "--out", tmp_path / "messages")
    assert found.exit_code == code
    assert says in found.output
    assert not (tmp_path / "messages").exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("orbit_state.json", b'{"gps_ms": 5}', "orbit_state.json: damaged: Object missing required field"),
        ("orbit.parquet", b"PAR1", "orbit.parquet: damaged (parquet: "),
    ],
)
def test_export_names_a_damaged_file(
    replayed: tuple[Path, str], tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    shutil.copy(replayed[0] / "orbit_state.json", tmp_path)
    (tmp_path / name).write_bytes(content)
    found = export(tmp_path, "--as", "oem", "--out", tmp_path / "messages")
    assert (found.exit_code, found.output.count("\n")) == (ExitCode.INPUT, 1)
    assert says in found.output


def test_an_incomplete_state_is_damage(replayed: tuple[Path, str], tmp_path: Path) -> None:
    stored = msgspec.json.decode((replayed[0] / "orbit_state.json").read_bytes())
    (tmp_path / "orbit_state.json").write_bytes(msgspec.json.encode({**stored, "sqrt_covariance": [1.0]}))
    assert "the state is incomplete" in export(tmp_path, "--out", tmp_path / "messages").output


def read_csv(path: Path, schema: pl.Schema) -> pl.DataFrame:
    as_text = {name: pl.String if name == "utc" else kind for name, kind in schema.items()}
    return pl.read_csv(path, schema=as_text).with_columns(
        pl.col("utc").str.to_datetime("%Y-%m-%dT%H:%M:%S%.3fZ", time_unit="ms", time_zone="UTC")
    )


def test_attitudes_have_a_row_for_each_sample(replayed: tuple[Path, str]) -> None:
    out, _ = replayed
    for name in ("attitude", "attitude_smoothed"):
        table = pl.read_parquet(out / f"{name}.parquet")
        assert tuple(table.columns) == columns(name)
        assert len(table) == 5 * HOUR
        assert table["gps_tow_ms"].diff().drop_nulls().unique().to_list() == [5000]
        assert table["utc"].diff().drop_nulls().unique().to_list() == [timedelta(seconds=5)]
        assert table["in_sun"].dtype == pl.Boolean
        known = table["mode"] != "searching"
        assert table["qw_gcrf_from_body"].is_not_null().to_list() == known.to_list()
        assert table["x_rate_body_rad_s"].null_count() == 0
        assert known.sum() > 4.5 * HOUR
        assert read_csv(out / f"{name}.csv", table.schema).equals(table)


def test_attitudes_are_near_the_truth_and_the_smoothed_ones_nearer(replayed: tuple[Path, str]) -> None:
    errors_deg = {name: attitude_errors_deg(replayed[0] / f"{name}.parquet") for name in ATTITUDES}
    settled = {name: float(np.sqrt(np.square(errors[12:]).mean())) for name, errors in errors_deg.items()}
    assert settled["attitude"] < 1.8
    assert settled["attitude_smoothed"] < 0.9 * settled["attitude"]
    assert len(errors_deg["attitude_smoothed"]) >= len(errors_deg["attitude"])


ATTITUDES = ("attitude", "attitude_smoothed")
WHEN = ("gps_week", "gps_tow_ms")


def attitude_errors_deg(path: Path) -> NDArray[np.float64]:
    """Return the angles between truth and table at the times of the truth."""
    both = pl.read_parquet(path).drop_nulls("qw_gcrf_from_body").join(pl.read_parquet(TRUTH), on=WHEN, suffix="_true")
    found, true = (both.select(f"q{part}_gcrf_from_body{end}" for part in "wxyz").to_numpy() for end in ("", "_true"))
    return np.asarray(np.degrees(np.linalg.norm(quaternion.error_vector(found, true), axis=1)), np.float64)


@pytest.mark.slow
def test_attitude_errors_are_printed_with_their_bound(replayed: tuple[Path, str]) -> None:
    lines = replayed[1].splitlines()
    assert "720 sensor samples: 709 with an attitude" in lines
    errors = {line.split()[0]: line for line in lines if "attitude error" in line}
    assert set(errors) == {"filter", "smoother"}
    for line in errors.values():
        for part in line.split(": ", 1)[1].split(", "):
            error, bound = float(part.split()[0]), float(part.rstrip(")").split()[-1])
            assert 0.5 * bound < error < 1.5 * bound
    (start,) = [line for line in lines if "longest time off by more than 20 deg: 0 s" in line]
    assert "within 5 deg of the true attitude after" in start


@pytest.mark.slow
def test_the_report_has_the_attitude(replayed: tuple[Path, str]) -> None:
    page = (replayed[0] / "report.html").read_text(encoding="utf-8")
    for words in ("Attitude error against truth", "Biases", "Light on the faces", "Magnetometer residuals"):
        assert words in page


def test_smoother_and_batch_are_nearer_to_the_truth(replayed: tuple[Path, str]) -> None:
    lines = [line for line in replayed[1].splitlines() if "3-D RMS" in line]
    errors_m = {line.split()[0]: float(line.split(": ")[1].split()[0]) for line in lines}
    assert set(errors_m) == {"filter", "smoother", "batch"}
    assert errors_m["filter"] < 5.0
    assert errors_m["smoother"] < errors_m["filter"]
    assert errors_m["batch"] < errors_m["filter"]


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_the_real_processes_give_the_same_bits(hour: Path, replayed: tuple[Path, str], tmp_path: Path) -> None:
    result = replay(hour, "--pipeline", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "bit for bit" in result.stdout
    assert (tmp_path / "orbit.csv").read_bytes() == (replayed[0] / "orbit.csv").read_bytes()
    assert (tmp_path / "orbit_smoothed.csv").read_bytes() == (replayed[0] / "orbit_smoothed.csv").read_bytes()
    assert (tmp_path / "attitude.csv").read_bytes() == (replayed[0] / "attitude.csv").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_a_runs_own_journal_gives_its_estimates_again(hour: Path, replayed: tuple[Path, str], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "sense.bin").symlink_to(hour)
    command: list[str | Path] = [sys.executable, ROOT / "flight" / "main.py", "5", "0", "--exit-when-done"]
    subprocess.run(command, env={"HOME": str(home)}, check=True, timeout=40)
    (run,) = (home / "pygnc_logs").iterdir()
    result = replay(run, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    for name in ("orbit.csv", "attitude.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (replayed[0] / name).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_the_reference_filter_runs_in_place_of_the_flights(
    hour: Path, replayed: tuple[Path, str], tmp_path: Path
) -> None:
    result = replay(hour, "--filter", "ukf", "--no-csv", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert not list(tmp_path.glob("*.csv"))
    reference = pl.read_parquet(tmp_path / "orbit.parquet")
    ours = pl.read_parquet(replayed[0] / "orbit.parquet")
    apart_m = (reference["x_ecef_m"] - ours["x_ecef_m"]).abs()
    assert 0.0 < apart_m[HOUR // 2 :].max() < 1.0  # type: ignore[operator]


@pytest.mark.usefixtures("without_report")
def test_range_files_bring_their_fixes(few: Path, tmp_path: Path) -> None:
    ranges = tmp_path / "range"
    ranges.mkdir()
    (ranges / "rng00000.bin").write_bytes((DEMO / "range" / "rng00000.bin").read_bytes()[:500])
    alone = replay(few, "--out", tmp_path / "alone")
    both = replay(few, "--ranges", ranges, "--out", tmp_path / "both")
    counts = [int(result.stdout.split()[0]) for result in (alone, both)]
    assert counts == [FEW, FEW + 4]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["missing.bin"], "missing.bin: No such file or directory"),
        (["{hour}", "--truth", "{hour}"], "not a true orbit"),
        (["{hour}", "--ranges", "{empty}"], "no range file (rng00000.bin"),
        (["{empty}"], "has no input journal; name sense files"),
        ([str(DEMO)], f"has no input journal; name {DEMO / 'sense.bin'} --ranges {DEMO / 'range'}"),
        (["{hour}", "--config", "{bad}"], "unknown setting orbt"),
        (["{hour}", "--config", "{empty}/none.toml"], "none.toml"),
    ],
)
def test_user_errors_are_reported_in_one_line(words: list[str], says: str, hour: Path, tmp_path: Path) -> None:
    check_user_error(words, says, ExitCode.INPUT, hour, tmp_path)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["{hour}", "{hour}", "--pipeline"], "takes one sense file"),
        (["{hour}", "{empty}"], "is a folder; name sense files only"),
    ],
)
def test_contradicting_arguments_are_errors_of_usage(words: list[str], says: str, hour: Path, tmp_path: Path) -> None:
    check_user_error(words, says, ExitCode.USAGE, hour, tmp_path)


def check_user_error(words: list[str], says: str, code: ExitCode, hour: Path, tmp_path: Path) -> None:
    empty, bad = tmp_path / "empty", tmp_path / "bad.toml"
    empty.mkdir()
    bad.write_text("[orbt]\n")
    arguments = [word.format(hour=hour, empty=empty, bad=bad) for word in words]
    result = replay(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["{bad}"], ["{few}", "{bad}"], ["{few}", "--ranges", "{ranges}"]])
@pytest.mark.parametrize("content", [b"", np.random.default_rng(1).bytes(20_000)], ids=["empty", "noise"])
def test_a_file_without_any_record_ends_a_replay(words: list[str], content: bytes, few: Path, tmp_path: Path) -> None:
    bad, ranges = tmp_path / "bad.bin", tmp_path / "ranges"
    bad.write_bytes(content)
    ranges.mkdir()
    (ranges / "rng00000.bin").write_bytes(content[:300])
    found = replay(*(word.format(bad=bad, few=few, ranges=ranges) for word in words), "--out", tmp_path / "out")
    assert found.exit_code == ExitCode.INPUT
    named = ranges if "--ranges" in words else bad
    assert found.stderr.startswith(f"pygnc replay: {named}: {'no record found' if content else 'empty'}")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("without_report")
def test_missing_libraries_of_the_player_are_named_with_the_remedy(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scripts, "page_scripts", lambda: None)
    found = replay(few, "--out", tmp_path / "out")
    assert found.exit_code == 0
    assert page.MISSING_LIBRARIES in found.stderr
    assert (tmp_path / "out/report.html").exists()


@pytest.mark.usefixtures("without_report")
def test_a_folder_has_the_results_of_one_replay(few: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert replay(few, "--out", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    (out / "mine.txt").touch()
    refused = replay(few, "--no-csv", "--out", out)
    assert refused.exit_code == ExitCode.INPUT
    assert f"{out}: holds the results of another replay; replace them by --overwrite" in refused.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.name != "mine.txt"} == before
    assert replay(few, "--no-csv", "--overwrite", "--out", out).exit_code == 0
    assert {path.name for path in out.iterdir()} == {name for name in before if not name.endswith(".csv")} | {
        "mine.txt"
    }


def test_a_failed_replay_leaves_the_results_of_the_last_one(few: Path, tmp_path: Path) -> None:
    (tmp_path / "orbit.csv").touch()
    foreign = replay(few, "--out", tmp_path)
    assert foreign.exit_code == ExitCode.INPUT
    assert "not empty, and not written by pygnc replay" in foreign.stderr
    still = replay(few, "--overwrite", "--out", tmp_path)
    assert still.exit_code == ExitCode.INPUT
    assert f"{tmp_path / 'orbit.csv'}: not written by the replay" in still.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"orbit.csv", "few.bin"}


def test_a_file_without_any_fix_is_reported_and_tabled(tmp_path: Path, hour: Path) -> None:
    """The receiver counts its uptime and does not know the week."""
    content = bytearray(hour.read_bytes()[: 3 * RECORD_BYTES])
    for record in range(3):
        begin = record * RECORD_BYTES + 154
        content[begin : begin + 3] = bytes([20, 0, 0])
    file = tmp_path / "cold.bin"
    file.write_bytes(content)
    result = replay(file, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3 GPS records: 0 used, 3 not used (the receiver does not know the time: 3)")
    rejected = pl.read_csv(tmp_path / "out" / "rejected.csv")
    assert rejected["cause"].to_list() == ["no_time"] * 3
    assert rejected["offset"].to_list() == [150, 401, 652]
    assert len(pl.read_csv(tmp_path / "out" / "orbit.csv")) == 0
    attitude = pl.read_csv(tmp_path / "out" / "attitude.csv")
    assert len(attitude) == 15
    assert attitude["gps_week"].null_count() == 15
    assert attitude["x_rate_body_rad_s"].null_count() == 0


def test_a_difference_from_the_flights_estimates_is_an_error(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = pipeline.Flown.of

    def altered(run: Path) -> pipeline.Flown:
        flown = read(run)
        other = msgspec.structs.replace(flown.attitudes[99], nis=flown.attitudes[99].nis + 1e-12)
        return flown._replace(attitudes=[*flown.attitudes[:99], other, *flown.attitudes[100:]])

    monkeypatch.setattr(pipeline.Flown, "of", altered)
    result = replay(few, "--pipeline", "--out", tmp_path / "out")
    assert result.exit_code == ExitCode.INPUT
    assert "differ from estimate 100 on" in result.stderr


RESULT = attitude_samples.clean(1000, begin_ms=samples.BEGIN_MS)


def test_with_a_truth_errors_are_printed_with_their_bound() -> None:
    lines = list(attitude_lines(RESULT))
    assert lines[0] == "1000 sensor samples: 1000 with an attitude"
    for line, name, bound in zip(lines[1:3], ("filter  ", "smoother"), ("0.650", "0.500"), strict=True):
        assert line.startswith(f"{name} attitude error (three-axis RMS) from 27 min 45 s after the first attitude: 0.")
        assert line.count(f"(bound {bound})") == 2
        assert " deg in sunlight (" in line
        assert " deg in eclipse (" in line
    assert lines[3].startswith(
        "filter   within 5 deg of the true attitude after 5 s; longest time off by more than 20 deg: 0 s"
    )
    assert len(lines) == 4


def test_without_a_truth_attitudes_are_counted() -> None:
    troubled = attitude_samples.troubled(attitude_samples.clean(100, begin_ms=samples.BEGIN_MS))
    lines = list(attitude_lines(replace(troubled, truth=None, bound=None)))
    assert lines == ["100 sensor samples: 96 with an attitude, lost and re-acquired 1 time"]


def test_without_an_orbit_the_error_is_that_of_all_samples() -> None:
    unknown = replace(RESULT.samples, sunlit_fraction=np.full(1000, np.nan))
    lines = list(attitude_lines(replace(RESULT, samples=unknown)))
    assert " deg overall (bound 0.650)" in lines[1]
    assert "true attitude never;" in lines[3]


def test_without_an_attitude_only_samples_are_counted() -> None:
    assert list(attitude_lines(attitude_samples.without_attitude(RESULT))) == [
        "1000 sensor samples: 0 with an attitude"
    ]


def test_without_partners_nothing_is_printed() -> None:
    assert list(formation_lines(None)) == []


def test_errors_are_printed_with_sigmas() -> None:
    first, *_ = formation_lines(formation_samples.clean(BEGIN_MS))
    assert first == "partner 75: 3-D RMS error 2.0 m (sigma 2.4 m), certain"


def test_lines_account_for_every_record() -> None:
    ranges = formation_samples.ranges(100, old=20, repeated=1)
    assert count_line("ranges", ranges.used, ranges.not_used, "range") == (
        "121 ranges: 100 used, 21 not used (older than the arc: 20, repeated: 1)"
    )
    assert count_line("ranges", 100, {}, "range") == "100 ranges: 100 used, 0 not used"


def test_without_a_truth_there_is_a_sigma() -> None:
    lines = list(formation_lines(formation_samples.without_truth(formation_samples.clean(BEGIN_MS))))
    assert lines[0] == "partner 75: 3-D RMS sigma 2.4 m, certain"


def test_both_solutions_of_an_ambiguous_partner_are_printed() -> None:
    lines = list(formation_lines(formation_samples.wrong(formation_samples.ambiguous(BEGIN_MS))))
    assert lines[0].startswith("partner 75: ambiguous: best and mirror differ by ")
    assert (
        "chi-square 500.0 and 500.3 of 118 ranges (good: about 118); nearest to the truth: mirror, 3-D RMS error 0.0 m"
        in lines[0]
    )
    (line, *_) = formation_lines(formation_samples.without_truth(formation_samples.ambiguous(BEGIN_MS)))
    assert "nearest" not in line


def test_the_nearest_encounter_and_the_most_probable_collision_name_time_and_orbit() -> None:
    result = formation_samples.ambiguous(BEGIN_MS)
    best, mirror = result.conjunctions
    nearest, worst, *_ = list(formation_lines(replace(result, conjunctions=(best._replace(probability=0.5), mirror))))[
        1:
    ]
    assert nearest == (
        "partner 75: closest approach within a day (mirror orbit): 2025-03-21T00:42:20.000Z: 40 m (sigma 20 m)"
    )
    assert worst == (
        "partner 75: probability of a collision within a day (best orbit, combined radius 1 m): 5.0e-01, likeliest at"
        " 2025-03-21T00:09:00.000Z: 250 m (sigma 20 m)"
    )


def test_the_cause_of_an_unknown_partner_is_reported() -> None:
    lines = list(formation_lines(formation_samples.unsolved(BEGIN_MS)))
    assert lines[0] == "partner 75: not known: our own orbit is unknown"


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_uploaded_elements_give_orbit_and_attitude_without_fixes(hour: Path, tmp_path: Path) -> None:
    sense, elements, out = tmp_path / "sense.bin", tmp_path / "elements.txt", tmp_path / "out"
    sense.write_bytes(without_fixes(hour.read_bytes()))
    elements.write_text(as_tle(demo_elements(), "DEMO"))
    result = replay(sense, "--elements", elements, "--truth", TRUTH, "--out", out)
    assert result.exit_code == 0, result.output
    table = pl.read_parquet(out / "attitude.parquet")
    known = table.filter(pl.col("qw_gcrf_from_body").is_not_null())
    assert len(known) > 0.5 * len(table)
    both = known.join(pl.read_parquet(TRUTH), on=WHEN, suffix="_true")
    assert len(both) > 0.9 * HOUR  # the truth has a row per record
    found, true = (both.select(f"q{part}_gcrf_from_body{end}" for part in "wxyz").to_numpy() for end in ("", "_true"))
    errors_deg = np.degrees(np.linalg.norm(quaternion.error_vector(found, true), axis=1))
    in_sun = both["in_sun"].to_numpy()
    assert float(np.sqrt(np.mean(errors_deg[in_sun] ** 2))) < 3.0


def test_damaged_elements_end_a_replay_with_line_and_reason(few: Path, tmp_path: Path) -> None:
    elements = tmp_path / "elements.txt"
    elements.write_text(as_tle(demo_elements())[:68] + "x\n")
    result = replay(few, "--elements", elements, "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert "elements.txt" in result.output
    assert "line" in result.output
    assert "Traceback" not in result.output


def test_a_corrected_week_is_named_with_the_setting_that_keeps_it(few: Path, tmp_path: Path) -> None:
    config = tmp_path / "pygnc.toml"
    config.write_text("[orbit.screening]\nearliest_gps_week = 2400\n")
    found = replay(few, "--out", tmp_path / "out", "--config", config, "--no-csv")
    assert found.exit_code == ExitCode.DONE, found.output
    for text in (found.stdout, (tmp_path / "out" / "report.html").read_text()):
        assert f"GPS week 2358 of {FEW} GPS records counts as 3382" in text
        assert "orbit.screening.earliest_gps_week = 2400" in text
    fixes = pl.read_parquet(tmp_path / "out" / "fixes.parquet")
    assert set(fixes.select("gps_week_received", "gps_week").iter_rows()) == {(2358, 3382)}
