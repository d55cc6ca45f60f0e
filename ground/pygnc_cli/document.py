"""JSON documents that commands print for other programs."""

from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec
import typer


class Document(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Document or part of one; docs/commands.md describes the fields. Numbers that are not finite become null."""


class WrittenFile(Document, frozen=True):
    """File that a command has written."""

    path: str
    size_bytes: int

    @classmethod
    def all_of(cls, paths: Iterable[Path]) -> list[Self]:
        """Return the files with their sizes."""
        return [cls(path=str(path), size_bytes=path.stat().st_size) for path in paths]


def echo_document(document: Document) -> None:
    """Print a document in one line."""
    typer.echo(msgspec.json.encode(document).decode())
