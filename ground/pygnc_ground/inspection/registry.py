"""The viewers there are, and which of them fits a file."""

from pathlib import Path
from typing import Final

from pygnc_ground.inspection.info_view import InfoViewer
from pygnc_ground.inspection.journal_view import JournalViewer
from pygnc_ground.inspection.old_log_view import OldLogViewer
from pygnc_ground.inspection.range_view import RangeViewer
from pygnc_ground.inspection.sense_view import SenseViewer
from pygnc_ground.inspection.status_view import StatusViewer
from pygnc_ground.inspection.viewer import HEAD_BYTES, Viewer

VIEWERS: Final[tuple[Viewer, ...]] = (
    JournalViewer(),
    StatusViewer(),
    InfoViewer(),
    OldLogViewer(),
    RangeViewer(),
    SenseViewer(),
)
"""Kinds with a magic number first: the others are found by the shape of their contents."""

_SHOWN_BYTES: Final = 16


class UnknownFileError(ValueError):
    """No viewer recognises the file; the message says what was tried and how the file begins."""


def find_viewer(path: Path) -> Viewer:
    """The viewer for a file, by its content.

    Raises:
        OSError: the file cannot be read.
        UnknownFileError: it is of no kind that PyGNC knows.
    """
    if not path.is_file():
        path.stat()
        raise UnknownFileError("neither a file nor a folder")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise UnknownFileError("the file is empty")
    for viewer in VIEWERS:
        if viewer.recognises(head):
            return viewer
    tried = ", ".join(viewer.kind for viewer in VIEWERS)
    raise UnknownFileError(f"none of: {tried}; it begins with {head[:_SHOWN_BYTES].hex(' ')}")
