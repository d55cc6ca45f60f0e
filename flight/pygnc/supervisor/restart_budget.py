"""Limit of the restarts of a task."""

from dataclasses import dataclass, field
from typing import Final

RESTARTS_MAX: Final = 3
WINDOW_S: Final = 60.0
PAUSES_S: Final = (0.2, 1.0, 5.0)


@dataclass(slots=True)
class RestartBudget:
    """Restarts of one task: at most `RESTARTS_MAX` within `WINDOW_S`, each after a longer pause.

    Attributes:
        total: Restarts since the start of the run.
    """

    total: int = 0
    _times_s: list[float] = field(default_factory=list)

    def pause_s(self, now_s: float) -> float | None:
        """Count one restart and return the pause before it, s; return None if the budget is exhausted."""
        self._times_s = [at_s for at_s in self._times_s if now_s - at_s < WINDOW_S]
        if len(self._times_s) >= RESTARTS_MAX:
            return None
        pause_s = PAUSES_S[len(self._times_s)]
        self._times_s.append(now_s)
        self.total += 1
        return pause_s
