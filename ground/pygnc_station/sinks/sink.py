"""Interface of the outputs of a station, and the outputs that are installed.

An output is a class that an entry point of the group `pygnc.sinks` names; docs/plugins.md describes it to authors.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from enum import Enum, auto
from typing import ClassVar, Final, Self

from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings, cursor_of
from pygnc_station.store.readings import StoredReading, Stream
from pygnc_station.store.store import Store
from pygnc_system import plugins
from pygnc_system.plugins import PluginError

GROUP: Final = "pygnc.sinks"
"""Group of the entry points of outputs."""


class Delivery(Enum):
    """Readings that an output receives.

    Attributes:
        EVERY: each reading once, in order, also those logged while the output could not be reached; the store keeps
            them until then.
        CURRENT: readings as they are stored.
        NONE: none; the output reads the store when it is asked.
    """

    EVERY = auto()
    CURRENT = auto()
    NONE = auto()


class Sink(ABC):
    """Output of a station.

    Attributes:
        title: name for people.
        delivery: readings that the output receives.
    """

    title: ClassVar[str]
    delivery: ClassVar[Delivery] = Delivery.EVERY

    @classmethod
    @abstractmethod
    def open(cls, station: StationSettings, store: Store) -> Self:
        """Return the output for the settings of a station; `station.sink` converts those of `[sinks.NAME]`.

        Raises:
            StationError: the settings are invalid, or the output cannot be opened.
        """

    @abstractmethod
    def write(self, stream: Stream, readings: Sequence[StoredReading]) -> None:
        """Send readings of a stream.

        Raises:
            StationError: the readings are refused, and the user has to remove the reason.
            TransferError: a temporary failure; the readings are sent again later.
        """

    def poll(self) -> None:  # noqa: B027 - few outputs need it
        """Perform periodic work; called every second. It raises the errors of `write`."""

    @classmethod
    def check(cls, station: StationSettings, timeout_s: float) -> str:  # noqa: ARG003 - for those that connect
        """Check without sending readings that they would be accepted; return what was found, "" if nothing was checked.

        Raises:
            StationError: the readings would be refused.
            TransferError: the other side does not respond within `timeout_s`.
        """
        return ""

    @abstractmethod
    def close(self) -> None:
        """Release what `open` has opened."""


def sink_class(name: str) -> type[Sink]:
    """Return the class of the output with the settings `[sinks.NAME]`.

    Raises:
        StationError: no installed package adds this output.
        PluginError: the package that adds it is broken.
    """
    found = plugins.installed(GROUP)
    if name in found.clashes:
        plugins.report(found.clashes[name])
    if name not in found.entries:
        raise StationError(f"[sinks.{name}]: no installed package adds this output; installed: {installed_sinks()}")
    return plugins.load_class(found.entries[name], Sink)  # type: ignore[type-abstract]


def installed_sinks() -> str:
    """Return the names of the installed outputs."""
    return ", ".join(plugins.installed(GROUP).entries) or "none"


def chosen_sinks(station: StationSettings) -> Iterator[tuple[str, type[Sink] | StationError | PluginError]]:
    """Yield the name and the class of each output of the settings, or the reason why it cannot be used."""
    for name in station.sinks:
        try:
            yield name, sink_class(name)
        except (StationError, PluginError) as error:
            yield name, error


def cursors(station: StationSettings) -> list[str]:
    """Return the names of the cursors of the outputs that receive every reading.

    An output that cannot be loaded keeps its cursor: it may receive the readings when it has been repaired.
    """
    return [
        cursor_of(name)
        for name, kind in chosen_sinks(station)
        if not isinstance(kind, type) or kind.delivery is Delivery.EVERY
    ]
