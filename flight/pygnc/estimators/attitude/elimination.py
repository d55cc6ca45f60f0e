"""Least squares with unknowns that nobody asks for: found on the way, and their uncertainty left in what remains.

The normal equations of all unknowns are reduced to the wanted ones by Schur's complement, k problems at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pygnc.environment.arrays import Array


class Rows(NamedTuple):
    """Measurements of one kind for k problems.

    Attributes:
        residual: Measured minus predicted, shape (k, ...).
        partials: By all c unknowns, the wanted ones first, shape (k, ..., c).
        weight: One over the variances, shape (k, ...).
    """

    residual: Array
    partials: Array
    weight: Array

    def without(self, aside: Array) -> Array:
        """Residuals that remain when the last unknowns are `aside` (k, a), shape (k, ...)."""
        count = aside.shape[-1]
        columns = self.partials[..., -count:].reshape(len(aside), -1, count)
        left: Array = self.residual - (columns @ aside[..., None]).reshape(self.residual.shape)
        return left


class Reduced(NamedTuple):
    """Normal equations of the wanted unknowns.

    Attributes:
        information: Matrices, shape (k, w, w).
        gradient: Right-hand sides, shape (k, w).
        aside: The other unknowns where the wanted ones stay as they are, shape (k, a).
    """

    information: Array
    gradient: Array
    aside: Array


def reduced(parts: Sequence[Rows], aside_sigma: Array) -> Reduced:
    """Normal equations without the last unknowns.

    Args:
        parts: All measurements.
        aside_sigma: What is known of the last unknowns, whose mean is zero: standard deviations, shape (a,).
    """
    normals = [_normal(part) for part in parts]
    information: Array = np.sum([matrix for matrix, _ in normals], axis=0)
    gradient: Array = np.sum([right for _, right in normals], axis=0)
    wanted = gradient.shape[-1] - len(aside_sigma)
    cross = information[:, wanted:, :wanted]
    known = information[:, wanted:, wanted:] + np.diag(aside_sigma**-2.0)
    right = np.concatenate((cross, gradient[:, wanted:, None]), axis=2)
    solved: Array = np.linalg.solve(known, right).astype(np.float64, copy=False)
    taken = np.swapaxes(cross, 1, 2) @ solved
    return Reduced(
        information[:, :wanted, :wanted] - taken[..., :wanted],
        gradient[:, :wanted] - taken[..., wanted],
        solved[..., wanted],
    )


def _normal(part: Rows) -> tuple[Array, Array]:
    """Normal matrices (k, c, c) and right-hand sides (k, c)."""
    problems, count = len(part.residual), part.partials.shape[-1]
    rows = part.partials.reshape(problems, -1, count)
    weighted = (rows * part.weight.reshape(problems, -1, 1)).transpose(0, 2, 1)
    return weighted @ rows, (weighted @ part.residual.reshape(problems, -1, 1))[..., 0]
