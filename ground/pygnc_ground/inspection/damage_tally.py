"""Counts what was damaged or odd in a file, and remembers the first cases, however many there are."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from pygnc.formats.damage import Anomaly, AnomalyReason, Damage, DamageReason
from pygnc_ground.inspection.sections import Listing, Note, Section

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
