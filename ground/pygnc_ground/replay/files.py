"""Recorded files of a replay as a user names them: inputs, settings and truth."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from pygnc.bus.journal_files import list_segments
from pygnc.bus.messages import SourceFile
from pygnc.common.constants import SENSE_FILE
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc.configuration.load import load, settings_from_table
from pygnc.configuration.settings import Settings
from pygnc_ground.replay.inputs import Inputs, OptionsError, ReplayError, from_files, from_run
from pygnc_ground.replay.run import ReplayContext
from pygnc_ground.replay.satellites import TRUTH_FILE, SatelliteFolder, from_satellites, partner_truths
from pygnc_ground.truth.load import load_attitude_truth, load_truth
from pygnc_system.files import data_file

_NO_HOME: Final = Path("/nonexistent")
"""Folder without settings: settings in the user's home belong to the flight software."""


def flight_settings(settings: Settings | Mapping[str, Any] | Path | str | None = None) -> Settings:
    """Return settings of the flight software: the defaults with the given ones.

    `settings` is a mapping with the structure of `pygnc.toml`, the path of such a file, or complete settings.

    Raises:
        ValueError: The file cannot be used, or a setting is unknown or out of range.
    """
    if settings is None or isinstance(settings, Settings):
        return settings or Settings()
    if isinstance(settings, Path | str):
        return load(Path(settings), _NO_HOME)
    return settings_from_table(msgspec.to_builtins(settings), Path("settings"))


@dataclass(frozen=True, slots=True)
class RecordedFiles:
    """Files of one replay; either `sense` or `satellites` names the inputs.

    Attributes:
        sense: Sense files, or the folder of one run with an input journal.
        satellites: Folders of several satellites, ours first.
        ranges: Folder of range files.
        truth: True orbit, and attitude if the file has it.
        object_name: Object in a truth file with several objects.
        partner_truth: True orbits of partners, each NAME=FILE.
        config: File with settings of the flight software.
        given: Settings of the flight software instead of `config`.
        earth_orientation: Earth orientation table; by default that of the package.
        elements: Mean elements.
    """

    sense: tuple[Path, ...] = ()
    satellites: tuple[SatelliteFolder, ...] = ()
    ranges: Path | None = None
    truth: Path | None = None
    object_name: str | None = None
    partner_truth: tuple[str, ...] = ()
    config: Path | None = None
    given: Settings | None = None
    earth_orientation: Path | None = None
    elements: Path | None = None

    @property
    def settings(self) -> Settings:
        """Given settings, those of `config`, or the defaults."""
        return flight_settings(self.given or self.config)

    @property
    def has_settings(self) -> bool:
        """True if the settings are not simply the defaults."""
        return self.given is not None or self.config is not None

    @property
    def folder(self) -> Path | None:
        """The first folder among `sense`."""
        return next((path for path in self.sense if path.is_dir()), None)

    def inputs(self) -> Inputs:
        """Return the inputs.

        Raises:
            OSError: A file cannot be read.
            ReplayError: The files contradict each other, or one cannot be used.
        """
        self.require_input()
        if self.satellites:
            if self.ranges is not None or self.elements is not None:
                raise OptionsError(
                    "--satellite: each folder holds all files of a satellite; leave out --ranges and --elements"
                )
            return from_satellites(self.satellites, self.settings)
        folder = self.folder
        if folder is None:
            return from_files(self.sense, self.ranges, self.settings, self.elements)
        if len(self.sense) > 1:
            raise OptionsError(
                f"{folder}: is a folder; name sense files only, and the folder of range files by --ranges"
            )
        if not list_segments([folder], "input"):
            remedy = "name sense files, or a run's folder in ~/pygnc_logs"
            if (sense := folder / SENSE_FILE).exists():
                ranges = folder / "range"
                remedy = f"name {sense}" + (f" --ranges {ranges}" if ranges.is_dir() else "")
            raise ReplayError(f"{folder}: has no input journal; {remedy}")
        if self.ranges is not None or self.elements is not None:
            raise OptionsError(f"{folder}: the journal holds all inputs of the run; leave out --ranges and --elements")
        return from_run(folder, self.settings.attitude.hall_word if self.has_settings else None)

    def digests(self, sources: Sequence[SourceFile]) -> dict[str, str]:
        """Return the SHA-256 of each input file by path; `sources` are the files that the replay has read.

        Raises:
            OSError: A file cannot be read.
        """
        if self.folder is None:
            paths = [Path(source.name) for source in sources if not source.fault]
        else:
            paths = [segment.path for segment in list_segments([self.folder], "input")]
        paths += [Path(text.partition("=")[2]) for text in self.partner_truth]
        if self.truth is not None:
            paths += [self.truth, *(satellite.folder / TRUTH_FILE for satellite in self.satellites[1:])]
        paths += filter(None, (self.config, self.earth_orientation, self.elements))
        found: dict[str, str] = {}
        for path in paths:
            if path.is_file():
                with path.open("rb") as file:
                    found[str(path)] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def require_input(self) -> None:
        """Raise ReplayError unless either sense files or satellites are named."""
        if bool(self.sense) == bool(self.satellites):
            raise OptionsError(
                "no input; name sense files, a run's folder, or satellites by --satellite NAME=FOLDER (only one of"
                " these)"
            )

    def context(self) -> ReplayContext:
        """Return settings, Earth orientation and truth.

        Raises:
            OSError: A file cannot be read.
            ValueError: A file is damaged or of unknown kind, or a partner is unknown.
        """
        orbit = None if self.truth is None else load_truth(self.truth, self.object_name)
        attitude = None if self.truth is None else load_attitude_truth(self.truth)
        partners = partner_truths(self.partner_truth, self.satellites, own_truth=self.truth is not None)
        orientation = read_earth_orientation(self.earth_orientation or data_file(EARTH_ORIENTATION_TABLE))
        has_priority = self.has_settings and not self.satellites
        return ReplayContext(self.settings, orientation, has_priority, orbit, attitude, partners)
