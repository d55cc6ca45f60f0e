"""Write every export of the demonstration, and let other implementations read them back (docs/exports.md).

`make readers` installs the readers in an environment of their own and runs this program.
"""

import argparse
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, read_earth_orientation
from pygnc_ground.exports.cdm import Approach, cdm
from pygnc_ground.exports.choices import Kind, Notation
from pygnc_ground.exports.estimates import Estimates
from pygnc_ground.exports.export import Options, files
from pygnc_ground.exports.orbit_messages import Label
from pygnc_ground.report.replay import replay_files
from pygnc_system.files import data_file

_READER: Final = Path(__file__).with_name("read_exports.py")


def main() -> None:
    """Write the messages into a temporary folder and run the readers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path, help="Python of the environment with the readers.")
    python = parser.parse_args().python
    orientation = read_earth_orientation(data_file(EARTH_ORIENTATION_TABLE))
    estimates = Estimates.of(replay_files(data_file("demo") / "sense.bin"), orientation)
    kinds = [kind for kind in Kind if kind not in {Kind.CDM, Kind.MCAP}]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory() as folder:
        for notation in Notation:
            for file in files(estimates, Options(kinds, notation, "DEMO", "2025-001A", 1.0)):
                (Path(folder) / file.name).write_bytes(file.content)
        message = cdm(_approach(estimates), Label("DEMO", "2025-001A", estimates.created_gps_ms))
        (Path(folder) / "partner.cdm").write_text(message.text(Notation.KVN))
        (Path(folder) / "partner.cdm.xml").write_text(message.text(Notation.XML))
        raise SystemExit(subprocess.run([python, _READER, folder], env=environment, check=False).returncode)


def _approach(estimates: Estimates) -> Approach:
    """Return an encounter with a partner 40 m behind the newest state."""
    state = estimates.newest
    if state is None:
        raise SystemExit("the demonstration has no orbit")
    return Approach(
        gps_ms=state.gps_ms,
        partner=75,
        orbit="best orbit",
        own=state.x[:6],
        own_covariance=state.covariance[:6, :6],
        relative=np.array((3.1, -40.2, 1.3, 0.01, 0.02, -0.03)),
        relative_covariance=np.diag(np.repeat((4.0, 1e-6), 3)),
        probability=1.25e-5,
        radius_m=2.0,
    )


if __name__ == "__main__":
    main()
