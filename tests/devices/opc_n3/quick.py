"""A counter whose rests are short."""

from pathlib import Path
from typing import Any, Final

from pygnc_devices.opc_n3.commands import Timing
from pygnc_devices.opc_n3.driver import AsyncOpcN3, OpcN3
from pygnc_ground.simulators.line import PtyLine
from pygnc_ground.simulators.opc_n3_unit import OpcFaults, OpcN3Simulator
from pygnc_ground.simulators.usb_iss import UsbIssSimulator

REST_S: Final = 0.08
QUICK: Final = Timing(
    poll_s=0.001, rest_s=1.5 * REST_S, laser_s=0.01, fan_s=0.02, restart_s=2 * REST_S, keep_alive_s=0.05
)
OPTIONS: Final[dict[str, Any]] = {"sample_s": 0.02, "timing": QUICK}


class QuickOpcN3(OpcN3):
    """For plain scripts."""

    @classmethod
    def open(cls, url: str, baud: int = 9600, **options: Any) -> "QuickOpcN3":  # noqa: ANN401
        """Open a counter; see `OpcN3.open`."""
        return super().open(url, baud, **OPTIONS | options)


class QuickAsyncOpcN3(AsyncOpcN3):
    """For asyncio."""

    @classmethod
    async def open(cls, url: str, baud: int = 9600, **options: Any) -> "QuickAsyncOpcN3":  # noqa: ANN401
        """Open a counter; see `OpcN3.open`."""
        return await super().open(url, baud, **OPTIONS | options)


def counter(faults: OpcFaults | None = None) -> OpcN3Simulator:
    """Return a simulated counter that is content with short rests."""
    return OpcN3Simulator(faults, rest_s=REST_S)


def line_of(opc: OpcN3Simulator, folder: Path) -> PtyLine:
    """Return a line with an adapter and a counter."""
    return PtyLine(UsbIssSimulator(opc), folder / "port")
