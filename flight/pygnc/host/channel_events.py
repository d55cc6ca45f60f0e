"""Events that a channel reports to its owner."""

from enum import StrEnum, unique
from typing import NamedTuple, TypeAlias

from pygnc.host.sentence_types import Body, Capability, SentenceType


@unique
class LossCause(StrEnum):
    """Reason why the channel stopped trying to deliver a sentence."""

    EXPIRED = "expired"
    """An unordered sentence was not acknowledged within its lifetime; it may have arrived."""
    CROWDED_OUT = "queue full"
    """A newer unordered sentence took its place in the full queue."""
    LINE_DOWN = "line down"
    RESTARTED = "peer restarted"
    """The other end began a new session."""


class Connected(NamedTuple):
    """A session is established, with the common protocol version and the capabilities and software of the other end."""

    version: int
    capabilities: Capability
    software: str


class Incompatible(NamedTuple):
    """The two ends have no protocol version in common; the fields are the versions that the other end supports."""

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
    """The other end has delivered the sentence with this ticket, which `Channel.send` returned."""

    ticket: int
    kind: SentenceType


class Lost(NamedTuple):
    """The channel has stopped trying to deliver the sentence with this ticket, which `Channel.send` returned."""

    ticket: int
    kind: SentenceType
    cause: LossCause


class LineDown(NamedTuple):
    """An ordered sentence was sent the maximum number of times in vain; the next HELO begins a new session."""


ChannelEvent: TypeAlias = Connected | Incompatible | Received | Acknowledged | Lost | LineDown
