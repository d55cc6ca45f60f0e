"""A scenario as a folder: the flight's files under the names the flight looks for, truth and settings beside them."""

from importlib.metadata import version
from pathlib import Path
from typing import Final

from pygnc_ground.scenario.generate import Scenario
from pygnc_ground.scenario.settings import dump_settings
from pygnc_ground.scenario.tables import csv_gz, range_truth_table, truth_table

RANGE_FILE_BYTES: Final = 25_600
"""The controller begins a new range file at this size, also in the middle of a packet."""


def write_scenario(scenario: Scenario, folder: Path) -> list[Path]:
    """Write all files of a scenario and return their paths.

    `sense.bin`, `range/rng00000.bin` and so on, `truth.csv.gz`, with partners `range_truth.csv.gz`, and
    `scenario.toml` with every setting, from which the same scenario can be made again.

    Raises:
        FileExistsError: The folder already holds something.
        OSError: A file cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; name a new folder")
    contents = {"scenario.toml": _resolved_settings(scenario).encode(), "sense.bin": scenario.sense}
    contents["truth.csv.gz"] = csv_gz(truth_table(scenario.truth, scenario.settings.truth_every_samples))
    for number, start in enumerate(range(0, len(scenario.ranges), RANGE_FILE_BYTES)):
        contents[f"range/rng{number:05d}.bin"] = scenario.ranges[start : start + RANGE_FILE_BYTES]
    if scenario.true_ranges is not None:
        contents["range_truth.csv.gz"] = csv_gz(range_truth_table(scenario.true_ranges))

    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [folder / name for name in contents]


def _resolved_settings(scenario: Scenario) -> str:
    made_with = ", ".join(f"{package} {version(package)}" for package in ("pygnc", "brahe", "numpy", "pyerfa"))
    remake = "pygnc scenario make --config scenario.toml --out FOLDER"
    return f"# Made with {made_with}.\n# Made again by: {remake}\n\n{dump_settings(scenario.settings)}"
