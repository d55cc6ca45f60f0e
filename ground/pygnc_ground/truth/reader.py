"""Readers of true orbits that other packages add; docs/plugins.md describes them to authors."""

from collections.abc import Callable
from typing import Final, NamedTuple

from pygnc_ground.truth.attitude_truth import AttitudeTruth
from pygnc_ground.truth.ephemeris import Ephemeris
from pygnc_system import plugins

GROUP: Final = "pygnc.truth"
"""Group of the entry points of readers."""


class TruthReader(NamedTuple):
    """Reader of one kind of file.

    Attributes:
        kind: Name of the kind.
        recognises: Function that returns True for the content of a file of this kind. Gzipped files are unpacked.
        orbit: Function that returns the orbit in the content, of an object or, for None, of the only one. It raises
            ValueError with the line and the remedy if the content is damaged.
        attitude: Function that returns the attitude in the content, or None if it has none; raises ValueError likewise.
    """

    kind: str
    recognises: Callable[[bytes], bool]
    orbit: Callable[[bytes, str | None], Ephemeris]
    attitude: Callable[[bytes], AttitudeTruth | None] = lambda _content: None


def added_readers() -> list[TruthReader]:
    """Return the readers of other packages; those of broken packages are reported and left out."""
    return [reader for _, reader in plugins.usable(GROUP, TruthReader)]


def added_reader(content: bytes) -> TruthReader | None:
    """Return the reader of another package that recognises the content, or None."""
    for reader in added_readers():
        with plugins.skipped_faults(f"the reader of {reader.kind}"):
            if reader.recognises(content):
                return reader
    return None
