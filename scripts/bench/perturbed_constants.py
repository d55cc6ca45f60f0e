"""Perturbation of single numbers in the source of the estimators, and the check whether a corpus notices it.

Each number is perturbed in a process of its own, which compiles one module with that number changed and imports it with
all others anew. The perturbation therefore reaches all that is derived from the number. This module and its importers
must not import the perturbed packages.
"""

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final, NamedTuple, TypeAlias

from pygnc_ground.gate.constants import located_numbers, modules_of

TIMEOUT_S: Final = 600.0
_LIBRARIES: Final = (
    "numpy",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.special",
    "erfa",
    "satkit",
    "polars",
    "filterpy.kalman",
)
"""Libraries that are imported once, before the processes are forked"""

Perturbation: TypeAlias = Callable[[float], float]
Digests: TypeAlias = dict[str, dict[str, str]]
"""Digests of results by run and name"""


class Site(NamedTuple):
    """Place of a number in the source.

    Attributes:
        module: Name of the module.
        file: Its source.
        rank: Index among the module's numbers.
        place: Name, class attribute or function.
        value: Number as text.
        in_function: True for a number inside a function.
    """

    module: str
    file: Path
    rank: int
    place: str
    value: str
    in_function: bool

    @property
    def name(self) -> str:
        """Name of the site in reports."""
        return f"{self.module} {self.place} {self.value} (#{self.rank})"


def sites(package: str) -> Iterator[Site]:
    """Yield all floating-point numbers of a package or module, and the integers outside its functions."""
    for module, file in modules_of(package):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        inside = {id(node) for of in functions for statement in of.body for node in ast.walk(statement)}
        for rank, (place, node) in enumerate(located_numbers(tree)):
            if isinstance(node.value, float) or (type(node.value) is int and id(node) not in inside):
                yield Site(module, file, rank, place, repr(node.value), id(node) in inside)


def one_unit(value: float) -> float:
    """Return the next floating-point number, or the next integer."""
    return value + 1 if isinstance(value, int) else math.nextafter(value, math.inf)


def half_more(value: float) -> float:
    """Return the number times 1.5, at least 1 more for an integer; 0.5 for zero."""
    if isinstance(value, int):
        return value + max(1, abs(value) // 2)
    return 1.5 * value or 0.5


def a_third_less(value: float) -> float:
    """Return the number over 1.5, at least 1 less for an integer; -0.5 for zero."""
    if isinstance(value, int):
        return value - max(1, abs(value) // 3)
    return value / 1.5 or -0.5


class _PerturbedLoader(importlib.machinery.SourceFileLoader):
    """Loader that changes one number of a module before the module is compiled."""

    def __init__(self, site: Site, change: Perturbation) -> None:
        super().__init__(site.module, str(site.file))
        self._site, self._change = site, change

    def get_code(self, fullname: str) -> CodeType:
        """Return the changed code, never a cached one."""
        tree = ast.parse(self._site.file.read_text(encoding="utf-8"), filename=fullname)
        _, node = list(located_numbers(tree))[self._site.rank]
        if not isinstance(node.value, int | float):
            raise TypeError(f"{self._site.name}: not a number")
        node.value = self._change(node.value)
        return compile(tree, str(self._site.file), "exec")


class _Finder(importlib.abc.MetaPathFinder):
    """Finder of the perturbed module."""

    def __init__(self, site: Site, change: Perturbation) -> None:
        self._site, self._change = site, change

    def find_spec(
        self, fullname: str, _path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the specification of the perturbed module, None for others."""
        if fullname != self._site.module:
            return None
        folder = [str(self._site.file.parent)] if self._site.file.name == "__init__.py" else None
        loader = _PerturbedLoader(self._site, self._change)
        return importlib.util.spec_from_file_location(
            fullname, self._site.file, loader=loader, submodule_search_locations=folder
        )


class Trial(NamedTuple):
    """Perturbation of one number, and the runs that are replayed until one notices it."""

    site: Site
    change: Perturbation
    folders: tuple[Path, ...]


def baseline(folders: Sequence[Path]) -> Digests:
    """Return the digests of the unperturbed results by run, computed in a process of its own."""
    _import_libraries()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        with os.fdopen(writer, "w", encoding="utf-8") as pipe:
            for folder in folders:
                pipe.writelines(f"{folder.name}\t{name}\t{value}\n" for name, value in _digests(folder).items())
        os._exit(0)
    os.close(writer)
    found: Digests = {}
    with os.fdopen(reader, encoding="utf-8") as pipe:
        for line in pipe:
            run, name, value = line.rstrip("\n").split("\t")
            found.setdefault(run, {})[name] = value
    if os.waitpid(pid, 0)[1] != 0 or len(found) != len(folders):
        raise RuntimeError("the unperturbed replays failed")
    return found


def perform(trials: Iterable[Trial], expected: Digests, processes: int) -> Generator[tuple[Trial, str], Trial | None]:
    """Yield each trial with the name of the run that notices it, or an empty text; a trial that is sent comes next."""
    _import_libraries()
    waiting, further = iter(trials), list[Trial]()
    running: dict[int, tuple[Trial, int, float]] = {}
    while True:
        while len(running) < processes and (trial := further.pop() if further else next(waiting, None)) is not None:
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(reader)
                _perturbed_process(trial, expected, writer)
            os.close(writer)
            running[pid] = trial, reader, time.monotonic()
        if not running:
            return
        for pid, (trial, reader, began) in list(running.items()):
            ended, _ = os.waitpid(pid, os.WNOHANG)
            if not ended and time.monotonic() - began > TIMEOUT_S:
                os.kill(pid, signal.SIGKILL)
                ended, _ = os.waitpid(pid, 0)
            if ended:
                del running[pid]
                with os.fdopen(reader, "rb") as pipe:
                    text = pipe.read().decode()
                following = yield trial, text.removesuffix("\n") if text.endswith("\n") else "process ended"
                if following is not None:
                    further.append(following)
        time.sleep(0.005)


def _perturbed_process(trial: Trial, expected: Digests, writer: int) -> None:
    """Write the name of the first run that differs and a line feed; end the process."""
    os.close(2)
    sys.meta_path.insert(0, _Finder(trial.site, trial.change))
    by = "import"
    try:
        importlib.import_module("pygnc_ground.gate.check")
        by = ""
        for folder in trial.folders:
            by = folder.name
            if _digests(folder) != expected[folder.name]:
                break
            by = ""
    except Exception:  # noqa: BLE001 - whatever fails has been noticed
        by = f"{by} (fails)"
    os.write(writer, f"{by}\n".encode())
    os._exit(0)


def _digests(folder: Path) -> dict[str, str]:
    check = importlib.import_module("pygnc_ground.gate.check")
    found: dict[str, str] = check.replay_run(folder).digests
    return found


def _import_libraries() -> None:
    for name in _LIBRARIES:
        importlib.import_module(name)
    for name in [name for name in sys.modules if name == "pygnc" or name.startswith("pygnc.")]:
        del sys.modules[name]  # parent packages, which the search for modules has imported
