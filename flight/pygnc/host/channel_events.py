"""What a channel reports to whoever uses it."""

from enum import StrEnum, unique
from typing import NamedTuple, TypeAlias

from pygnc.host.sentence_types import Body, Capability, SentenceType


@unique
class LossCause(StrEnum):
    """Why a sentence was given up."""

    EXPIRED = "expired"
    """Not acknowledged within its time: it may have arrived."""
    CROWDED_OUT = "crowded out"
    """Newer ones took its place."""
    LINE_DOWN = "line down"
    RESTARTED = "restarted"
    """The other end began a new session."""


class Connected(NamedTuple):
    """Both ends have heard each other: a new session of either has begun."""

    version: int
    capabilities: Capability
    software: str


class Incompatible(NamedTuple):
    """The other end speaks no version that this end speaks."""

    version_min: int
    version_max: int


class Received(NamedTuple):
    """An undamaged sentence whose body is what its type says.

    `is_late`: a newer one came before it. `is_retry`: it was sent before, and is older than a first one would be.
    """

    kind: SentenceType
    number: int
    body: Body
    is_late: bool
    is_retry: bool


class Acknowledged(NamedTuple):
    """The other end has it."""

    ticket: int
    kind: SentenceType


class Lost(NamedTuple):
    """Given up."""

    ticket: int
    kind: SentenceType
    cause: LossCause


class LineDown(NamedTuple):
    """The other end has not answered for long; a new session begins when it does."""


ChannelEvent: TypeAlias = Connected | Incompatible | Received | Acknowledged | Lost | LineDown
