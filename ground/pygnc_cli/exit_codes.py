"""Exit codes of the `pygnc` commands; docs/commands.md explains them to users."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes; `pygnc fly` has those of main.py instead.

    Attributes:
        DONE: the command did what it was asked for.
        FAILURE: a check with a negative result, or a fault that no other code describes.
        USAGE: unknown option or subcommand, or one that is not installed.
        INPUT: a file or setting is missing, damaged, or cannot be read or written.
        DEVICE: a device or its port does not answer, refuses, or is in use.
        NETWORK: a server, database or broker does not answer, or refuses.
        WORSE: estimates moved away from the truth, or a run fails that did not fail before.
        INTERRUPTED: Ctrl-C ended the command before it was done.
    """

    DONE = 0
    FAILURE = 1
    USAGE = 2
    INPUT = 3
    DEVICE = 4
    NETWORK = 5
    WORSE = 6
    INTERRUPTED = 130


class UsageError(ValueError):
    """Error raised when arguments of a command contradict each other or are incomplete; the exit code is USAGE."""
