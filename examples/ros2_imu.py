"""Publish an IMU to ROS 2: `python examples/ros2_imu.py /dev/ttyUSB0`, or `... logs/run.mcap` to replay a log.

It runs in an environment with ROS 2 (`rclpy`, `sensor_msgs`) and `pip install 'pygnc[ground]'`. Arguments for ROS
follow `--ros-args`, for example `--ros-args -r imu/data_raw:=imu/left`.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

Sample: TypeAlias = tuple[int, Mapping[str, Any]]
"""Time in ns since 1970 (UTC), and values by name, SI and radians."""
AXES = "xyz"


def main() -> None:
    """Publish sensor_msgs/Imu messages until Ctrl-C or the end of the log."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source", metavar="PORT|FILE.mcap", help="Path or URL of a device's port, or an MCAP log.")
    parser.add_argument("--frame", default="imu_link", help="Frame of the messages (default: %(default)s).")
    parser.add_argument("--flu", action="store_true", help="Turn forward-right-down axes to forward-left-up.")
    parser.add_argument("--speed", type=float, default=1.0, help="Speed of a replay; 0: as fast as possible.")
    parser.add_argument("--family", default="", help="Device family; default: detected.")
    options, for_ros = parser.parse_known_args()

    try:
        import rclpy  # noqa: PLC0415 - `--help` also works without ROS
        from rclpy.qos import qos_profile_sensor_data  # noqa: PLC0415 - likewise
        from sensor_msgs.msg import Imu  # noqa: PLC0415 - likewise
    except ImportError as error:
        sys.exit(f"{error}: start the program in an environment with ROS 2")

    rclpy.init(args=for_ros)
    node = rclpy.create_node("pygnc_imu")
    publisher = node.create_publisher(Imu, "imu/data_raw", qos_profile_sensor_data)
    is_log = options.source.endswith(".mcap")
    samples = replay(Path(options.source), options.speed) if is_log else live(options.source, options.family, rclpy)
    published = skipped = 0
    for t_ns, values in samples:
        if not rclpy.ok():
            break
        message = imu_message(Imu(), t_ns, values, options.frame, is_flu=options.flu)
        if message is None:
            skipped += 1
        else:
            publisher.publish(message)
            published += 1
    node.destroy_node()
    rclpy.try_shutdown()
    print(f"{published} messages published, {skipped} readings without rate and force skipped", file=sys.stderr)


def live(port: str, family: str, rclpy: Any) -> Iterator[Sample]:  # noqa: ANN401 - a module of ROS
    """Yield the readings of a device, with their arrival times."""
    from pygnc_instruments.device.connection import DeviceSelection, connect  # noqa: PLC0415 - not for a replay

    with connect(DeviceSelection(port, family)) as connected:
        connected.start_streaming(lambda: not rclpy.ok())
        for reading in connected.readings(is_stopped=lambda: not rclpy.ok()):
            if reading is not None:
                yield reading.t_wall_ns, reading.values


def replay(path: Path, speed: float) -> Iterator[Sample]:
    """Yield the readings of a log in its pace, with the time of the device's clock."""
    from mcap.reader import make_reader  # noqa: PLC0415 - not for a device

    start_s, first_ns = time.monotonic(), None
    with path.open("rb") as file:
        for _, _, message in make_reader(file).iter_messages(log_time_order=False):
            first_ns = message.publish_time if first_ns is None else first_ns
            if speed > 0.0:
                due_s = start_s + (message.publish_time - first_ns) * 1e-9 / speed
                time.sleep(max(0.0, due_s - time.monotonic()))
            yield message.publish_time, json.loads(message.data)


def imu_message(message: Any, t_ns: int, values: Mapping[str, Any], frame: str, *, is_flu: bool) -> Any:  # noqa: ANN401 - a type of ROS
    """Fill in a message; return None if the values lack angular rate or specific force."""
    names = [name for axis in AXES for name in (f"rate_{axis}_rad_s", f"accel_{axis}_mps2")]
    if any(values.get(name) is None for name in names):
        return None
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(t_ns, 1_000_000_000)
    message.header.frame_id = frame
    message.orientation_covariance[0] = -1.0  # no orientation: imu/data_raw of REP 145
    for axis in AXES:
        sign = -1.0 if is_flu and axis != "x" else 1.0
        setattr(message.angular_velocity, axis, sign * values[f"rate_{axis}_rad_s"])
        setattr(message.linear_acceleration, axis, sign * values[f"accel_{axis}_mps2"])
    return message


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit("usage: python examples/ros2_imu.py PORT|FILE.mcap [--help]")
    main()
