"""Print ten messages of each IMU of monoDrive: `python examples/monodrive_imu.py examples/imu.json 127.0.0.1`."""

import sys
from pathlib import Path

from pygnc_devices.monodrive.packets import FRAME_BYTES
from pygnc_devices.monodrive.sensor import make_sensors


def main(configuration: str, server_ip: str = "127.0.0.1") -> None:
    """Print ten messages of each IMU of the vehicle, and one decoded frame."""
    for imu_sensor in make_sensors(Path(configuration), server_ip):
        with imu_sensor:
            for _ in range(10):
                data_waypoint = imu_sensor.get_message(timeout=5)
                if data_waypoint is None:
                    print(f"{imu_sensor.name}: no message for 5 s")
                    break
                print(data_waypoint["game_time"], data_waypoint["acceleration_vector"], data_waypoint["time_of_week"])
            reading = imu_sensor.device.read()
            if reading is not None:  # the frame of a message, decoded
                print(imu_sensor.digest_frame(reading.raw[-FRAME_BYTES:]))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit("usage: python examples/monodrive_imu.py CONFIGURATION.json [HOST]")
    main(*sys.argv[1:])
