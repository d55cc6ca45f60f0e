"""A DMU38x or OpenIMU: found, asked, read and logged: `python examples/dmu_demo.py [/dev/ttyUSB0]`."""

import itertools
import sys
from pathlib import Path

from pygnc_devices.discovery import search
from pygnc_devices.ucb.driver import FAMILY, Ucb
from pygnc_ground.device.csv_log import CsvLog


def main(url: str = "") -> None:
    """Print what the unit is and says, and log it."""
    found = search([url] if url else None, [FAMILY]).found
    if not found:
        sys.exit("no unit answers; is it on, and the cable in?")
    with Ucb.open(found[0].url, found[0].baud) as imu:
        print(imu.identify())
        print(imu.get_fields(["packet_rate_divider", "packet_type", "orientation"]))  # while it streams
        log = CsvLog(Path("data"))
        for reading in itertools.islice(imu.readings(silence_s=3), 100):
            log.write(reading)
            if log.rows % 10 == 0:
                print(reading.t_device_ns, reading.values["accel_z_mps2"], reading.values["rate_z_rad_s"])
        log.close()
        print(log.rows, "rows in", log.current)


if __name__ == "__main__":
    main(*sys.argv[1:])
