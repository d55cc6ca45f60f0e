"""Run the programs in examples/ unchanged against simulated units."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

ROOT = Path(__file__).resolve().parents[2]


def run(program: str, *arguments: str, folder: Path | None = None) -> list[str]:
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / program), *arguments]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_ucb_example_finds_prints_and_logs(tmp_path: Path) -> None:
    with PtyEndpoint(UcbSimulator(eeprom={7: 0}), tmp_path / "port") as line:
        lines = run("ucb_demo.py", line.url, folder=tmp_path)
    assert lines[0] == f"IMU381ZA-400 5020-1383-01 10.00.01, serial number 2008705635, at {tmp_path}/port"
    assert lines[1:4] == ["packet_rate_divider: 100 Hz", "packet_type: S1", "orientation: +x+y+z"]
    assert all("specific force 9.8" in line for line in lines[4:14])
    assert lines[14] == "0 bytes skipped, 0 packets missing"
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0].startswith("xAccel,yAccel,zAccel,xRate")
    assert len(rows) == 11


def test_the_gx2_example_shows_attitude(tmp_path: Path) -> None:
    with PtyEndpoint(Gx2Simulator(), tmp_path / "port") as line:
        lines = run("gx2_attitude.py", line.url)
    assert "serial_number='2143-01876'" in lines[0]
    assert len(lines) == 12
    assert all(line.startswith("roll ") for line in lines[1:11])
    assert "raw_accel=1030" in lines[11]


def test_the_monodrive_example_shows_messages(tmp_path: Path) -> None:
    with TcpEndpoint(MonoDriveSimulator()) as line:
        configuration = json.loads((ROOT / "examples/imu.json").read_text()) | {"listen_port": line._port}
        (tmp_path / "imu.json").write_text(json.dumps(configuration))
        lines = run("monodrive_imu.py", str(tmp_path / "imu.json"))
    assert len(lines) == 11
    assert all("34560" in line for line in lines[:10])
    assert "'angular_velocity_vector'" in lines[10]


@pytest.mark.parametrize("program", ["bridge_client.py", "gx2_attitude.py", "monodrive_imu.py", "ros2_imu.py"])
def test_an_example_without_its_arguments_prints_its_usage(program: str) -> None:
    environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": os.defpath}
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / program)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"usage: python examples/{program} ")
