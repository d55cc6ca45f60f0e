"""Shows anything that a path may name."""

from collections.abc import Iterator
from pathlib import Path

from pygnc_ground.inspection.folder_view import view_folder
from pygnc_ground.inspection.registry import find_viewer
from pygnc_ground.inspection.sections import Facts, Section


def inspect(path: Path, messages: int) -> Iterator[Section]:
    """Yield what a file or folder is and what it holds, reading as it goes; last its first `messages` messages.

    Raises:
        OSError: it cannot be read.
        UnknownFileError: it is of no kind that PyGNC knows.
    """
    if path.is_dir():
        yield Facts("file", {"kind": "folder"})
        yield from view_folder(path)
        return
    viewer = find_viewer(path)
    yield Facts("file", {"kind": viewer.kind, "size_bytes": path.stat().st_size})
    yield from viewer.view(path, messages)
