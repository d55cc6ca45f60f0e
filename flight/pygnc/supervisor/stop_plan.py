"""Time table of a stop.

The host cuts the power ten seconds after its Ctrl-C. A stop therefore has a fixed time table, counted from the request:

| until | what ends |
|---|---|
| 1 s | stage 0: line to the host and devices; ingest must still receive what they have acknowledged |
| 3 s | stages 1 and 2: ingest, then the estimators |
| 6 s | stages 3 and 4: batch writer, then status |
| 6 s | SIGTERM to all that still run |
| 7.5 s | SIGKILL |
| 9 s | hard exit of main.py |

A stage begins as soon as the tasks of the earlier stages have ended, or when their time is over.
"""

import signal
from dataclasses import dataclass
from typing import Final

LINE_END_S: Final = 1.0
DRAIN_END_S: Final = 3.0
WRITE_END_S: Final = 6.0
TERMINATE_AT_S: Final = 6.0
KILL_AT_S: Final = 7.5
DRAIN_STAGES: Final = frozenset({0, 1, 2})
_STAGE_ENDS_S: Final = (LINE_END_S, DRAIN_END_S, DRAIN_END_S, WRITE_END_S, WRITE_END_S)
_SIGNALS: Final = ((TERMINATE_AT_S, signal.SIGTERM), (KILL_AT_S, signal.SIGKILL))


@dataclass(slots=True)
class StopPlan:
    """State of a stop in progress.

    Attributes:
        began_at_s: Monotonic time of the request, s.
        is_failure: True if the run ends because a critical task has failed.
        stage: Number of the stop stage that was last requested to finish, -1 before the first.
    """

    began_at_s: float
    is_failure: bool = False
    stage: int = -1
    _sent: int = 0

    def hurry(self, now_s: float) -> None:
        """Move the time table forward to SIGTERM, because the host has requested the stop again."""
        self.began_at_s = min(self.began_at_s, now_s - TERMINATE_AT_S)

    def stage_end_s(self) -> float:
        """Return the monotonic time at which the present stage must have ended, s."""
        return self.began_at_s + _STAGE_ENDS_S[self.stage]

    def take_due_signals(self, now_s: float) -> list[signal.Signals]:
        """Return the signals now due for the tasks that still run; each signal is returned once."""
        due = [number for at_s, number in _SIGNALS[self._sent :] if now_s >= self.began_at_s + at_s]
        self._sent += len(due)
        return due
