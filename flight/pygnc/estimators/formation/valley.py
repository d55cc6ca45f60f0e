"""Valleys of the cost: points on their floors, and steps along them.

A valley runs in the direction in which relative orbital elements are known least.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.estimators.formation.equations import Equations, Fit, Loss, Noise
from pygnc.estimators.formation.least_squares import covariance, fitted
from pygnc.estimators.formation.mirror import elements_by_state, elements_of_state
from pygnc.estimators.formation.reference import of_satellite
from pygnc.estimators.formation.starts import Around

_CORRECTIONS: Final = 2
"""Of a step, which goes straight on at first, back to the floor."""
_CORRECTION_MAX: Final = 4.0
"""Over the step's length; where it takes more, the step was too long."""
_SHORT_M: Final = 1e-3
_THICKNESS: Final = 0.05
"""Of a slab, in standard deviations along the valley; to the covariance within it adds the square of this."""


class Points(NamedTuple):
    """Points on the floors of k valleys.

    Attributes:
        guesses: All unknowns, (k, p).
        cost: (k,).
        covariance: Of the problem linearised there, (k, p, p).
        along: The place along the valley in m is this times the unknowns, (k, p).
        breadth: Logarithm of the volume across the valley that is as likely, (k,).
    """

    guesses: Array
    cost: Array
    covariance: Array
    along: Array
    breadth: Array

    def chosen(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Points":
        """Some of them."""
        return Points(*(part[rows] for part in self))

    def tangent(self) -> Array:
        """Change of the unknowns per m along the valley, (k, p)."""
        aside = (self.covariance @ self.along[..., None])[..., 0]
        tangent: Array = aside / (aside * self.along).sum(axis=1)[:, None]
        return tangent

    def variance(self) -> Array:
        """Along the valleys, in m^2, (k,)."""
        variance: Array = np.einsum("ki,kij,kj->k", self.along, self.covariance, self.along)
        return variance


class Slab(NamedTuple):
    """Slices of k valleys: their places along them are hardly free.

    Attributes:
        guesses: In the middle, (k, p).
        along: As in `Points`, (k, p).
        variance: Of the places, in m^2, (k,).
    """

    guesses: Array
    along: Array
    variance: Array

    def chosen(self, rows: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> "Slab":
        """Some of them."""
        return Slab(*(part[rows] for part in self))


def slab_at(points: Points) -> Slab:
    """Through these points, across their valleys."""
    return Slab(points.guesses, points.along, _THICKNESS**2 * points.variance())


class Terrain:
    """The cost of the observations of some satellites, by all unknowns.

    Args:
        equations: Of these satellites.
        around: Of the search.
        noise: Of the observations.
        loss: Of residuals.
        own: Our unknowns (6,), near enough.
    """

    def __init__(self, equations: Equations, around: Around, noise: Noise, loss: Loss, own: Array) -> None:
        self._equations, self._dynamics = equations, around.dynamics
        self._noise, self._loss = noise, loss
        self._own = around.reference.nodes.state[around.reference.middle] + own
        self._partners = [of_satellite(number)[:6] for number in range(1, len(equations.satellites))]
        self._places = np.concatenate([its[:3] for its in self._partners])

    def lowest(self, guesses: Array, slab: Slab | None = None) -> Points:
        """Where solutions (k, p) are; their valleys within slabs of them, if given."""
        return self._points(guesses, self._fit_within(slab, guesses), self._by_unknowns(guesses), None)

    def stepped(self, start: Points, length_m: Array, slab: Slab | None = None) -> Points:
        """The floor of the valleys so much farther on, (k,)."""
        guesses = start.guesses + length_m[:, None] * start.tangent()
        for _ in range(_CORRECTIONS):
            fit = self._fit_within(slab, guesses)
            everything = covariance(fit.information)
            step = (everything @ fit.gradient[..., None])[..., 0]
            aside = (everything @ start.along[..., None])[..., 0]
            share = (step * start.along).sum(axis=1) / (aside * start.along).sum(axis=1)
            step = step - share[:, None] * aside
            reach_m = np.abs(step[:, self._places]).max(axis=1)
            guesses = guesses + step / np.maximum(1.0, reach_m / (_CORRECTION_MAX * length_m + _SHORT_M))[:, None]
        return self._points(guesses, self._fit_within(slab, guesses), self._by_unknowns(guesses), start.along)

    def bend(self, points: Points) -> Array:
        """What is not linear in the ranges, a standard deviation along the valley, squared over their noise, (k,)."""
        shift = np.sqrt(points.variance())[:, None] * points.tangent()
        motion = self._dynamics.propagate(self._equations.states(points.guesses), partials=False)
        total = np.zeros(len(shift))
        for pair, rows in enumerate(self._equations.ranges):
            apart_m, distance_m = self._equations.apart(pair, motion)
            one, other = rows.pair
            change = shift[:, of_satellite(other)] - shift[:, of_satellite(one)]
            moved_m = (rows.design @ change[:, None, :, None])[..., 0]
            far_m = np.maximum(distance_m, 1.0)
            ahead_m = (moved_m * apart_m).sum(axis=2) / far_m
            bend_m = 0.5 * ((moved_m**2).sum(axis=2) - ahead_m**2) / far_m
            total += ((bend_m / self._noise.range_sigma_m[pair]) ** 2).sum(axis=1)
        return total

    def size_m(self, guesses: Array) -> Array:
        """Largest relative element of any partner, (k,)."""
        size_m: Array = np.abs(self._elements(guesses)).max(axis=1)
        return size_m

    def off(self, guesses: Array, lowest: Array) -> Array:
        """Guesses minus solutions, (k, p) each; to the first order they differ by this in relative elements.

        Elements along the valley change in proportion for all time, where states would only nearly.
        """
        off = guesses - lowest
        change = self._elements(guesses) - self._elements(lowest)
        for number, its in enumerate(self._partners):
            of_elements = change[:, 6 * number : 6 * number + 6, None]
            by_state = elements_by_state(self._own, lowest[:, its] - lowest[:, :6])
            off[:, its] = off[:, :6] + np.linalg.solve(by_state, of_elements)[..., 0]
        return off

    def _elements(self, guesses: Array) -> Array:
        """Relative elements of all partners, (k, 6 partners)."""
        return np.concatenate(
            [elements_of_state(self._own, guesses[:, its] - guesses[:, :6]) for its in self._partners], axis=1
        )

    def _by_unknowns(self, guesses: Array) -> Array:
        """Derivatives of `_elements` by the unknowns, (k, 6 partners, p)."""
        result = np.zeros((len(guesses), 6 * len(self._partners), self._equations.unknowns))
        for number, its in enumerate(self._partners):
            by_state = elements_by_state(self._own, guesses[:, its] - guesses[:, :6])
            result[:, 6 * number : 6 * number + 6, its] = by_state
            result[:, 6 * number : 6 * number + 6, :6] = -by_state
        return result

    def _fit_within(self, slab: Slab | None, guesses: Array) -> Fit:
        fit = self._fit(guesses)
        if slab is None:
            return fit
        off_m = ((guesses - slab.guesses) * slab.along).sum(axis=1)
        weighted = slab.along / slab.variance[:, None]
        return Fit(
            fit.cost + off_m**2 / slab.variance,
            fit.information + weighted[:, :, None] * slab.along[:, None, :],
            fit.gradient - weighted * off_m[:, None],
        )

    def _fit(self, guesses: Array) -> Fit:
        return fitted(self._equations, self._dynamics, guesses, self._noise, self._loss)

    @staticmethod
    def _points(guesses: Array, fit: Fit, by_unknowns: Array, before: Array | None) -> Points:
        everything = covariance(fit.information)
        variances, directions = np.linalg.eigh(by_unknowns @ everything @ by_unknowns.swapaxes(1, 2))
        along = (directions[:, None, :, -1] @ by_unknowns)[:, 0]
        if before is not None:
            # Eigenvectors have no sign of their own: the valley goes on to where the place along it grew so far.
            onwards = (everything @ along[..., None])[..., 0]
            along *= np.where((onwards * before).sum(axis=1) < 0.0, -1.0, 1.0)[:, None]
        breadth = -0.5 * (np.linalg.slogdet(fit.information)[1] + np.log(variances[:, -1]))
        return Points(guesses, fit.cost, everything, along, breadth)
