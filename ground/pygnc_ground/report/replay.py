"""Replay of recorded files as one object: estimates, comparison with the truth, tables and report."""

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import polars as pl

from pygnc.configuration.settings import Settings
from pygnc_ground.orbit.solution import newest_state
from pygnc_ground.replay import folder
from pygnc_ground.replay.choices import COMBINED_RADIUS_M, FilterName
from pygnc_ground.replay.collect import Collected
from pygnc_ground.replay.files import RecordedFiles, flight_settings
from pygnc_ground.replay.folder import Origin
from pygnc_ground.replay.pipeline import flown_inputs
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.replay.satellites import SatelliteFolder
from pygnc_ground.replay.tables import all_tables, table_makers, write_tables
from pygnc_ground.report.comparison import (
    ComparedAttitude,
    ComparedOrbit,
    ComparedPartner,
    compared_attitudes,
    compared_orbits,
    compared_partners,
)
from pygnc_ground.report.text import summary_lines

_MANY: Final = 200
"""GPS records from which on a second process saves more than the second that it needs to start."""


@dataclass(frozen=True, eq=False)
class Replay:
    """Estimates of the flight software for recorded inputs, and those of smoothers and batch solution."""

    result: ReplayResult
    """Estimates as NumPy arrays"""
    collected: Collected
    """Messages of the flight software, from which the result is made"""
    origin: Origin
    """Software, settings and input files"""
    flown: bool = False
    """True if the processes of the flight software ran, too, and gave the same estimates bit for bit"""

    @classmethod
    def run(
        cls,
        files: RecordedFiles,
        *,
        filter_name: FilterName = FilterName.EKF,
        collision_radius_m: float = COMBINED_RADIUS_M,
        pipeline: bool = False,
        begin: Callable[[int | None], Callable[[], None]] = lambda _: lambda: None,
    ) -> "Replay":
        """Return the replay of files; the arguments are those of `replay_files`.

        `begin` takes the number of GPS records, None if unknown, and returns the function that is called after each.
        With `pipeline`, the processes of the flight software run on the files first, in a temporary home.
        If there are two cores, the attitude of many records has a process of its own.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file or setting is wrong, files contradict each other, or there is nothing to estimate from.
        """
        context = files.context()
        with flown_inputs(files) if pipeline else nullcontext() as flown:
            inputs = files.inputs() if flown is None else flown.inputs
            result, collected = context.replay(
                inputs,
                filter_name=filter_name,
                collision_radius_m=collision_radius_m,
                advance=begin(inputs.records),
                processes=2 if _is_worth_two(inputs.records) else 1,
            )
        if flown is not None:
            flown.require_same(collected)
        orientation = context.orientation.identification
        origin = folder.origin_of(files.digests(result.sources), result.settings, result.filter_name, orientation)
        return cls(result, collected, origin, pipeline)

    @property
    def summary(self) -> list[str]:
        """Use of the records, accuracy and closest approaches as lines of text, as `pygnc replay` prints them."""
        return [*summary_lines(self.result, flown=self.flown)]

    @cached_property
    def tables(self) -> dict[str, pl.DataFrame]:
        """Tables by name, as `pygnc replay` writes them; docs/replay.md describes their columns."""
        return all_tables(self.result, self.collected)

    @cached_property
    def orbits(self) -> tuple[ComparedOrbit, ...]:
        """Filter, smoother and batch, as far as available, with errors against the truth."""
        return compared_orbits(self.result)

    @cached_property
    def attitudes(self) -> tuple[ComparedAttitude, ...]:
        """Filter and smoother, with errors against the truth and Cramér-Rao bounds."""
        return compared_attitudes(self.result.attitude)

    @cached_property
    def partners(self) -> tuple[ComparedPartner, ...]:
        """Partners of the formation with their candidate orbits; none without ranges and fixes of partners."""
        return compared_partners(self.result.formation)

    def write(self, out: Path | str, *, csv: bool = False, overwrite: bool = False) -> list[Path]:
        """Write all tables as Parquet and, if `csv` is set, as CSV, and `report.html`; return their paths.

        With `overwrite`, the results of another replay in the folder `out` are replaced.

        Raises:
            OSError: A file cannot be written.
            ValueError: The folder holds something else.
        """
        # Matplotlib takes a second.
        from pygnc_ground.report.html import write_report  # noqa: PLC0415
        from pygnc_ground.report.player.page import PlayerPage  # noqa: PLC0415
        from pygnc_ground.report.player.recording import make_recording  # noqa: PLC0415

        place = Path(out)
        folder.require_free(place, overwrite=overwrite)
        place.mkdir(parents=True, exist_ok=True)
        folder.begin(place, self.origin)
        paths = write_tables(table_makers(self.result, self.collected), place, csv=csv, about=self.origin.metadata)
        written = {path.stem: path for path in paths if path.suffix == ".parquet"}
        recording = make_recording(self.result, written)
        write_report(self.result, place / folder.REPORT, PlayerPage.of(recording))
        state, settings = newest_state(self.collected.updates), self.result.settings.orbit
        stored = folder.StoredState.of(state, settings, self.origin.earth_orientation)
        return [*paths, place / folder.REPORT, place / folder.MARKER, folder.write_state(place, stored)]


def replay_files(
    sense: Path | str | Sequence[Path | str] = (),
    *,
    satellites: Mapping[str, Path | str] | None = None,
    ranges: Path | str | None = None,
    truth: Path | str | None = None,
    object_id: str | None = None,
    partner_truth: Mapping[str, Path | str] | None = None,
    settings: Settings | Mapping[str, Any] | Path | str | None = None,
    earth_orientation: Path | str | None = None,
    elements: Path | str | None = None,
    filter_name: str = "ekf",
    collision_radius_m: float = COMBINED_RADIUS_M,
    advance: Callable[[], None] = lambda: None,
) -> Replay:
    """Run the estimators of the flight software on recorded files; about 1 ms per fix and sample.

    Args:
        sense: Sense files, or the folder of one run in `~/pygnc_logs`.
        satellites: Folders of several satellites by name, instead of `sense`, for a joint solution; ours first.
        ranges: Folder of range files.
        truth: True orbit, and attitude if the file has it: the truth table of a scenario, SP3 or CCSDS OEM.
        object_id: Object in a truth file with several.
        partner_truth: True orbits of partners by radio id or name of the satellite.
        settings: Settings of the flight software: a mapping with the structure of `pygnc.toml`, the path of such a
            file, or all settings. By default those of the run, or else the defaults.
        earth_orientation: Earth orientation table; by default that of the package.
        elements: Mean elements (TLE or OMM) that were uploaded to the satellite.
        filter_name: Orbit filter: `ekf`, that of the flight software, or `ukf`, a reference by filterpy.
        collision_radius_m: Combined radius of two satellites, in m, for the probabilities of a collision.
        advance: Function that is called after each GPS record.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file or setting is wrong, files contradict each other, or there is nothing to estimate from.
    """
    if not 0.0 <= collision_radius_m < math.inf:
        raise ValueError(f"collision_radius_m: {collision_radius_m} is no radius; use a number of metres, at least 0")
    files = RecordedFiles(
        sense=tuple(map(Path, [sense] if isinstance(sense, Path | str) else sense)),
        satellites=tuple(SatelliteFolder(str(name), Path(home)) for name, home in (satellites or {}).items()),
        ranges=_path(ranges),
        truth=_path(truth),
        object_name=object_id,
        partner_truth=tuple(f"{name}={file}" for name, file in (partner_truth or {}).items()),
        given=None if settings is None else flight_settings(settings),
        earth_orientation=_path(earth_orientation),
        elements=_path(elements),
    )
    return Replay.run(
        files,
        filter_name=FilterName(filter_name),
        collision_radius_m=collision_radius_m,
        begin=lambda _: advance,
    )


def _path(name: Path | str | None) -> Path | None:
    return None if name is None else Path(name)


def _is_worth_two(records: int | None) -> bool:
    """Return True if two processes are faster for this number of GPS records, which may be unknown."""
    is_program = not getattr(sys, "frozen", False)  # else the executable is this program, not Python
    return is_program and (os.cpu_count() or 1) > 1 and (records is None or records >= _MANY)
