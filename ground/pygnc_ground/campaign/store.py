"""Results of a campaign in its folder: the definition, and three tables of the finished runs.

A table is a folder with one Parquet file for each partition, a range of run numbers. Finished runs are appended in
parts, so that an interrupted campaign loses at most the runs of a few seconds. When all runs of a partition are
finished, its parts become its file, in the order of the runs; memory and time for a run do not grow with their number.
Parts and partitions are written as three files, `runs` last: without it, the others do not count.
"""

import hashlib
import io
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from operator import attrgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import numpy as np
import polars as pl

import pygnc
from pygnc_ground.campaign.definition import Campaign, count_runs
from pygnc_ground.campaign.folder import Folder, folder_of
from pygnc_ground.campaign.run import RunResult
from pygnc_ground.campaign.schema import FAILED, runs_schema, varied_settings
from pygnc_ground.campaign.time_bins import BinRow
from pygnc_ground.tables.declaration import metadata, schema

DEFINITION: Final = "campaign.json"
TABLES: Final = ("bins", "effort", "runs")
"""Tables in the order in which the files of a part are written."""
SCHEMAS: Final = {name: schema(name) for name in TABLES}
"""Types of the columns by name; the runs have those of the varied settings besides."""
PARTITION_RUNS: Final = 5000
_PARTS: Final = "parts"
_OWN: Final = frozenset({_PARTS, ".lock"})
_PART_RUNS: Final = 2000


class Store:
    """Results of a campaign that is being computed; it appends finished runs to the folder."""

    def __init__(self, folder: Path | str, campaign: Campaign) -> None:
        """Open or create the folder of a campaign, a path or an address such as s3://bucket/noise.

        Raises:
            OSError: The folder cannot be written.
            ValueError: The folder contains something else, another campaign, or is in use by another process.
        """
        self.folder = folder_of(folder)
        self._schemas = {**SCHEMAS, "runs": runs_schema(campaign)}
        definition = msgspec.json.encode(campaign, order="sorted")
        about = {"settings": DEFINITION, "settings_sha256": hashlib.sha256(definition).hexdigest()}
        varied = {"runs": varied_settings(campaign)}
        self._metadata = {name: metadata(name, about, varied.get(name, ())) for name in TABLES}
        self._total = count_runs(campaign)
        self._results: dict[int, list[tuple[RunResult, str]]] = defaultdict(list)
        """Results that are not written, with the addresses of their workers, by partition."""
        self._added = 0
        self._written_s = time.monotonic()
        found = self.folder.names()
        if DEFINITION not in found and found - _OWN:
            raise ValueError(f"{folder}: not empty and not a campaign; name another folder by --out")
        with ExitStack() as opened:
            opened.enter_context(self.folder.locked())
            if DEFINITION in found:
                _require_same(self.folder, campaign)
            else:
                content = {"version": pygnc.__version__, "campaign": campaign}
                self.folder.write(DEFINITION, msgspec.json.format(msgspec.json.encode(content)) + b"\n")
            self.finished: set[int] = set()
            """Numbers of the runs that are written."""
            self.failed = 0
            self._parts = self._open()
            self._finished_in = Counter(run // PARTITION_RUNS for run in self.finished)
            self._lock = opened.pop_all()

    def _open(self) -> dict[int, list[int]]:
        """Find the runs that are written; return the numbers of the parts of each partition."""
        for rows in (frame for frames in _frames(self.folder, "runs", ["run", "status"]) for frame in frames):
            self.finished.update(rows["run"].to_list())
            self.failed += int((rows["status"] == FAILED).sum())
        parts = _parts(self.folder)
        for partition in parts.keys() & _complete(self.folder):  # the deletion of the parts was interrupted
            self._delete_parts(partition, parts.pop(partition))
        return parts

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            # A failure to write must not replace the error that ended the campaign, such as a full disk.
            if kind is None or not issubclass(kind, OSError):
                self.write()

    def add(self, result: RunResult, worker: str) -> None:
        """Add a finished run; it is on disk after at most a few seconds with further runs.

        Raises:
            OSError: The disk is full or gone; the runs that were written before are kept.
        """
        self._results[result.row["run"] // PARTITION_RUNS].append((result, worker))
        self._added += 1
        if self._added >= _PART_RUNS or time.monotonic() - self._written_s >= self.folder.write_s:
            self.write()

    def write(self) -> None:
        """Write the runs that are not on disk yet.

        Raises:
            OSError: The disk is full or gone.
        """
        self._written_s, self._added = time.monotonic(), 0
        for partition in sorted(self._results):
            results = self._results[partition]
            runs = [result.row["run"] for result, _ in results]
            frames = self._frames(results)
            numbers = self._parts.get(partition, [])
            if self._finished_in[partition] + len(runs) == _size(partition, self._total):
                for name in TABLES:
                    found = [_read(self.folder, _part(name, partition, number)) for number in numbers]
                    self._write(name, _partition(name, partition), _ordered([*found, frames[name]]))
                self._delete_parts(partition, self._parts.pop(partition, []))
            else:
                number = 1 + max(numbers, default=0)
                for name in TABLES:
                    self._write(name, _part(name, partition, number), frames[name])
                self._parts[partition] = [*numbers, number]
            self.finished.update(runs)
            self._finished_in[partition] += len(runs)
            self.failed += sum(result.row["status"] == FAILED for result, _ in results)
            del self._results[partition]

    def _frames(self, results: Sequence[tuple[RunResult, str]]) -> dict[str, pl.DataFrame]:
        """Return the rows of results by table; tables are made by column, which takes half the time."""
        rows = [result.row for result, _ in results]
        runs = [row["run"] for row in rows]
        bins = [row for result, _ in results for row in result.bins]
        counts = [len(result.bins) for result, _ in results]
        effort = [(run, of.seconds, worker, of.peak_mb) for run, (of, worker) in zip(runs, results, strict=True)]
        present, absent, fields = set[str]().union(*rows), [None] * len(rows), BinRow.__struct_fields__
        columns: dict[str, Sequence[Any]] = {
            "bins": [np.repeat(runs, counts), *(list(map(attrgetter(name), bins)) for name in fields)],
            "effort": list(zip(*effort, strict=True)),
            "runs": [[row.get(name) for row in rows] if name in present else absent for name in self._schemas["runs"]],
        }
        return {
            name: pl.DataFrame(dict(zip(schema, columns[name], strict=True)), schema=schema).fill_nan(None)
            for name, schema in self._schemas.items()
        }

    def _write(self, table: str, name: str, rows: pl.DataFrame) -> None:
        content = io.BytesIO()
        rows.write_parquet(content, compression="zstd", metadata=self._metadata[table])
        self.folder.write(name, content.getvalue())

    def _delete_parts(self, partition: int, numbers: Sequence[int]) -> None:
        for name in reversed(TABLES):
            for number in numbers:
                self.folder.delete(_part(name, partition, number))

    def merge(self) -> dict[str, int]:
        """Write what is not on disk yet; return the size of each table in bytes by its place.

        Raises:
            OSError: The disk is full or gone; the parts are kept.
        """
        self.write()
        return {self.folder.place(_table(name)): self.folder.size(_table(name)) for name in reversed(TABLES)}


def load_campaign(folder: Path | str) -> Campaign:
    """Return the definition of the campaign in a folder.

    Raises:
        OSError: The file cannot be read.
        ValueError: The folder contains no campaign of this version.
    """
    files = folder_of(folder)
    path = files.place(DEFINITION)
    try:
        return msgspec.convert(msgspec.json.decode(files.read(DEFINITION))["campaign"], Campaign)
    except FileNotFoundError:
        raise ValueError(
            f"{folder}: no campaign ({DEFINITION} is missing); name a folder of `pygnc campaign`"
        ) from None
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a campaign of PyGNC {pygnc.__version__}: {error}; compute it again") from error


def load_tables(folder: Path | str) -> Mapping[str, pl.DataFrame]:
    """Return the tables of a campaign, finished or not, each in the order of the runs.

    Columns that an earlier version did not write are null. A run needs about 1 kB of memory in `runs` and 0.1 kB for
    each bin; `load_table` and `partitions_of` read campaigns that are larger than the memory.

    Raises:
        OSError: A file cannot be read.
        ValueError: There is no finished run.
    """
    tables = {name: load_table(folder, name) for name in TABLES}
    if tables["runs"].is_empty():
        raise ValueError(f"{folder}: no run is finished; start the campaign first")
    return tables


def load_table(folder: Path | str, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return a table, or some of its columns, in the order of the runs.

    Raises:
        OSError: A file cannot be read.
    """
    schema = {column: SCHEMAS[name].get(column, pl.Null) for column in columns or SCHEMAS[name]}
    pieces = [pl.DataFrame(schema=schema), *partitions_of(folder, name, columns)]
    return pl.concat(pieces, how="diagonal_relaxed")


def partitions_of(folder: Path | str, name: str, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
    """Yield a table of all finished runs by partition, each in the order of the runs; without columns that it lacks.

    Raises:
        OSError: A file cannot be read.
    """
    return (_ordered(frames) for frames in _frames(folder_of(folder), name, columns))


def _frames(
    folder: Folder, name: str, columns: Sequence[str] | None = None, only: int | None = None
) -> Iterator[list[pl.DataFrame]]:
    """Yield the frames of each partition in order, or of `only` one; those of parts are in no order."""
    if folder.is_file(_table(name)):  # by an earlier version
        yield [_read(folder, _table(name), columns)]
    complete, parts = _complete(folder), _parts(folder)
    for partition in sorted(complete | parts.keys()) if only is None else [only]:
        if partition in complete:
            yield [_read(folder, _partition(name, partition), columns)]
        elif partition in parts:
            yield [_read(folder, _part(name, partition, number), columns) for number in parts[partition]]


def stored_row(folder: Path | str, run: int) -> dict[str, Any] | None:
    """Return the row of a run in a folder, or None if it is not finished.

    Raises:
        OSError: A file cannot be read.
    """
    frames = _frames(folder_of(folder), "runs", only=run // PARTITION_RUNS)
    rows = [row for some in frames for frame in some for row in frame.filter(pl.col("run") == run).to_dicts()]
    return rows[0] if rows else None


def same_figures(row: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Return True if a row of a new run equals the stored one; tracebacks may differ."""
    return all(
        value is None if name not in row or row[name] != row[name] else row[name] == value
        for name, value in stored.items()
        if name != "traceback"
    )


def _read(folder: Folder, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    content = io.BytesIO(folder.read(name))
    found = None if columns is None else [column for column in columns if column in pl.read_parquet_schema(content)]
    content.seek(0)
    return pl.read_parquet(content, columns=found)


def _ordered(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return rows in the order of the runs; the bins of a run are in order already."""
    return pl.concat(frames, rechunk=True).sort("run", maintain_order=True)


def _table(name: str) -> str:
    return f"{name}.parquet"


def _partition(name: str, partition: int) -> str:
    return f"{_table(name)}/part-{partition:06d}.parquet"


def _part(name: str, partition: int, number: int) -> str:
    return f"{_PARTS}/{name}-{partition:06d}-{number:06d}.parquet"


def _complete(folder: Folder) -> set[int]:
    """Return the partitions with a file of their own."""
    names = (Path(name).stem.partition("-") for name in folder.names(_table("runs")) if name.endswith(".parquet"))
    return {int(number) for _, _, number in names}


def _parts(folder: Folder) -> dict[int, list[int]]:
    """Return the numbers of the parts of each partition that has no file of its own or had none when they were made."""
    found: dict[int, list[int]] = {}
    for name in sorted(folder.names(_PARTS)):
        table, partition, number = Path(name).stem.split("-")
        if table == "runs":
            found.setdefault(int(partition), []).append(int(number))
    return found


def _size(partition: int, total: int) -> int:
    """Return the number of runs of a partition."""
    return min(PARTITION_RUNS, total - partition * PARTITION_RUNS)


def _require_same(folder: Folder, campaign: Campaign) -> None:
    stored = msgspec.json.decode(folder.read(DEFINITION))
    if stored.get("version") != pygnc.__version__:
        raise ValueError(
            f"{folder}: its runs are from PyGNC {stored.get('version')}, and this is {pygnc.__version__}; name another"
            " folder by --out"
        )
    ours, theirs = dict(_flat(msgspec.to_builtins(campaign))), dict(_flat(stored["campaign"]))
    for name in sorted({*ours, *theirs}):
        if ours.get(name) != theirs.get(name):
            raise ValueError(
                f"{folder}: contains another campaign ({name} is {theirs.get(name)!r} there and {ours.get(name)!r} in"
                " the file); name another folder by --out"
            )


def _flat(value: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for name, below in value.items():
            yield from _flat(below, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list | tuple):
        for number, below in enumerate(value):
            yield from _flat(below, f"{prefix}[{number}]")
    else:
        yield prefix, value
