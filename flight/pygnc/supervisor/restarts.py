"""How often a task may be restarted."""

from dataclasses import dataclass, field
from typing import Final

RESTARTS_MAX: Final = 3
WINDOW_S: Final = 60.0
PAUSES_S: Final = (0.2, 1.0, 5.0)


@dataclass(slots=True)
class RestartBudget:
    """Three restarts in a minute, each after a longer pause; restarts older than a minute are forgiven."""

    total: int = 0
    _at: list[float] = field(default_factory=list)

    def pause_s(self, now_s: float) -> float | None:
        """Take one restart out of the budget; return the pause before it, or None when the budget is used up."""
        self._at = [at for at in self._at if now_s - at < WINDOW_S]
        if len(self._at) >= RESTARTS_MAX:
            return None
        pause = PAUSES_S[len(self._at)]
        self._at.append(now_s)
        self.total += 1
        return pause
