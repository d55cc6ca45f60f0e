"""Families of devices: what discovery, commands and stores need to know of each.

One module makes a family; a package of one's own adds it by an entry point of the group `pygnc_devices` that names it.

What a family's devices can be told, for programs that know no family: commands, bridges, stations.

Each control is a procedure whose first argument is the device's `unit`; a family leaves out what its devices do not
have. Values go in as people write them and come out with what they mean.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final, TypeAlias

from pygnc_devices.declaration import Record
from pygnc_devices.device import AsyncDevice, BlockingDevice
from pygnc_devices.engine import Interpreter, Wire
from pygnc_devices.errors import DeviceError
from pygnc_devices.scheduler import Procedure


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a device's configuration.

    Attributes:
        name: of the setting.
        value: as the device keeps it.
        text: what the value means, such as "100 Hz"; "" if it speaks for itself.
        meaning: of the setting, half a sentence.
    """

    name: str
    value: int | float | str
    text: str = ""
    meaning: str = ""


Describe: TypeAlias = Callable[[Any], Procedure[dict[str, str]]]
Ask: TypeAlias = Callable[[Any, Sequence[str]], Procedure[list[Setting]]]
"""Without names: all that the device has."""
Put: TypeAlias = Callable[[Any, Mapping[str, str]], Procedure[list[Setting]]]
"""Checked before, read back after; returns what holds now."""


@dataclass(frozen=True, slots=True)
class Controls:
    """The controls of a family; None: its devices have no such thing.

    Attributes:
        describe: who the device is and how it is set (serial_number, model, version, rate, orientation, filter ...),
            for people and for the head of log files.
        start: has it send readings, if it does not.
        get: values in effect.
        set: at once, until power-off.
        read: values it keeps without power.
        write: for good.
        snapshot: all settings, as JSON text.
        restore: puts a snapshot back; its third argument says that another device is meant. Returns what changed.
        upgrade: see `ucb.upgrade.upgrade`.
        align_magnetometer: waits while the device is turned; returns what was found, and whether it is acceptable.
        store_alignment: keeps that for good.
    """

    describe: Describe | None = None
    start: Callable[[Any], Procedure[None]] | None = None
    get: Ask | None = None
    set: Put | None = None
    read: Ask | None = None
    write: Put | None = None
    snapshot: Callable[[Any], Procedure[str]] | None = None
    restore: Callable[[Any, str, bool], Procedure[list[Setting]]] | None = None
    upgrade: Callable[..., Procedure[Any]] | None = None
    align_magnetometer: Callable[[Any], Procedure[tuple[dict[str, str], bool]]] | None = None
    store_alignment: Callable[[Any], Procedure[None]] | None = None


NO_CONTROLS: Final = Controls()


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
