"""Families of devices: what discovery, commands and stores need to know of each.

One module makes a family; a package of one's own adds it by an entry point of the group `pygnc_devices` that names it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final

from pygnc_devices.controls import NO_CONTROLS, Controls
from pygnc_devices.declaration import Record
from pygnc_devices.engine import Interpreter, Wire
from pygnc_devices.errors import DeviceError
from pygnc_devices.faces import AsyncDevice, BlockingDevice
from pygnc_devices.procedure import Procedure

ENTRY_POINTS: Final = "pygnc_devices"
_OURS: Final = {
    "ucb": "pygnc_devices.ucb.driver:FAMILY",
    "gx2": "pygnc_devices.gx2.driver:FAMILY",
    "monodrive": "pygnc_devices.monodrive.driver:FAMILY",
    "emus": "pygnc_devices.emus.driver:FAMILY",
    "opc_n3": "pygnc_devices.opc_n3.driver:FAMILY",
}


@dataclass(frozen=True, slots=True)
class Found:
    """Who answers at a port."""

    serial_number: str
    text: str


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of device.

    Attributes:
        name: in commands and files.
        title: for people.
        bauds: speeds to be probed, the likeliest first; three at most.
        wire: how it talks.
        packets: what it can say.
        device: the blocking driver.
        async_device: the asyncio driver.
        interpreter: makes an interpreter for a probe.
        probe: asks who is there; must come to its end within a second if nobody is.
        controls: what its devices can be told by programs that know no family.
        recorded: how readings stand in a recording, if not as on the line.
        make_frame: writes a frame of a kind with a payload: a device can be simulated by its declaration alone.
        question: what such a simulated device waits for; b"": it writes by itself.
        is_networked: whether its devices are on networks, so that nobody looks for them on serial lines.
    """

    name: str
    title: str
    bauds: tuple[int, ...]
    wire: Wire
    packets: tuple[Record, ...]
    device: type[BlockingDevice]
    async_device: type[AsyncDevice]
    interpreter: Callable[[int], Interpreter]
    probe: Callable[[], Procedure[Found]]
    controls: Controls = NO_CONTROLS
    recorded: Wire | None = None
    make_frame: Callable[[str, bytes], bytes] | None = None
    question: bytes = b""
    is_networked: bool = False


def family(name: str) -> Family:
    """Return a family by name.

    Raises:
        DeviceError: no such family is known.
    """
    if name in _OURS:
        module, _, attribute = _OURS[name].partition(":")
        ours: Family = getattr(import_module(module), attribute)
        return ours
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        theirs: Family = entry.load()
        return theirs
    raise DeviceError(f"no family of devices is called {name!r}; there are {', '.join(family_names())}")


def family_names() -> list[str]:
    """Return the names of all families, ours first."""
    return [*_OURS, *sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)} - set(_OURS))]


def all_families() -> Iterable[Family]:
    """Return all families."""
    return [family(name) for name in family_names()]
