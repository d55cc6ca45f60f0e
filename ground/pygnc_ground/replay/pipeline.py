"""Flight software on recorded files: its processes run in a temporary home."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.msgpack import Decoder

from pygnc.bus.messages import AttitudeEstimate, FormationMessage, OrbitEstimate, OrbitMessage
from pygnc.configuration.data_files import EARTH_ORIENTATION_UPLOAD
from pygnc.inputs.elements_file import ELEMENTS_FILE
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.inputs import OptionsError, ReplayError, journaled, log_reader_of

_TIMEOUT_MIN: Final = 24 * 60
_START: Final = "import sys; from pygnc.launch.run import main; sys.exit(main(sys.argv[1:]))"


def fly(home: Path, files: RecordedFiles) -> Path:
    """Run the flight software on the files in the empty folder `home`, and return the folder of the run.

    Raises:
        ReplayError: There is more than one sense file, a log of another kind, or the run fails.
    """
    if len(files.sense) > 1:
        raise OptionsError(
            f"{files.sense[1]}: the flight software takes one sense file; leave out --pipeline to replay several files"
        )
    for path in files.sense:
        if log_reader_of(path) is not None:
            raise ReplayError(f"{path}: the flight software reads sense files only; leave out --pipeline")
        shutil.copy(path, home / "sense.bin")
    if files.ranges is not None:
        shutil.copytree(files.ranges, home / "range")
    uploads = {
        "pygnc.toml": files.config,
        EARTH_ORIENTATION_UPLOAD: files.earth_orientation,
        ELEMENTS_FILE: files.elements,
    }
    for name, file in uploads.items():
        if file is not None:
            shutil.copy(file, home / name)
    command = [sys.executable, "-c", _START, str(_TIMEOUT_MIN), "0", "--exit-when-done"]
    environment = os.environ | {"HOME": str(home), "OPENBLAS_NUM_THREADS": "1"}
    finished = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)  # noqa: S603 - our own
    if finished.returncode != 0:
        raise ReplayError(
            f"{home}: the flight software ended with exit code {finished.returncode}; correct its error:"
            f" {finished.stderr.strip()}"
        )
    return next(iter((home / "pygnc_logs").iterdir()))


class Flown(NamedTuple):
    """Estimates in the journals of a run, in the order of their numbers."""

    orbits: list[OrbitEstimate]
    attitudes: list[AttitudeEstimate]
    partners: list[FormationMessage]


def journaled_estimates(run: Path) -> Flown:
    """Return the estimates in a run's journals."""
    orbits = journaled(run, "orbit", Decoder(OrbitMessage).decode)
    return Flown(
        [message for _, message in orbits if isinstance(message, OrbitEstimate)],
        [message for _, message in journaled(run, "attitude", Decoder(AttitudeEstimate).decode)],
        [message for _, message in journaled(run, "formation", Decoder(FormationMessage).decode)],
    )
