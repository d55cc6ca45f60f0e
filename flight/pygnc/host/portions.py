"""A long line goes out in portions, so that what cannot wait comes between them."""

from typing import Final

from pygnc.host.outbox import Outgoing

PORTION: Final = 48
"""Characters that nothing comes between: 4 ms at 115200 baud."""
_REST_MIN: Final = PORTION // 2
"""No shorter portion is left for the end."""


class Portions:
    """A line on its way out.

    Args:
        outgoing: the sentence that it is.
        line: all of it.

    Attributes:
        has_begun: whether a portion has been taken.
    """

    def __init__(self, outgoing: Outgoing, line: bytes) -> None:
        self.outgoing = outgoing
        self.has_begun = False
        self._rest = line

    @property
    def are_all_taken(self) -> bool:
        """Whether nothing is left."""
        return not self._rest

    def take(self) -> bytes:
        """Return the next portion."""
        size = PORTION if len(self._rest) >= PORTION + _REST_MIN else len(self._rest)
        portion, self._rest = self._rest[:size], self._rest[size:]
        self.has_begun = True
        return portion
