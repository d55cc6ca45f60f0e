"""Scenario folder: the flight's input files, the truth tables and the settings."""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import polars as pl

from pygnc_ground.scenario.generate import Scenario, TrueStates
from pygnc_ground.scenario.ranging import TrueRanges
from pygnc_ground.scenario.settings import Settings, dump_settings
from pygnc_ground.tables.declaration import frame, metadata, time_values
from pygnc_ground.truth.table import QUANTITIES


def truth_table(states: TrueStates, every: int) -> pl.DataFrame:
    """Return the truth table with the last sample of each group of `every` samples."""
    values = {name: getattr(states, vector) for vector, name in QUANTITIES.items()}
    values |= time_values(states.gps_ms.tolist()) | {"sunlit_fraction": states.sunlit_fraction}
    return frame("truth", values)[every - 1 :: every]


def range_truth_table(truth: TrueRanges) -> pl.DataFrame:
    """Return the true distances and delay biases, one row per range packet in the order before fault injection."""
    return frame("range_truth", truth._asdict() | time_values(truth.gps_ms.tolist()))


def parquet(table: pl.DataFrame, name: str = "truth", about: Mapping[str, str] | None = None) -> bytes:
    """Return a declared table as a Parquet file with metadata that explains its columns, and the entries `about`."""
    file = io.BytesIO()
    table.write_parquet(file, metadata=metadata(name, about))
    return file.getvalue()


RANGE_FILE_BYTES: Final = 25_600
"""The controller starts a new range file at this size, also in the middle of a packet."""
MADE_AGAIN_BY: Final = "Made again by: pygnc scenario make --config scenario.toml --out FOLDER"


def range_files(stream: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the files to which the controller writes a stream of range packets."""
    for number, start in enumerate(range(0, len(stream), RANGE_FILE_BYTES)):
        yield f"rng{number:05d}.bin", stream[start : start + RANGE_FILE_BYTES]


def write_scenario(
    settings: Settings, scenarios: Sequence[Scenario], folder: Path, origin: str = MADE_AGAIN_BY
) -> list[Path]:
    """Write all files of a scenario and return their paths.

    Each satellite gets `sense.bin`, `range/rng00000.bin` and so on, `truth.parquet`, with partners
    `range_truth.parquet`, with raw measurements the folder `gnss`, and with injected faults `faults.json`. They are in
    the folder itself, or in one folder per satellite, named by its id, if the settings demand all satellites.
    `scenario.toml` holds every setting, so that it
    generates the same scenario again; `origin` is the comment at its top.

    Raises:
        FileExistsError: The folder is not empty.
        OSError: A file cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; choose a new folder")
    made_with = ", ".join(f"{package} {version(package)}" for package in ("pygnc", "brahe", "numpy", "pyerfa"))
    comment = "".join(f"# {line}\n" for line in origin.splitlines())
    definition = dump_settings(settings)
    contents = {"scenario.toml": f"# Made with {made_with}.\n{comment}\n{definition}".encode()}
    about = {"made_with": made_with, "settings_sha256": hashlib.sha256(definition.encode()).hexdigest()}
    for scenario in scenarios:
        place = f"{scenario.satellite_id}/" if settings.formation.all_satellites else ""
        contents[f"{place}sense.bin"] = scenario.sense
        truth = truth_table(scenario.truth, settings.truth_every_samples)
        contents[f"{place}truth.parquet"] = parquet(truth, about=about)
        contents |= {f"{place}range/{name}": content for name, content in range_files(scenario.ranges)}
        if scenario.true_ranges is not None:
            ranges = range_truth_table(scenario.true_ranges)
            contents[f"{place}range_truth.parquet"] = parquet(ranges, "range_truth", about)
        if scenario.raw is not None:
            contents[f"{place}gnss/observations.rnx"] = scenario.raw.observations
            contents[f"{place}gnss/navigation.rnx"] = scenario.raw.navigation
            contents[f"{place}gnss/precise.sp3"] = scenario.raw.precise
        if scenario.faults:
            tables = {
                file: {kind: {"count": len(records), "records": records} for kind, records in kinds.items()}
                for file, kinds in scenario.faults.items()
            }
            contents[f"{place}faults.json"] = (json.dumps(tables, indent=2) + "\n").encode()
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return [folder / name for name in contents]
