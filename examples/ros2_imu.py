"""Publish an IMU to ROS 2: `python examples/ros2_imu.py /dev/ttyUSB0`, or `... logs/run.mcap` to replay a log.

It runs in an environment with ROS 2 (`rclpy`, `sensor_msgs`, `diagnostic_msgs`) and `pip install 'pygnc[ground]'`.
Arguments for ROS follow `--ros-args`, for example `--ros-args -r imu/data_raw:=imu/left`.
"""

import argparse
import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

AXES: Final = "xyz"
ANGLES: Final = ("roll", "pitch", "yaw")
REPORTS_NS: Final = 1_000_000_000
"""Time between diagnostic messages, ns."""
Values: TypeAlias = Mapping[str, Any]
"""Values of a reading by name, SI and radians."""
Quaternion: TypeAlias = tuple[float, float, float, float]
"""Components x, y, z, w."""
ENU_FROM_NED: Final[Quaternion] = (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0)
FRD_FROM_FLU: Final[Quaternion] = (1.0, 0.0, 0.0, 0.0)


class Sample(NamedTuple):
    """A reading: its time in ns since 1970 (UTC), its values, and what is known of the connection."""

    t_ns: int
    values: Values
    state: Mapping[str, str]
    is_connected: bool = True


def main() -> None:
    """Publish messages until Ctrl-C or the end of the log."""
    options, for_ros = parser().parse_known_args()
    try:
        import rclpy  # noqa: PLC0415 - `--help` also works without ROS
        from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: PLC0415 - likewise
        from rclpy.qos import qos_profile_sensor_data  # noqa: PLC0415 - likewise
        from sensor_msgs.msg import Imu, MagneticField  # noqa: PLC0415 - likewise
    except ImportError as error:
        sys.exit(f"{error}: start the program in an environment with ROS 2")

    rclpy.init(args=for_ros)
    node = rclpy.create_node("pygnc_imu")

    def publisher(kind: Any, topic: str) -> Callable[[Any], None]:  # noqa: ANN401 - types of ROS
        publish: Callable[[Any], None] = node.create_publisher(kind, topic, qos_profile_sensor_data).publish
        return publish

    # REP 145 separates readings from those with an orientation.
    publish_raw, publish_oriented = publisher(Imu, "imu/data_raw"), publisher(Imu, "imu/data")
    publish_field, publish_state = publisher(MagneticField, "imu/mag"), publisher(DiagnosticArray, "/diagnostics")
    is_log = options.source.endswith(".mcap")
    samples = replay(Path(options.source), options.speed) if is_log else live(options.source, options.family, rclpy)
    published = skipped = 0
    reported_ns: int | None = None
    with contextlib.suppress(KeyboardInterrupt):
        for sample in samples:
            if not rclpy.ok():
                break
            if reported_ns is None or sample.t_ns - reported_ns >= REPORTS_NS:
                reported_ns = sample.t_ns
                publish_state(diagnostics(DiagnosticArray(), DiagnosticStatus(), KeyValue, sample, options.source))
            if not sample.values:
                continue
            if has(sample.values, "rate", "rad_s") and has(sample.values, "accel", "mps2"):
                message = imu_message(Imu(), sample, options)
                (publish_oriented if message.orientation_covariance[0] >= 0.0 else publish_raw)(message)
                published += 1
            else:
                skipped += 1
            if has(sample.values, "mag", "t"):
                publish_field(field_message(MagneticField(), sample, options))
    node.destroy_node()
    rclpy.try_shutdown()
    print(f"{published} messages published, {skipped} readings without rate and force skipped", file=sys.stderr)


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("source", metavar="PORT|FILE.mcap", help="Path or URL of a device's port, or an MCAP log.")
    made.add_argument("--frame", default="imu_link", help="Frame of the messages (default: %(default)s).")
    made.add_argument(
        "--flu",
        action="store_true",
        help="Turn forward-right-down axes to forward-left-up, and orientations from north-east-down to east-north-up.",
    )
    made.add_argument("--speed", type=float, default=1.0, help="Speed of a replay; 0: as fast as possible.")
    made.add_argument("--family", default="", help="Device family; default: detected.")
    for name, unit in (("rate", "rad/s"), ("accel", "m/s^2"), ("orientation", "rad"), ("mag", "T")):
        made.add_argument(
            f"--{name}-sd", type=float, default=0.0, metavar="SD", help=f"Standard deviation, {unit}; 0: unknown."
        )
    return made


def live(port: str, family: str, rclpy: Any) -> Iterator[Sample]:  # noqa: ANN401 - a module of ROS
    """Yield the readings of a device, with their times of measurement, or of arrival if it has no clock."""
    from pygnc_instruments.device.connection import DeviceSelection, connect  # noqa: PLC0415 - not for a replay
    from pygnc_instruments.device.time_base import TimeBase  # noqa: PLC0415 - likewise

    base = TimeBase()
    with connect(DeviceSelection(port, family)) as connected:
        connected.start_streaming(lambda: not rclpy.ok())
        device = connected.device
        for reading in connected.readings(is_stopped=lambda: not rclpy.ok()):
            if reading is None:
                yield Sample(time.time_ns(), {}, {}, device.is_connected)
                continue
            measured = base.measured(reading)
            counts = device.statistics
            state = {
                "readings": str(counts.readings),
                "missing": str(counts.lost_readings),
                "bad checksums": str(counts.damaged.get("checksum", 0)),
                "reconnections": str(counts.reconnects),
                "doubts": ", ".join(reading.flags),
            }
            yield Sample(reading.t_wall_ns if measured is None else measured.time_ns, reading.values, state)


def replay(path: Path, speed: float) -> Iterator[Sample]:
    """Yield the readings of a log in its pace, with their times of measurement."""
    from mcap.reader import make_reader  # noqa: PLC0415 - not for a device

    start_s, first_ns, missing = time.monotonic(), None, 0
    with path.open("rb") as file:
        for _, _, message in make_reader(file).iter_messages(log_time_order=False):
            first_ns = message.publish_time if first_ns is None else first_ns
            if speed > 0.0:
                due_s = start_s + (message.publish_time - first_ns) * 1e-9 / speed
                time.sleep(max(0.0, due_s - time.monotonic()))
            values = json.loads(message.data)
            missing += values["lost_before"]
            state = {"missing": str(missing), "doubts": ", ".join(values.get("flags", []))}
            yield Sample(message.publish_time, values, state)


def has(values: Values, name: str, unit: str) -> bool:
    """Return True if the values contain a vector."""
    return all(values.get(f"{name}_{axis}_{unit}") is not None for axis in AXES)


def imu_message(message: Any, sample: Sample, options: argparse.Namespace) -> Any:  # noqa: ANN401 - a type of ROS
    """Fill in angular rate, specific force and, if the unit has angles, its orientation."""
    set_header(message, sample, options.frame)
    set_vector(message.angular_velocity, sample.values, "rate", "rad_s", is_flu=options.flu)
    set_vector(message.linear_acceleration, sample.values, "accel", "mps2", is_flu=options.flu)
    set_covariance(message.angular_velocity_covariance, [options.rate_sd] * 3)
    set_covariance(message.linear_acceleration_covariance, [options.accel_sd] * 3)
    if any(sample.values.get(f"{name}_rad") is None for name in ANGLES):
        message.orientation_covariance[0] = -1.0  # no orientation
        return message
    orientation = from_angles(*(sample.values[f"{name}_rad"] for name in ANGLES))
    if options.flu:
        orientation = product(product(ENU_FROM_NED, orientation), FRD_FROM_FLU)
    for axis, component in zip("xyzw", orientation, strict=True):
        setattr(message.orientation, axis, component)
    own = [sample.values.get(f"{name}_uncertainty_rad") or options.orientation_sd for name in ANGLES]
    set_covariance(message.orientation_covariance, own)
    return message


def field_message(message: Any, sample: Sample, options: argparse.Namespace) -> Any:  # noqa: ANN401 - a type of ROS
    """Fill in the magnetic field."""
    set_header(message, sample, options.frame)
    set_vector(message.magnetic_field, sample.values, "mag", "t", is_flu=options.flu)
    set_covariance(message.magnetic_field_covariance, [options.mag_sd] * 3)
    return message


def diagnostics(array: Any, status: Any, pair: Any, sample: Sample, name: str) -> Any:  # noqa: ANN401 - types of ROS
    """Fill in the state of the connection."""
    set_header(array, sample, "")
    doubts = sample.state.get("doubts", "")
    level, text = (b"\1", doubts) if doubts else (b"\0", "readings arrive")
    status.level, status.message = (level, text) if sample.is_connected else (b"\2", "disconnected")
    status.name, status.hardware_id = "pygnc_imu", name
    status.values = [pair(key=key, value=value) for key, value in sample.state.items()]
    array.status = [status]
    return array


def set_header(message: Any, sample: Sample, frame: str) -> None:  # noqa: ANN401 - a type of ROS
    """Set time and frame."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(sample.t_ns, 1_000_000_000)
    message.header.frame_id = frame


def set_vector(vector: Any, values: Values, name: str, unit: str, *, is_flu: bool) -> None:  # noqa: ANN401 - a type of ROS
    """Set a vector, in the axes of the unit or turned to forward-left-up."""
    for axis in AXES:
        setattr(vector, axis, (-1.0 if is_flu and axis != "x" else 1.0) * values[f"{name}_{axis}_{unit}"])


def set_covariance(covariance: Any, sigmas: list[float]) -> None:  # noqa: ANN401 - a type of ROS
    """Set the diagonal; all zeros mean that the covariance is unknown."""
    for number, sigma in enumerate(sigmas):
        covariance[4 * number] = sigma**2


def from_angles(roll: float, pitch: float, yaw: float) -> Quaternion:
    """Return the quaternion of rotations about z, y and x, from the unit's axes to north-east-down."""
    about_x, about_y, about_z = (
        (math.sin(0.5 * roll), 0.0, 0.0, math.cos(0.5 * roll)),
        (0.0, math.sin(0.5 * pitch), 0.0, math.cos(0.5 * pitch)),
        (0.0, 0.0, math.sin(0.5 * yaw), math.cos(0.5 * yaw)),
    )
    return product(product(about_z, about_y), about_x)


def product(left: Quaternion, right: Quaternion) -> Quaternion:
    """Return the quaternion of the right rotation followed by the left one."""
    x, y, z, w = left
    a, b, c, d = right
    return (
        w * a + x * d + y * c - z * b,
        w * b - x * c + y * d + z * a,
        w * c + x * b - y * a + z * d,
        w * d - x * a - y * b - z * c,
    )


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit("usage: python examples/ros2_imu.py PORT|FILE.mcap [--help]")
    main()
