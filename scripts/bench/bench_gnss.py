"""Orbits from raw measurements of GRACE-B: errors against the precise orbit of CODE, time and memory.

Run: OPENBLAS_NUM_THREADS=1 python scripts/bench/bench_gnss.py

It needs the reference data: PYGNC_REFERENCE_DATA.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc_ground.commands.raw_orbit import RawFiles, determine
from pygnc_ground.gnss.raw_orbit import Receiver
from pygnc_ground.gnss.rinex2 import read_rinex2

_SETTINGS: Final = "[orbit.spacecraft]\nmass_kg = 480.0\narea_m2 = 1.0\n"
_ANTENNA_M: Final = (0.0, 0.0, -0.414)


def main() -> None:
    """Print the figures of both combinations."""
    folder = Path(os.environ["PYGNC_REFERENCE_DATA"]) / "grace_b"
    measurements = folder / "GRCB2080.10D"
    begin_s = time.process_time()
    count = len(read_rinex2(measurements.read_bytes()))
    print(f"reading: {count} measurements in {time.process_time() - begin_s:.2f} s")
    with tempfile.TemporaryDirectory() as place:
        config = Path(place) / "grace.toml"
        config.write_text(_SETTINGS, encoding="utf-8")
        for title, dual in (("two frequencies", True), ("C1 and L1", False)):
            files = RawFiles(
                observations=(measurements,),
                gnss_orbits=tuple(sorted(folder.glob("COD*.EPH"))),
                receiver=Receiver(_ANTENNA_M, dual=dual),
                truth=folder / "grcb_truth_00h_12h.csv",
                config=config,
            )
            begin_s = time.process_time()
            lines = determine(files).lines
            print(f"\n{title}: {time.process_time() - begin_s:.1f} s of processor time")
            print("\n".join(lines))
            memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
            print(f"largest resident memory so far: {memory_mb:.0f} MB")


if __name__ == "__main__":
    main()
