"""Motion of an arc as a linear function of all parameters, about a reference.

This is Newton's method on the equations of motion (quasi-linearisation; Bellman & Kalaba, 1965): the reference need not
satisfy them. Forces are evaluated along it, the linear motion follows without further evaluations and becomes the next
reference. The error decreases quadratically: 10 km become 10 m, then nothing.
"""

from typing import Final, NamedTuple

import numpy as np

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import SpacecraftSettings
from pygnc_ground.orbit.batch import collocation
from pygnc_ground.orbit.batch.collocation import (
    NODE,
    NODES,
    SEGMENT_S,
    LinearForce,
    integrate,
    respond,
    states_at,
    weights,
)
from pygnc_ground.orbit.batch.forces import SEGMENTS_PER_INTERVAL, STATE, ArcForces, ArcParameters
from pygnc_ground.orbit.solution import FloatArray, IntArray

SEGMENT_MS = round(1e3 * SEGMENT_S)
_ROWS_AT_ONCE: Final = 4096


class Grid:
    """Segments of equal length that cover an arc from its first epoch to its last or beyond."""

    def __init__(self, first_gps_ms: int, last_gps_ms: int) -> None:
        self.begin_gps_ms = first_gps_ms
        self.segments = max(-(-(last_gps_ms - first_gps_ms) // SEGMENT_MS), 1)

    def locate(self, gps_ms: IntArray, offset_s: FloatArray) -> tuple[IntArray, FloatArray]:
        """Return segment index and elapsed fraction of the segment for epochs `gps_ms` plus `offset_s`, each (n,)."""
        segment = np.clip((gps_ms - self.begin_gps_ms) // SEGMENT_MS, 0, self.segments - 1)
        since_ms = gps_ms - self.begin_gps_ms - SEGMENT_MS * segment
        return segment, (1e-3 * since_ms + offset_s) / SEGMENT_S


class ArcDynamics:
    """Equations of motion of an arc, with the forces at the nodes of its grid."""

    def __init__(
        self,
        grid: Grid,
        frames: EarthFrames,
        craft: SpacecraftSettings,
        segments_per_interval: int = SEGMENTS_PER_INTERVAL,
    ) -> None:
        self.grid = grid
        self.parameters = ArcParameters(grid.segments, segments_per_interval)
        starts_gps_ms = grid.begin_gps_ms + SEGMENT_MS * np.arange(grid.segments)
        node_s = np.tile(SEGMENT_S * NODE, grid.segments)
        self._forces = ArcForces(np.repeat(starts_gps_ms, NODES), node_s, frames, craft)

    def linearise(self, reference: FloatArray, values: FloatArray) -> "LinearMotion":
        """Return the motion linearised about states in GCRF at the nodes (k, s, 6), m and m/s, and parameters (p,)."""
        shape = reference.shape[:2]
        along = self._forces.at(reference.reshape(-1, 6), self.parameters.at_nodes(values))
        force = LinearForce(*(part.reshape(*shape, *part.shape[1:]) for part in along))
        force = force._replace(d_parameter=self.parameters.local(force.d_parameter))
        return LinearMotion(self.grid, self.parameters, respond(force, reference), values)


class LocalDerivatives(NamedTuple):
    """Derivatives of n states by what acts in their segments, which is little, and of that by the parameters."""

    column: IntArray
    """First column of the quantities of a state's segment, shape (n,)."""
    states: FloatArray
    """Derivatives by the state at the segment's start and by the parameters that act in it, shape (n, 6, w)."""
    carried: FloatArray
    """Derivatives of the quantities of all segments by the first q parameters, shape (w segments, q)."""

    def rows(self, which: IntArray, partials: FloatArray) -> FloatArray:
        """Return the derivatives of functions of positions by all columns, shape (m, w segments).

        `which` are the states of the functions, shape (m,), and `partials` the derivatives by the position, (m, 3).
        """
        design = np.zeros((len(which), len(self.carried)))
        columns = self.column[which][:, None] + np.arange(self.states.shape[2])
        design[np.arange(len(which))[:, None], columns] = (partials[:, None] @ self.states[which, :3])[:, 0]
        return design


class LinearMotion:
    """States at any time as linear functions of corrections to the parameters.

    Cost: some microseconds per segment and epoch, times the number of parameters.
    """

    def __init__(self, grid: Grid, parameters: ArcParameters, response: FloatArray, values: FloatArray) -> None:
        self._grid = grid
        self._parameters = parameters
        self._response = response
        self._start = np.empty((grid.segments, 6))
        self._d_parameters = np.zeros((grid.segments, 6, parameters.count))
        self._start[0] = values[STATE]
        self._d_parameters[0, :, STATE] = np.eye(6)
        step = states_at(response, np.ones(1))
        for segment in range(1, grid.segments):
            before = step[segment - 1]
            self._start[segment] = before[:, 0] + before[:, collocation.STATE].dot(self._start[segment - 1])
            self._d_parameters[segment] = before[:, collocation.STATE].dot(self._d_parameters[segment - 1])
            self._d_parameters[segment][:, parameters.local_columns[segment - 1]] += before[:, collocation.LOCAL]

    def states(self, gps_ms: IntArray, offset_s: FloatArray) -> FloatArray:
        """Return uncorrected position and velocity in GCRF at `gps_ms` plus `offset_s`, each (n,); shape (n, 6)."""
        constant, by_state = self._response[..., 0], self._response[..., collocation.STATE]
        acceleration = constant + np.einsum("kiac,kc->kia", by_state, self._start)
        return self._moved(gps_ms, offset_s, self._start, acceleration)

    def derivatives(self, gps_ms: IntArray, offset_s: FloatArray, partials: FloatArray | None = None) -> FloatArray:
        """Return the derivatives by the first q parameters of the states, shape (n, 6, q).

        With `partials` by the states (n, m, 6), they are those of m functions of each state, shape (n, m, q). The later
        parameters act after all epochs.
        """
        segment, fraction = self._grid.locate(gps_ms, offset_s)
        local = states_at(self._response[segment], fraction)
        if partials is not None:
            local = partials @ local
        columns = self._parameters.local_columns[segment]
        acting = int(columns.max(initial=0)) + 1
        derivatives: FloatArray = local[:, :, collocation.STATE] @ self._d_parameters[segment, :, :acting]
        row, component = np.ogrid[: len(gps_ms), : local.shape[1]]
        derivatives[row[:, :, None], component[:, :, None], columns[:, None]] += local[:, :, collocation.LOCAL]
        return derivatives

    def local_derivatives(self, gps_ms: IntArray, offset_s: FloatArray) -> LocalDerivatives:
        """Return the derivatives of the states at `gps_ms` plus `offset_s`, each (n,), in two steps.

        Normal equations of many functions of few segments are formed faster with them.
        """
        segment, fraction = self._grid.locate(gps_ms, offset_s)
        segments, which = np.unique(segment, return_inverse=True)
        columns = self._parameters.local_columns[segments]
        count, width = columns.shape[0], 6 + columns.shape[1]
        carried = np.zeros((count, width, int(columns.max(initial=0)) + 1))
        carried[:, :6] = self._d_parameters[segments, :, : carried.shape[2]]
        carried[np.arange(count)[:, None], np.arange(6, width), columns] = 1.0
        states = states_at(self._response[segment], fraction)[:, :, 1:]
        return LocalDerivatives(width * which, states, carried.reshape(count * width, -1))

    def changes(self, gps_ms: IntArray, offset_s: FloatArray, correction: FloatArray) -> FloatArray:
        """Return the changes of the states by a correction (p,) of the parameters, shape (n, 6).

        They are those of `derivatives`, in a fraction of the time.
        """
        start = self._d_parameters @ correction
        known = np.concatenate((start, correction[self._parameters.local_columns]), axis=1)
        acceleration = np.einsum("kiac,kc->kia", self._response[..., 1:], known)
        return self._moved(gps_ms, offset_s, start, acceleration)

    def covariances(self, gps_ms: IntArray, covariance: FloatArray) -> FloatArray:
        """Return the covariances of the states at times (n,) by that of the parameters, shape (p, p); (n, 6, 6).

        States in a segment depend on the state at its start and on its own parameters only, so that their covariances
        follow from one of 15 by 15 per segment.
        """
        segment, fraction = self._grid.locate(gps_ms, np.zeros(len(gps_ms)))
        segments, which = np.unique(segment, return_inverse=True)
        of_start, columns = self._d_parameters[segments], self._parameters.local_columns[segments]
        carried = of_start @ covariance
        both = np.empty((len(segments), 6 + columns.shape[1], 6 + columns.shape[1]))
        both[:, :6, :6] = carried @ of_start.transpose(0, 2, 1)
        both[:, :6, 6:] = np.take_along_axis(carried, columns[:, None], axis=2)
        both[:, 6:, :6] = both[:, :6, 6:].transpose(0, 2, 1)
        both[:, 6:, 6:] = covariance[columns[:, :, None], columns[:, None]]
        local = states_at(self._response[segment], fraction)[:, :, 1:]
        covariances: FloatArray = local @ both[which] @ local.transpose(0, 2, 1)
        return covariances

    def _moved(
        self, gps_ms: IntArray, offset_s: FloatArray, start: FloatArray, acceleration_mps2: FloatArray
    ) -> FloatArray:
        """Return states (n, 6) after the starts of all segments (k, 6) with accelerations at the nodes, (k, s, 3)."""
        moved = np.empty((len(gps_ms), 6))
        # The weights and accelerations of all measurements of a day at once have 50 MB.
        for first in range(0, len(gps_ms), _ROWS_AT_ONCE):
            rows = slice(first, first + _ROWS_AT_ONCE)
            segment, fraction = self._grid.locate(gps_ms[rows], offset_s[rows])
            position, velocity = weights(fraction)
            begin, along = start[segment], acceleration_mps2[segment]
            position_m = SEGMENT_S**2 * (position[:, None] @ along)[:, 0] + SEGMENT_S * fraction[:, None] * begin[:, 3:]
            moved[rows, :3] = begin[:, :3] + position_m
            moved[rows, 3:] = begin[:, 3:] + SEGMENT_S * (velocity[:, None] @ along)[:, 0]
        return moved

    def nodes(self, correction: FloatArray) -> FloatArray:
        """Return the states at all nodes after a correction (p,) of the parameters, shape (k, s, 6)."""
        known = np.ones((self._grid.segments, self._response.shape[3]))
        known[:, collocation.STATE] = self._start + self._d_parameters @ correction
        known[:, collocation.LOCAL] = correction[self._parameters.local_columns]
        return integrate(known[:, collocation.STATE], np.einsum("kiac,kc->kia", self._response, known), NODE)
