"""Command line of main.py."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pygnc
from pygnc.launch.options import OPTIONS
from pygnc_system.files import read_input

USAGE: Final = (
    "usage: python main.py <timeout_minutes> <spacecraft_time_seconds> [--config FILE] [--exit-when-done]"
    " [--from-last-run] [--strict] (two whole numbers, not negative), or: python main.py --version | --help"
    ", or: python main.py --install | --uninstall (as a service of systemd; --install --help shows options)"
)
MINUTES_MAX: Final = 10**7
SECONDS_MAX: Final = 2**32 - 1
"""Maximum spacecraft time, s: it has 32 bits in all packets."""

_FLAGS: Final = ("--exit-when-done", "--from-last-run", "--strict")
_PACKAGE_INFO: Final = "pygnc_version.info"
"""Name of the file beside main.py with date, commit and version; only unpacked packages have it."""
_PACKAGE_INFO_BYTES_MAX: Final = 1000


class UsageError(ValueError):
    """Error raised when the command line is invalid; the message ends with the usage."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; {USAGE}")


@dataclass(frozen=True, slots=True)
class Arguments:
    """Parsed arguments.

    Attributes:
        timeout_min: Maximum duration of the run, minutes.
        t_spacecraft_s: Spacecraft time at the start, s.
        config: Settings file.
        exit_when_done: True if the run ends when its batch is processed.
        from_last_run: True if the run begins with the files written by the previous run.
        strict: True if a faulty settings file ends the run; otherwise those of the last good run replace it.
    """

    timeout_min: int
    t_spacecraft_s: int
    config: Path | None = None
    exit_when_done: bool = False
    from_last_run: bool = False
    strict: bool = False


def parse(words: list[str]) -> Arguments:
    """Parse the command-line arguments, without the program's name.

    Raises:
        UsageError: The words do not match `USAGE`.
    """
    if len(words) < 2:
        raise UsageError(f"{len(words)} arguments given; timeout and spacecraft time are required")
    timeout_min = _whole("timeout", words[0], MINUTES_MAX)
    t_spacecraft_s = _whole("spacecraft time", words[1], SECONDS_MAX)
    config: Path | None = None
    flags: set[str] = set()
    options = iter(words[2:])
    for option in options:
        if option in _FLAGS:
            flags.add(option)
        elif option != "--config":
            raise UsageError(f"{option!r} is not an option; choose from {', '.join(('--config FILE', *_FLAGS))}")
        elif (file := next(options, None)) is None:
            raise UsageError("--config lacks the name of the settings file: --config FILE")
        else:
            config = Path(file)
    return Arguments(
        timeout_min,
        t_spacecraft_s,
        config,
        exit_when_done="--exit-when-done" in flags,
        from_last_run="--from-last-run" in flags,
        strict="--strict" in flags,
    )


def help_text() -> str:
    """Return the text of --help: usage, purpose and options."""
    lines = [f"  {option:18} {description}" for option, description in OPTIONS.items()]
    what = "Run the flight software on the files of the host, for at most the timeout, from the given spacecraft time."
    usage = USAGE.replace(", or: ", "\n   or: ").replace(" [--exit", "\n       [--exit")
    return "\n".join([usage, "", what, "", "Options:", *lines]) + "\n"


def version_text() -> str:
    """Return the text of --version: name and version, in an unpacked package also date and commit."""
    try:
        file = Path(pygnc.__file__).parents[1] / _PACKAGE_INFO
        date, commit, version = read_input(file, _PACKAGE_INFO_BYTES_MAX).decode("ascii").split()
    except (OSError, ValueError):  # a repository checkout, or another program's file of this name
        return f"PyGNC {pygnc.__version__}"
    return f"PyGNC {version} {date} {commit}"


def _whole(name: str, word: str, largest: int) -> int:
    if not (word.isascii() and word.isdigit()) or int(word[:20]) > largest or len(word) > 20:
        raise UsageError(f"{name} {word!r} is not a whole number from 0 to {largest}")
    return int(word)
