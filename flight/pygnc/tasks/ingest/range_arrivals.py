"""Range files that appear or grow during the run: what of them has not been read yet.

A file may still be being written when it is looked at. What has come of it is read at once; a packet that is cut by its
end is read again together with what follows, be it the file's growth or the file with the next number. Only new names
and files without a successor are looked at: the controller does not come back to the others.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pygnc.bus.messages import SourceFile
from pygnc.formats.ranges import FILE_NUMBERS, consecutive_runs, range_file_number
from pygnc.tasks.ingest.range_files import RangeRow, Span
from pygnc.tasks.ingest.range_folders import Fault, RangeFolder, goes_on, list_range_files

_NOTHING: Final = SourceFile(seq=0, name="")


class Arrivals(NamedTuple):
    """What has come.

    Attributes:
        rows: Files with bytes not read yet, in rows that continue each other.
        faults: Files and folders that cannot be read, or not any more.
    """

    rows: list[RangeRow]
    faults: list[Fault]


def find_arrivals(home: Path, known: dict[str, SourceFile], bandwidth_hz: float, own_id: int) -> Arrivals:
    """Look for what the books do not name yet; `own_id` is our own radio id."""
    folders, faults = list_range_files(home, own_id)
    arrivals = Arrivals([], [fault for fault in faults if fault.name not in known])
    for folder in folders:
        sizes = _grown(home, folder, known, arrivals.faults)
        if not sizes:
            continue
        for names in _rows(_in_order(folder.prefix, list(sizes), known), sizes, known):
            spans = {name: _span(books, books.size_bytes) for name, books in _carried_into(names[0], known)}
            spans |= {name: _span(known.get(name, _NOTHING), sizes[name]) for name in names}
            satellite_id = folder.satellite_id
            paths = [home / name for name in spans]
            read = list(spans.values())
            try:
                row = RangeRow(paths, list(spans), bandwidth_hz, satellite_id=satellite_id, own_id=own_id, spans=read)
            except FileNotFoundError:
                continue  # removed since it was listed
            except OSError as error:
                name = str(Path(error.filename).relative_to(home)) if error.filename else names[-1]
                arrivals.faults.append(Fault(name, error.strerror or str(error)))
            else:
                arrivals.rows.append(row)
    return arrivals


def _grown(home: Path, folder: RangeFolder, known: dict[str, SourceFile], faults: list[Fault]) -> dict[str, int]:
    """The sizes of those files of a folder that hold bytes not read yet, and of new empty ones."""
    sizes: dict[str, int] = {}
    for name in (folder.prefix + name for name in folder.names):
        books = known.get(name, _NOTHING)
        if name in known and (books.fault or _neighbour(name, 1) in known):
            continue
        try:
            size = (home / name).stat().st_size
        except FileNotFoundError:
            continue
        except OSError as error:
            faults.append(Fault(name, error.strerror or str(error)))
            continue
        if size < books.size_bytes:
            faults.append(Fault(name, f"shorter than the {books.size_bytes} bytes that were read: it was replaced"))
        elif size > books.size_bytes or name not in known:
            sizes[name] = size
    return sizes


def _in_order(prefix: str, names: list[str], known: dict[str, SourceFile]) -> list[str]:
    """The order of writing: numbers count on from the newest one that is known."""
    numbers = {number: name for name in names if (number := _number(name)) is not None}
    before = [
        number for name in known if name == f"{prefix}{Path(name).name}" and (number := _number(name)) is not None
    ]
    if before:
        ordered = sorted(numbers, key=lambda number: (number - before[-1]) % FILE_NUMBERS)
    else:
        ordered = [number for run in consecutive_runs(numbers) for number in run]
    return [name for name in names if _number(name) is None] + [numbers[number] for number in ordered]


def _rows(names: list[str], sizes: dict[str, int], known: dict[str, SourceFile]) -> Iterator[list[str]]:
    """Rows of files that continue each other, none with an empty end: that is still to be written."""
    rows: list[list[str]] = []
    for name in names:
        is_read_from_its_start = _span(known.get(name, _NOTHING), 0).from_byte == 0
        if rows and is_read_from_its_start and goes_on(rows[-1][-1], name):
            rows[-1].append(name)
        else:
            rows.append([name])
    for row in rows:
        while row and not sizes[row[-1]]:
            row.pop()
        if row:
            yield row


def _carried_into(name: str, known: dict[str, SourceFile]) -> list[tuple[str, SourceFile]]:
    """The files in front of this one in whose ends a packet begins that goes on in it: several when they are short."""
    found: list[tuple[str, SourceFile]] = []
    books = known.get(name, _NOTHING)
    while books.carried_bytes == books.size_bytes and len(found) < FILE_NUMBERS:
        before = _neighbour(name, -1)
        if before not in known or known[before].fault:
            break
        name, books = before, known[before]
        found.insert(0, (name, books))
    while found and not found[0][1].carried_bytes:
        found.pop(0)
    return found


def _span(books: SourceFile, to_byte: int) -> Span:
    """What is read of a file whose end stood in the books: from the beginning of the cut packet on."""
    cut = books.carried_bytes
    return Span(books.size_bytes - cut, to_byte, books.delivered_bytes)


def _number(name: str) -> int | None:
    return range_file_number(name.rpartition("/")[2])


def _neighbour(name: str, step: int) -> str:
    """The name of the file so many numbers on; empty if it has no number."""
    number = _number(name)
    if number is None:
        return ""
    folder, slash, _ = name.rpartition("/")
    return f"{folder}{slash}rng{(number + step) % FILE_NUMBERS:05d}.bin"
