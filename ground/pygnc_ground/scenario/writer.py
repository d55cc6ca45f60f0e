"""A scenario as a folder: the flight's files under the names the flight looks for, truth and settings beside them."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pygnc_ground.scenario.generate import Scenario
from pygnc_ground.scenario.settings import Settings, dump_settings
from pygnc_ground.scenario.tables import parquet, range_truth_table, truth_table

RANGE_FILE_BYTES: Final = 25_600
"""The controller begins a new range file at this size, also in the middle of a packet."""
MADE_AGAIN_BY: Final = "Made again by: pygnc scenario make --config scenario.toml --out FOLDER"


def write_scenario(
    settings: Settings, scenarios: Sequence[Scenario], folder: Path, origin: str = MADE_AGAIN_BY
) -> list[Path]:
    """Write all files of a scenario and return their paths.

    Of each satellite `sense.bin`, `range/rng00000.bin` and so on, `truth.parquet`, with partners `range_truth.parquet`,
    and `faults.json` if the settings ask for damage: in the folder itself, or in one per satellite, named by its id, if
    the settings ask for all of them. In the folder `scenario.toml` with every setting, from which the same scenario can
    be made again, and in its head `origin`, which says how.

    Raises:
        FileExistsError: The folder already holds something.
        OSError: A file cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    contents = {"scenario.toml": _resolved_settings(settings, origin).encode()}
    for scenario in scenarios:
        place = f"{scenario.satellite_id}/" if settings.formation.all_satellites else ""
        files = _files(scenario, settings.truth_every_samples)
        contents |= {place + name: content for name, content in files.items()}
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [folder / name for name in contents]


def _files(scenario: Scenario, truth_every_samples: int) -> dict[str, bytes]:
    """The files of one satellite by name."""
    contents = {"sense.bin": scenario.sense}
    contents["truth.parquet"] = parquet(truth_table(scenario.truth, truth_every_samples))
    for number, start in enumerate(range(0, len(scenario.ranges), RANGE_FILE_BYTES)):
        contents[f"range/rng{number:05d}.bin"] = scenario.ranges[start : start + RANGE_FILE_BYTES]
    if scenario.true_ranges is not None:
        contents["range_truth.parquet"] = parquet(range_truth_table(scenario.true_ranges))
    if scenario.faults:
        tables = {file: done.as_tables() for file, done in scenario.faults.items()}
        contents["faults.json"] = (json.dumps(tables, indent=2) + "\n").encode()
    return contents


def _resolved_settings(settings: Settings, origin: str) -> str:
    made_with = ", ".join(f"{package} {version(package)}" for package in ("pygnc", "brahe", "numpy", "pyerfa"))
    comment = "".join(f"# {line}\n" for line in origin.splitlines())
    return f"# Made with {made_with}.\n{comment}\n{dump_settings(settings)}"
