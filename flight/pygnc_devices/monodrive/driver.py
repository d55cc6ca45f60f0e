"""The driver of monoDrive's IMU: `MonoDrive` for plain scripts, `AsyncMonoDrive`. The seed's API is in `sensor`."""

import asyncio
from typing import Final, Self
from urllib.parse import urlsplit

from pygnc_devices.engine import Engine, Wire
from pygnc_devices.faces import AsyncDevice, BlockingDevice, UnitDevice
from pygnc_devices.family import Family, Found
from pygnc_devices.frames import Frame
from pygnc_devices.monodrive.framing import KIND, scanner
from pygnc_devices.monodrive.packets import IMU, LONGEST, Layout
from pygnc_devices.monodrive.unit import MonoDriveUnit
from pygnc_devices.procedure import Procedure
from pygnc_devices.requests import Claim, Request

_BAUD: Final = 115200
"""Networks have none; a recording played on a serial line has."""
_PROBE_S: Final = 0.5


def wire(layout: Layout) -> Wire:
    """Return how a simulator of this layout talks."""
    return Wire(scanner(layout), LONGEST)


def _open(url: str, baud: int, layout: Layout | None) -> tuple[Engine, MonoDriveUnit]:
    unit = MonoDriveUnit(layout, is_recording=urlsplit(url).scheme == "file")
    return Engine(url, baud, wire(unit.layout), unit), unit


class MonoDrive(UnitDevice[MonoDriveUnit], BlockingDevice):
    """A simulated IMU for plain scripts."""

    @classmethod
    def open(cls, url: str, baud: int = _BAUD, *, layout: Layout | None = None) -> Self:
        """Connect to a simulator, or listen for one.

        Args:
            url: `socket://host:8083`, `udp://:8083`, `file://recording.raw`.
            baud: means nothing on a network.
            layout: what the simulator does not say of itself.

        Raises:
            PortError: nobody listens there, or somebody else does.
        """
        return cls(*_open(url, baud, layout))


class AsyncMonoDrive(UnitDevice[MonoDriveUnit], AsyncDevice):
    """A simulated IMU for asyncio."""

    @classmethod
    async def open(cls, url: str, baud: int = _BAUD, *, layout: Layout | None = None) -> Self:
        """Connect to a simulator; see `MonoDrive.open`."""
        return cls(*await asyncio.to_thread(_open, url, baud, layout))


def probe() -> Procedure[Found]:
    """Find out whether a simulator sends; it cannot be asked.

    Raises:
        NoAnswerError: it does not.
    """
    yield Request(b"", _is_frame, "stream", _PROBE_S, tries=1, what="listening")
    return Found("", "monoDrive IMU")


def _is_frame(frame: Frame) -> Claim:
    return Claim.LAST if frame.kind == KIND else Claim.NO


FAMILY: Final = Family(
    name="monodrive",
    title="IMU of the monoDrive simulator",
    bauds=(_BAUD,),
    wire=wire(Layout()),
    packets=(IMU,),
    device=MonoDrive,
    async_device=AsyncMonoDrive,
    interpreter=lambda _: MonoDriveUnit(),
    probe=probe,
    is_networked=True,
)
