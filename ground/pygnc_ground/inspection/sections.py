"""Content of a file as sections, independent of the output format, and the interface of the viewers.

Names of values end in their unit (`size_bytes`, `position_ecef_m`); the terminal shows it, and JSON keeps it.
"""

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

from pygnc.formats.damage import Anomaly, AnomalyReason, Damage
from pygnc.formats.gps_packet import GpsFixes
from pygnc.formats.ranges import RangeMeasurements
from pygnc.formats.sense import SensorSamples

TEXTS: Final[dict[str, dict[str, str]]] = tomllib.loads(
    Path(__file__).with_name("texts.toml").read_text(encoding="utf-8")
)
"""Texts for the terminal by kind and by name."""

Value: TypeAlias = "bool | int | float | str | bytes | Sequence[Value] | Mapping[str, Value] | None"
"""Number, text, raw bytes, or a sequence or mapping of values. None is an absent value, NaN an unknown value."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Section with single values by name."""

    title: str
    values: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Listing:
    """Section with a table of named columns."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Entry:
    """Section with one message or record of the file."""

    kind: str
    fields: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Note:
    """Remark for the reader; `fault` is True if the file could not be shown as expected."""

    text: str
    fault: bool = False


Section: TypeAlias = Facts | Listing | Entry | Note


HEAD_BYTES: Final = 1 << 18
"""Number of bytes by which the kind of a file is recognised."""
CHUNK_BYTES: Final = 1 << 18


class Viewer(NamedTuple):
    """Viewer of one kind of file. It processes files in chunks of constant memory; it shows damage and does not raise.

    Attributes:
        kind: Name of the kind.
        recognises: Function that returns True for the beginning of a file of this kind (up to HEAD_BYTES bytes).
        summary: Function that yields the content of a file, without its messages.
        entries: Function that yields the entries of each message or record, in file order.
    """

    kind: str
    recognises: Callable[[bytes], bool]
    summary: Callable[[Path], Iterator[Section]]
    entries: Callable[[Path], Iterator[Sequence[Entry]]] = lambda _path: iter(())

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """Yield the content of the file, then its first `messages` messages or records.

        Raises:
            OSError: The file cannot be read.
        """
        yield from self.summary(path)
        for entries in islice(self.entries(path) if messages else (), messages):
            yield from entries


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the file's bytes in chunks.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def element(arrays: SensorSamples | GpsFixes | RangeMeasurements, *index: int) -> dict[str, Value]:
    """Return the values of packet `index` by name, without fields that this kind of packet lacks."""
    named: list[tuple[str, Any]] = [(field.name, getattr(arrays, field.name)) for field in fields(arrays)]
    return {name: values[index].tolist() for name, values in named if values is not None}


def name_of(kind: type[IntEnum], number: int, unknown: str) -> str:
    """Return the name of a member in words, or `unknown` with the number in place of braces."""
    try:
        return kind(number).name.lower().replace("_", " ")
    except ValueError:
        return unknown.format(number)


def flattened(values: Mapping[str, Value], prefix: str = "") -> Iterator[tuple[str, Value]]:
    """Yield nested values with their full names, such as "orbit.degree"."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


LISTED_MAX: Final = 20


class DamageTally:
    """Damaged byte ranges in file order; adjacent ranges with the same reason are merged, and the first are listed."""

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

    @property
    def facts(self) -> dict[str, Value]:
        """Number of damaged bytes and ranges."""
        return {"damaged_bytes": self.damaged_bytes, "damaged_ranges": self.ranges}

    def sections(self) -> Iterator[Section]:
        """Yield the ranges, if there are any."""
        if not self._listed:
            return
        rows = [
            (one.start, one.stop, one.stop - one.start, one.reason.value, TEXTS["damage"][one.reason])
            for one in self._listed
        ]
        yield Listing("damage", ("from_byte", "to_byte", "length_bytes", "reason", "meaning"), rows)
        if self.ranges > len(self._listed):
            yield Note(f"{self.ranges - len(self._listed)} more damaged ranges are not listed")


class AnomalyTally:
    """Counters of unusual records that were delivered nevertheless."""

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
        """Yield the number of each kind and the position of the first, if there are any."""
        if not self.count:
            return
        rows = [
            (reason.value, count, self._first[reason].record, self._first[reason].start, TEXTS["anomalies"][reason])
            for reason, count in self._by_reason.most_common()
        ]
        yield Listing("anomalies", ("reason", "records", "first_record", "at_byte", "meaning"), rows)
