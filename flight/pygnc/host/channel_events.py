"""Events that a channel reports to its owner."""

from enum import StrEnum, unique
from typing import NamedTuple, TypeAlias

from pygnc.host.sentence_types import Body, Capability, SentenceType


@unique
class LossCause(StrEnum):
    """Reason why the channel gave up a sentence."""

    EXPIRED = "expired"
    """No acknowledgement within its lifetime; it may have arrived."""
    CROWDED_OUT = "queue full"
    """Newer sentences displaced it."""
    LINE_DOWN = "line down"
    RESTARTED = "peer restarted"
    """The other end began a new session."""


class Connected(NamedTuple):
    """A session is established: both ends have received each other's HELO."""

    version: int
    capabilities: Capability
    software: str


class Incompatible(NamedTuple):
    """The two ends have no protocol version in common."""

    version_min: int
    version_max: int


class Received(NamedTuple):
    """A valid sentence from the other end.

    Attributes:
        kind: Type of the sentence.
        number: Sequence number, 0 to 65535.
        body: Decoded body.
        is_late: True if a newer unordered sentence arrived before.
        is_retry: True if the sender had sent the sentence before, so its content is older than its arrival suggests.
    """

    kind: SentenceType
    number: int
    body: Body
    is_late: bool
    is_retry: bool


class Acknowledged(NamedTuple):
    """The other end has received the sentence with this ticket."""

    ticket: int
    kind: SentenceType


class Lost(NamedTuple):
    """The channel gave up the sentence with this ticket."""

    ticket: int
    kind: SentenceType
    cause: LossCause


class LineDown(NamedTuple):
    """Too many retries were not acknowledged; the next HELO from the other end begins a new session."""


ChannelEvent: TypeAlias = Connected | Incompatible | Received | Acknowledged | Lost | LineDown
