"""Replays of a corpus on all cores, and their comparison with the accepted results."""

import os
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from pygnc_cli.text import reason_of
from pygnc_ground.gate.compare import Change, changes
from pygnc_ground.gate.constants import Record
from pygnc_ground.gate.constants import changes as constant_changes
from pygnc_ground.gate.corpus import CorpusError, input_digests, read_run
from pygnc_ground.gate.outcome import Outcome, outcome
from pygnc_ground.gate.reference import (
    Reference,
    data_digests,
    read_reference,
    read_table,
    this_platform,
    write_reference,
)
from pygnc_ground.gate.report import RunReport, Verdict, accuracy_changes, verdict_of
from pygnc_ground.replay.folder import REPORT, origin_of
from pygnc_ground.report.replay import Replay


class ReplayFailureError(Exception):
    """Error raised when the estimators fail on inputs that can be read."""


def replay_run(folder: Path) -> Outcome:
    """Replay a run of a corpus.

    Raises:
        OSError: A file cannot be read.
        ValueError: A file is damaged.
        ReplayFailureError: The estimators fail.
    """
    return _replayed(folder)[0]


def _replayed(folder: Path) -> tuple[Outcome, Replay]:
    files = read_run(folder)
    context, inputs = files.context(), files.inputs()
    try:
        result, collected = context.replay(inputs, keep_samples=True)
    except OSError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name} line {place.lineno}"
        raise ReplayFailureError(f"{type(error).__name__} in {where}: {error}") from error
    orientation = context.orientation.identification
    origin = origin_of(files.digests(result.sources), result.settings, result.filter_name, orientation)
    return outcome(result, collected, folder), Replay(result, collected, origin)


def check_run(folder: Path, constants: Record, limit: float, reports: Path | None = None) -> RunReport:
    """Replay a run and compare the results with the accepted ones.

    `constants` are the numbers in the present source; `limit` is the share by which an error may grow before the run is
    worse. If a table changed, the replay with its report is written to a folder in `reports`, if that is given.
    """
    report = RunReport(folder.name)
    with _failures_reported(report):
        reference = read_reference(folder)
        report.accepted_utc = reference.accepted_utc
        report.constants = constant_changes(reference.constants, constants)
        report.platform = this_platform().differences(reference.platform)
        report.data = _changed_data(reference)
        _require_same_inputs(folder, reference.inputs)
        found, replay = _replayed(folder)
        report.tables, report.rows = len(found.tables), sum(len(table) for table in found.tables.values())
        report.judged = any(one.error is not None for one in (*reference.accuracy, *found.accuracy))
        report.accuracy = accuracy_changes(reference.accuracy, found.accuracy, limit)
        for name in sorted(reference.digests.keys() | found.digests.keys()):
            if reference.digests.get(name) == found.digests.get(name):
                continue
            if name in found.tables and name in reference.digests:
                report.changes += changes(name, read_table(folder, name, reference), found.tables[name])
            else:
                report.parts.append(name)
        report.changes.sort(key=lambda change: change.significance, reverse=True)
        report.verdict = verdict_of(report)
        if reports is not None and report.changes:
            place = reports / folder.name
            replay.write(place, overwrite=True)
            report.page = first_difference(place / REPORT, report.changes)
    return report


def first_difference(page: Path, found: Sequence[Change]) -> str:
    """Return the address of a report at the first time at which a table differs."""
    begins = min((change.begins for change in found if change.begins), default=None)
    address = page.absolute().as_uri()
    return address if begins is None else f"{address}#t={begins.removesuffix(' UTC').replace(' ', 'T')}Z"


def source_changes(folders: Sequence[Path], constants: Record) -> list[RunReport]:
    """Return for each run, without replaying it, the constants and data tables that differ from its reference."""
    found: list[RunReport] = []
    for folder in folders:
        report = RunReport(folder.name)
        with _failures_reported(report):
            reference = read_reference(folder)
            report.constants = constant_changes(reference.constants, constants)
            report.data = _changed_data(reference)
        found.append(report)
    return found


def _changed_data(reference: Reference) -> list[str]:
    data = data_digests()
    return sorted(name for name in data if data[name] != reference.data.get(name))


def accept_run(folder: Path, constants: Record) -> RunReport:
    """Replay a run and accept its results as the reference."""
    report = RunReport(folder.name)
    with _failures_reported(report):
        found = replay_run(folder)
        reference = write_reference(folder, found, input_digests(folder), constants)
        report.accepted_utc = reference.accepted_utc
        report.tables, report.rows = len(found.tables), sum(len(table) for table in found.tables.values())
    return report


@contextmanager
def _failures_reported(report: RunReport) -> Iterator[None]:
    """Write the duration of the block to the report, and verdict and reason if the block fails."""
    began = time.perf_counter()
    try:
        yield
    except ReplayFailureError as failure:
        report.verdict, report.reason = Verdict.WORSE, f"the replay fails: {failure}"
    except (OSError, ValueError) as error:
        report.verdict, report.reason = Verdict.INPUT_ERROR, reason_of(error)
    report.seconds = time.perf_counter() - began


def _require_same_inputs(folder: Path, accepted: dict[str, str]) -> None:
    present = input_digests(folder)
    for name in sorted(present.keys() | accepted.keys()):
        if present.get(name) != accepted.get(name):
            what = "is missing" if name not in present else "is new" if name not in accepted else "has changed"
            raise CorpusError(
                f"{folder / name}: {what} since the results were accepted; restore the files, or accept the run again"
                " by pygnc gate accept"
            )


def on_all_cores(
    work: Callable[[Path], RunReport], folders: Sequence[Path], workers: int | None = None
) -> Iterator[RunReport]:
    """Yield the report of each run as soon as it is known.

    Each process has one run in memory at a time. If a process ends, for lack of memory for instance, the unfinished
    runs are repeated one by one; only a run whose process ends again is reported as a failure.
    By default there are as many processes as cores.
    """
    count = min(len(folders), workers or os.cpu_count() or 1)
    unfinished: list[Path] = []
    with _pool(count) as pool:
        futures = {pool.submit(work, folder): folder for folder in folders}
        try:
            for future in as_completed(futures):
                found = _result(future)
                if found is None:
                    unfinished.append(futures[future])
                else:
                    yield found
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    for folder in unfinished:
        with _pool(1) as pool:
            found = _result(pool.submit(work, folder))
        ended = RunReport(folder.name, Verdict.WORSE, "the process of the replay ended; there may be too little memory")
        yield ended if found is None else found


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def _result(future: "Future[RunReport]") -> RunReport | None:
    try:
        return future.result()
    except BrokenProcessPool:
        return None
