"""A family with a driver and a simulated device of its own, added by a package: nothing outside of it changes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_cli.exit_codes import UsageError
from pygnc_devices.discovery import search
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import family
from pygnc_instruments.device.simulate_command import SIMULATORS, _unit
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
PACKAGE = OtherPackage(
    {
        "pygnc_devices": {"lab-mti": "lab_mti:FAMILY"},
        "pygnc.simulators": {
            "lab-mti-1": "lab_mti:LabSimulator",
            "mti-30": "lab_mti:LabSimulator",
            "x": "lab_mti:FAMILY",
        },
    },
    {"lab_mti": MODULE},
)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[None]:
    with PACKAGE.importable(tmp_path):
        yield


@pytest.mark.usefixtures("installed")
def test_a_package_adds_a_device_with_its_simulator(tmp_path: Path) -> None:
    with PtyEndpoint(_unit("lab-mti-1"), tmp_path / "port", speed=4.0) as line:
        (found,) = search([line.url], [family("lab-mti")]).found
        assert (found.family, found.serial_number, found.text) == ("lab-mti", "0BADCAFE", "MTi-LAB")


@pytest.mark.usefixtures("installed")
def test_names_of_simulators_are_ours_and_wrong_ones_are_reported() -> None:
    assert type(_unit("mti-30")) is SIMULATORS["mti-30"]
    with pytest.raises(UsageError, match=r"choose from .*3dm-cv7.*lab-mti-1"):
        _unit("lab-mti-2")
    with pytest.raises(DeviceError, match="lab_mti:FAMILY"):
        _unit("x")
