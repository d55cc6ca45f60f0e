"""`pygnc device simulate`: simulate a device on a pseudo-terminal or a TCP port, with random but repeatable faults."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc_cli.exit_codes import UsageError
from pygnc_cli.signals import stopped_by_signals
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import all_families
from pygnc_instruments.device.terminal import print_note, reported_errors
from pygnc_instruments.simulators.declared_unit import DeclaredSimulator
from pygnc_instruments.simulators.emus_unit import EmusSimulator
from pygnc_instruments.simulators.endpoints import Endpoint, FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from pygnc_instruments.simulators.pms5003_unit import PmsSimulator
from pygnc_instruments.simulators.receiver_units import NovatelSimulator, SkytraqSimulator, UbloxSimulator
from pygnc_instruments.simulators.sps30_unit import Sps30Simulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from pygnc_instruments.simulators.vectornav_unit import NAVIGATING, STREAMING, VectorNavSimulator
from pygnc_instruments.simulators.xsens_unit import GNSS_OUTPUTS, XsensSimulator
from pygnc_system.plugins import PluginError, installed, load_class

_CONTINUOUS: Final = {0xFCA6: 0xCC}
"""EEPROM word of a GX2 that streams packet CC after power-up."""
SIMULATORS: Final[Mapping[str, Callable[[], SimulatedUnit]]] = {
    "dmu380": UcbSimulator,
    "imu383": lambda: UcbSimulator(2008705636, "IMU383ZA-400 5020-3885-01 1.0.3", counter_is_timer=True),
    "openimu": lambda: UcbSimulator(
        2008705637, "OpenIMU300ZI 5020-3885-02 1.1.1", nak=b"\0\0", eeprom={0x03: int.from_bytes(b"z1", "big")}
    ),
    "3dm-gx2": lambda: Gx2Simulator(eeprom=_CONTINUOUS),
    "inertia-link": lambda: Gx2Simulator("Inertia-Link", "2143-01877", eeprom=_CONTINUOUS),
    "3dm-gx3-25": lambda: Gx2Simulator("3DM-GX3-25", "2143-01878", eeprom=_CONTINUOUS),
    "3dm-cv7": MipSimulator,
    "3dm-gx4": lambda: MipSimulator("3DM-GX4-25", "6234.00002", is_legacy=True),
    "vn-100": VectorNavSimulator,
    "vn-100-binary": lambda: VectorNavSimulator(serial_number="100012346", registers=STREAMING),
    "vn-300": lambda: VectorNavSimulator("VN-300", "100012347", registers=NAVIGATING),
    "mti-30": XsensSimulator,
    "mti-680": lambda: XsensSimulator("MTi-680", 0x0068_0002, outputs=GNSS_OUTPUTS),
    "monodrive": MonoDriveSimulator,
    "opc-n3": lambda: UsbIssSimulator(OpcN3Simulator()),
    "pms5003": PmsSimulator,
    "sps30": Sps30Simulator,
    "emus": EmusSimulator,
    "oem719": lambda: NovatelSimulator(5.0),
    "zed-f9p": lambda: UbloxSimulator(5.0),
    "venus8": lambda: SkytraqSimulator(5.0),
}
ENTRY_POINTS: Final = "pygnc.simulators"
"""Group of entry points by which other packages add simulated devices, classes that need no arguments."""
_FAULTS: Final = ("lost", "flipped", "doubled", "silences_per_s", "silence_s")


def simulate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help=f"Model: {', '.join(SIMULATORS)}, one of a plug-in, or a family made from declarations.",
        ),
    ],
    *,
    pty: Annotated[Path | None, typer.Option(help="Path of the serial port to create, such as ./imu-port.")] = None,
    tcp: Annotated[
        int | None, typer.Option(min=0, max=65535, help="TCP port of this computer to listen on; 0 for any free port.")
    ] = None,
    faults: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="KIND=VALUE",
            help="Line fault: fraction of bytes lost, flipped or doubled; silences_per_s, or their duration silence_s.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the fault generator.")] = 0,
    speed: Annotated[float, typer.Option(min=0.01, max=100.0, help="Simulated seconds per second of real time.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=0.0, help="Duration in real time, s; 0: no limit.")] = 0.0,
) -> None:
    """Simulate a device that streams, responds to commands, stores settings and accepts firmware like a real unit."""
    with reported_errors():
        rates = FaultRates(**dict(_fault(text) for text in faults or []))
        if (pty is None) == (tcp is None):
            raise UsageError("the endpoint is missing or ambiguous; name either --pty PATH or --tcp PORT")
        unit = _unit(model)
        endpoint: Endpoint
        if pty is not None:
            if pty.exists() and not pty.is_symlink():
                raise DeviceError(f"{pty}: the file exists and is not a simulated port; name another path")
            if pty.exists():  # the link of a simulator that was killed leads nowhere
                raise DeviceError(
                    f"{pty}: another simulator uses this link; stop it or name another path. "
                    "If none is running, remove the link"
                )
            endpoint = PtyEndpoint(unit, pty, faults=rates, seed=seed, speed=speed)
        else:
            try:
                endpoint = TcpEndpoint(unit, port=tcp or 0, faults=rates, seed=seed, speed=speed)
            except OSError as error:
                raise DeviceError(
                    f"--tcp {tcp}: another program uses this port ({error.strerror}); name another port"
                ) from None
        stopped = threading.Event()
        with endpoint, stopped_by_signals(stopped.set):
            typer.echo(endpoint.url)
            print_note(f"simulating {model}; stop with Ctrl-C")
            stopped.wait(seconds or None)


def _unit(model: str) -> SimulatedUnit:
    if model in SIMULATORS:
        return SIMULATORS[model]()
    added = installed(ENTRY_POINTS, SIMULATORS).entries
    if model in added:
        try:
            return load_class(added[model], SimulatedUnit)()  # type: ignore[type-abstract]
        except PluginError as error:
            raise DeviceError(str(error)) from None
    declared = [kind for kind in all_families() if kind.make_frame is not None]
    for kind in declared:
        if kind.name == model and kind.make_frame is not None:
            return DeclaredSimulator(kind.packets, kind.make_frame, baud=kind.bauds[0], question=kind.question)
    known = ", ".join([*SIMULATORS, *added, *(kind.name for kind in declared)])
    raise UsageError(f"unknown model {model!r}; choose from {known}")


def _fault(text: str) -> tuple[str, float]:
    name, _, rate = text.partition("=")
    try:
        if name in _FAULTS and float(rate) >= 0:
            return name, float(rate)
    except ValueError:
        pass
    raise UsageError(
        f"--fault {text}: expected KIND=VALUE with a value of 0 or more; KIND is one of {', '.join(_FAULTS)}"
    )
