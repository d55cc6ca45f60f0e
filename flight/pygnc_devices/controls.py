"""What a family's devices can be told, for programs that know no family: commands, bridges, stations.

Each control is a procedure whose first argument is the device's `unit`; a family leaves out what its devices do not
have. Values go in as people write them and come out with what they mean.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pygnc_devices.procedure import Procedure


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
