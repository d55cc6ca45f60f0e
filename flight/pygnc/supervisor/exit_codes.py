"""How main.py ends, for the host: documented in docs/interface.md."""

from enum import IntEnum, unique


@unique
class ExitCode(IntEnum):
    """Exit codes of main.py."""

    OK = 0
    """The batch is done, the timeout has come, or the host stopped the run."""
    USAGE = 2
    """Wrong arguments or an unusable configuration file."""
    ALREADY_RUNNING = 3
    """Another main.py runs in the same home."""
    TASK_FAILED = 4
    """A critical task failed again after all its restarts; the run was ended in order."""
    NOT_RECORDED = 5
    """The run went to its end, but a part of it could not be recorded (disk full, home not writable)."""
    FORCED = 6
    """Stopped as asked, but a task had to be killed."""
    NO_HOME = 7
    """There is no home folder, or it cannot be entered."""
