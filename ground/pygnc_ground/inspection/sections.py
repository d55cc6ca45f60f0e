"""What a viewer says about a file, before anyone decides how it looks.

Names of values end in their unit where they have one (`size_bytes`, `position_ecef_m`), so that the terminal can show
it and JSON carries it.

What every viewer of a file kind offers, and how it reads a file of any size.

One element of what a parser decoded into arrays.

Counts what was damaged or odd in a file, and remembers the first cases, however many there are.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from pygnc.formats.damage import Anomaly, AnomalyReason, Damage, DamageReason
from pygnc.formats.gps_packet import GpsFixes
from pygnc.formats.ranges import RangeMeasurements
from pygnc.formats.sense import SensorSamples

Value: TypeAlias = "bool | int | float | str | bytes | Sequence[Value] | Mapping[str, Value] | None"
"""A number, a text, raw bytes, or a composition of these; None: there is none; NaN: not known."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Single values by name."""

    title: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows of equal columns."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One message or record of the file."""

    kind: str
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence that the reader must not miss. A fault means that the file could not be shown as it should."""

    text: str
    fault: bool = False


Section: TypeAlias = Facts | Listing | Entry | Note


HEAD_BYTES: Final = 1 << 18
"""As much of a file is looked at to tell its kind."""
CHUNK_BYTES: Final = 1 << 18


class Viewer(Protocol):
    """Shows one kind of file."""

    @property
    def kind(self) -> str:
        """What such a file is called."""

    def recognises(self, head: bytes) -> bool:
        """Whether a file whose first HEAD_BYTES are `head` is of this kind; its name plays no part."""

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """What the file holds, then its first `messages` messages or records.

        Works through the file in pieces and keeps no more than a piece. Damage is shown and never raises.

        Raises:
            OSError: the file cannot be read.
        """


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the file's bytes in pieces.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def element(arrays: SensorSamples | GpsFixes | RangeMeasurements, *index: int) -> dict[str, Value]:
    """The values of packet `index` by name; fields that this kind of packet does not carry are left out."""
    named: list[tuple[str, Any]] = [(field.name, getattr(arrays, field.name)) for field in fields(arrays)]
    return {name: values[index].tolist() for name, values in named if values is not None}


LISTED_MAX: Final = 20

_DAMAGE_IN_WORDS: Final = {
    DamageReason.FILL: "zeroed or erased page",
    DamageReason.LENGTH: "bytes were inserted or lost",
    DamageReason.CONTENT: "nothing in it is a good record",
    DamageReason.CUT_TAIL: "the file ends inside a record",
}
_ANOMALY_IN_WORDS: Final = {
    AnomalyReason.DUPLICATE: "equal to a record shortly before",
    AnomalyReason.OUT_OF_ORDER: "earlier than the record before it",
    AnomalyReason.CLOCK_STEP: "the spacecraft clock was set inside it",
    AnomalyReason.IMPLAUSIBLE_LIGHT: "a light word that the sensor cannot produce",
    AnomalyReason.IMPLAUSIBLE_FIX: "GPS values that contradict each other or physics",
}


class DamageTally:
    """Damaged byte ranges, given in file order; ranges of one reason that touch are one."""

    def __init__(self) -> None:
        self.damaged_bytes = 0
        self.ranges = 0
        self._listed: list[Damage] = []
        self._last: Damage | None = None

    def add(self, found: Iterable[Damage]) -> None:
        """Count further ranges."""
        for damage in found:
            self.damaged_bytes += damage.stop - damage.start
            last = self._last
            if last is not None and last.stop == damage.start and last.reason is damage.reason:
                self._last = Damage(last.start, damage.stop, damage.reason)
                if self.ranges == len(self._listed):
                    self._listed[-1] = self._last
                continue
            self._last = damage
            self.ranges += 1
            if len(self._listed) < LISTED_MAX:
                self._listed.append(damage)

    def sections(self) -> Iterator[Section]:
        """Yield the ranges, if there are any."""
        if not self._listed:
            return
        rows = [
            (
                damage.start,
                damage.stop,
                damage.stop - damage.start,
                damage.reason.value,
                _DAMAGE_IN_WORDS[damage.reason],
            )
            for damage in self._listed
        ]
        yield Listing("damage", ("from_byte", "to_byte", "length_bytes", "reason", "meaning"), rows)
        if self.ranges > len(self._listed):
            yield Note(f"{self.ranges - len(self._listed)} more damaged ranges are not listed")


class AnomalyTally:
    """Records that were delivered although they look odd."""

    def __init__(self) -> None:
        self.count = 0
        self._by_reason: Counter[AnomalyReason] = Counter()
        self._first: dict[AnomalyReason, Anomaly] = {}

    def add(self, found: Iterable[Anomaly]) -> None:
        """Count further anomalies."""
        for anomaly in found:
            self.count += 1
            self._by_reason[anomaly.reason] += 1
            self._first.setdefault(anomaly.reason, anomaly)

    def sections(self) -> Iterator[Section]:
        """Yield how many there are of each kind and where the first one stands, if there are any."""
        if not self.count:
            return
        rows = [
            (reason.value, count, self._first[reason].record, self._first[reason].start, _ANOMALY_IN_WORDS[reason])
            for reason, count in self._by_reason.most_common()
        ]
        yield Listing("anomalies", ("reason", "records", "first_record", "at_byte", "meaning"), rows)
