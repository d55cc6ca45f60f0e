"""Reader of the uploaded file of mean elements, which becomes an input message."""

from pathlib import Path
from typing import Final

from msgspec.structs import replace

from pygnc.bus.messages import UploadedElements
from pygnc.common.mean_elements import ELEMENTS_SIZE_MAX, ElementsError
from pygnc_system.files import read_input, retry_read

ELEMENTS_FILE: Final = "pygnc_elements.txt"
"""Name of the file in the home."""


def read_elements(path: Path, expected_object: str, known: UploadedElements | None = None) -> UploadedElements | None:
    """Return the message of a file, numbered 0, with `fault` if it is unusable; None if it is missing or unchanged.

    Args:
        path: The file.
        expected_object: Catalogue number or designator that the elements must have; empty accepts any.
        known: Message of the previous read; None if there was none.
    """
    try:
        status = retry_read(path.stat)
        if known is not None and (known.size_bytes, known.modified_ns) == (status.st_size, status.st_mtime_ns):
            return None
        content = read_input(path, ELEMENTS_SIZE_MAX + 1, cut=True)
    except FileNotFoundError:
        return None
    except OSError as error:
        fault = f"cannot be read: {error.strerror}"
        return None if known is not None and known.fault == fault else UploadedElements(0, path.name, 0, 0, fault=fault)
    from pygnc.formats.elements import parse_elements  # noqa: PLC0415 - most runs have no elements, and it delays the start

    upload = UploadedElements(0, path.name, status.st_size, status.st_mtime_ns)
    try:
        parsed = parse_elements(content)
    except ElementsError as error:
        return replace(upload, fault=str(error))
    if not parsed.elements.is_object(expected_object):
        found = f"the object is {parsed.elements.description} instead of {expected_object}"
        return replace(upload, fault=f"line {parsed.object_line}: {found}")
    return replace(upload, elements=parsed.elements, epoch_line=parsed.epoch_line)
