"""What the supervisor must know of a task. The table of all tasks is `pygnc.tasks.table`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One OS process.

    Attributes:
        name: in health, events and process lists.
        purpose: one line for people.
        entry: `module:Class`, imported by name only.
        reads: streams and files it takes in.
        writes: streams and files it gives out.
        critical: when its restarts are used up, the run ends; an optional task is marked failed and the rest goes on.
        stop_stage: tasks are stopped in ascending stages, those of one stage together.
        silence_limit_s: without an answer to its pings for so long it is killed and restarted.
        reports_run: it is sent the state of the whole run.
    """

    name: str
    purpose: str
    entry: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    critical: bool
    stop_stage: int
    silence_limit_s: float
    reports_run: bool = False
