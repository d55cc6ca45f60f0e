"""Perturbation of single constants: replays notice all but thresholds and what no run exercises."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pygnc.formats.sense import SenseLayout
from pygnc_ground.gate.check import accept_run
from pygnc_ground.gate.constants import record
from pygnc_ground.gate.corpus import add_run
from pygnc_ground.replay.files import RecordedFiles

ROOT = Path(__file__).resolve().parents[3]
DEMO = ROOT / "data" / "demo"
RECORDS = 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpus with the first five minutes of the demonstration data."""
    folder = tmp_path_factory.mktemp("bench")
    sense = folder / "sense.bin"
    sense.write_bytes((DEMO / "sense.bin").read_bytes()[: RECORDS * SenseLayout().size])
    run = add_run(folder / "corpus", "five", RecordedFiles(sense=(sense,), truth=DEMO / "truth.parquet"))
    assert accept_run(run, record()).reason == ""
    return run.parent


def bench(corpus: Path, *words: str) -> str:
    command = [sys.executable, str(ROOT / "scripts" / "bench" / "bench_gate.py"), str(corpus), *words]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout + finished.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("environment.gravity GM_EARTH", "one unit five"),
        ("attitude.settings SunSensorSettings.cosine_min", "half more five"),
        ("orbit.settings ElementsSettings.growth", "not exercised"),
    ],
)
def test_a_changed_constant_is_noticed_if_a_run_exercises_it(name: str, kind: str, corpus: Path) -> None:
    output = bench(corpus, "--part", "constants", "--only", name)
    (line,) = [line for line in output.splitlines() if line.startswith("1/1 ")]
    assert kind in line


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_repetitions_raise_no_alarm(corpus: Path) -> None:
    assert "3 repetitions of five: 0 alarms" in bench(corpus, "--part", "repeats", "--repeats", "3")
