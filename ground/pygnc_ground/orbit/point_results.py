"""Results of the fixes of a normal point: that of the middle one, and the others in as little memory as possible.

Weeks of a receiver's log have hundreds of thousands of fixes. As objects, each takes 1.7 kB; packed, 64 bytes besides
numbers that may be stored on the disk.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.orbit.hypotheses import Hypotheses
from pygnc.estimators.orbit.measurement import Fix, Innovation, RejectCause
from pygnc.estimators.orbit.state import OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.orbit.solution import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class NormalPoint(Fix):
    """Mean of `count` fixes, at the time of one of them, with the standard deviations of a single fix."""

    count: int = 1


class PointFixes:
    """Normal point, its fixes and their innovations, in 30 numbers each.

    They are time, number, latency and sigma of the clock; position and sigma; velocity and sigma; then residual, sigma
    and chi-square of the position, and of the velocity. Without velocities, there are 17.

    Attributes:
        with_velocity: True if the fixes have velocities.
    """

    __slots__ = ("_rows", "with_velocity")

    def __init__(self, point: NormalPoint, fixes: Sequence[Fix], innovations: Sequence[FloatArray]) -> None:
        """Pack n fixes of which all or none have a velocity; residual, sigma and chi-square of each kind are (n, 7)."""
        self.with_velocity = len(innovations) == 2
        seen = [
            (
                fix.gps_ms,
                fix.seq,
                fix.velocity_latency_s,
                fix.time_sigma_s,
                *fix.position_ecef_m,
                *fix.position_sigma_m,
                *(() if fix.velocity_ecef_mps is None else fix.velocity_ecef_mps),
                *(() if fix.velocity_sigma_mps is None else fix.velocity_sigma_mps),
            )
            for fix in (*fixes, point)
        ]
        of_point = np.zeros((1, 7))
        self._rows = np.concatenate((seen, *(np.concatenate((of, of_point)) for of in innovations)), axis=1)

    def store(self, stored: Callable[[FloatArray], FloatArray]) -> None:
        """Replace the numbers by a copy elsewhere."""
        if self._rows.base is None:
            self._rows = stored(self._rows)

    @property
    def point(self) -> NormalPoint:
        """The normal point."""
        return NormalPoint(*self._values(-1), count=len(self._rows) - 1)

    @property
    def point_ms(self) -> int:
        """Time of the normal point, GPS ms."""
        return int(self._rows[-1, 0])

    def fix(self, row: int) -> Fix:
        """Return a fix."""
        return Fix(*self._values(row))

    def _values(self, row: int) -> tuple[int, Array, Array, Array | None, Array | None, float, int, float]:
        values = self._rows[row]
        gps_ms, seq, latency_s, time_sigma_s = values[:4].tolist()
        velocity, sigma = (values[10:13], values[13:16]) if self.with_velocity else (None, None)
        return int(gps_ms), values[4:7], values[7:10], velocity, sigma, latency_s, int(seq), time_sigma_s

    def innovations(self, row: int) -> list[Innovation]:
        """Return the innovations of position and, if there is one, velocity of a fix."""
        x = self._rows[row, 16 if self.with_velocity else 10 :].tolist()
        parts = [x[first : first + 7] for first in range(0, len(x), 7)]
        return [Innovation(tuple(part[:3]), tuple(part[3:6]), part[6]) for part in parts]


class PackedHypotheses:
    """Hypotheses whose arrays follow each other in one, which takes 1 kB less memory."""

    __slots__ = ("_accepted", "_shapes", "_values")

    def __init__(self, hypotheses: Hypotheses, stored: Callable[[FloatArray], FloatArray]) -> None:
        arrays = [getattr(hypotheses, name) for name in _ARRAYS]
        self._values = stored(np.concatenate([array.ravel() for array in arrays]))
        self._shapes = _shared(tuple(array.shape for array in arrays))
        self._accepted = _shared(hypotheses.accepted)

    @property
    def unpacked(self) -> Hypotheses:
        """The hypotheses."""
        ends = accumulate(math.prod(shape) for shape in self._shapes)
        parts = zip(_ARRAYS, np.split(self._values, [*ends][:-1]), self._shapes, strict=True)
        return Hypotheses(**{name: part.reshape(shape) for name, part, shape in parts}, accepted=self._accepted)


_ARRAYS: Final = tuple(field.name for field in fields(Hypotheses) if field.name != "accepted")
_Value = TypeVar("_Value", bound=Hashable)


@lru_cache
def _shared(value: _Value) -> _Value:
    """Return one object for all equal values."""
    return value


if TYPE_CHECKING:
    _Update = OrbitUpdate
else:  # the fields of an update are properties here, and take no memory
    _Update = object


class PointResult(_Update):
    """Result of any fix of a normal point."""

    __slots__ = ("fixes", "row")
    fixes: PointFixes
    row: int

    position_cause = restarted_from_ms = manoeuvre = None
    time_error_s = replaced_error_s = 0.0
    position_accepted = OrbitUpdate.position_accepted
    velocity_accepted = OrbitUpdate.velocity_accepted

    def __init__(self, fixes: PointFixes, row: int) -> None:
        object.__setattr__(self, "fixes", fixes)
        object.__setattr__(self, "row", row)

    @property
    def point(self) -> NormalPoint:
        """The normal point."""
        return self.fixes.point

    @property
    def fix(self) -> Fix:
        """The fix."""
        return self.fixes.fix(self.row)

    @property
    def velocity_cause(self) -> RejectCause | None:
        """No velocity, or None."""
        return None if self.fixes.with_velocity else RejectCause.NO_VELOCITY

    @property
    def position(self) -> Innovation:
        """Innovation of the position."""
        return self.fixes.innovations(self.row)[0]

    @property
    def velocity(self) -> Innovation | None:
        """Innovation of the velocity; None without one."""
        return self.fixes.innovations(self.row)[1] if self.fixes.with_velocity else None

    @property
    def nis(self) -> float:
        """Normalised innovation squared of both."""
        return sum(innovation.chi_square for innovation in self.fixes.innovations(self.row))

    @property
    def dof(self) -> int:
        """Degrees of freedom of `nis`."""
        return 6 if self.fixes.with_velocity else 3


class PointMember(PointResult):
    """Result of a fix of a normal point at another time than the point, without state and hypotheses."""

    __slots__ = ()
    state = empirical_factor = hypotheses = None


class PointUpdate(PointResult):
    """Result of the fix of a normal point at its time, which has the state and the hypotheses."""

    __slots__ = ("_hypotheses", "empirical_factor", "state")
    state: OrbitState
    _hypotheses: Hypotheses | PackedHypotheses

    def __init__(
        self, fixes: PointFixes, row: int, state: OrbitState, hypotheses: Hypotheses, empirical_factor: Array | None
    ) -> None:
        super().__init__(fixes, row)
        object.__setattr__(self, "state", state)
        object.__setattr__(self, "_hypotheses", hypotheses)
        object.__setattr__(self, "empirical_factor", empirical_factor)

    @property
    def hypotheses(self) -> Hypotheses:
        """Hypotheses of the filter after the fix."""
        kept = self._hypotheses
        return kept if isinstance(kept, Hypotheses) else kept.unpacked

    def store(self, stored: Callable[[FloatArray], FloatArray]) -> None:
        """Replace the hypotheses by a copy elsewhere."""
        object.__setattr__(self, "_hypotheses", PackedHypotheses(self.hypotheses, stored))


def is_member(update: OrbitUpdate | None) -> bool:
    """Return True for a fix of a normal point that is at another time than the point."""
    return isinstance(update, PointMember)


def observed(update: OrbitUpdate) -> Fix | None:
    """Return the observation of an update: its fix, or the normal point at its time; None if it is part of another."""
    if is_member(update):
        return None
    return update.point if isinstance(update, PointUpdate) else update.fix
