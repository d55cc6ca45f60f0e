"""Generate the corpus of short runs on which the figures of `pygnc gate` are measured.

Usage: python scripts/bench/gate_corpus.py CORPUS

Each scenario in data/gate becomes a run: NAME.toml are its settings, NAME.pygnc.toml those of the flight software, and
NAME.tle its mean elements, as far as these files exist. The command takes a minute.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in pygnc gate; another number rounds differently

from pygnc_ground.gate.check import accept_run, on_all_cores
from pygnc_ground.gate.constants import record
from pygnc_ground.gate.corpus import add_run
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.satellites import SatelliteFolder
from pygnc_ground.scenario.generate import Scenario, generate, generate_all
from pygnc_ground.scenario.presets import scenario_settings
from pygnc_ground.scenario.settings import Settings
from pygnc_ground.scenario.writer import parquet, truth_table, write_scenario

SCENARIOS: Final = Path(__file__).resolve().parents[2] / "data" / "gate"


def scenario_files() -> list[Path]:
    """Return the files of the scenarios in alphabetical order."""
    return [path for path in sorted(SCENARIOS.glob("*.toml")) if not path.name.endswith(".pygnc.toml")]


def add_scenario(corpus: Path, scenario: Path) -> Path:
    """Generate the files of a scenario and add them to the corpus; return the run's folder."""
    settings = scenario_settings(settings=scenario)
    config, elements = scenario.with_suffix(".pygnc.toml"), scenario.with_suffix(".tle")
    everyone = generate_all(settings) if settings.partners else (generate(settings),)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "files"
        if settings.formation.all_satellites:
            write_scenario(settings, everyone, folder)
            ids = [one.satellite_id for one in everyone]
            satellites = tuple(SatelliteFolder(str(radio_id), folder / str(radio_id)) for radio_id in ids)
            files = RecordedFiles(satellites=satellites, truth=folder / str(ids[0]) / "truth.parquet")
        else:
            write_scenario(settings, everyone[:1], folder)
            files = RecordedFiles(
                sense=(folder / "sense.bin",),
                ranges=folder / "range" if (folder / "range").exists() else None,
                truth=folder / "truth.parquet",
                partner_truth=tuple(_partner_truth(partner, settings, folder) for partner in everyone[1:]),
                config=config if config.exists() else None,
                elements=elements if elements.exists() else None,
            )
        note = scenario.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        return add_run(corpus, scenario.stem, files, note)


def _partner_truth(partner: Scenario, settings: Settings, folder: Path) -> str:
    """Write the true orbit of a partner whose files are not replayed; return the option that names it."""
    file = folder / f"truth_{partner.satellite_id}.parquet"
    file.write_bytes(parquet(truth_table(partner.truth, settings.truth_every_samples)))
    return f"{partner.satellite_id}={file}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Generate the corpus of short runs for the figures of pygnc gate.")
    parser.add_argument("corpus", type=Path, help="New folder.")
    corpus = parser.parse_args().corpus
    folders = [add_scenario(corpus, scenario) for scenario in scenario_files()]
    for report in on_all_cores(partial(accept_run, constants=record()), folders):
        print(f"{report.name}: {report.reason or f'{report.seconds:.1f} s'}", flush=True)
