"""Families of devices, as commands, bridges, stations and the search use them.

`BUILT_IN` names the modules that declare the families of this package; other packages add families by an entry point
of the group `pygnc_devices`; see docs/plugins.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, TypeAlias

from pygnc_devices.declaration import Record
from pygnc_devices.device import AsyncDevice, BlockingDevice
from pygnc_devices.engine import Interpreter, Wire
from pygnc_devices.errors import DeviceError
from pygnc_devices.framing import Scanner
from pygnc_devices.scheduler import Operation
from pygnc_system.plugins import PluginError, installed, load_as, report, usable


@dataclass(frozen=True, slots=True)
class Setting:
    """Setting of a device.

    Attributes:
        name: name of the setting.
        value: value in the device.
        text: meaning of the value, such as "100 Hz"; "" if the value needs none.
        meaning: description of the setting.
    """

    name: str
    value: int | float | str
    text: str = ""
    meaning: str = ""


Ask: TypeAlias = Callable[[Any, Sequence[str]], Operation[list[Setting]]]
"""Operation that returns the named settings; without names, all settings."""
Put: TypeAlias = Callable[[Any, Mapping[str, str]], Operation[list[Setting]]]
"""Operation that checks values, writes them, reads them back and returns the settings in effect."""


@dataclass(frozen=True, slots=True)
class Controls:
    """Operations for programs that work with any family; None: the family's devices have no such function.

    The first argument of each operation is the device's `unit`. Values are texts as people write them.

    Attributes:
        describe: return identity and settings (serial_number, model, version, rate, orientation, filter ...), for
            people and for the head of log files.
        start: make the device send readings, unless it does already.
        stream: request the stream that the setting `stream` of a flight names: a rate in Hz, or a packet.
        get: return the settings in effect.
        set: set values at once, until power-off.
        read: return the settings in non-volatile memory.
        write: write settings to non-volatile memory.
        snapshot: return all settings as JSON text.
        restore: restore a snapshot, onto another device if the third argument is True; return the changed settings.
        upgrade: see `ucb.upgrade.upgrade`.
        check_upgrade: see `ucb.upgrade.check_upgrade`.
        command: carry out the named command with values, both as people write them; return its result as text.
        reset: restart the device and wait until it responds; values set until power-off are lost.
        align_magnetometer: wait while the user turns the device; return the result, and True if it is acceptable.
        store_alignment: write the result of the alignment to non-volatile memory.
    """

    describe: Callable[[Any], Operation[dict[str, str]]] | None = None
    start: Callable[[Any], Operation[None]] | None = None
    stream: Callable[[Any, int | str], Operation[Any]] | None = None
    get: Ask | None = None
    set: Put | None = None
    read: Ask | None = None
    write: Put | None = None
    snapshot: Callable[[Any], Operation[str]] | None = None
    restore: Callable[[Any, str, bool], Operation[list[Setting]]] | None = None
    upgrade: Callable[..., Operation[Any]] | None = None
    check_upgrade: Callable[..., Operation[str]] | None = None
    command: Callable[[Any, str, str], Operation[str]] | None = None
    reset: Callable[[Any], Operation[None]] | None = None
    align_magnetometer: Callable[[Any], Operation[tuple[dict[str, str], bool]]] | None = None
    store_alignment: Callable[[Any], Operation[None]] | None = None


ENTRY_POINTS: Final = "pygnc_devices"


BUILT_IN: Final = {
    "ucb": "pygnc_devices.ucb.driver",
    "gx2": "pygnc_devices.gx2.driver",
    "mip": "pygnc_devices.mip.driver",
    "vectornav": "pygnc_devices.vectornav.driver",
    "xsens": "pygnc_devices.xsens.driver",
    "monodrive": "pygnc_devices.monodrive.driver",
    "emus": "pygnc_devices.emus.driver",
    "opc_n3": "pygnc_devices.opc_n3.driver",
    "pms5003": "pygnc_devices.pms5003.driver",
    "sps30": "pygnc_devices.sps30.driver",
    "novatel": "pygnc_devices.receivers.novatel",
    "ublox": "pygnc_devices.receivers.ublox",
    "skytraq": "pygnc_devices.receivers.skytraq",
}
"""Module of each family, which declares it as `FAMILY`, in the order in which a search tries the families."""


@dataclass(frozen=True, slots=True)
class Found:
    """Identity of the device that responds at a port.

    Attributes:
        serial_number: serial number; "" if unknown.
        text: name, model or state.
        is_certain: False if a device of another family may send such frames, too.
    """

    serial_number: str
    text: str
    is_certain: bool = True


@dataclass(frozen=True, slots=True)
class CalibrationSetting:
    """Setting of a device that holds the calibration of a sensor. The device subtracts the bias, then multiplies.

    Attributes:
        name: name of the setting.
        per_si: value of the bias in the setting per value in SI.
        has_matrix: True if the value is the matrix, row by row, and the bias; False if it is the bias.
    """

    name: str
    per_si: float = 1.0
    has_matrix: bool = True


@dataclass(frozen=True, slots=True)
class HeldCalibration:
    """Settings in which a device holds the calibration of its sensors.

    Attributes:
        accelerometer: setting of the accelerometer.
        gyro: setting of the gyro.
        rotation: name of the setting that rotates the readings from the device's axes to others.
        unrotated: value of that setting without a rotation.
    """

    accelerometer: CalibrationSetting
    gyro: CalibrationSetting
    rotation: str
    unrotated: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """Family of devices with one driver.

    Attributes:
        name: name in commands and files.
        title: name for people.
        bauds: baud rates to probe, the most likely rate first; three at most.
        wire: wire format.
        packets: declarations of all packets.
        device: synchronous driver.
        async_device: asyncio driver.
        interpreter: makes the interpreter for a probe, from a baud rate.
        probe: identifies a device; must end within a second if no device responds.
        controls: operations for programs that work with any family.
        calibration: settings in which the devices hold a calibration; None if they cannot.
        recorded: wire format of recordings, if it differs from that of the line.
        make_frame: makes a frame from its kind and payload, so that the device can be simulated by its declaration.
        question: request to which the simulated device responds; b"" if it sends by itself.
        is_networked: True if the devices are on networks, so that serial lines are not searched for them.
        rare_bauds: baud rates at which a search tries a port where no device was found at the usual rates.
        quiet_bauds: baud rates at which a search for several families tries a port from which nothing is heard, or
            what may be another family; None: all. Devices that send by themselves need none.
    """

    name: str
    title: str
    bauds: tuple[int, ...]
    wire: Wire
    packets: tuple[Record, ...]
    device: type[BlockingDevice]
    async_device: type[AsyncDevice]
    interpreter: Callable[[int], Interpreter]
    probe: Callable[[], Operation[Found]]
    controls: Controls = Controls()
    calibration: HeldCalibration | None = None
    recorded: Wire | None = None
    make_frame: Callable[[str, bytes], bytes] | None = None
    question: bytes = b""
    is_networked: bool = False
    rare_bauds: tuple[int, ...] = ()
    quiet_bauds: tuple[int, ...] | None = None

    @property
    def scanner(self) -> Scanner:
        """Scanner of recordings."""
        scanner = (self.recorded or self.wire).scanner
        if scanner is None:
            raise ValueError(f"family {self.name}: neither the line nor recordings have framing")
        return scanner


def family(name: str) -> Family:
    """Return the family with a name.

    Raises:
        DeviceError: the name is unknown, or the package that adds the family is broken.
    """
    if name in BUILT_IN:
        return _built_in(name)
    found = installed(ENTRY_POINTS, BUILT_IN)
    if name not in found.entries:
        raise DeviceError(f"unknown device family {name!r}; choose from {', '.join(family_names())}")
    if name in found.clashes:
        report(found.clashes[name])
    try:
        return load_as(found.entries[name], Family)
    except PluginError as error:
        raise DeviceError(str(error)) from error


def family_names() -> list[str]:
    """Return the names of all families, first the families of this package."""
    return [*BUILT_IN, *sorted(installed(ENTRY_POINTS, BUILT_IN).entries)]


def all_families() -> list[Family]:
    """Return all families; those of broken packages are reported and left out."""
    added = sorted(usable(ENTRY_POINTS, Family, BUILT_IN), key=lambda named: named[0])
    return [*map(_built_in, BUILT_IN), *(kind for _, kind in added)]


def _built_in(name: str) -> Family:
    found: Family = import_module(BUILT_IN[name]).FAMILY
    return found
