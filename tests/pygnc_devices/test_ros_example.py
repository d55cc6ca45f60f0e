"""Run the ROS 2 example with a stand-in for `rclpy` that encodes messages as ROS 2 does and prints them as JSON."""

import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pygnc_devices.reading import Reading
from pygnc_devices.ucb.unit import PACKETS
from pygnc_instruments.device.mcap_log import McapLog
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit

ROOT = Path(__file__).resolve().parents[2]
START_NS = 1_772_366_400_250_000_000
RCLPY = """
import json, sys
from rosbags.typesys import Stores, get_typestore

_store = get_typestore(Stores.ROS2_HUMBLE)
_is_ok, _limit = True, 20

def init(args=None):
    print(json.dumps({"args": args}))

def ok():
    return _is_ok

def try_shutdown():
    print(json.dumps({"shutdown": True}))

def create_node(name):
    return _Node()

class _Node:
    def create_publisher(self, kind, topic, qos):
        assert qos == "sensor data"
        return _Publisher(kind.NAME, topic)

    def destroy_node(self):
        pass

def _plain(value):
    if hasattr(value, "tolist"):
        return value.tolist()
    return {name: entry for name, entry in vars(value).items() if not name.startswith("__")}

class _Publisher:
    def __init__(self, kind, topic):
        self.kind, self.topic = kind, topic

    def publish(self, message):
        global _is_ok, _limit
        for status in getattr(message, "status", []):
            assert isinstance(status.level, bytes)  # as rclpy has it
            status.level = ord(status.level)
        sent = _store.deserialize_cdr(_store.serialize_cdr(message, self.kind), self.kind)
        print(json.dumps({"topic": self.topic, "message": sent}, default=_plain))
        _limit -= self.topic.startswith("imu/data")
        _is_ok = _limit > 0
"""
MESSAGES = """
import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_typestore

_store = get_typestore(Stores.ROS2_HUMBLE)

def _default(kind):
    node, content = kind
    if node is Nodetype.NAME:
        return _made(content)
    if node is Nodetype.ARRAY:
        return np.zeros(content[1])
    if node is Nodetype.SEQUENCE:
        return []
    return {"string": "", "byte": 0}.get(content[0], 0.0 if content[0].startswith("float") else 0)

def _made(name, **values):
    _, fields = _store.fielddefs[name]
    return _store.types[name](**{field: _default(kind) for field, kind in fields} | values)

def _constructor(name):
    def construct(**values):
        return _made(name, **values)
    construct.NAME = name
    return construct

Imu = _constructor("sensor_msgs/msg/Imu")
MagneticField = _constructor("sensor_msgs/msg/MagneticField")
DiagnosticArray = _constructor("diagnostic_msgs/msg/DiagnosticArray")
DiagnosticStatus = _constructor("diagnostic_msgs/msg/DiagnosticStatus")
KeyValue = _constructor("diagnostic_msgs/msg/KeyValue")
"""
"""Messages with the layouts of ROS 2 Humble, as the library `rosbags` has them."""


@pytest.fixture
def ros(tmp_path: Path) -> Path:
    for name, text in (
        ("rclpy/__init__.py", RCLPY),
        ("rclpy/qos.py", "qos_profile_sensor_data = 'sensor data'"),
        ("sensor_msgs/__init__.py", ""),
        ("sensor_msgs/msg.py", MESSAGES),
        ("diagnostic_msgs/__init__.py", ""),
        ("diagnostic_msgs/msg.py", MESSAGES),
    ):
        path = tmp_path / "ros" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "ros"


def run(ros: Path, *arguments: object) -> tuple[list[str], dict[str, list[Any]], str]:
    """Run the example; return the arguments for ROS, the messages by topic, and the notes."""
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}:{ros}", "PATH": os.defpath}
    command = [sys.executable, "-W", "error", str(ROOT / "examples/ros2_imu.py"), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    first, *sent, last = (json.loads(line) for line in done.stdout.splitlines())
    assert last == {"shutdown": True}
    messages = defaultdict(list)
    for entry in sent:
        messages[entry["topic"]].append(entry["message"])
    return first["args"], messages, done.stderr


def log(folder: Path, kinds: Sequence[str] = ("S1", "B1"), **values: float) -> Path:
    written = McapLog(folder, "run", {"family": "ucb"})
    for k in range(5):
        for kind in kinds:  # B1 lacks axes
            packet = PACKETS[kind]
            decoded = packet.decode(packet.encode({"accel_z_mps2": 9.8, "rate_y_rad_s": 0.5} | values))
            at_ns = 10_000_000 * k
            written.write(Reading(packet, b"", decoded, at_ns, START_NS + at_ns, at_ns, lost_before=k == 3))
    written.close()
    return folder / "run.mcap"


def test_replays_a_log(ros: Path, tmp_path: Path) -> None:
    for_ros, messages, notes = run(ros, log(tmp_path), "--frame", "left", "--ros-args", "-r", "imu/data_raw:=x")
    assert for_ros == ["--ros-args", "-r", "imu/data_raw:=x"]
    assert "5 messages published, 5 readings without rate and force skipped" in notes
    sent = messages["imu/data_raw"]
    for k, message in enumerate(sent):
        stamp = {"sec": 1_772_366_400, "nanosec": 250_000_000 + 10_000_000 * k}
        assert message["header"] == {"stamp": stamp, "frame_id": "left"}
    assert sent[0]["orientation_covariance"] == [-1.0] + [0.0] * 8
    assert sent[0]["angular_velocity"] == pytest.approx({"x": 0.0, "y": 0.5, "z": 0.0}, abs=1e-3)
    assert sent[0]["linear_acceleration"] == pytest.approx({"x": 0.0, "y": 0.0, "z": 9.8}, abs=1e-2)
    assert len(messages["imu/mag"]) == 0


def test_turns_axes_on_request(ros: Path, tmp_path: Path) -> None:
    _, messages, _ = run(ros, log(tmp_path), "--flu", "--speed", 0)
    message = messages["imu/data_raw"][0]
    assert message["angular_velocity"] == pytest.approx({"x": 0.0, "y": -0.5, "z": 0.0}, abs=1e-3)
    assert message["linear_acceleration"] == pytest.approx({"x": 0.0, "y": 0.0, "z": -9.8}, abs=1e-2)


# A body that is level and heads east has x east, y south, z down; with x to the left, it is turned to east-north-up.
@pytest.mark.parametrize(
    ("options", "yaw_rad", "expected"),
    [
        ([], 0.5 * math.pi, {"x": 0.0, "y": 0.0, "z": math.sqrt(0.5), "w": math.sqrt(0.5)}),
        (["--flu"], 0.5 * math.pi, {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0}),
        (["--flu"], 0.0, {"x": 0.0, "y": 0.0, "z": math.sqrt(0.5), "w": math.sqrt(0.5)}),
    ],
)
def test_publishes_orientation_field_and_covariances(
    options: list[str], yaw_rad: float, expected: dict[str, float], ros: Path, tmp_path: Path
) -> None:
    path = log(tmp_path, ("A1",), yaw_rad=yaw_rad, mag_x_t=2e-5, mag_z_t=4e-5)
    sigmas = ("--rate-sd", 0.01, "--accel-sd", 0.1, "--orientation-sd", 0.02, "--mag-sd", 1e-7)
    _, messages, _ = run(ros, path, "--speed", 0, *options, *sigmas)
    assert not messages["imu/data_raw"]
    message = messages["imu/data"][0]
    sign = 1.0 if message["orientation"]["w"] * expected["w"] >= 0.0 else -1.0
    assert {axis: sign * value for axis, value in message["orientation"].items()} == pytest.approx(expected, abs=1e-3)
    for name, sigma in (("orientation", 0.02), ("angular_velocity", 0.01), ("linear_acceleration", 0.1)):
        diagonal = [sigma**2 if number % 4 == 0 else 0.0 for number in range(9)]
        assert message[f"{name}_covariance"] == pytest.approx(diagonal)
    field = messages["imu/mag"][0]
    turned = -1.0 if options else 1.0
    assert field["magnetic_field"] == pytest.approx(
        {"x": 2e-5, "y": 0.0, "z": turned * 4e-5}, abs=3e-8
    )  # a bit of the packet
    assert field["magnetic_field_covariance"][4] == pytest.approx(1e-14)


def test_reports_the_state_of_the_log(ros: Path, tmp_path: Path) -> None:
    _, messages, _ = run(ros, log(tmp_path), "--speed", 0)
    ((status,),) = (entry["status"] for entry in messages["/diagnostics"])
    assert (status["level"], status["message"]) == (0, "readings arrive")
    assert {"key": "missing", "value": "0"} in status["values"]


@pytest.mark.skipif(find_spec("rclpy") is not None, reason="needs an environment without ROS 2")
def test_reports_that_ros_is_missing(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath}
    command = [sys.executable, str(ROOT / "examples/ros2_imu.py"), str(tmp_path / "run.mcap")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "No module named 'rclpy': start the program in an environment with ROS 2\n"


class Listener:
    """Node of an installed ROS 2 that keeps the messages of the example by topic."""

    def __init__(self) -> None:
        warnings.simplefilter("ignore")  # those of ROS and its parsers
        self._rclpy = pytest.importorskip("rclpy", reason="needs an environment with ROS 2")
        from diagnostic_msgs.msg import DiagnosticArray  # noqa: PLC0415 - comes with ROS 2
        from rclpy.qos import qos_profile_sensor_data  # noqa: PLC0415 - likewise
        from sensor_msgs.msg import Imu, MagneticField  # noqa: PLC0415 - likewise

        self.received = defaultdict[str, list[Any]](list)
        self._rclpy.init()
        self._node = self._rclpy.create_node("listener")
        kinds = {"imu/data_raw": Imu, "imu/data": Imu, "imu/mag": MagneticField, "/diagnostics": DiagnosticArray}
        for topic, kind in kinds.items():
            self._node.create_subscription(kind, topic, self.received[topic].append, qos_profile_sensor_data)

    def close(self) -> None:
        self._node.destroy_node()
        self._rclpy.shutdown()

    def spin_until(self, is_over: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 40.0
        while not is_over():
            assert time.monotonic() < end_s
            self._rclpy.spin_once(self._node, timeout_sec=0.1)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with warnings.catch_warnings():
        listening = Listener()
        yield listening
        listening.close()


def started(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(ROOT / "examples/ros2_imu.py"), *map(str, arguments)])


def test_publishes_a_log_to_an_installed_ros(listener: Listener, tmp_path: Path) -> None:
    path = log(tmp_path, ("A1",), yaw_rad=0.5 * math.pi, mag_x_t=2e-5)
    with started(path, "--speed", 0.01, "--orientation-sd", 0.02, "--mag-sd", 1e-7) as process:
        listener.spin_until(lambda: process.poll() is not None)
    assert process.returncode == 0
    message, field = listener.received["imu/data"][-1], listener.received["imu/mag"][-1]
    assert (message.header.frame_id, message.header.stamp.sec) == ("imu_link", START_NS // 10**9)
    assert message.angular_velocity.y == pytest.approx(0.5, abs=1e-3)
    assert abs(message.orientation.w) == pytest.approx(math.sqrt(0.5), abs=1e-3)
    assert message.orientation_covariance[0] == pytest.approx(4e-4)
    assert field.magnetic_field.x == pytest.approx(2e-5, abs=3e-8)
    assert field.magnetic_field_covariance[8] == pytest.approx(1e-14)


def test_publishes_live_readings_to_an_installed_ros_until_ctrl_c(listener: Listener, tmp_path: Path) -> None:
    with PtyEndpoint(UcbSimulator(), tmp_path / "port") as line, started(line.url, "--family", "ucb") as process:
        received = listener.received
        listener.spin_until(lambda: len(received["imu/data_raw"]) > 100 and bool(received["/diagnostics"]))
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert process.returncode == 0
    (status,) = received["/diagnostics"][-1].status
    assert (status.level, status.message) == (b"\0", "readings arrive")
    assert abs(received["imu/data_raw"][-1].header.stamp.sec - time.time()) < 60


@pytest.mark.parametrize(("family", "unit"), [("ucb", UcbSimulator), ("gx2", Gx2Simulator)])
def test_publishes_live_readings_until_ros_shuts_down(
    family: str, unit: type[SimulatedUnit], ros: Path, tmp_path: Path
) -> None:
    with PtyEndpoint(unit(), tmp_path / "port") as line:
        _, messages, _ = run(ros, line.url, "--family", family)
    sent = messages["imu/data_raw"]
    assert len(sent) == 20
    assert all(abs(message["header"]["stamp"]["sec"] - time.time()) < 60 for message in sent)
    assert all(abs(abs(message["linear_acceleration"]["z"]) - 9.8) < 0.3 for message in sent)
    ((status,), *_) = (entry["status"] for entry in messages["/diagnostics"])
    assert {"key": "missing", "value": "0"} in status["values"]
