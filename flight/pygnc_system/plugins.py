"""Plug-ins: objects that installed packages add to PyGNC by entry points; docs/plugins.md describes them to authors.

Each kind of plug-in (subcommands, families of devices, outputs of stations, readers of true orbits and of logs) has a
group of entry points. For equal names, PyGNC's own distributions have precedence. A plug-in that is broken, or whose
name is taken, is reported and skipped.
"""

import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any, Final, NamedTuple, TypeVar

from pygnc_system import __version__

OURS: Final = frozenset({"pygnc", "pygnc-devices", "pygnc-ground", "pygnc-station"})
"""Names of PyGNC's own distributions, which are always released with the same version."""
_T = TypeVar("_T")
_reported: Final[set[str]] = set()


class PluginError(Exception):
    """Error raised when a plug-in cannot be used; the message names the plug-in, its distribution and the remedy."""


class Installed(NamedTuple):
    """Plug-ins of a group.

    Attributes:
        entries: Entry points by name, ours first.
        clashes: Messages about entry points that are ignored because their name is taken, by that name.
    """

    entries: dict[str, EntryPoint]
    clashes: dict[str, str]


def installed(group: str, reserved: Collection[str] = ()) -> Installed:
    """Return the plug-ins of a group without importing them.

    Args:
        group: Group of entry points.
        reserved: Names that only distributions of PyGNC may use, installed or not.
    """
    found = Installed({}, {})
    for entry in sorted(entry_points(group=group), key=_rank):
        first = found.entries.get(entry.name)
        if first is not None:
            found.clashes[entry.name] = f"{title(entry)} is ignored: {title(first)} has this name"
        elif entry.name in reserved and not is_ours(entry):
            found.clashes[entry.name] = f"{title(entry)} is ignored: the name belongs to PyGNC"
        else:
            found.entries[entry.name] = entry
    return found


def load(entry: EntryPoint) -> Any:  # noqa: ANN401 - the type depends on the group
    """Import and return the object to which an entry point refers.

    Raises:
        PluginError: The import fails, a library is missing, or the distribution is one of ours in another version.
    """
    version = distribution_of(entry).version
    if is_ours(entry) and version != __version__:
        found = f"{name_of(entry)} {version} does not work with pygnc-devices {__version__}"
        raise PluginError(f"{found}; install the same version of both")
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        raise PluginError(missing_library(entry, error)) from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"{title(entry)} cannot be loaded: {type(error).__name__}: {error}") from error


def load_as(entry: EntryPoint, kind: type[_T]) -> _T:
    """Import and return a plug-in that must be an instance of `kind`.

    Raises:
        PluginError: See `load`, or the object is of another type.
    """
    found = load(entry)
    if not isinstance(found, kind):
        what = f"{type(found).__name__}, not a {kind.__module__}.{kind.__qualname__}"
        raise PluginError(f"{title(entry)} cannot be used: {entry.value} is a {what}")
    return found


def load_class(entry: EntryPoint, base: type[_T]) -> type[_T]:
    """Import and return a plug-in that must be a subclass of `base`.

    Raises:
        PluginError: See `load`, or the object is not such a class.
    """
    kind = load_as(entry, type)
    if not issubclass(kind, base):
        what = f"{entry.value} is not derived from {base.__module__}.{base.__qualname__}"
        raise PluginError(f"{title(entry)} cannot be used: {what}")
    return kind


def usable(group: str, kind: type[_T], reserved: Collection[str] = ()) -> Iterator[tuple[str, _T]]:
    """Yield name and object of each plug-in of a group that is an instance of `kind`; report unusable ones."""
    entries, clashes = installed(group, reserved)
    for clash in clashes.values():
        report(clash)
    for name, entry in entries.items():
        try:
            yield name, load_as(entry, kind)
        except PluginError as error:
            report(str(error))


def report(problem: str) -> None:
    """Log a warning about a plug-in, once per process; without a logging configuration, it goes to standard error."""
    if problem not in _reported:
        _reported.add(problem)
        import logging  # noqa: PLC0415 - the import takes a tenth of the time of `pygnc --help`

        logging.getLogger(__name__).warning("pygnc: %s", problem)


@contextmanager
def skipped_faults(what: str) -> Iterator[None]:
    """Report an error of a plug-in in the `with` block and continue after the block."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - a plug-in may raise any exception
        report(f"{what} failed: {type(error).__name__}: {error}")


@contextmanager
def named_faults(what: str) -> Iterator[None]:
    """Convert an error of a plug-in in the `with` block to a PluginError that names `what`.

    OSError and ValueError, which are errors of the user, and PluginError are raised unchanged.

    Raises:
        PluginError: The plug-in raised another error.
    """
    try:
        yield
    except (OSError, ValueError, PluginError):
        raise
    except Exception as error:
        raise PluginError(f"{what} failed: {type(error).__name__}: {error}") from error


def missing_library(entry: EntryPoint, error: ModuleNotFoundError) -> str:
    """Return a message that names the smallest extra of the plug-in's distribution which installs a missing library."""
    library, _, part = (error.name or "").partition(".")
    if part and library in sys.modules:
        return f"{title(entry)} cannot be loaded: {error}; install it again"
    if library in {"tkinter", "_tkinter"}:
        return f"`{entry.name}` needs Tk; on Debian: apt install python3-tk"
    extras: dict[str, list[str]] = {}
    for requirement in distribution_of(entry).requires or ():
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra == ['\"](.+?)['\"]", requirement)
        if name and extra:
            extras.setdefault(extra[1], []).append(name[0].replace("-", "_").lower())
    fitting = [extra for extra, names in extras.items() if library.lower() in names]
    smallest = min(fitting, key=lambda extra: len(extras[extra]), default=None)
    wanted = library if smallest is None else f"'{name_of(entry)}[{smallest}]'"
    return f"`{entry.name}` needs the library {library}: pip install {wanted}"


def title(entry: EntryPoint) -> str:
    """Return the name of a plug-in with its distribution and version."""
    return f"`{entry.name}` of {name_of(entry)} {distribution_of(entry).version}"


def name_of(entry: EntryPoint) -> str:
    """Return the name of the distribution of a plug-in."""
    return _name(distribution_of(entry))


@cache
def _name(distribution: Distribution) -> str:
    return str(distribution.metadata["Name"])  # reads and parses a file


def is_ours(entry: EntryPoint) -> bool:
    """Return True if a plug-in belongs to a distribution of PyGNC."""
    return name_of(entry) in OURS


def distribution_of(entry: EntryPoint) -> Distribution:
    """Return the distribution of a plug-in.

    Raises:
        PluginError: The entry point was not found by `installed`.
    """
    if entry.dist is None:
        raise PluginError(f"the entry point {entry.name} belongs to no distribution")
    return entry.dist


def _rank(entry: EntryPoint) -> tuple[bool, str, str]:
    return not is_ours(entry), name_of(entry), entry.value
