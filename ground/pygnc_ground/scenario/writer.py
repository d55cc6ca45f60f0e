"""Scenario folder: the flight's input files, the truth tables and the settings.

Frames and time scale of the tables: `gps_week` and `gps_tow_ms` are GPS time (no leap seconds; 18 s ahead of UTC since
2017). `ecef` is ITRF with velocities relative to the rotating Earth; `gcrf` is GCRF. Quaternions are scalar first and
take body components to GCRF components; body rates are relative to GCRF. Biases are in sensor axes (`imu`). The sunlit
fraction is that of the Sun's disc, 0 in the umbra.
"""

import io
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy.typing as npt
import polars as pl

from pygnc.common.clock import MS_PER_WEEK
from pygnc_ground.scenario.generate import Scenario, TrueStates
from pygnc_ground.scenario.ranging import TrueRanges
from pygnc_ground.scenario.settings import Settings, dump_settings
from pygnc_ground.truth.table import COLUMNS

METADATA: Final = {
    "time_scale": "GPS: gps_week (not modulo 1024) and gps_tow_ms, milliseconds of the week; no leap seconds",
    "frames": "ecef: ITRF, velocities relative to the rotating Earth; gcrf: GCRF; body: the satellite; imu: the sensor",
    "rotations": "quaternions scalar first, body to GCRF components; body rates relative to GCRF",
    "units": "suffix of each column name",
}
"""Key-value metadata of both Parquet files."""


def truth_table(states: TrueStates, every: int) -> pl.DataFrame:
    """Return the truth table with the last sample of each group of `every` samples."""
    columns: dict[str, npt.NDArray[Any]] = {
        "gps_week": states.gps_ms // MS_PER_WEEK,
        "gps_tow_ms": states.gps_ms % MS_PER_WEEK,
    }
    for vector, names in COLUMNS.items():
        columns |= dict(zip(names, getattr(states, vector).T, strict=True))
    columns["sunlit_fraction"] = states.sunlit_fraction
    return pl.DataFrame({name: values[every - 1 :: every] for name, values in columns.items()})


def range_truth_table(truth: TrueRanges) -> pl.DataFrame:
    """Return the true distances and delay biases, one row per range packet in the order before fault injection."""
    columns = truth._asdict()
    gps_ms = columns.pop("gps_ms")
    return pl.DataFrame({"gps_week": gps_ms // MS_PER_WEEK, "gps_tow_ms": gps_ms % MS_PER_WEEK, **columns})


def parquet(table: pl.DataFrame) -> bytes:
    """Return the table as a Parquet file with metadata that explains its columns."""
    file = io.BytesIO()
    table.write_parquet(file, metadata=METADATA)
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
    `range_truth.parquet`, and with injected faults `faults.json`. They are in the folder itself, or in one folder per
    satellite, named by its id, if the settings demand all satellites. `scenario.toml` holds every setting, so that it
    generates the same scenario again; `origin` is the comment at its top.

    Raises:
        FileExistsError: The folder is not empty.
        OSError: A file cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty; choose a new folder")
    made_with = ", ".join(f"{package} {version(package)}" for package in ("pygnc", "brahe", "numpy", "pyerfa"))
    comment = "".join(f"# {line}\n" for line in origin.splitlines())
    contents = {"scenario.toml": f"# Made with {made_with}.\n{comment}\n{dump_settings(settings)}".encode()}
    for scenario in scenarios:
        place = f"{scenario.satellite_id}/" if settings.formation.all_satellites else ""
        contents[f"{place}sense.bin"] = scenario.sense
        contents[f"{place}truth.parquet"] = parquet(truth_table(scenario.truth, settings.truth_every_samples))
        contents |= {f"{place}range/{name}": content for name, content in range_files(scenario.ranges)}
        if scenario.true_ranges is not None:
            contents[f"{place}range_truth.parquet"] = parquet(range_truth_table(scenario.true_ranges))
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
