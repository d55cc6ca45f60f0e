"""True orbits of partners: those that the user names, and those that lie beside satellites' files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pygnc_ground.replay.inputs import ReplayError
from pygnc_ground.replay.satellites import RADIO_IDS, SatelliteFolder, radio_ids
from pygnc_ground.truth.load import load_truth
from pygnc_ground.truth.orbit_truth import OrbitTruth

_BESIDE: Final = "truth.parquet"


def partner_truths(
    named: Sequence[str], satellites: Sequence[SatelliteFolder], *, own_truth: bool
) -> dict[int, OrbitTruth]:
    """True orbits by radio id.

    Args:
        named: What the user says, NAME=FILE each; the name is a radio id or a satellite's.
        satellites: The first is ours. With a truth of ours, `truth.parquet` in the others' folders is theirs.
        own_truth: Whether the true orbit of our satellite is known.

    Raises:
        OSError: A file cannot be read.
        ReplayError: A name is not known, or our own orbit's truth is missing.
        ValueError: A file is damaged or of no known kind; the message names it.
    """
    if named and not own_truth:
        raise ReplayError("--partner-truth: relative to us it says nothing; name our own true orbit by --truth")
    if not own_truth:
        return {}
    ids = radio_ids(satellites)
    files = {
        radio_id: satellite.folder / _BESIDE
        for radio_id, satellite in zip(ids[1:], satellites[1:], strict=True)
        if (satellite.folder / _BESIDE).exists()
    }
    of_name = RADIO_IDS | {satellite.name: radio_id for satellite, radio_id in zip(satellites, ids, strict=True)}
    for text in named:
        name, _, file = text.partition("=")
        if name not in of_name or not file:
            raise ReplayError(f"--partner-truth {text}: write NAME=FILE, the name a radio id such as 75")
        if of_name[name] in ids[:1]:
            raise ReplayError(f"--partner-truth {text}: {name} is our own satellite; name its orbit by --truth")
        files[of_name[name]] = Path(file)
    return {radio_id: load_truth(file) for radio_id, file in files.items()}
