"""Measure the figures of `pygnc gate` for docs/benchmarks.

Usage: python scripts/bench/bench_gate.py CORPUS [--part time|repeats|surroundings|constants] [--repeats N]
       [--runs NAME ...] [--processes N] [--only TEXT ...] [--minutes M]

CORPUS is a corpus with accepted results, such as that of `gate_corpus.py`.

- time: CPU time of the replay of each run, and duration of the whole gate by the number of processes.
- repeats: N repetitions of the gate for the runs; counts those that are not unchanged.
- surroundings: N/100 repetitions of the command for each of some environments that differ in what must not matter, such
  as the seed of hashes and the number of BLAS threads; counts the replays that are not unchanged.
- constants: perturbs every number of estimators, models and trackers by one unit in the last place, one at a time, and
  counts those that the replays notice. The others are perturbed by half and by a third: thresholds and numbers that
  rounding absorbs are noticed then, and what remains is not exercised by the corpus. --only selects by parts of the
  number's name, and --minutes ends after a random sample, constants and settings before numbers inside functions. Every
  result is written to standard error at once.
"""

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from scripts.bench.perturbed_constants import (
    Perturbation,
    Site,
    Trial,
    a_third_less,
    baseline,
    half_more,
    one_unit,
    perform,
    sites,
)
from scripts.bench.table import print_table, select_parts

PACKAGES: Final = (
    "pygnc.estimators.orbit",
    "pygnc.estimators.attitude",
    "pygnc.estimators.formation",
    "pygnc.estimators.clock",
    "pygnc.estimators.kalman",
    "pygnc.environment",
    "pygnc.navigation",
)
_KINDS: Final[dict[Perturbation, str]] = {one_unit: "one unit", half_more: "half more", a_third_less: "a third less"}
"""Changes in the order of the trials, by what their effect shows"""
_PROGRAM: Final = str(Path(sys.executable).with_name("pygnc"))
_UNSEEN: Final = "not exercised"
_SURROUNDINGS: Final[dict[str, dict[str, str]]] = {
    "seed of hashes 0": {"PYTHONHASHSEED": "0"},
    "seed of hashes 4242": {"PYTHONHASHSEED": "4242"},
    "two threads of BLAS": {"OPENBLAS_NUM_THREADS": "2"},
    "four threads of BLAS": {"OPENBLAS_NUM_THREADS": "4"},
    "one thread of polars": {"POLARS_MAX_THREADS": "1"},
    "locale POSIX": {"LC_ALL": "POSIX"},
    "locale C.UTF-8": {"LC_ALL": "C.UTF-8"},
    "time zone UTC+5:45": {"TZ": "Asia/Kathmandu"},
    "time zone UTC-3:30, with summer time": {"TZ": "America/St_Johns"},
    "new memory filled with 0xA5": {"MALLOC_PERTURB_": "90"},
    "debugging allocator of Python": {"PYTHONMALLOC": "debug"},
    "optimised bytecode": {"PYTHONOPTIMIZE": "2"},
    "another home": {"HOME": "/nonexistent"},
}
"""Environment variables that must not matter; each command has a working folder and a copy of the corpus of its own"""


def folders_of(corpus: Path) -> list[Path]:
    """Return the folders of the runs, the smallest first."""
    runs = [path.parent for path in corpus.glob("*/run.toml")]
    return sorted(runs, key=lambda run: sum(path.stat().st_size for path in run.glob("**/*.bin")))


def relevant(folders: Sequence[Path], module: str) -> list[Path]:
    """Return the runs that can notice a number of a module: for formations those with range files."""
    with_ranges = [folder for folder in folders if any(folder.glob("**/rng*.bin"))]
    others = [folder for folder in folders if folder not in with_ranges]
    if ".formation" in module:
        return with_ranges or others
    return [*others, *with_ranges] if ".environment" in module else others


def constants(options: argparse.Namespace) -> None:
    """Print which numbers the replays notice."""
    folders = folders_of(options.corpus)
    every = [
        site
        for package in PACKAGES
        for site in sites(package)
        if not options.only or any(text in site.name for text in options.only)
    ]
    random.Random(1).shuffle(every)  # noqa: S311 - a sample, if time ends the measurement
    every.sort(key=lambda site: site.in_function)
    expected = baseline(folders)
    kinds: dict[Site, str] = {}
    began = time.monotonic()
    end = began + 60.0 * options.minutes
    timely = itertools.takewhile(lambda _: time.monotonic() < end, every)
    trials = perform((_first_trial(site, folders) for site in timely), expected, options.processes)
    with contextlib.suppress(StopIteration):
        trial, by = next(trials)
        while True:
            following = _following(trial, by, relevant(folders, trial.site.module))
            if following is None:
                kinds[trial.site] = _KINDS[trial.change] if by else _UNSEEN
                progress = f"{len(kinds)}/{len(every)} {time.monotonic() - began:.0f} s"
                text = f"{progress} {trial.site.in_function:d} {trial.site.name}: {kinds[trial.site]} {by}"
                print(text, file=sys.stderr, flush=True)
            trial, by = trials.send(following)
    _print_kinds(kinds)


def _first_trial(site: Site, folders: Sequence[Path]) -> Trial:
    return Trial(site, one_unit, tuple(relevant(folders, site.module)))


def _following(trial: Trial, by: str, folders: Sequence[Path]) -> Trial | None:
    """Return the trial that follows, with a larger change if no run noticed the last one."""
    changes = list(_KINDS)
    last = changes.index(trial.change) == len(changes) - 1
    return None if by or last else Trial(trial.site, changes[changes.index(trial.change) + 1], tuple(folders))


def _print_kinds(kinds: dict[Site, str]) -> None:
    names = (*_KINDS.values(), _UNSEEN)
    rows = []
    for in_function, where in ((False, "constants and settings"), (True, "numbers in functions")):
        for package in PACKAGES:
            of = [
                kind
                for site, kind in kinds.items()
                if site.module.startswith(package) and site.in_function is in_function
            ]
            rows.append((f"{package}: {where}", str(len(of)), *(str(of.count(name)) for name in names)))
    print_table(("package", "numbers", *names), rows)
    for site, kind in sorted(kinds.items()):
        if kind != names[0]:
            print(f"{kind}: {site.name}")


def repeats(options: argparse.Namespace) -> None:
    """Print how many repetitions of the gate are not unchanged."""
    # The other part must not import the estimators.
    from pygnc_ground.gate.check import check_run, on_all_cores  # noqa: PLC0415
    from pygnc_ground.gate.constants import record  # noqa: PLC0415

    folders = [folder for folder in folders_of(options.corpus) if not options.runs or folder.name in options.runs]
    work = partial(check_run, constants=record(), limit=0.01)
    began, alarms = time.monotonic(), []
    for report in on_all_cores(work, folders * options.repeats, options.processes):
        if report.verdict != "unchanged":
            alarms.append(report)
            print(report, flush=True)
    names = ", ".join(folder.name for folder in folders)
    print(f"{options.repeats} repetitions of {names}: {len(alarms)} alarms, {time.monotonic() - began:.0f} s")


def surroundings(options: argparse.Namespace) -> None:
    """Print how many repetitions of the command in other surroundings are not unchanged."""
    began, counts = time.monotonic(), dict.fromkeys(_SURROUNDINGS, 0)
    end = began + 60.0 * options.minutes
    alarms = dict(counts)
    rounds = max(options.repeats // 100, 1)
    for _, (name, variables) in itertools.product(range(rounds), _SURROUNDINGS.items()):
        if time.monotonic() > end:
            break
        with tempfile.TemporaryDirectory(prefix="another folder ") as folder:
            shutil.copytree(options.corpus, Path(folder) / "corpus of runs")
            command = [_PROGRAM, "gate", "corpus of runs", *options.runs, "--workers", str(options.processes), "--json"]
            done = subprocess.run(
                command, cwd=folder, env=os.environ | variables, check=False, capture_output=True, text=True
            )
        runs = json.loads(done.stdout)["runs"]
        counts[name] += len(runs)
        found = [run for run in runs if run["verdict"] != "unchanged"]
        alarms[name] += len(found)
        for run in found:
            print(name, run, flush=True)
    print_table(
        ("surroundings", "replays", "alarms"), [(name, str(counts[name]), str(alarms[name])) for name in counts]
    )
    print(f"{sum(counts.values())} replays: {sum(alarms.values())} alarms, {time.monotonic() - began:.0f} s")


def durations(options: argparse.Namespace) -> None:
    """Print how long the replays take."""
    from pygnc_ground.gate.check import replay_run  # noqa: PLC0415 - see `repeats`

    rows = []
    for folder in folders_of(options.corpus):
        began = time.process_time()
        found = replay_run(folder)
        rows.append(
            (
                folder.name,
                f"{time.process_time() - began:.2f} s",
                str(sum(len(table) for table in found.tables.values())),
            )
        )
    print_table(("run", "CPU time", "rows compared"), rows)
    for processes in (1, 2):
        began = time.monotonic()
        command = [_PROGRAM, "gate", str(options.corpus), "--workers", str(processes)]
        subprocess.run(command, check=True, capture_output=True)
        print(f"the whole corpus with {processes} processes: {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the figures of pygnc gate.")
    parser.add_argument("corpus", type=Path, help="Corpus with accepted results.")
    parser.add_argument("--repeats", type=int, default=1000, help="Number of repetitions.")
    parser.add_argument("--runs", nargs="*", default=[], help="Names of the runs to repeat (default: all).")
    parser.add_argument("--processes", type=int, default=2, help="Number of processes.")
    parser.add_argument(
        "--minutes", type=float, default=1e9, help="End of perturbations or surroundings (default: all)."
    )
    parser.add_argument("--only", nargs="*", default=[], help="Parts of the names of the numbers (default: all).")
    chosen, parts = select_parts(
        parser, {"constants": constants, "repeats": repeats, "surroundings": surroundings, "time": durations}
    )
    for part in parts:
        part(chosen)
