"""Shows the logs and the status file of the original PyGNC."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pygnc.formats.damage import Damage, DamageReason
from pygnc_ground.inspection.damage_tally import DamageTally
from pygnc_ground.inspection.old_log_file import find_messages, read_old_log
from pygnc_ground.inspection.old_messages import MESSAGE_BYTES_MAX
from pygnc_ground.inspection.sections import Entry, Facts, Listing, Note, Section, Value

_ORBIT: Final = "OrbitEstimateMessage"
_ORBIT_NOTES: Final = (
    Note(
        "state_variance and disturbance_variance are no variances but signed square roots, the diagonal of the filter's"
        " square-root factor (m, m/s, m/s², 1/s): an absolute value is at most the standard deviation"
    ),
    Note(
        "disturbance is three accelerations (m/s²), then two of the three inverse time constants (1/s): PyGNC dropped"
        " the last one"
    ),
    Note("epochs are cut to whole seconds; state_eci is position (m) and velocity (m/s) in GCRF"),
)


@dataclass
class _Kind:
    count: int = 0
    first: Value = None
    last: Value = None
    steps_back: int = 0

    def add(self, time: Value) -> None:
        if self.count == 0:
            self.first = time
        self.count += 1
        self.steps_back += _is_earlier(time, self.last)
        self.last = time


class OldLogViewer:
    """`log_<epoch>.bin` and `pygnc_status.bin` of the original PyGNC: MessagePack messages one after another."""

    kind = "old PyGNC log"

    def recognises(self, head: bytes) -> bool:
        """Whether a whole message can be found."""
        return next(find_messages(head), None) is not None

    def view(self, path: Path, messages: int) -> Iterator[Section]:
        """Show counts and times per message kind, foreign bytes, traps for the reader; then the first messages."""
        kinds: dict[str, _Kind] = {}
        damage = DamageTally()
        end = 0
        for message in read_old_log(path):
            damage.add(_between(end, message.offset, DamageReason.CONTENT))
            end = message.offset + message.size
            kinds.setdefault(message.kind, _Kind()).add(_time_of(message.fields))
        size = path.stat().st_size
        reason = DamageReason.CUT_TAIL if size - end < MESSAGE_BYTES_MAX else DamageReason.CONTENT
        damage.add(_between(end, size, reason))

        counts: dict[str, Value] = {"messages": sum(kind.count for kind in kinds.values())}
        yield Facts("log", counts | {"damaged_bytes": damage.damaged_bytes, "damaged_ranges": damage.ranges})
        if not kinds:
            yield Note("not one whole message", fault=True)
            return
        rows = [(name, kind.count, kind.first, kind.last, kind.steps_back) for name, kind in kinds.items()]
        yield Listing("messages", ("kind", "count", "first_time", "last_time", "steps_back"), rows)
        if any(kind.steps_back for kind in kinds.values()):
            yield Note("time steps back: a later run of the same data was appended to this file, as PyGNC does")
        if _ORBIT in kinds:
            yield from _ORBIT_NOTES
        yield from damage.sections()
        if messages:
            yield from _first_messages(path, messages)


def _between(start: int, stop: int, reason: DamageReason) -> list[Damage]:
    return [Damage(start, stop, reason)] if start < stop else []


def _time_of(fields: dict[str, Value]) -> Value:
    if "epoch_utc" in fields:
        return fields["epoch_utc"]
    sensor = fields.get("sensor", fields)
    return sensor["t_spacecraft_s"] if isinstance(sensor, dict) else None


def _is_earlier(time: Value, other: Value) -> bool:
    if isinstance(time, str) and isinstance(other, str):
        return time < other  # all epochs have the same form, so they sort as text
    return isinstance(time, int | float) and isinstance(other, int | float) and time < other


def _first_messages(path: Path, limit: int) -> Iterator[Section]:
    for shown, message in enumerate(read_old_log(path)):
        if shown == limit:
            return
        yield Entry(message.kind, {"at_byte": message.offset, **message.fields})
