"""Simulated counter and driver with short pauses."""

from pathlib import Path
from typing import Any, Final

from pygnc_devices.opc_n3.command_channel import Timing
from pygnc_devices.opc_n3.driver import AsyncOpcN3, OpcN3
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.opc_n3_unit import OpcFaults, OpcN3Simulator
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator

REST_S: Final = 0.4
"""Shorter than in reality, but longer than the delay within a response on a busy machine."""
RECKLESS_REST_S: Final = 0.08
"""Pause for tests in which responses may be incomplete."""


def timing(rest_s: float) -> Timing:
    """Return the pauses of the driver for a counter that needs the given pause."""
    wait_s = 1.4 * rest_s
    return Timing(
        0.001, rest_s=wait_s, laser_s=0.01, fan_s=0.02, restart_s=wait_s, keep_alive_s=0.05, adapter_s=2 * rest_s
    )


OPTIONS: Final[dict[str, Any]] = {"sample_s": 0.02, "timing": timing(REST_S)}
RECKLESS: Final[dict[str, Any]] = {"sample_s": 0.02, "timing": timing(RECKLESS_REST_S)}


class QuickOpcN3(OpcN3):
    """Synchronous driver with short pauses."""

    @classmethod
    def open(cls, url: str, baud: int = 9600, **options: Any) -> "QuickOpcN3":  # noqa: ANN401
        """Open a counter; see `OpcN3.open`."""
        return super().open(url, baud, **OPTIONS | options)


class RecklessOpcN3(OpcN3):
    """Synchronous driver with the shortest pauses."""

    @classmethod
    def open(cls, url: str, baud: int = 9600, **options: Any) -> "RecklessOpcN3":  # noqa: ANN401
        """Open a counter; see `OpcN3.open`."""
        return super().open(url, baud, **RECKLESS | options)


class QuickAsyncOpcN3(AsyncOpcN3):
    """Driver for asyncio with short pauses."""

    @classmethod
    async def open(cls, url: str, baud: int = 9600, **options: Any) -> "QuickAsyncOpcN3":  # noqa: ANN401
        """Open a counter; see `OpcN3.open`."""
        return await super().open(url, baud, **OPTIONS | options)


def counter(faults: OpcFaults | None = None, rest_s: float = REST_S) -> OpcN3Simulator:
    """Return a simulated counter that needs short pauses only."""
    return OpcN3Simulator(faults, rest_s=rest_s)


def line_of(opc: OpcN3Simulator, folder: Path) -> PtyEndpoint:
    """Return a line with an adapter and a counter."""
    return PtyEndpoint(UsbIssSimulator(opc), folder / "port")
