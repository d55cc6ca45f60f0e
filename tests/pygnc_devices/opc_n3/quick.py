"""A counter whose rests are short."""

from pathlib import Path
from typing import Any, Final

from pygnc_devices.opc_n3.command_channel import Timing
from pygnc_devices.opc_n3.driver import AsyncOpcN3, OpcN3
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.opc_n3_unit import OpcFaults, OpcN3Simulator
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator

REST_S: Final = 0.4
"""Short, and still longer than a busy machine lets a program wait in the midst of an answer."""
RECKLESS_REST_S: Final = 0.08
"""Where answers may break off."""


def timing(rest_s: float) -> Timing:
    """Return the driver's rests for a counter that is content with this one."""
    wait_s = 1.4 * rest_s
    return Timing(
        0.001, rest_s=wait_s, laser_s=0.01, fan_s=0.02, restart_s=wait_s, keep_alive_s=0.05, adapter_s=2 * rest_s
    )


OPTIONS: Final[dict[str, Any]] = {"sample_s": 0.02, "timing": timing(REST_S)}
RECKLESS: Final[dict[str, Any]] = {"sample_s": 0.02, "timing": timing(RECKLESS_REST_S)}


class QuickOpcN3(OpcN3):
    """For plain scripts."""

    @classmethod
    def open(cls, url: str, baud: int = 9600, **options: Any) -> "QuickOpcN3":  # noqa: ANN401
        """Open a counter; see `OpcN3.open`."""
        return super().open(url, baud, **OPTIONS | options)


class RecklessOpcN3(OpcN3):
    """For plain scripts."""

    @classmethod
    def open(cls, url: str, baud: int = 9600, **options: Any) -> "RecklessOpcN3":  # noqa: ANN401
        """Open a counter; see `OpcN3.open`."""
        return super().open(url, baud, **RECKLESS | options)


class QuickAsyncOpcN3(AsyncOpcN3):
    """For asyncio."""

    @classmethod
    async def open(cls, url: str, baud: int = 9600, **options: Any) -> "QuickAsyncOpcN3":  # noqa: ANN401
        """Open a counter; see `OpcN3.open`."""
        return await super().open(url, baud, **OPTIONS | options)


def counter(faults: OpcFaults | None = None, rest_s: float = REST_S) -> OpcN3Simulator:
    """Return a simulated counter that is content with short rests."""
    return OpcN3Simulator(faults, rest_s=rest_s)


def line_of(opc: OpcN3Simulator, folder: Path) -> PtyEndpoint:
    """Return a line with an adapter and a counter."""
    return PtyEndpoint(UsbIssSimulator(opc), folder / "port")
