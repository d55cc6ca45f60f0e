"""`pygnc`: runs the subcommands of all installed distributions, each loaded on demand with its own libraries."""

import os
import sys

# OpenBLAS threads slow small matrices down, tenfold on a busy machine. This must be set before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Final, NamedTuple, Protocol

import pygnc_system
from pygnc_cli.exit_codes import ExitCode
from pygnc_system import plugins
from pygnc_system.plugins import PluginError

GROUP: Final = "pygnc.commands"
"""Group of the entry points of subcommands. Other packages may add theirs; see docs/plugins.md."""
_COMPLETION: Final = "_PYGNC_COMPLETE"
"""Set by the shell when it asks for completions."""


class Subcommand(Protocol):
    """Function, or application of Typer or click, to which an entry point refers."""

    def __call__(self, arguments: list[str], /, *, prog_name: str) -> object:
        """Run the subcommand; return the exit code, or None for 0."""


class BuiltIn(NamedTuple):
    """Distribution and description of one of our subcommands."""

    distribution: str
    description: str


BUILT_IN: Final[Mapping[str, BuiltIn]] = {
    "fly": BuiltIn("pygnc", "Run the flight software: pygnc fly TIMEOUT_MINUTES SPACECRAFT_TIME_SECONDS."),
    "demo": BuiltIn("pygnc-ground", "Fly a demonstration batch in a new folder, replay it, and write a report."),
    "inspect": BuiltIn(
        "pygnc-ground",
        "Show the content of files: journals, status, info, sense and range files, logs of the original PyGNC.",
    ),
    "scenario": BuiltIn(
        "pygnc-ground", "Generate input files with known truth: pygnc scenario make, from-ephemeris, presets."
    ),
    "replay": BuiltIn(
        "pygnc-ground", "Run the estimators of the flight software on recorded files; write tables and a report."
    ),
    "gate": BuiltIn(
        "pygnc-ground", "Replay an archive of recorded runs and compare the estimates with the accepted ones; for CI."
    ),
    "campaign": BuiltIn(
        "pygnc-ground",
        "Simulate and judge many flights on all cores or a cluster: pygnc campaign FILE, rerun, report.",
    ),
    "bound": BuiltIn(
        "pygnc-ground", "Compute the Cramer-Rao bound: the smallest error that any estimator can have with given fixes."
    ),
    "omm": BuiltIn(
        "pygnc-ground", "Write mean elements of a beacon (pygnc_omm.bin) as an Orbit Mean-elements Message."
    ),
    "calibrate-mag": BuiltIn(
        "pygnc-ground",
        "Estimate bias, scale and axes of the magnetometer from recorded files; write them as settings.",
    ),
    "device": BuiltIn(
        "pygnc-station", "Work with sensors: pygnc device list, info, stream, log, get, set, upgrade, simulate ..."
    ),
    "station": BuiltIn(
        "pygnc-station",
        "Log sensors for years and upload their readings to a server: pygnc station log, batch, upload, serve ...",
    ),
    "bridge": BuiltIn(
        "pygnc-station", "Serve a sensor to browsers: WebSocket for Aceinna Navigation Studio, and a web page."
    ),
    "bridge-window": BuiltIn("pygnc-station", "Control and watch the bridge in a small window."),
}
_OPTIONS: Final = {
    "--help": "Show this list and exit.",
    "--version": "Show the version and exit.",
    "--show-completion": "Print the completion script for this shell.",
    "--install-completion": "Install completion for this shell.",
}


class CommandError(Exception):
    """Error raised when a subcommand cannot be run; the message names the remedy."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILURE) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the arguments name, by default those of the process; return the exit code."""
    try:
        try:
            return _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE


def _dispatch(words: list[str]) -> int:
    first = words[0] if words else ""
    try:
        if _COMPLETION in os.environ or first in {"--show-completion", "--install-completion"}:
            _complete(words)
        elif first == "--version":
            sys.stdout.write(f"pygnc {pygnc_system.__version__}\n")
        elif first in {"", "--help", "-h"}:
            sys.stdout.write(_help())
            return ExitCode.DONE if first else ExitCode.USAGE
        else:
            return _run(first, words[1:])
    except CommandError as error:
        sys.stderr.write(f"pygnc: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


def installed() -> plugins.Installed:
    """Return the installed subcommands; the names of ours are reserved."""
    return plugins.installed(GROUP, BUILT_IN)


def _run(name: str, arguments: list[str]) -> int:
    entries, clashes = installed()
    if name in clashes:
        plugins.report(clashes[name])
    entry = entries.get(name)
    if entry is None:
        raise CommandError(_unknown(name), ExitCode.USAGE)
    try:
        command: Subcommand = plugins.load(entry)
        code = command(arguments, prog_name=f"pygnc {name}")
    except PluginError as error:
        raise CommandError(str(error)) from error
    except ModuleNotFoundError as error:  # a library that only a part of the subcommand uses
        raise CommandError(plugins.missing_library(entry, error)) from error
    return code if isinstance(code, int) else 0


def _unknown(name: str) -> str:
    if name in BUILT_IN:
        distribution = BUILT_IN[name].distribution
        return f"{name} needs {distribution}: pip install {distribution}"
    import difflib  # noqa: PLC0415 - takes a tenth of the time of --help

    (nearest, *_) = [*difflib.get_close_matches(name, [*installed().entries, *BUILT_IN], 1), ""]
    return f"no subcommand {name!r}; " + (f"did you mean {nearest}?" if nearest else "see pygnc --help")


def _complete(words: list[str]) -> None:
    try:
        from pygnc_cli.completion import complete  # noqa: PLC0415 - needs Typer
    except ModuleNotFoundError as error:
        raise CommandError(f"completion needs the library {error.name}: pip install {error.name}") from error
    complete(words)


def _help() -> str:
    """Return the text of --help, which lists what is installed."""
    entries, clashes = installed()
    for clash in clashes.values():
        plugins.report(clash)
    texts = {name: summary(name, entry) for name, entry in entries.items()}
    ordered = [name for name in BUILT_IN if name in texts] + sorted(set(texts) - set(BUILT_IN))
    lines = ["Usage: pygnc SUBCOMMAND [ARGUMENTS]", "", "Orbit, attitude and formation estimates, and sensors.", ""]
    lines += ["Subcommands (pygnc SUBCOMMAND --help shows more):"]
    lines += [f"  {name:15} {texts[name]}" for name in ordered]
    lines += ["", "Options:", *(f"  {name:22} {text}" for name, text in _OPTIONS.items())]
    return "\n".join(lines) + "\n"


def summary(name: str, entry: EntryPoint) -> str:
    """Return the description of a subcommand without importing it; for other packages, that of the package."""
    if name in BUILT_IN:
        return BUILT_IN[name].description
    metadata = plugins.distribution_of(entry).metadata
    return f"{metadata['Summary'] or ''} ({metadata['Name']})".strip()
