"""Folder of a campaign: its definition, and the results of the finished runs.

Finished runs are appended in parts, so that an interrupted campaign loses at most the runs of a few seconds. At the end
the parts become one file per table, in the order of the runs. Each part is written as three files, `runs` last: a part
without it does not count.
"""

import fcntl
import io
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import polars as pl

import pygnc
from pygnc_ground.campaign.definition import Campaign, count_runs
from pygnc_ground.campaign.run import RunResult
from pygnc_ground.campaign.schema import BINS, EFFORT, FAILED, RUNS, runs_schema, schema_of
from pygnc_system.files import durable_write

DEFINITION: Final = "campaign.json"
TABLES: Final = ("bins", "effort", "runs")
"""Tables in the order in which the files of a part are written."""
SCHEMAS: Final = {"runs": schema_of(RUNS), "bins": schema_of(BINS), "effort": schema_of(EFFORT)}
"""Types of the columns by name; the runs have those of the varied settings besides."""
_PARTS: Final = "parts"
_LOCK: Final = ".lock"
_PART_RUNS: Final = 200
_PART_S: Final = 5.0
_BLOCK_RUNS: Final = 2000
"""Runs that are sorted in memory at a time."""


class Store:
    """Results of a campaign that is being computed; it appends finished runs to the folder."""

    def __init__(self, folder: Path, campaign: Campaign) -> None:
        """Open or create the folder of a campaign.

        Raises:
            OSError: The folder cannot be written.
            ValueError: The folder contains something else, another campaign, or is in use by another process.
        """
        self.folder = folder
        self._schemas = {**SCHEMAS, "runs": runs_schema(campaign)}
        self._campaign = campaign
        self._rows: dict[str, list[Any]] = {name: [] for name in TABLES}
        self._written_s = time.monotonic()
        found = {path.name for path in folder.iterdir()} if folder.exists() else set[str]()
        if DEFINITION not in found and found - {_PARTS, _LOCK}:
            raise ValueError(f"{folder}: not empty and not a campaign; name another folder by --out")
        (folder / _PARTS).mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ValueError(f"{folder}: another process computes this campaign; wait until it has ended") from None
        if (folder / DEFINITION).exists():
            _require_same(folder, campaign)
        else:
            content = {"version": pygnc.__version__, "campaign": campaign}
            durable_write(folder / DEFINITION, msgspec.json.format(msgspec.json.encode(content)) + b"\n")
        finished = _ordered(_table(folder, "runs").select("run", "status"), "runs").collect()
        self.finished = set(finished["run"].to_list())
        self.failed = int((finished["status"] == FAILED).sum())
        self._part = 1 + max((int(path.stem.rpartition("-")[2]) for path in _parts(folder, "runs")), default=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # A failure to write must not replace the error that ended the campaign, such as a full disk.
            if kind is None or not issubclass(kind, OSError):
                self.write()
        finally:
            os.close(self._lock)

    def add(self, result: RunResult, worker: str) -> None:
        """Add a finished run; it is on disk after at most a few seconds with further runs.

        Raises:
            OSError: The disk is full or gone; the runs that were written before are kept.
        """
        run = result.row["run"]
        self._rows["runs"].append(result.row)
        self._rows["bins"] += [(run, *row) for row in result.bins]
        self._rows["effort"].append((run, result.seconds, worker, result.peak_mb))
        if len(self._rows["runs"]) >= _PART_RUNS or time.monotonic() - self._written_s >= _PART_S:
            self.write()

    def write(self) -> None:
        """Write the runs that are not on disk yet.

        Raises:
            OSError: The disk is full or gone.
        """
        self._written_s = time.monotonic()
        if not self._rows["runs"]:
            return
        for name in TABLES:
            frame = pl.DataFrame(self._rows[name], schema=self._schemas[name], orient="row").fill_nan(None)
            content = io.BytesIO()
            frame.write_parquet(content, compression="zstd")
            durable_write(self.folder / _PARTS / f"{name}-{self._part:06d}.parquet", content.getvalue())
        self._part += 1
        self.finished |= {row["run"] for row in self._rows["runs"]}
        self.failed += sum(row["status"] == FAILED for row in self._rows["runs"])
        self._rows = {name: [] for name in TABLES}

    def merge(self) -> list[Path]:
        """Replace the parts by one file per table, in the order of the runs; return their paths.

        Raises:
            OSError: The disk is full or gone; the parts are kept.
        """
        self.write()
        paths = {name: self.folder / f"{name}.parquet" for name in TABLES}
        if _parts(self.folder, "runs"):
            for name, path in paths.items():
                table = _table(self.folder, name)
                blocks = [
                    _ordered(table.filter(pl.col("run").is_between(first, first + _BLOCK_RUNS - 1)), name)
                    for first in range(0, count_runs(self._campaign), _BLOCK_RUNS)
                ]
                part = path.with_name(path.name + ".part")
                pl.concat(blocks).sink_parquet(part, compression="zstd", maintain_order=True)
            for path in paths.values():
                path.with_name(path.name + ".part").replace(path)
            for name in reversed(TABLES):
                for path in _parts(self.folder, name):
                    path.unlink()
        return list(reversed(paths.values()))


def load_campaign(folder: Path) -> Campaign:
    """Return the definition of the campaign in a folder.

    Raises:
        OSError: The file cannot be read.
        ValueError: The folder contains no campaign of this version.
    """
    path = folder / DEFINITION
    try:
        return msgspec.convert(msgspec.json.decode(path.read_bytes())["campaign"], Campaign)
    except FileNotFoundError:
        raise ValueError(
            f"{folder}: no campaign ({DEFINITION} is missing); name a folder of `pygnc campaign`"
        ) from None
    except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a campaign of PyGNC {pygnc.__version__}: {error}; compute it again") from error


def load_tables(folder: Path) -> Mapping[str, pl.DataFrame]:
    """Return the tables of a campaign, finished or not, each in the order of the runs.

    Columns that an earlier version did not write are null.

    Raises:
        OSError: A file cannot be read.
        ValueError: There is no finished run.
    """
    tables = {
        name: pl.concat(
            [pl.DataFrame(schema=SCHEMAS[name]), _ordered(_table(folder, name), name).collect()], how="diagonal"
        )
        for name in TABLES
    }
    if tables["runs"].is_empty():
        raise ValueError(f"{folder}: no run is finished; start the campaign first")
    return tables


def stored_row(folder: Path, run: int) -> dict[str, Any] | None:
    """Return the row of a run in a folder, or None if it is not finished.

    Raises:
        OSError: A file cannot be read.
    """
    rows = _table(folder, "runs").filter(pl.col("run") == run).collect().to_dicts()
    return rows[0] if rows else None


def same_figures(row: Mapping[str, Any], stored: Mapping[str, Any]) -> bool:
    """Return True if a row of a new run equals the stored one; tracebacks may differ."""
    return all(
        value is None if name not in row or row[name] != row[name] else row[name] == value
        for name, value in stored.items()
        if name != "traceback"
    )


def _table(folder: Path, name: str) -> pl.LazyFrame:
    """Return a table of all finished runs, in no order."""
    merged = folder / f"{name}.parquet"
    numbers = {path.stem.rpartition("-")[2] for path in _parts(folder, "runs")}
    paths = [path for path in _parts(folder, name) if path.stem.rpartition("-")[2] in numbers]
    frames = [pl.scan_parquet(path) for path in ([merged] if merged.exists() else []) + paths]
    if frames:
        return pl.concat(frames)
    return pl.LazyFrame(schema=SCHEMAS[name])


def _ordered(table: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Return a table in the order of the runs; after an interrupted merge, a run may be in a part and in its table."""
    keys = ["run", "estimator", "begin_s"] if name == "bins" else ["run"]
    return table.unique(keys, keep="any", maintain_order=True).sort("run", maintain_order=True)


def _parts(folder: Path, name: str) -> list[Path]:
    return sorted((folder / _PARTS).glob(f"{name}-*.parquet"))


def _require_same(folder: Path, campaign: Campaign) -> None:
    stored = msgspec.json.decode((folder / DEFINITION).read_bytes())
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
