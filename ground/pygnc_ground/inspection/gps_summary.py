"""What the GPS packets of a file say, taken together: statuses, satellites, sigmas. Constant in memory."""

from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pygnc.common.constants import GpsTimeStatus, SolutionStatus
from pygnc.formats.gps_packet import GpsFixes
from pygnc_ground.inspection.sections import Listing, Note, Section, Value

_STATUSES: Final = {
    "time_status": GpsTimeStatus,
    "position_status": SolutionStatus,
    "velocity_status": SolutionStatus,
}
_QUANTITIES: Final = (
    "satellites_tracked",
    "satellites_used",
    "position_sigma_m",
    "velocity_sigma_mps",
    "velocity_latency_s",
    "solution_age_s",
)


class GpsSummary:
    """Takes decoded GPS packets in any number of pieces."""

    def __init__(self) -> None:
        self.count = 0
        self.computed = 0
        """Packets with a position that the receiver itself calls computed."""
        self._uncomputed_positions = 0
        self._statuses: dict[str, Counter[int]] = {name: Counter() for name in _STATUSES}
        self._extremes: dict[str, tuple[float, float]] = {}

    def add(self, fixes: GpsFixes) -> None:
        """Look at further packets."""
        self.count += len(fixes)
        position = fixes.position_ecef_m
        has_position = np.isfinite(position).all(axis=1) & (position != 0.0).any(axis=1)
        has_position &= (fixes.gps_week > 0) & (fixes.satellites_used > 0)
        computed = fixes.position_status == SolutionStatus.COMPUTED
        self.computed += int(np.count_nonzero(has_position & computed))
        self._uncomputed_positions += int(np.count_nonzero(has_position & ~computed))
        for name, counter in self._statuses.items():
            words = getattr(fixes, name)
            if words is not None:
                counter.update(dict(zip(*(part.tolist() for part in np.unique_counts(words)), strict=True)))
        for name in _QUANTITIES:
            self._widen(name, getattr(fixes, name))

    def sections(self) -> list[Section]:
        """Say what was seen."""
        if not self.count:
            return []
        statuses: list[tuple[Value, ...]] = [
            (name, word, _in_words(name, word), count)
            for name, counter in self._statuses.items()
            for word, count in sorted(counter.items())
        ]
        quantities = [(name, *self._extremes[name]) for name in _QUANTITIES if name in self._extremes]
        notes: list[Section] = []
        if self._uncomputed_positions and not self.computed:
            notes.append(
                Note(
                    "every position here carries the status of a receiver without a solution, as PyGNC's simulator"
                    " writes it: to use them, set accept_position_status = [0, 1]"
                )
            )
        return [
            Listing("GPS statuses", ("word", "value", "meaning", "packets"), statuses),
            *notes,
            Listing("GPS quantities", ("quantity", "least", "most"), quantities),
        ]

    def _widen(self, name: str, values: NDArray[Any]) -> None:
        finite = values[np.isfinite(values)]
        if finite.size:
            least, most = self._extremes.get(name, (np.inf, -np.inf))
            self._extremes[name] = (min(least, finite.min().item()), max(most, finite.max().item()))


def _in_words(name: str, word: int) -> str:
    try:
        return _STATUSES[name](word).name.lower().replace("_", " ")
    except ValueError:
        return "no known status"
