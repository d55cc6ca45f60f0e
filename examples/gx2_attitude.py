"""Print ten attitudes of a 3DM-GX2: `python examples/gx2_attitude.py /dev/ttyUSB0`."""

import itertools
import math
import sys

from pygnc_devices.gx2.attitude import euler_angles
from pygnc_devices.gx2.driver import Gx2


def main(url: str) -> None:
    """Print identity, attitudes and temperatures."""
    with Gx2.open(url) as imu:
        print(imu.identify())
        imu.start_continuous("CC")
        for reading in itertools.islice(imu.readings(silence_s=3), 10):
            roll, pitch, yaw = (math.degrees(angle) for angle in euler_angles(reading.values))
            print(f"roll {roll:7.2f}  pitch {pitch:7.2f}  yaw {yaw:7.2f} deg")
        print(imu.temperatures())  # commands work while it streams
        imu.stop_continuous()


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit("usage: python examples/gx2_attitude.py PORT")
    main(*sys.argv[1:])
