"""Find a DMU38x or OpenIMU, print its identity and settings, print ten packets, and log ten more.

Usage: python examples/ucb_demo.py [PORT]

Without PORT, the serial adapters on the USB are searched.
"""

import csv
import math
import sys
from pathlib import Path

from pygnc_devices.discovery import search
from pygnc_devices.ucb.driver import FAMILY, Ucb
from pygnc_devices.ucb.fields import FIELD_TABLE

found = search(sys.argv[1:] or None, [FAMILY]).found
if not found:
    sys.exit("no unit responds; check the cable and the power")

with Ucb.open(found[0].url, found[0].baud) as imu:
    identity = imu.identify()
    print(f"{identity.text}, serial number {identity.serial_number}, at {imu.url}")
    for number, value in imu.get_fields(["packet_rate_divider", "packet_type", "orientation"]).items():
        print(f"{FIELD_TABLE[number].name}: {FIELD_TABLE[number].describe(value)}")

    with Path("log.csv").open("w", newline="") as file:
        log = csv.writer(file)
        for count, reading in enumerate(imu):
            force = math.hypot(*(float(reading.values[f"accel_{axis}_mps2"] or 0.0) for axis in "xyz"))
            if count < 10:
                print(f"{reading.packet.name} {reading.t_wall_ns / 1e9:.3f} s: specific force {force:.4f} m/s²")
            if count == 10:
                log.writerow([name for name, _ in reading.packet.columns()])
            if count >= 10:
                log.writerow(reading.packet.row(reading.values))
            if count == 19:
                break
    print(f"{imu.statistics.skipped_bytes} bytes skipped, {imu.statistics.lost_readings} packets missing")
