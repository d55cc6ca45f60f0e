"""Gate: replays of ten minutes compared with their accepted results, with changed constants, files and platforms."""

import json
import math
import os
import shutil
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner, Result

from pygnc.estimators.attitude import measurement_model, propagation
from pygnc.estimators.orbit import error_models
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.formats.sense import SenseLayout
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.gate import check
from pygnc_ground.gate.check import accept_run, check_run, on_all_cores
from pygnc_ground.gate.constants import record
from pygnc_ground.gate.corpus import add_run
from pygnc_ground.gate.reference import read_reference
from pygnc_ground.gate.report import RunReport, Verdict, corpus_lines, run_lines
from pygnc_ground.replay.files import RecordedFiles
from tests.pygnc_command import app
from tests.reference import recording

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
RECORDS = 24
constants = cache(record)
LIMIT = 0.01


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus with the first ten minutes of the demonstration data, accepted."""
    folder = tmp_path_factory.mktemp("gate")
    sense = folder / "sense.bin"
    sense.write_bytes((DEMO / "sense.bin").read_bytes()[: RECORDS * SenseLayout().size])
    corpus = folder / "corpus"
    run = add_run(corpus, "few", RecordedFiles(sense=(sense,), truth=DEMO / "truth.parquet"))
    assert accept_run(run, constants()).verdict is Verdict.UNCHANGED
    return corpus


@pytest.fixture
def corpus(accepted: Path, tmp_path: Path) -> Path:
    """Copy of it in another folder."""
    return Path(shutil.copytree(accepted, tmp_path / "corpus"))


def checked(corpus: Path) -> RunReport:
    return check_run(corpus / "few", constants(), LIMIT)


def lines(report: RunReport) -> str:
    return "\n".join((*run_lines(report), *corpus_lines([report])))


def test_an_unchanged_replay_gives_the_same_bits_in_another_folder(corpus: Path) -> None:
    report = checked(corpus)
    assert report.verdict is Verdict.UNCHANGED, report
    assert (report.tables, report.rows, report.changes, report.parts) == (7, 336, [], [])
    assert report.judged
    assert "bit for bit" in lines(report)


def test_one_unit_in_the_last_place_of_a_constant_is_noticed(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(propagation, "_UNKNOWN_WEIGHT", math.nextafter(propagation._UNKNOWN_WEIGHT, 1.0))
    report = checked(corpus)
    assert report.verdict is Verdict.CHANGED
    assert {change.table for change in report.changes} == {"attitude", "attitude_smoothed"}
    assert all(change.sigmas is None or change.sigmas < 1e-9 for change in report.changes)
    assert not any(change.is_worse for change in report.accuracy)
    assert "attitude: attitude" in lines(report)


def test_the_report_of_a_changed_run_opens_at_the_first_difference(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(measurement_model, "_WEIGHT", 2.0 * measurement_model._WEIGHT)
    report = check_run(corpus / "few", constants(), LIMIT, tmp_path)
    first = min(change.begins for change in report.changes if change.begins)
    assert report.page == f"{(tmp_path / 'few/report.html').as_uri()}#t={first[:10]}T{first[11:-4]}Z"
    assert (tmp_path / "few/report.html").stat().st_size > 100_000
    assert report.page in lines(report)


def test_a_changed_weight_of_hypotheses_is_noticed_in_filter_and_smoother(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(error_models, "_PRIOR_WHITE", math.nextafter(error_models._PRIOR_WHITE, 1.0))
    report = checked(corpus)
    assert report.verdict is Verdict.CHANGED
    assert {"orbit", "orbit_smoothed"} <= {change.table for change in report.changes}


def with_worse_sigmas(run: Path, factor: float) -> RecordedFiles:
    """Settings of the receiver that are wrong by a factor."""
    defaults = OrbitSettings().measurement
    config = run / "pygnc.toml"
    config.write_text(f"[orbit.measurement]\nposition_sigma_floor_m = {factor * defaults.position_sigma_default_m}\n")
    return RecordedFiles(sense=(run / "sense.bin",), truth=run / "truth.parquet", config=config)


def test_estimates_farther_from_the_truth_are_worse(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    worse = with_worse_sigmas(shutil.copytree(corpus / "few", tmp_path / "copy"), 30.0)
    monkeypatch.setattr(check, "read_run", lambda _: worse)
    report = checked(corpus)
    assert report.verdict is Verdict.WORSE, report
    (position,) = [one for one in report.accuracy if one.name == "orbit filter position"]
    assert position.is_worse
    assert position.share is not None
    assert position.share > LIMIT
    assert "farther from the truth; WORSE" in lines(report)


def fail(*_: object, **__: object) -> None:
    raise np.linalg.LinAlgError("singular")


def test_a_replay_that_fails_is_worse_and_named(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygnc_ground.replay.run.smooth", fail)
    report = checked(corpus)
    assert report.verdict is Verdict.WORSE
    assert "LinAlgError" in report.reason
    assert "singular" in report.reason


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda run: cut(run / "sense.bin"), "sense.bin: has changed"),
        (lambda run: (run / "sense.bin").unlink(), "sense.bin: is missing"),
        (lambda run: (run / "extra.bin").touch(), "extra.bin: is new"),
        (lambda run: shutil.rmtree(run / "reference"), "no accepted results"),
        (lambda run: cut(run / "reference" / "reference.json"), "reference.json: not a reference of this version"),
        (lambda run: (run / "run.toml").write_text("sense = 1"), "has changed"),
    ],
)
def test_missing_and_damaged_files_are_input_errors(damage: Callable[[Path], object], says: str, corpus: Path) -> None:
    damage(corpus / "few")
    report = checked(corpus)
    assert report.verdict is Verdict.INPUT_ERROR
    assert says in report.reason
    assert says in lines(report)


def test_a_damaged_accepted_table_is_an_input_error(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurement_model, "_WEIGHT", 0.03)
    table = corpus / "few" / "reference" / "attitude.parquet"
    shutil.copy(corpus / "few" / "reference" / "attitude_smoothed.parquet", table)
    assert checked(corpus).verdict is Verdict.INPUT_ERROR
    cut(table)
    assert "attitude.parquet: not a readable Parquet file" in checked(corpus).reason


def on_other_platform(corpus: Path) -> None:
    file = corpus / "few" / "reference" / "reference.json"
    content = msgspec.json.decode(file.read_bytes())
    content["platform"]["versions"]["numpy"] = "1.0"
    file.write_bytes(msgspec.json.encode(content))


def test_another_platform_is_named_and_its_rounding_tolerated(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_other_platform(corpus)
    assert checked(corpus).verdict is Verdict.UNCHANGED  # the bits are the same all the same
    monkeypatch.setattr(propagation, "_UNKNOWN_WEIGHT", math.nextafter(propagation._UNKNOWN_WEIGHT, 1.0))
    report = checked(corpus)
    assert report.verdict is Verdict.TOLERATED
    assert "numpy 1.0 then" in lines(report)
    monkeypatch.setattr(measurement_model, "_WEIGHT", 2.0 * measurement_model._WEIGHT)
    assert checked(corpus).verdict in {Verdict.CHANGED, Verdict.WORSE}


def test_changed_results_can_be_accepted(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_reference(corpus / "few")
    monkeypatch.setattr(measurement_model, "_WEIGHT", 0.03)
    assert accept_run(corpus / "few", constants()).reason == ""
    assert read_reference(corpus / "few").digests != before.digests
    assert checked(corpus).verdict is Verdict.UNCHANGED
    assert {path.name for path in (corpus / "few").iterdir() if path.is_dir()} == {"reference"}


def test_the_order_of_runs_in_a_process_does_not_matter(corpus: Path) -> None:
    assert [checked(corpus).verdict for _ in range(2)] == [Verdict.UNCHANGED] * 2


def end_of(folder: Path, bad: str) -> RunReport:
    """End the process of one run, report the others."""
    if folder.name == bad:
        os._exit(9)
    return RunReport(folder.name)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_process_that_ends_costs_only_its_run(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "abcd"]
    reports = {report.name: report for report in on_all_cores(partial(end_of, bad="b"), folders, workers=2)}
    assert sorted(reports) == ["a", "b", "c", "d"]
    assert [name for name, report in reports.items() if report.verdict is Verdict.WORSE] == ["b"]
    assert "memory" in reports["b"].reason


def test_rejected_velocities_are_compared_as_texts(accepted: Path, tmp_path: Path) -> None:
    config = tmp_path / "pygnc.toml"
    config.write_text("[orbit.screening]\nvelocity_latency_max_s = 0.0\n")
    run = add_run(tmp_path / "corpus", "run", RecordedFiles(sense=(accepted / "few" / "sense.bin",), config=config))
    assert accept_run(run, constants()).reason == ""
    causes = pl.read_parquet(run / "reference" / "fixes.parquet")["velocity_cause"]
    assert causes.dtype == pl.String
    assert set(causes) == {"no_velocity"}
    assert check_run(run, constants(), LIMIT).verdict is Verdict.UNCHANGED


def gate(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["gate", *map(str, words)])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_command_adds_checks_and_accepts_on_all_cores(accepted: Path, corpus: Path) -> None:
    added = gate("add", corpus, "two", accepted / "few" / "sense.bin", "--truth", DEMO / "truth.parquet")
    assert added.exit_code == 0, added.output
    result = gate(corpus)
    assert result.exit_code == ExitCode.DONE, result.output
    assert "unchanged: 2 runs (2 unchanged)" in result.stdout
    shutil.rmtree(corpus / "two" / "reference")
    assert gate("check", corpus, "two").exit_code == ExitCode.INPUT
    assert gate("accept", corpus, "two", "--workers", "1").exit_code == ExitCode.DONE
    assert json.loads(gate(corpus, "two", "--json").stdout)["counts"]["unchanged"] == 1


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_exit_codes_tell_changed_from_worse(corpus: Path) -> None:
    file = corpus / "few" / "reference" / "reference.json"
    content = msgspec.json.decode(file.read_bytes())
    content["constants"]["pygnc.estimators.attitude.measurement_model"]["_WEIGHT"] = ["2.0", "50.0"]
    file.write_bytes(msgspec.json.encode(content))
    changed = gate(corpus)
    assert changed.exit_code == ExitCode.FAILURE, changed.output
    first, second, third = changed.stdout.splitlines()[:3]
    assert first == "constants: 1 place in the source with other numbers"
    assert second == "    pygnc.estimators.attitude.measurement_model _WEIGHT: 2.0 -> 1.0"
    assert third.startswith("few: unchanged")
    content["digests"]["orbit messages"] = "0"
    for accuracy in content["accuracy"]:
        accuracy["error"] *= 0.9
    file.write_bytes(msgspec.json.encode(content))
    worse = gate(corpus, "--json")
    assert worse.exit_code == ExitCode.WORSE
    assert json.loads(worse.stdout)["verdict"] == "worse"


def test_user_errors_are_reported_in_one_line(tmp_path: Path) -> None:
    for words, code in (
        ((tmp_path / "none",), ExitCode.INPUT),
        (("add", tmp_path, "run", tmp_path / "none.bin"), ExitCode.INPUT),
        (("add", tmp_path, "run"), ExitCode.USAGE),
    ):
        result = gate(*words)
        assert result.exit_code == code, result.output
        assert result.stderr.startswith("pygnc gate")
        assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["default_scenario.bin", "recorded_sense.bin"])
def test_recordings_of_others_pass_the_gate(name: str, tmp_path: Path) -> None:
    run = add_run(tmp_path, "run", RecordedFiles(sense=(recording(name),)))
    assert accept_run(run, constants()).reason == ""
    report = check_run(run, constants(), LIMIT)
    assert report.verdict is Verdict.UNCHANGED
    assert not report.judged
