"""`pygnc campaign`: files, messages and exit codes."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from typer.testing import CliRunner

from pygnc.bus.messages import RangeMeasurement
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.campaign.definition import plan_run, read_campaign
from pygnc_ground.campaign.run import run_one, simulated
from pygnc_ground.campaign.store import Store
from pygnc_ground.commands.campaign import app
from pygnc_ground.replay.inputs import from_files
from tests.fakes.small_disk import disk_of, fill
from tests.pygnc_ground.campaign.samples import write_campaign

START = "import sys; from pygnc_cli.app import main; sys.exit(main())"


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a finished campaign, computed in this process."""
    folder = tmp_path_factory.mktemp("campaign")
    campaign = read_campaign(write_campaign(folder / "c.toml"))
    with Store(folder / "out", campaign) as store:
        for number in range(campaign.repetitions):
            store.add(run_one(plan_run(campaign, number)), "here")
        store.merge()
    return folder


@pytest.mark.parametrize("words", [(), ("run",)])
def test_a_finished_campaign_is_not_computed_again(computed: Path, words: tuple[str, ...]) -> None:
    code, output = run(*words, computed / "c.toml", "--out", computed / "out")
    assert code == ExitCode.DONE, output
    assert f"{computed / 'out' / 'runs.parquet'}  " in output


def test_a_store_that_does_not_answer_is_named(computed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no connection\nDebug source: much more")

    monkeypatch.setattr(MemoryFileSystem, "ls", refuse)
    monkeypatch.setattr(MemoryFileSystem, "cat_file", refuse)
    address = "memory://bucket/silent"
    for words in (("run", computed / "c.toml", "--out", address), ("report", address), ("rerun", address, 0)):
        code, output = run(*words)
        assert code == ExitCode.NETWORK, output
        assert output.endswith(f": {address}: no connection; check the address and the login\n")


def test_a_run_is_repeated_bit_for_bit(computed: Path, tmp_path: Path) -> None:
    code, output = run("rerun", computed / "out", 1, "--out", tmp_path / "files")
    assert code == ExitCode.DONE, output
    assert "bit for bit" in output
    assert {path.name for path in (tmp_path / "files").iterdir()} >= {
        "sense.bin",
        "truth.parquet",
        "pygnc.toml",
        "pygnc.toml.sha256",
    }


@pytest.mark.slow
@pytest.mark.parametrize("everyone", [True, False])
def test_the_files_of_a_formation_are_those_that_its_run_had(tmp_path: Path, *, everyone: bool) -> None:
    scenario = {
        "duration_s": 600,
        "formation": {"shape": "bounded", "all_satellites": everyone},
        "partners": [{"id": 75}, {"id": 76, "fixes_until_s": 200.0}],
    }
    estimators = {"attitude": [], "formation": ["batch"]}
    campaign = read_campaign(write_campaign(tmp_path / "c.toml", scenario=scenario, estimators=estimators))
    with Store(tmp_path / "out", campaign) as store:
        plan = plan_run(campaign, 0)
        store.add(run_one(plan), "here")
        store.merge()
    code, output = run("rerun", tmp_path / "out", 0, "--out", tmp_path / "files")
    assert code == ExitCode.DONE, output
    assert "bit for bit" in output
    (command,) = [line for line in output.splitlines() if line.startswith("replay: ")]
    words = shlex.split(command)
    sense, ranges = Path(words[3]), Path(words[words.index("--ranges") + 1])
    assert words.count("--partner-truth") == 2 * everyone
    named = [word.partition("=")[2] or word for word in words if word.endswith(".parquet")]
    assert all(Path(word).exists() for word in named)
    settings = plan.flight_settings()
    written = list(from_files([sense], ranges, settings).messages)
    flown = simulated(plan).inputs(settings)
    assert [type(message) for message in written] == [type(message) for message in flown]
    measured = [[each for each in messages if isinstance(each, RangeMeasurement)] for messages in (written, flown)]
    assert len(measured[0]) == 10 * (6 if everyone else 2)
    assert [each.range_m for each in measured[0]] == [each.range_m for each in measured[1]]


def test_other_figures_are_reported(computed: Path, tmp_path: Path) -> None:
    shutil.copytree(computed / "out", tmp_path / "out")
    (path,) = (tmp_path / "out" / "runs.parquet").iterdir()
    pl.read_parquet(path).with_columns(pl.col("orbit_filter_error_m") * (1.0 + 1e-15)).write_parquet(path)
    code, output = run("rerun", tmp_path / "out", 0)
    assert code == ExitCode.FAILURE
    assert "differs" in output


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_campaign_continues(computed: Path, tmp_path: Path) -> None:
    with disk_of(tmp_path / "disk", "200k") as disk:
        fill(disk / "other")
        os.truncate(disk / "other", 160 << 10)
        command = [computed / "c.toml", "--out", disk / "out", "--workers", 1]
        code, output = run(*command)
        assert code == ExitCode.INPUT, output
        assert str(disk) in output
        assert "of 2 runs: finished runs are kept" in output
        (disk / "other").unlink()
        done = run(*command)
        assert done[0] == ExitCode.DONE, done[1]
        repeated = run("rerun", disk / "out", 1)
        assert repeated[0] == ExitCode.DONE, repeated[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("{folder}/none.toml", "--out", "{folder}/x"), ExitCode.INPUT, "No such file"),
        (("{folder}/c.toml", "--out", "{folder}"), ExitCode.INPUT, "not a campaign"),
        (("{folder}/c.toml", "--out", "{folder}/x", "--workers", "1", "--scheduler", "tcp://a:1"), ExitCode.USAGE, "-"),
        (("rerun", "{folder}/out", "9"), ExitCode.USAGE, "runs 0 to 1"),
        (("rerun", "{folder}", "0"), ExitCode.INPUT, "no campaign"),
        (("{folder}/c.toml",), ExitCode.USAGE, "--out"),
    ],
)
def test_a_mistake_is_named_in_one_line(
    computed: Path, arguments: tuple[str, ...], code: ExitCode, message: str
) -> None:
    found, output = run(*(argument.format(folder=computed) for argument in arguments))
    assert found == code, output
    assert message in output
    assert "Traceback" not in output


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_an_interrupted_campaign_continues(tmp_path: Path) -> None:
    definition = write_campaign(tmp_path / "c.toml", repetitions=24, scenario={"duration_s": 1500})
    command = [sys.executable, "-c", START, "campaign", str(definition), "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while not list((tmp_path / "out" / "parts").glob("runs-*")):
            assert process.poll() is None
            time.sleep(0.02)
        # A terminal sends Ctrl-C to all processes of the group.
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60.0)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "repeat the command to continue" in errors
    assert "Traceback" not in errors
    finished = pl.concat([pl.read_parquet(path) for path in (tmp_path / "out" / "parts").glob("runs-*")])
    assert 0 < finished.height < 24
    again = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"{finished.height} of 24 runs are in" in again.stderr
    assert pl.read_parquet(tmp_path / "out" / "runs.parquet")["status"].to_list() == ["done"] * 24
