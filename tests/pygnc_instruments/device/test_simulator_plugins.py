"""A family with a driver and a simulated device of its own, added by a package: nothing outside of it changes."""

from pathlib import Path

from pygnc_devices.discovery import search
from pygnc_devices.family import family
from pygnc_instruments.device.simulate_command import _unit
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from tests.other_packages import OtherPackage

MODULE = """
from dataclasses import replace

from pygnc_devices.xsens.driver import FAMILY as XSENS
from pygnc_instruments.simulators.xsens_unit import XsensSimulator

FAMILY = replace(XSENS, name="lab-mti")


class LabSimulator(XsensSimulator):
    def __init__(self) -> None:
        super().__init__("MTi-LAB", 0x0BADCAFE)
"""
ENTRIES = {"pygnc_devices": {"lab-mti": "lab_mti:FAMILY"}, "pygnc.simulators": {"lab-mti-1": "lab_mti:LabSimulator"}}


def test_a_package_adds_a_device_with_its_simulator(tmp_path: Path) -> None:
    with (
        OtherPackage(ENTRIES, {"lab_mti": MODULE}).importable(tmp_path),
        PtyEndpoint(_unit("lab-mti-1"), tmp_path / "port", speed=4.0) as line,
    ):
        (found,) = search([line.url], [family("lab-mti")]).found
    assert (found.family, found.serial_number, found.text) == ("lab-mti", "0BADCAFE", "MTi-LAB")
