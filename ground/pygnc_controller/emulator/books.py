"""What became of every sentence that the controller sent: sent = acknowledged + reported lost + under way."""

from collections import Counter
from typing import Final

from pygnc.host.outcomes import Acknowledged, Lost

UNSETTLED: Final = "not settled at the end"


class Books:
    """Counts by type of sentence.

    Attributes:
        sent: handed to the channel.
        acknowledged: the Pi has them.
        lost: by (type, cause).
        lost_tickets: which ones, since the controller was last restarted.
    """

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.acknowledged: Counter[str] = Counter()
        self.lost: Counter[tuple[str, str]] = Counter()
        self.lost_tickets: set[int] = set()
        self._open: dict[int, str] = {}

    @property
    def under_way(self) -> int:
        """Sentences whose fate is not known yet."""
        return len(self._open)

    @property
    def is_balanced(self) -> bool:
        """Whether every sentence of every type is accounted for."""
        open_now = Counter(self._open.values())
        return all(
            count == self.acknowledged[kind] + self.lost_of(kind) + open_now[kind] for kind, count in self.sent.items()
        )

    def lost_of(self, kind: str) -> int:
        """How many of a type were reported lost."""
        return sum(count for (lost_kind, _), count in self.lost.items() if lost_kind == kind)

    def under_way_of(self, kinds: frozenset[str]) -> int:
        """How many sentences of some types are under way."""
        return sum(kind in kinds for kind in self._open.values())

    def note_sent(self, ticket: int, kind: str) -> None:
        """Enter a sentence."""
        self.sent[kind] += 1
        self._open[ticket] = kind

    def settle(self, outcome: Acknowledged | Lost) -> None:
        """Enter what became of one; what the channel sent by itself is not in the books."""
        kind = self._open.pop(outcome.ticket, None)
        if kind is None:
            return
        if isinstance(outcome, Lost):
            self.lost[kind, str(outcome.cause)] += 1
            self.lost_tickets.add(outcome.ticket)
        else:
            self.acknowledged[kind] += 1

    def close(self) -> None:
        """Report what is still under way as lost: nobody will answer any more."""
        for ticket, kind in self._open.items():
            self.lost[kind, UNSETTLED] += 1
            self.lost_tickets.add(ticket)
        self._open.clear()
