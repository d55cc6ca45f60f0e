"""Events that a channel reports to its owner."""

from enum import StrEnum, unique
from typing import NamedTuple, TypeAlias

from pygnc.host.sentence_types import Body, Capability, SentenceType


@unique
class LossCause(StrEnum):
    """Why the channel gave up a sentence."""

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
        is_late: A newer unordered sentence arrived before it.
        is_retry: The sender had sent it before, so its content is older than its arrival suggests.
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
    """Too many retries stayed unanswered; the next HELO from the other end begins a new session."""


ChannelEvent: TypeAlias = Connected | Incompatible | Received | Acknowledged | Lost | LineDown
