"""Run the programs of docs/devices.md unchanged against simulated units."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pygnc_devices.ucb.framing import make_frame
from pygnc_instruments.simulators.emus_unit import EmusSimulator
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from pygnc_instruments.simulators.pms5003_unit import PmsSimulator
from pygnc_instruments.simulators.sps30_unit import Sps30Simulator
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from pygnc_instruments.simulators.vectornav_unit import VectorNavSimulator
from pygnc_instruments.simulators.xsens_unit import XsensSimulator

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = re.compile(r"^## ([\w -]+)\n(?:(?!^## ).)*?```python\n(.*?)```", re.MULTILINE | re.DOTALL)
PROGRAMS = dict(PROGRAM.findall((ROOT / "docs/devices.md").read_text()))
EXPECTED = {
    "Read": "serial_number=2008705635",
    "Command": "{1: 1, 7: 0}",
    "Log": "",
    "MCAP": "",
    "Upgrade": "IMU381ZA-400 5020-1383-01 10.00.01 -> IMU381ZA-400 5020-1383-01 11.00.00",
    "asyncio": "serial_number=2008705635",
    "Find": "115200 ucb 2008705635",
    "Without a unit": "serial_number=2008705635",
    "A whole recording at once": "3 0 0.0",
    "MicroStrain": "name='3DM-GX2'",
    "MicroStrain MIP": "model='3DM-CV7-AHRS'",
    "VectorNav": "model='VN-100S-CR'",
    "Xsens": "product='MTi-30-2A8G4'",
    "monoDrive": "'time_of_week': 34560",
    "OPC-N3": "serial_number='177700019'",
    "PMS5003": " ()",
    "SPS30": "serial_number='8FB3A2C4D5E6F701'",
    "EMUS": "True (0, 0) 0.04 3.38",
    "A device of your own": "",
}
QUICKLY = """
import functools
import pygnc_devices.opc_n3.driver as driver
from pygnc_devices.opc_n3.command_channel import Timing
driver.OpcN3.open = functools.partial(driver.OpcN3.open, timing=Timing(fan_s=0.1, laser_s=0.1))
"""
"""Lines before the program of the particle counter, which otherwise waits 6 s for fan and laser."""


UNITS: Mapping[str, Callable[[], SimulatedUnit]] = {
    "MicroStrain": Gx2Simulator,
    "MicroStrain MIP": MipSimulator,
    "VectorNav": VectorNavSimulator,
    "Xsens": XsensSimulator,
    "OPC-N3": lambda: UsbIssSimulator(OpcN3Simulator()),
    "PMS5003": lambda: PmsSimulator(period_s=0.1),
    "SPS30": lambda: Sps30Simulator(period_s=0.1),
    "EMUS": lambda: EmusSimulator(broadcast_s=0.3),
}
"""Units of the programs; the others are for a UCB unit."""


def ucb_unit() -> SimulatedUnit:
    return UcbSimulator(eeprom={7: 0}, restart_s=0.05, erase_s=0.1)


def test_every_program_is_known() -> None:
    assert PROGRAMS.keys() == EXPECTED.keys()


@pytest.mark.parametrize("title", EXPECTED)
def test_a_documented_program_runs(title: str, tmp_path: Path) -> None:
    (tmp_path / "recording.raw").write_bytes(make_frame("S1", bytes(24)) * 3)
    (tmp_path / "firmware.bin").write_bytes(make_image("IMU381ZA-400 5020-1383-01 11.00.00", 3000))
    with (
        PtyEndpoint(UNITS.get(title, ucb_unit)(), tmp_path / "port") as line,
        TcpEndpoint(MonoDriveSimulator()) as network,
    ):
        configuration = json.loads((ROOT / "examples/imu.json").read_text()) | {"listen_port": network._port}
        (tmp_path / "imu.json").write_text(json.dumps(configuration))
        program = PROGRAMS[title].replace("/dev/ttyUSB0", line.url)
        if title == "OPC-N3":
            program = QUICKLY + program.replace("/dev/ttyACM0", line.url).replace("sample_s=5", "sample_s=0.1")
        environment = {"PYTHONPATH": f"{ROOT / 'flight'}:{ROOT / 'ground'}", "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert EXPECTED[title] in done.stdout
    if title == "Log":
        lines = (tmp_path / "log.csv").read_text().splitlines()
        assert lines[0].startswith("t_wall_ns,xAccel [m/s^2],")
        assert len(lines) == 22
