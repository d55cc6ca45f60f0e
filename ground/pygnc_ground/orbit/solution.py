"""Orbit solution of any estimator: a table of states at the times of the GPS records, and its errors against truth."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Final, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.estimators.orbit.measurement import linearise_fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import LOWER, OrbitState
from pygnc.estimators.orbit.update import OrbitUpdate
from pygnc_ground.truth.orbit_truth import TrueOrbit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Filled: TypeAlias = Callable[[tuple[int, ...], float], FloatArray]
"""Function that returns an array of a shape, filled with a value: `numpy.full`, or one that takes no memory."""


_SPIN: Final = EARTH_ROTATION_RAD_S * np.array(((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
"""Velocity due to the Earth's rotation over position, in ITRF."""
_BLOCK: Final = 4096


@dataclass(frozen=True, slots=True, eq=False)
class OrbitSolution:
    """States at n times, one row per GPS record with a time, in the order of the records.

    Position and velocity of a row are both valid at its time. They are NaN if the estimator has no state.
    """

    gps_ms: IntArray
    """Times in milliseconds since the GPS epoch, shape (n,)."""
    position_ecef_m: FloatArray
    """Positions in ITRF, shape (n, 3)."""
    velocity_ecef_mps: FloatArray
    """Velocities relative to the rotating Earth in ITRF, shape (n, 3)."""
    position_gcrf_m: FloatArray
    """Positions in GCRF, shape (n, 3)."""
    velocity_gcrf_mps: FloatArray
    """Inertial velocities in GCRF, shape (n, 3)."""
    covariance_ecef: FloatArray
    """Covariance of position (m) and velocity (m/s) in ITRF, shape (n, 6, 6)."""
    nis: FloatArray
    """Normalised innovation (batch, smoother: residual) squared of the used part of the record, shape (n,); NaN if no
    part was used.
    """
    dof: IntArray
    """Degrees of freedom of `nis`, shape (n,): 0, 3 or 6."""
    accepted: BoolArray
    """True where any part of the record was used, shape (n,)."""

    def __len__(self) -> int:
        return len(self.gps_ms)

    def part(self, rows: slice) -> Self:
        """Return the solution at some rows."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @property
    def known(self) -> BoolArray:
        """True for rows with a state, shape (n,)."""
        return np.isfinite(self.position_ecef_m[:, 0])

    @property
    def sigma_ecef(self) -> FloatArray:
        """Standard deviations of position (m) and velocity (m/s) in ITRF, shape (n, 6)."""
        return np.sqrt(np.diagonal(self.covariance_ecef, axis1=1, axis2=2))

    @property
    def triangles_rtn(self) -> FloatArray:
        """Covariances of position (m) and inertial velocity (m/s) along RTN of the inertial orbit, shape (n, 21).

        They are lower triangles, row by row.
        """
        triangles = np.empty((len(self), len(LOWER[0])))
        for rows in blocks(len(self)):
            axes = rtn_axes(inertial_states(self.position_ecef_m[rows], self.velocity_ecef_mps[rows]))
            turn = np.zeros((len(axes), 6, 6))
            turn[:, :3, :3] = turn[:, 3:, 3:] = axes
            turn[:, 3:, :3] = axes @ _SPIN
            triangles[rows] = (turn @ self.covariance_ecef[rows] @ turn.transpose(0, 2, 1))[:, *LOWER]
        return triangles


def blocks(count: int) -> Iterator[slice]:
    """Yield slices of `count` rows whose matrices are in memory at once."""
    return (slice(first, first + _BLOCK) for first in range(0, count, _BLOCK))


def newest_state(updates: Sequence[OrbitUpdate]) -> OrbitState | None:
    """Return the newest state of the filter; None without an orbit."""
    states = (update.state for update in updates if update.state is not None)
    return max(states, key=lambda state: state.gps_ms, default=None)


class Usage(NamedTuple):
    """Use of a GPS record by an estimator, by default none; the fields are those of `OrbitSolution`."""

    nis: float = 0.0
    dof: int = 0
    accepted: bool = False

    @classmethod
    def of(cls, update: OrbitUpdate | None) -> Self:
        """Return the use by the filter; None if the record did not reach it."""
        if update is None:
            return cls()
        return cls(update.nis, update.dof, update.position_accepted or update.velocity_accepted)


def residual_usage(update: OrbitUpdate, state: OrbitState, settings: OrbitSettings, frames: EarthFrames) -> Usage:
    """Return the residuals of the accepted parts of a fix against a smoothed state, over the receiver's sigmas."""
    parts = zip(
        linearise_fix(update.fix, state.x, frames, settings.measurement),
        (update.position_accepted, update.velocity_accepted),
        strict=True,
    )
    used = [observation for observation, is_accepted in parts if observation is not None and is_accepted]
    chi_square = sum(float(np.square(observation.residual / observation.sigma).sum()) for observation in used)
    return Usage(chi_square, 3 * len(used), accepted=bool(used))


def unknown_solution(gps_ms: IntArray, filled: Filled = np.full) -> OrbitSolution:
    """Return a solution at the times (n,) without states and without used records, whose arrays `filled` returns."""
    count = len(gps_ms)
    return OrbitSolution(
        gps_ms=gps_ms,
        position_ecef_m=filled((count, 3), np.nan),
        velocity_ecef_mps=filled((count, 3), np.nan),
        position_gcrf_m=filled((count, 3), np.nan),
        velocity_gcrf_mps=filled((count, 3), np.nan),
        covariance_ecef=filled((count, 6, 6), np.nan),
        nis=filled((count,), np.nan),
        dof=np.zeros(count, dtype=np.int64),
        accepted=np.zeros(count, dtype=np.bool_),
    )


def set_states(  # noqa: PLR0917 - what belongs to a state
    solution: OrbitSolution,
    rows: IntArray | list[int],
    gps_ms: IntArray,
    states: FloatArray,
    covariance: FloatArray,
    frames: EarthFrames,
) -> None:
    """Write states in GCRF (k, 6) at times (k,), with covariances (k, 6, 6), to rows (k,) of the solution."""
    transform = frames.ecef_states_from_gcrf(gps_ms)
    ecef = np.einsum("nij,nj->ni", transform, states)
    solution.position_ecef_m[rows], solution.velocity_ecef_mps[rows] = ecef[:, :3], ecef[:, 3:]
    solution.position_gcrf_m[rows], solution.velocity_gcrf_mps[rows] = states[:, :3], states[:, 3:]
    solution.covariance_ecef[rows] = transform @ covariance @ transform.transpose(0, 2, 1)


def solution_from_states(
    gps_ms: Sequence[int],
    states: Sequence[OrbitState | None],
    usage: Iterable[Usage],
    frames: EarthFrames,
    filled: Filled = np.full,
) -> OrbitSolution:
    """Return the solution at the times `gps_ms`; unknown states are None. All sequences have equal length.

    `filled` returns its arrays.
    """
    solution = unknown_solution(np.array(gps_ms, dtype=np.int64), filled)
    for row, use in enumerate(usage):
        solution.accepted[row] = use.accepted
        if use.dof:
            solution.nis[row], solution.dof[row] = use.nis, use.dof
    every = [row for row, state in enumerate(states) if state is not None]
    for block in blocks(len(every)):
        known = [(row, state) for row in every[block] if (state := states[row]) is not None]
        x = np.array([state.x[:6] for _, state in known])
        roots = (state.sqrt_covariance[:6] for _, state in known)
        covariance = np.array([root.dot(root.T) for root in roots])
        at_ms = np.array([state.gps_ms for _, state in known], dtype=np.int64)
        set_states(solution, [row for row, _ in known], at_ms, x, covariance, frames)
    return solution


@dataclass(frozen=True, slots=True, eq=False)
class OrbitErrors:
    """Estimate minus truth at the n rows of a solution for which both are known.

    RTN are the radial, transverse (along-track) and normal axes of the true orbit in inertial space; velocities are
    relative to the rotating Earth, resolved in the same axes.
    """

    row: IntArray
    """Index of the row in the solution, shape (n,)."""
    gps_ms: IntArray
    """Times in milliseconds since the GPS epoch, shape (n,)."""
    position_rtn_m: FloatArray
    """Position errors, shape (n, 3)."""
    velocity_rtn_mps: FloatArray
    """Velocity errors, shape (n, 3)."""
    position_sigma_rtn_m: FloatArray
    """Formal standard deviations of the position, shape (n, 3)."""
    velocity_sigma_rtn_mps: FloatArray
    """Formal standard deviations of the velocity, shape (n, 3)."""
    nees: FloatArray
    """Normalised estimation error squared, 6 degrees of freedom, shape (n,)."""

    def __len__(self) -> int:
        return len(self.gps_ms)


def later(gps_ms: IntArray, fraction: float) -> BoolArray:
    """Return flags, shape (n,), of the times (n,) after the first `fraction` of their span."""
    if not len(gps_ms):
        return np.zeros(0, dtype=bool)
    begin, end = int(gps_ms.min()), int(gps_ms.max())
    return np.asarray(gps_ms >= begin + fraction * (end - begin))


def rms_3d(vectors: FloatArray) -> float:
    """Return the root of the mean squared length of vectors (n, 3); NaN for none."""
    return float(np.sqrt((vectors**2).sum(axis=1).mean())) if len(vectors) else float("nan")


def normalised_squares(error: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return squared errors (..., d) normalised by their covariances (..., d, d), shape (...)."""
    squared: FloatArray = (error * np.linalg.solve(covariance, error[..., None])[..., 0]).sum(axis=-1)
    return squared


def orbit_errors(solution: OrbitSolution, true: TrueOrbit) -> OrbitErrors:
    """Return the errors of a solution in its rows with known truth; `true` has the states at all its times."""
    row = np.flatnonzero(solution.known & np.isfinite(true.position_ecef_m[:, 0]))
    error_rtn, sigma, nees = np.empty((len(row), 6)), np.empty((len(row), 6)), np.empty(len(row))
    for block in blocks(len(row)):
        at = row[block]
        position, velocity = true.position_ecef_m[at], true.velocity_ecef_mps[at]
        axes = rtn_axes(inertial_states(position, velocity))
        error = np.concatenate(
            (solution.position_ecef_m[at] - position, solution.velocity_ecef_mps[at] - velocity), axis=1
        )
        covariance = solution.covariance_ecef[at]
        both = np.zeros((len(at), 6, 6))
        both[:, :3, :3] = both[:, 3:, 3:] = axes
        sigma[block] = np.sqrt(np.einsum("nij,njk,nik->ni", both, covariance, both))
        error_rtn[block] = np.einsum("nij,nj->ni", both, error)
        nees[block] = normalised_squares(error, covariance)
    return OrbitErrors(
        row=row,
        gps_ms=solution.gps_ms[row],
        position_rtn_m=error_rtn[:, :3],
        velocity_rtn_mps=error_rtn[:, 3:],
        position_sigma_rtn_m=sigma[:, :3],
        velocity_sigma_rtn_mps=sigma[:, 3:],
        nees=nees,
    )


def inertial_states(position_ecef_m: FloatArray, velocity_ecef_mps: FloatArray) -> FloatArray:
    """Return states with inertial velocities along ITRF axes, (n, 6); sufficient for RTN, which needs no fixed axes."""
    return np.concatenate((position_ecef_m, velocity_ecef_mps + position_ecef_m @ _SPIN.T), axis=1)


def along_orbit(position_m: FloatArray, state: FloatArray) -> FloatArray:
    """Return a position (3,) relative to a state (6,): higher, along the orbit's arc, and across it, in m.

    A Cartesian covariance in these coordinates holds for errors of hundreds of kilometres along the orbit, too.
    """
    radial, transverse, normal = rtn_axes(state).dot(position_m)
    radius_m, distance_m = float(np.linalg.norm(state[:3])), float(np.linalg.norm(position_m))
    arcs = math.atan2(transverse, radial), math.asin(normal / distance_m)
    return np.array([distance_m - radius_m, *(radius_m * arc for arc in arcs)])


def rtn_axes(states: FloatArray) -> FloatArray:
    """Return the unit vectors radial, transverse and normal of inertial states (..., 6) as rows, shape (..., 3, 3)."""
    position_m, velocity_mps = states[..., :3], states[..., 3:]
    radial = position_m / np.linalg.norm(position_m, axis=-1, keepdims=True)
    normal = np.cross(position_m, velocity_mps)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    return np.stack((radial, np.cross(normal, radial), normal), axis=-2)
