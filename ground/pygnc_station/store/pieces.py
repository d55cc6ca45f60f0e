"""Which readings and files are in a batch."""

from enum import StrEnum

import msgspec
from sqlalchemy import Connection, select

from pygnc_station.store import schema


class State(StrEnum):
    """Of a batch: each but REJECTED leads to the next; `pygnc station batch --again` makes a rejected one ready."""

    OPEN = "open"
    """Its readings are chosen; its file may be missing or half written, and is made again."""
    READY = "ready"
    """Its file is whole."""
    SENT = "sent"
    """The server has it and looks at it."""
    ACCEPTED = "accepted"
    """The server has taken its readings."""
    REJECTED = "rejected"
    """The server will not take them; the reason is kept with the batch."""


class Piece(msgspec.Struct, frozen=True):
    """Readings of one stream, both ends included."""

    stream_id: int
    first: int
    last: int


class TakenFile(msgspec.Struct, frozen=True):
    """A file as it was when it was chosen."""

    path: str
    bytes: int
    modified_ns: int


class Pieces(msgspec.Struct, frozen=True):
    """All that is in a batch."""

    readings: tuple[Piece, ...] = ()
    files: tuple[TakenFile, ...] = ()

    def to_json(self) -> str:
        """Return its text."""
        return msgspec.json.encode(self).decode()


def pieces_of(text: str) -> Pieces:
    """Return what a text says."""
    return msgspec.json.decode(text, type=Pieces)


def first_on_the_way(connection: Connection) -> dict[int, int]:
    """Return the first reading of each stream that is in a batch which is not accepted."""
    c = schema.batches.c
    first: dict[int, int] = {}
    for text in connection.execute(select(c.pieces).where(c.state != State.ACCEPTED)).scalars():
        for piece in pieces_of(text).readings:
            first[piece.stream_id] = min(piece.first, first.get(piece.stream_id, piece.first))
    return first
