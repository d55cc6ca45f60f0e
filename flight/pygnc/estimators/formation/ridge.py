"""Likelihood ridges: covariances of solutions on curved ridges of the likelihood.

Ranges to one satellite leave one direction in which an orbit is hardly known. The region of low cost along this
direction is an arc, which the covariance of the problem linearised at the minimum does not describe. The ridge is
followed to both sides in steps of its coordinate s, and the covariance becomes the second moment about the minimum x0,

    C = integral p(s) [C_perp(s) + (x(s) - x0)(x(s) - x0)'] ds / integral p(s) ds,
    p(s) = exp(-J(x(s)) / 2 + log_volume(s)),

with the cost J, the covariance C_perp perpendicular to the ridge and the logarithm of its volume: Laplace's
approximation in all directions but one (Tierney & Kadane, JASA 81, 1986). The least-known direction perpendicular to
the ridge may be curved, too, for example if a partner moves in our orbital plane. Then the ridge within the slice
through the minimum is also followed, and its additional second moments are added. Finally other minima nearby are
included with their probabilities. The estimate remains the best fit.

The ridge runs in the direction in which the variance of the partners' mirror elements is largest.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.formation.least_squares import differs_from
from pygnc.estimators.formation.observation_equations import Equations, Fit
from pygnc.estimators.formation.reference import STATE_SIZE, state_indices
from pygnc.estimators.formation.relative_coordinates import d_mirror_elements_d_state, mirror_elements
from pygnc.estimators.kalman import covariance_root, scaled_inverse

_CURVATURE_MIN: Final = 0.03
"""Minimum of `CostFunction.curvature` for which a ridge is followed; less hardly changes the covariance."""
_NEIGHBOUR_SIGMAS: Final = 6.0
"""Largest distance of minima on the same ridge, in standard deviations along the line that joins them. If the cost is
of fourth order along it, it rises by 6^2 / 16 = 2.25 in between, where the density is still a third."""


class RidgePoints(NamedTuple):
    """Points on k likelihood ridges.

    Attributes:
        parameters: Parameter vectors, (k, p).
        cost: Cost, (k,).
        covariance: Covariance of the problem linearised at the point, (k, p, p).
        coordinate: Coefficients of the ridge coordinate: s = coordinate . parameters, in m, (k, p).
        log_volume: Logarithm of the volume of the covariance perpendicular to the ridge, (k,).
    """

    parameters: Array
    cost: Array
    covariance: Array
    coordinate: Array
    log_volume: Array

    def select(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "RidgePoints":
        """Return the points `rows`, indices or a mask."""
        return RidgePoints(*(part[rows] for part in self))

    def tangent(self) -> Array:
        """Return the derivative of the parameters along the ridge with respect to its coordinate, per m, (k, p)."""
        response = (self.covariance @ self.coordinate[..., None])[..., 0]
        tangent: Array = response / (response * self.coordinate).sum(axis=1)[:, None]
        return tangent

    def variance(self) -> Array:
        """Return the variance of the ridge coordinate in m^2, (k,)."""
        variance: Array = np.einsum("ki,kij,kj->k", self.coordinate, self.covariance, self.coordinate)
        return variance


class Origin(NamedTuple):
    """Minima from which the parameters on ridges are subtracted.

    Attributes:
        parameters: Parameter vectors, (k, p).
        elements: Mirror elements of all partners in m, (k, 6 partners).
        d_state_d_elements: Derivatives of the state of each partner, (k, partners, 6, 6).
    """

    parameters: Array
    elements: Array
    d_state_d_elements: Array

    def select(self, rows: npt.NDArray[np.int64]) -> "Origin":
        """Return the minima with the indices `rows`."""
        return Origin(*(part[rows] for part in self))


class CostFunction:
    """Cost of the observations of some satellites as a function of all their parameters.

    A slice is the part of the parameter space in which the ridge coordinate has the same value as at one point of the
    ridge. It is represented by a tight constraint on the coordinate, which is added to the cost. Methods with `within`
    (k points, or None) treat ridges within the slices through these points instead of ridges of the whole cost.

    Args:
        equations: Observation equations.
        own: Our own position and velocity (6,) as deviations from the reference; need not be exact.
    """

    def __init__(self, equations: Equations, own: Array) -> None:
        self._equations = equations
        reference = equations.dynamics.reference
        self._own = reference.nodes.state[reference.epoch_node] + own
        self._partners = [state_indices(number)[:6] for number in range(1, len(equations.satellites))]
        self._position_columns = np.concatenate([columns[:3] for columns in self._partners])

    def follow(self, start: RidgePoints, length_m: Array, within: RidgePoints | None = None) -> RidgePoints:
        """Return points on the ridges `length_m` (k,) beyond `start`: a step along the tangent, corrected by Newton."""
        parameters = start.parameters + length_m[:, None] * start.tangent()
        fit = self._fit_within(within, parameters)
        covariance = scaled_inverse(fit.information)
        step = (covariance @ fit.gradient[..., None])[..., 0]
        response = (covariance @ start.coordinate[..., None])[..., 0]
        share = (step * start.coordinate).sum(axis=1) / (response * start.coordinate).sum(axis=1)
        step = step - share[:, None] * response
        correction_m = np.abs(step[:, self._position_columns]).max(axis=1)
        # A correction much longer than the step means that the step was too long; it is shortened.
        excess = correction_m / (4.0 * length_m + 1e-3)
        parameters = parameters + step / np.maximum(1.0, excess)[:, None]
        return self.points_at(parameters, within, start.coordinate)

    def curvature(self, points: RidgePoints) -> Array:
        """Return the curvature of the ridges in units of the noise, (k,).

        It is the second-order change of a range by a step of one sigma along the ridge, divided by the range noise,
        squared, and summed over all ranges.
        """
        shift = np.sqrt(points.variance())[:, None] * points.tangent()
        equations = self._equations
        motion = equations.motion(points.parameters, partials=False)
        total = np.zeros(len(shift))
        for pair, rows in enumerate(equations.ranges):
            _, relative_position_m, distance_m = equations.range_residuals(pair, points.parameters, motion)
            one, other = (
                shift[:, state_indices(end)] @ design[..., :STATE_SIZE].swapaxes(1, 2)
                for end, design in zip(rows.pair, rows.designs, strict=True)
            )
            moved_m, distance_m = other - one, np.maximum(distance_m, 1.0)
            radial_m = (moved_m * relative_position_m).sum(axis=2) / distance_m
            second_order_m = 0.5 * ((moved_m**2).sum(axis=2) - radial_m**2) / distance_m
            total += ((second_order_m / equations.noise.range_sigma_m[pair]) ** 2)[rows.at].sum(axis=0)
        return total

    def size_m(self, parameters: Array) -> Array:
        """Return the largest absolute mirror element of any partner in m, (k,), for parameters (k, p)."""
        size_m: Array = np.abs(self.elements(parameters)).max(axis=1)
        return size_m

    def origin(self, parameters: Array) -> Origin:
        """Return minima (k, p) as the origin of `differences`."""
        derivatives = [
            np.linalg.inv(d_mirror_elements_d_state(self._own, parameters[:, columns] - parameters[:, :6]))
            for columns in self._partners
        ]
        return Origin(parameters, self.elements(parameters), np.stack(derivatives, axis=1))

    def differences(self, parameters: Array, origin: Origin) -> Array:
        """Return parameters (k, p) minus minima.

        States of partners are subtracted as mirror elements, and the differences mapped to states by the derivatives at
        the minimum. Differences of elements along a ridge remain proportional over time; those of states do not quite.
        """
        difference = parameters - origin.parameters
        change = (self.elements(parameters) - origin.elements).reshape(len(parameters), len(self._partners), 6, 1)
        moved = (origin.d_state_d_elements @ change)[..., 0]
        for number, columns in enumerate(self._partners):
            difference[:, columns] = difference[:, :6] + moved[:, number]
        return difference

    def elements(self, parameters: Array) -> Array:
        """Return the mirror elements (see `relative_coordinates`) of all partners in m, (k, 6 partners)."""
        return np.concatenate(
            [mirror_elements(self._own, parameters[:, columns] - parameters[:, :6]) for columns in self._partners],
            axis=1,
        )

    def d_elements_d_parameters(self, parameters: Array) -> Array:
        """Return the derivatives of `_elements` with respect to the parameters, (k, 6 partners, p)."""
        result = np.zeros((len(parameters), 6 * len(self._partners), self._equations.parameter_count))
        for number, columns in enumerate(self._partners):
            d_elements_d_state = d_mirror_elements_d_state(self._own, parameters[:, columns] - parameters[:, :6])
            result[:, 6 * number : 6 * number + 6, columns] = d_elements_d_state
            result[:, 6 * number : 6 * number + 6, :6] = -d_elements_d_state
        return result

    def _fit_within(self, within: RidgePoints | None, parameters: Array) -> Fit:
        fit = self._fit(parameters)
        if within is None:
            return fit
        # The constraint allows a twentieth of the coordinate's sigma, which is 1/400 of its variance: negligible.
        variance = 0.05**2 * within.variance()
        offset_m = ((parameters - within.parameters) * within.coordinate).sum(axis=1)
        weighted = within.coordinate / variance[:, None]
        return Fit(
            parameters,
            fit.cost + offset_m**2 / variance,
            fit.information + weighted[:, :, None] * within.coordinate[:, None, :],
            fit.gradient - weighted * offset_m[:, None],
        )

    def _fit(self, parameters: Array) -> Fit:
        return self._equations.fit(parameters)

    def points_at(
        self, parameters: Array, within: RidgePoints | None = None, previous: Array | None = None
    ) -> RidgePoints:
        """Return cost, covariance and ridge direction at `parameters` (k, p), taken as points on ridges.

        The signs of the directions agree with the coordinates `previous` (k, p) of the last step, if given.
        """
        fit, d_elements = self._fit_within(within, parameters), self.d_elements_d_parameters(parameters)
        covariance = scaled_inverse(fit.information)
        variances, directions = np.linalg.eigh(d_elements @ covariance @ d_elements.swapaxes(1, 2))
        coordinate = (directions[:, None, :, -1] @ d_elements)[:, 0]
        if previous is not None:
            # The sign of an eigenvector is arbitrary; a flip would reverse the steps along the ridge.
            response = (covariance @ coordinate[..., None])[..., 0]
            coordinate *= np.where((response * previous).sum(axis=1) < 0.0, -1.0, 1.0)[:, None]
        log_volume = -0.5 * (np.linalg.slogdet(fit.information)[1] + np.log(variances[:, -1]))
        return RidgePoints(parameters, fit.cost, covariance, coordinate, log_volume)


def ridge_covariances(equations: Equations, result: Fit, groups: Sequence[Sequence[int]], margin: float) -> Array:
    """Return the covariances of distinct solutions, (k, p, p).

    Args:
        equations: Equations of all satellites.
        result: The solutions, the best first.
        groups: Partners, by index, that have ranges among themselves.
        margin: Excess of the cost over the best beyond which solutions keep the linear covariance. All but the best 24
            of a group keep it, too.
    """
    covariance = scaled_inverse(result.information)
    for group in groups:
        columns = equations.parameter_indices((0, *group))
        bent, corrections = _covariance_corrections(equations, result, group, margin)
        for row, correction in zip(bent.tolist(), corrections, strict=True):
            transform = np.eye(equations.parameter_count)
            transform[columns[:, None], columns] = correction
            covariance[row] = transform @ covariance[row] @ transform.T
    return covariance


def _first_with_same_orbits(result: Fit, group: Sequence[int], satellites: int) -> npt.NDArray[np.int64]:
    """Return, for each solution, the index of the first solution with the same orbits of a group, (k,)."""
    first = np.full(len(result.parameters), -1, dtype=np.int64)
    for row in range(len(first)):
        if first[row] < 0:
            # A search stops within 0.01 of the minimum's cost: two results of it are within a squared distance of 0.04.
            differs = differs_from(result, row, result.parameters, satellites, limit=0.04)[:, list(group)].any(axis=1)
            first[~differs & (first < 0)] = row
    return first


def _covariance_corrections(
    equations: Equations, result: Fit, group: Sequence[int], margin: float
) -> tuple[npt.NDArray[np.int64], Array]:
    """Return the indices of the solutions on curved ridges of a group, and a matrix for each that maps linear errors.

    The matrix (q, q) maps errors with the linear covariance to errors with the second moments of the ridge.
    """
    columns = equations.parameter_indices((0, *group))
    cost_function = CostFunction(equations.subset((0, *group)), result.parameters[0, :6])
    # Each ridge is followed once, although several solutions may have the same orbits of this group.
    first = _first_with_same_orbits(result, group, len(equations.satellites))
    minima = cost_function.points_at(result.parameters[:, columns])
    # The costs are those of this group; other orbits in other groups do not change them.
    excess = minima.cost - minima.cost.min()
    is_bent = (cost_function.curvature(minima) > _CURVATURE_MIN) & (excess <= margin)
    followed = np.flatnonzero(is_bent & (first == np.arange(len(first))))
    # On the flattest ridges a search finds a dozen minima; the linear covariance of one that is left out means nothing.
    followed = np.sort(followed[np.argsort(excess[followed], kind="stable")][:24])
    bent = np.flatnonzero((first[:, None] == followed).any(axis=1))
    if not len(bent):
        return bent, np.zeros((0, len(columns), len(columns)))
    selected = minima.select(followed)
    moments = _ridge_moments(cost_function, selected) + _growth_across(cost_function, selected)
    moments = _with_neighbours(cost_function, selected, moments)
    # Each solution needs its own linear covariance: searches end at different points of a flat minimum.
    linear = covariance_root(minima.covariance[bent])
    return bent, covariance_root(moments)[np.searchsorted(followed, first[bent])] @ np.linalg.inv(linear)


def _with_neighbours(cost_function: CostFunction, minima: RidgePoints, moments: Array) -> Array:
    """Return second moments (k, q, q) about each minimum that include those of other minima nearby.

    If a ridge is curved in several directions, it has several minima, whose ridges do not reach each other. These may
    be mirror images: a satellite that hardly leaves our orbital plane has a minimum on either side of it. Each counts
    with its probability, the volume of its moments times exp(-J / 2).
    """
    unit = np.sqrt(np.diagonal(moments[0]))
    log_weight = 0.5 * (np.linalg.slogdet(moments / unit / unit[:, None])[1] - minima.cost)
    origin, rows = cost_function.origin(minima.parameters), np.arange(len(moments))
    d_elements = cost_function.d_elements_d_parameters(minima.parameters)
    covariance = d_elements @ moments @ d_elements.swapaxes(1, 2)
    result = moments.copy()
    for row in range(len(moments)):
        change = origin.elements - origin.elements[row]
        square_m2 = (change**2).sum(axis=1)
        along = np.einsum("ki,ij,kj->k", change, covariance[row], change)
        near = np.flatnonzero((square_m2**2 < _NEIGHBOUR_SIGMAS**2 * along) & (rows != row))
        # A much more probable minimum is the better hypothesis and must not dominate this one.
        weight = np.exp(np.minimum(log_weight[near] - log_weight[row], 3.0))
        difference = cost_function.differences(minima.parameters[near], origin.select(np.full(len(near), row)))
        about = moments[near] + difference[:, :, None] * difference[:, None, :]
        mean = (moments[row] + np.einsum("k,kij->ij", weight, about)) / (1.0 + weight.sum())
        result[row] += _excess_covariance(moments[row, None], mean[None])[0]
    return result


def _growth_across(cost_function: CostFunction, lowest: RidgePoints) -> Array:
    """Return the second moments that curved ridges within the slices through the minima `lowest` add, (k, q, q)."""
    within = cost_function.points_at(lowest.parameters, lowest)
    growth = np.zeros_like(within.covariance)
    bent = np.flatnonzero(cost_function.curvature(within) > _CURVATURE_MIN)
    if len(bent):
        within = within.select(bent)
        growth[bent] = _excess_covariance(within.covariance, _ridge_moments(cost_function, within, lowest.select(bent)))
    return growth


def _excess_covariance(covariance: Array, moments: Array) -> Array:
    """Return the excess of second moments over a covariance, in the directions in which it is positive, (k, q, q)."""
    root = covariance_root(covariance)
    inverse = np.linalg.inv(root)
    values, vectors = np.linalg.eigh(inverse @ moments @ inverse.swapaxes(1, 2))
    excess_root = root @ vectors * np.sqrt(np.maximum(values - 1.0, 0.0))[:, None]
    excess: Array = excess_root @ excess_root.swapaxes(1, 2)
    return excess


def _ridge_moments(cost_function: CostFunction, lowest: RidgePoints, across: RidgePoints | None = None) -> Array:
    """Return the second moments of the q parameters about k minima along their ridges, (k, q, q).

    With `across`, the ridges lie in the slices through these points.
    """
    count = len(lowest.cost)
    owner = np.tile(np.arange(count), 2)
    minimum = RidgePoints(*(np.concatenate((part, part)) for part in lowest))
    current = RidgePoints(*(part.copy() for part in minimum))
    current.coordinate[count:] *= -1.0
    # Steps are at most a fifth of the size of the relative orbit; the first is half of that or of a standard deviation.
    longest_m = 0.2 * cost_function.size_m(minimum.parameters)
    length_m = np.minimum(0.5 * np.sqrt(minimum.variance()), 0.5 * longest_m)
    origin = cost_function.origin(minimum.parameters)
    density, local_moment = np.ones(2 * count), _local_moments(cost_function, current, origin)
    weight, moment = np.zeros(2 * count), np.zeros_like(local_moment)
    active = np.arange(2 * count)
    for _ in range(14):
        within = None if across is None else across.select(owner[active])
        trial = cost_function.follow(current.select(active), length_m[active], within)
        rise = trial.cost - current.cost[active]
        # A step that changes the cost by 2.5 or more is repeated with a shorter length; after a small change the next
        # step is longer.
        accepted = np.abs(rise) < 2.5
        length_m[active[~accepted]] *= 0.4
        rows, new = active[accepted], trial.select(accepted)
        log_density = new.log_volume - minimum.log_volume[rows] - 0.5 * (new.cost - minimum.cost[rows])
        # A much higher density belongs to another solution and must not dominate this one.
        new_density = np.exp(np.minimum(log_density, 5.0))
        new_local_moment = _local_moments(cost_function, new, origin.select(rows))
        half_m = 0.5 * length_m[rows]
        weight[rows] += half_m * (density[rows] + new_density)
        moment[rows] += (half_m * density[rows])[:, None, None] * local_moment[rows]
        moment[rows] += (half_m * new_density)[:, None, None] * new_local_moment
        density[rows], local_moment[rows] = new_density, new_local_moment
        for part, values in zip(current, new, strict=True):
            part[rows] = values
        length_m[rows] = np.minimum(length_m[rows] * np.where(rise[accepted] < 0.75, 1.6, 1.0), longest_m[rows])
        # A ridge ends at this cost above the minimum, where its density is negligible.
        active = active[current.cost[active] - minimum.cost[active] < 12.0]
        if not len(active):
            break
    weight, moment = weight[:count] + weight[count:], moment[:count] + moment[count:]
    has_steps = weight > 0.0
    result = lowest.covariance.copy()
    result[has_steps] = moment[has_steps] / weight[has_steps, None, None]
    return result


def _local_moments(cost_function: CostFunction, points: RidgePoints, origin: Origin) -> Array:
    """Return the second moments, about the minimum, of the distribution perpendicular to the ridge at each point."""
    tangent, variance = points.tangent(), points.variance()
    across_ridge = points.covariance - variance[:, None, None] * tangent[:, :, None] * tangent[:, None, :]
    difference = cost_function.differences(points.parameters, origin)
    local_moment: Array = across_ridge + difference[:, :, None] * difference[:, None, :]
    return local_moment
