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


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_changed_constant_is_noticed_if_a_run_exercises_it(corpus: Path) -> None:
    kinds = {
        "environment.gravity GM_EARTH": "one unit five",
        "attitude.settings SunSensorSettings.cosine_min": "half more five",
        "orbit.settings ElementsSettings.growth": "not exercised",
    }
    program = str(ROOT / "scripts" / "bench" / "bench_gate.py")
    command = [sys.executable, program, str(corpus), "--part", "constants", "--only", *kinds]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    lines = finished.stderr.splitlines()
    for name, kind in kinds.items():
        (line,) = [line for line in lines if name in line]
        assert kind in line
