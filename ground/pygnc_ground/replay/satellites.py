"""Files of several satellites, replayed jointly as one batch of the first satellite, and the truth of partners.

The partners' files are used as if they were in the first satellite's home. The flight software does not read sense
files of partners; the replay uses their GPS packets.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pygnc.bus.messages import Message
from pygnc.common.constants import PARTNER_IDS, SENSE_FILE
from pygnc.configuration.settings import Settings
from pygnc.formats.gps_packet import SENSE_GPS, decode_gps_packets
from pygnc.formats.range_scan import scan
from pygnc.formats.sense import SENSOR_PACKET
from pygnc.inputs.host_packets import fix_messages
from pygnc.inputs.range_files import RangeSeries
from pygnc.inputs.range_folders import list_range_files
from pygnc.inputs.sense_file import SenseFile
from pygnc.inputs.source import BatchSource
from pygnc_ground.replay.inputs import Inputs, OptionsError, ReplayError, inputs_of, require_records
from pygnc_ground.truth.load import load_truth
from pygnc_ground.truth.orbit_truth import OrbitTruth

RADIO_IDS: Final = {str(number): number for number in PARTNER_IDS} | {chr(number): number for number in PARTNER_IDS}
"""Radio ids by the names in options: the number, or the letter with that character code."""
_OF_ANY_PARTNER: Final = 0
"""Radio id that no satellite has, by which only a satellite's own files are found."""


class SatelliteFolder(NamedTuple):
    """Files of one satellite.

    Attributes:
        name: Name in the option --satellite.
        folder: Folder with sense.bin and range files, as in a satellite's home.
    """

    name: str
    folder: Path

    @classmethod
    def named(cls, text: str) -> "SatelliteFolder":
        """Parse NAME=FOLDER.

        Raises:
            ReplayError: The text has another form, or the folder does not exist.
        """
        name, _, folder = text.partition("=")
        if not (name and folder):
            raise OptionsError(f"--satellite {text}: write NAME=FOLDER, such as 74=flights/one")
        if not Path(folder).is_dir():
            raise ReplayError(
                f"{folder}: not a folder; name the folder with sense.bin and the range files of the satellite"
            )
        return cls(name, Path(folder))

    @property
    def range_series(self) -> list[list[str]]:
        """Rows of consecutive range files of the satellite itself, by their names below the folder."""
        folders, _ = list_range_files(self.folder, _OF_ANY_PARTNER)
        return [row for folder in folders if folder.satellite_id == 0 for row in folder.rows()]


def from_satellites(satellites: Sequence[SatelliteFolder], settings: Settings) -> Inputs:
    """Return the inputs, with settings in which `own_id` is the radio id of the first satellite.

    Raises:
        OSError: A file cannot be read.
        ReplayError: A satellite has no files or no record, or its radio id is unknown.
    """
    ids = radio_ids(satellites)
    ours = replace(settings, formation=replace(settings.formation, own_id=ids[0]))
    sources = [_sources(satellite, radio_id, ours) for satellite, radio_id in zip(satellites, ids, strict=True)]
    inputs = inputs_of([source for of_one in sources for source in of_one])
    for satellite, of_one in zip(satellites, sources, strict=True):
        require_records(satellite.folder, of_one)
    return replace(inputs, settings=ours)


def _sources(satellite: SatelliteFolder, radio_id: int, settings: Settings) -> list[BatchSource]:
    owner = 0 if radio_id == settings.formation.own_id else radio_id
    found: list[BatchSource] = []
    sense = satellite.folder / SENSE_FILE
    if sense.exists():
        found.append(PartnerSense(sense, settings, owner) if owner else SenseFile(sense, str(sense), settings))
    for row in satellite.range_series:
        names = [str(satellite.folder / name) for name in row]
        found.append(RangeSeries(Path(), names, settings, satellite_id=owner))
    if not found:
        raise ReplayError(
            f"{satellite.folder}: neither {SENSE_FILE} nor range files found, in the folder or in range/; name"
            " the folder of a satellite"
        )
    return found


def radio_ids(satellites: Sequence[SatelliteFolder]) -> list[int]:
    """Return the radio ids of the satellites.

    A radio id is the name of the satellite, or follows from the ranges that the other satellites measured to it.

    Raises:
        OSError: A file cannot be read.
        ReplayError: A radio id cannot be deduced.
    """
    measured: list[set[int]] = []
    for satellite in satellites:
        contents = [b"".join((satellite.folder / name).read_bytes() for name in row) for row in satellite.range_series]
        measured.append({of for content in contents for of in scan(content).ranges["partner_id"].tolist()})
    named = [RADIO_IDS.get(satellite.name) for satellite in satellites]
    ids: list[int] = []
    for number, satellite in enumerate(satellites):
        by_others = set().union(*(seen for other, seen in enumerate(measured) if other != number))
        possible = by_others - measured[number] - set(named)
        radio_id = named[number] or (possible.pop() if len(possible) == 1 else None)
        if radio_id is None:
            raise ReplayError(
                f"--satellite {satellite.name}={satellite.folder}: its radio id does not follow from the ranges; "
                f"use it as the name, {PARTNER_IDS[0]} to {PARTNER_IDS[-1]}"
            )
        ids.append(radio_id)
    if len(set(ids)) < len(ids):
        raise OptionsError(f"--satellite: the radio ids {ids} are not all different; name each satellite once")
    return ids


class PartnerSense(SenseFile):
    """Sense file of a partner, of which only the GPS packets are used."""

    def __init__(self, path: Path, settings: Settings, satellite_id: int) -> None:
        super().__init__(path, str(path), settings)
        self._satellite_id = satellite_id

    def messages(self, ordinals: NDArray[np.int64], first_seq: int) -> list[Message]:
        """Return the GPS packets of the records with these ordinals, numbered from `first_seq`."""
        packets = self.records(ordinals)["gps"]
        begins = (ordinals * self.layout.size + self.layout.sensors_per_record * SENSOR_PACKET.itemsize).tolist()
        places = [
            (seq, self.names[0], begin, packet.tobytes())
            for seq, (begin, packet) in enumerate(zip(begins, packets, strict=True), first_seq)
        ]
        fixes = decode_gps_packets(packets, self._settings.orbit.screening.earliest_gps_week)
        return [*fix_messages(fixes, places, SENSE_GPS, self._satellite_id)]


TRUTH_FILE: Final = "truth.parquet"


def partner_truths(
    named: Sequence[str], satellites: Sequence[SatelliteFolder], *, own_truth: bool
) -> dict[int, OrbitTruth]:
    """Return the true orbits of partners by radio id.

    Args:
        named: Texts NAME=FILE of the option; NAME is a radio id or a satellite's name.
        satellites: All satellites, ours first. With `own_truth`, `truth.parquet` in the other folders is used too.
        own_truth: True if the true orbit of our satellite is known.

    Raises:
        OSError: A file cannot be read.
        ReplayError: A name is unknown, or the truth of our own orbit is missing.
        ValueError: A file is damaged or of unknown kind; the message names it.
    """
    if named and not own_truth:
        raise OptionsError("--partner-truth requires --truth, the true orbit of our own satellite")
    if not own_truth:
        return {}
    ids = radio_ids(satellites)
    files = {
        radio_id: satellite.folder / TRUTH_FILE
        for radio_id, satellite in zip(ids[1:], satellites[1:], strict=True)
        if (satellite.folder / TRUTH_FILE).exists()
    }
    of_name = RADIO_IDS | {satellite.name: radio_id for satellite, radio_id in zip(satellites, ids, strict=True)}
    for text in named:
        name, _, file = text.partition("=")
        if name not in of_name or not file:
            raise OptionsError(f"--partner-truth {text}: write NAME=FILE, with a radio id such as 75 as NAME")
        if of_name[name] in ids[:1]:
            raise OptionsError(f"--partner-truth {text}: {name} is our own satellite; use --truth for its orbit")
        files[of_name[name]] = Path(file)
    return {radio_id: load_truth(file) for radio_id, file in files.items()}
