"""Simulated units by name, for commands."""

from collections.abc import Callable, Mapping
from typing import Final

from pygnc_instruments.simulators.emus_unit import EmusSimulator
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator

_CONTINUOUS: Final = {0xFCA6: 0xCC}

SIMULATORS: Final[Mapping[str, Callable[[], SimulatedUnit]]] = {
    "dmu380": UcbSimulator,
    "imu383": lambda: UcbSimulator(text="IMU383ZA-400 5020-3885-01 1.0.3", counter_is_timer=True),
    "openimu": lambda: UcbSimulator(
        text="OpenIMU300ZI 5020-3885-02 1.1.1", nak=b"\0\0", eeprom={0x03: int.from_bytes(b"z1", "big")}
    ),
    "3dm-gx2": lambda: Gx2Simulator(eeprom=_CONTINUOUS),
    "inertia-link": lambda: Gx2Simulator("Inertia-Link", eeprom=_CONTINUOUS),
    "3dm-gx3-25": lambda: Gx2Simulator("3DM-GX3-25", eeprom=_CONTINUOUS),
    "monodrive": MonoDriveSimulator,
    "opc-n3": lambda: UsbIssSimulator(OpcN3Simulator()),
    "emus": EmusSimulator,
}
