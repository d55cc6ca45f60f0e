"""Run the ROS 2 example with a stand-in for `rclpy` that checks types as strictly and prints messages as JSON."""

import json
import os
import subprocess
import sys
import time
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
        assert kind.__name__ == "Imu" and topic == "imu/data_raw" and qos == "sensor data"
        return _Publisher()

    def destroy_node(self):
        pass

class _Publisher:
    def publish(self, message):
        global _is_ok, _limit
        print(json.dumps(message, default=vars))
        _limit -= 1
        _is_ok = _limit > 0
"""
MESSAGES = """
class _Typed:
    _fields = {}

    def __init__(self):
        for name, kind in self._fields.items():
            setattr(self, name, [0.0] * 9 if kind is list else kind())

    def __setattr__(self, name, value):
        assert isinstance(value, self._fields[name]), (name, value)
        super().__setattr__(name, value)

class Stamp(_Typed):
    _fields = {"sec": int, "nanosec": int}

class Header(_Typed):
    _fields = {"stamp": Stamp, "frame_id": str}

class Vector3(_Typed):
    _fields = {"x": float, "y": float, "z": float}

class Imu(_Typed):
    _fields = {
        "header": Header, "orientation_covariance": list, "angular_velocity": Vector3, "linear_acceleration": Vector3
    }
"""


@pytest.fixture
def ros(tmp_path: Path) -> Path:
    for name, text in (
        ("rclpy/__init__.py", RCLPY),
        ("rclpy/qos.py", "qos_profile_sensor_data = 'sensor data'"),
        ("sensor_msgs/__init__.py", ""),
        ("sensor_msgs/msg.py", MESSAGES),
    ):
        path = tmp_path / "ros" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "ros"


def run(ros: Path, *arguments: object) -> tuple[list[dict[str, Any]], str]:
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}:{ros}", "PATH": os.defpath}
    command = [sys.executable, "-W", "error", str(ROOT / "examples/ros2_imu.py"), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    first, *messages, last = (json.loads(line) for line in done.stdout.splitlines())
    assert last == {"shutdown": True}
    return [first, *messages], done.stderr


def log(folder: Path) -> Path:
    written = McapLog(folder, "run", {"family": "ucb"})
    for k in range(5):
        for kind in ("S1", "B1"):  # B1 lacks axes
            packet = PACKETS[kind]
            values = packet.decode(packet.encode({"accel_z_mps2": 9.8, "rate_y_rad_s": 0.5}))
            at_ns = 10_000_000 * k
            written.write(Reading(packet, b"", values, at_ns, START_NS + at_ns, at_ns))
    written.close()
    return folder / "run.mcap"


def test_replays_a_log(ros: Path, tmp_path: Path) -> None:
    path = log(tmp_path)
    (first, *messages), notes = run(ros, path, "--frame", "left", "--ros-args", "-r", "imu/data_raw:=x")
    assert first == {"args": ["--ros-args", "-r", "imu/data_raw:=x"]}
    assert "5 messages published, 5 readings without rate and force skipped" in notes
    assert [message["header"] for message in messages] == [
        {"stamp": {"sec": 1_772_366_400, "nanosec": 250_000_000 + 10_000_000 * k}, "frame_id": "left"} for k in range(5)
    ]
    assert messages[0]["orientation_covariance"] == [-1.0] + [0.0] * 8
    assert messages[0]["angular_velocity"] == pytest.approx({"x": 0.0, "y": 0.5, "z": 0.0}, abs=1e-3)
    assert messages[0]["linear_acceleration"] == pytest.approx({"x": 0.0, "y": 0.0, "z": 9.8}, abs=1e-2)


def test_turns_axes_on_request(ros: Path, tmp_path: Path) -> None:
    (_, message, *_), _ = run(ros, log(tmp_path), "--flu", "--speed", 0)
    assert message["angular_velocity"] == pytest.approx({"x": 0.0, "y": -0.5, "z": 0.0}, abs=1e-3)
    assert message["linear_acceleration"] == pytest.approx({"x": 0.0, "y": 0.0, "z": -9.8}, abs=1e-2)


def test_reports_that_ros_is_missing(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath}
    command = [sys.executable, str(ROOT / "examples/ros2_imu.py"), str(tmp_path / "run.mcap")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "No module named 'rclpy': start the program in an environment with ROS 2\n"


@pytest.mark.parametrize(("family", "unit"), [("ucb", UcbSimulator), ("gx2", Gx2Simulator)])
def test_publishes_live_readings_until_ros_shuts_down(
    family: str, unit: type[SimulatedUnit], ros: Path, tmp_path: Path
) -> None:
    with PtyEndpoint(unit(), tmp_path / "port") as line:
        (_, *messages), _ = run(ros, line.url, "--family", family)
    assert len(messages) == 20
    assert all(abs(message["header"]["stamp"]["sec"] - time.time()) < 60 for message in messages)
    assert all(abs(abs(message["linear_acceleration"]["z"]) - 9.8) < 0.3 for message in messages)
