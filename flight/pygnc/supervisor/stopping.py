"""The order and the time limits in which a run is stopped.

The host cuts the power ten seconds after its Ctrl-C. The line to the host goes first: what it has acknowledged must
find ingest there. Counted from the stop: 0 to 1 s for that line, to 3 s for sources and estimators, to 6 s for the
writers, at 6 s SIGTERM, at 7.5 s SIGKILL, and a hard exit at 9 s whatever happens.
"""

from dataclasses import dataclass
from typing import Final

LINE_END_S: Final = 1.0
DRAIN_END_S: Final = 3.0
WRITE_END_S: Final = 6.0
TERMINATE_AT_S: Final = 6.0
KILL_AT_S: Final = 7.5
HARD_EXIT_AT_S: Final = 9.0
DRAIN_STAGES: Final = frozenset({0, 1, 2})


@dataclass(slots=True)
class StopPlan:
    """Where a stop has got to.

    Attributes:
        cause: what ended the run, in words.
        began_at_s: monotonic time.
        stage: the stop stage that has been told to finish.
    """

    cause: str
    began_at_s: float
    stage: int = -1
    terminated: bool = False
    killed: bool = False

    def hurry(self, now_s: float) -> None:
        """Go straight to SIGTERM: the host asked a second time."""
        self.began_at_s = min(self.began_at_s, now_s - TERMINATE_AT_S)

    def stage_end_s(self) -> float:
        """Monotonic time at which the present stage has had its share."""
        if self.stage == 0:
            return self.began_at_s + LINE_END_S
        return self.began_at_s + (DRAIN_END_S if self.stage in DRAIN_STAGES else WRITE_END_S)

    def must_terminate(self, now_s: float) -> bool:
        """Whether it is time for SIGTERM."""
        return not self.terminated and now_s >= self.began_at_s + TERMINATE_AT_S

    def must_kill(self, now_s: float) -> bool:
        """Whether it is time for SIGKILL."""
        return not self.killed and now_s >= self.began_at_s + KILL_AT_S
