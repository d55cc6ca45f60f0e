"""Wiring of magnetometer and gyro: the axes that fit their readings, found without an attitude.

Two relations hold in every attitude, with the light vector v (`net_light.py`) and its model V in GCRF:

    magnetometer    v . B = V . B          the angle between Sun and field is known along the orbit
    gyro            dv/dt = -w x v         the Sun is at rest, so its direction rotates against the body

Both are linear in the sensor: true reading = (P + E) (reading - bias), in sensor axes, where P is one of the 48 signed
permutations of the axes, the identity if the mounting is right, and E contains scale, misalignment and gains. The sums
of normal equations therefore hold all evidence on all P, and memory does not grow with time. For each P, the chi-square
is the minimum over E and bias; half the difference of two chi-squares is the logarithm of their likelihood ratio.

Another face map than the true one has the same effect as other axes of both sensors: exchanged opposite faces reverse
the light vector, so that the magnetometer seems reversed and the gyro right.
"""

import math
from enum import StrEnum, unique
from itertools import permutations, product
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.common.arrays import Array

AXES: Final = ("+x", "+y", "+z", "-x", "-y", "-z")
UNKNOWN_AXIS: Final = "?"

_SIGNED: Final = np.array(
    [np.diag(signs)[list(order)] for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)]
)
"""The signed permutations, shape (48, 3, 3); the first is the identity. Rows are true axes, columns axes as read."""
_CODES: Final = np.array(
    [[int(np.abs(row).argmax()) + 3 * bool(row.min() < 0.0) for row in matrix] for matrix in _SIGNED]
)
"""Index in `AXES` of each row of each permutation, shape (48, 3)."""

_MATRIX: Final = slice(0, 9)
_BIAS: Final = slice(9, 12)
_LIMIT: Final = 2.0 * math.log(1e8)
"""Difference of chi-squares above which a permutation counts as refuted, by a likelihood ratio of 1e8. In two orbits,
94 wrong permutations are tested 36 times, so it leaves fewer than one false alarm in ten thousand flights.
"""
_MISFIT_MAX: Final = 4.0
"""Ratio of the smallest chi-square to the expected one above which no axes explain the readings, twice the assumed
errors: another fault, such as a face that is turned around, must then be the cause."""
MATRIX_SIGMA: Final = 0.15
"""Standard deviation of each element of E: 0.1 for scale and misalignment, and as much for the gains of the faces. Two
permutations differ by at least 2 in the root of the sum of squares, so E cannot turn one into another: it would cost
(2 / 0.15)^2 = 178 in chi-square."""


@unique
class Verdict(StrEnum):
    """Result of the check of one sensor."""

    UNKNOWN = "unknown"
    """There is not enough data yet, or no axes explain the readings."""
    RIGHT = "right"
    """The readings refute all other axes."""
    WRONG = "wrong"
    """The readings refute the declared axes."""
    NOT_OBSERVABLE = "not_observable"
    """The declared axes fit, and so do others: the motion does not distinguish them."""


class Wiring(msgspec.Struct, frozen=True):
    """Verdict on the axes of one sensor.

    Attributes:
        verdict: Result of the check.
        axes: For each true axis of the sensor, the signed axis whose readings fit, such as "+y -x +z"; "?" for axes
            that the motion does not determine. Empty before the first data.
        best: The axes that fit best, without "?"; empty before the first data.
        residual_ratio: Chi-square of the best axes over that of the declared axes; 1 if these are the best.
    """

    verdict: Verdict = Verdict.UNKNOWN
    axes: str = ""
    best: str = ""
    residual_ratio: float = 1.0

    @property
    def is_determined(self) -> bool:
        """True if a single permutation fits."""
        return bool(self.axes) and self.axes == self.best

    @property
    def permutation(self) -> Array | None:
        """Matrix from readings to true readings in sensor axes by `best`, shape (3, 3); None before the first data."""
        return np.array([_row(name) for name in self.best.split()]) if self.best else None

    def __str__(self) -> str:
        if self.verdict is Verdict.WRONG:
            best = "" if self.is_determined else f"; most likely {self.best}"
            return (
                f"readings fit {self.axes} better than the declared mounting "
                f"(squared residuals {self.residual_ratio:.2g} of those with it{best})"
            )
        if self.verdict is Verdict.NOT_OBSERVABLE:
            known = f", known axes {self.axes}" if self.axes.strip("? ") else ""
            return f"not observable in this motion{known}"
        return "as declared" if self.verdict is Verdict.RIGHT else "not known yet"


class SensorAxes(NamedTuple):
    """Verdicts on the axes of magnetometer and gyro."""

    magnetometer: Wiring = Wiring()
    gyro: Wiring = Wiring()

    @property
    def is_contradicted(self) -> bool:
        """True if the readings refute the declared axes of a sensor, so that no attitude can be trusted."""
        return Verdict.WRONG in {self.magnetometer.verdict, self.gyro.verdict}

    def differs(self, other: "SensorAxes") -> bool:
        """Return True if a verdict differs, or the axes that fit where the declared ones are refuted."""
        return any(
            one.verdict is not before.verdict or (one.verdict is Verdict.WRONG and one.axes != before.axes)
            for one, before in zip(self, other, strict=True)
        )

    def __str__(self) -> str:
        return f"magnetometer axes: {self.magnetometer}; gyro axes: {self.gyro}"


class Evidence(msgspec.Struct, frozen=True, eq=False):
    """Normal equations of the relation of one sensor; parameters are the matrix P + E, row by row, and the bias.

    Attributes:
        information: Sum of weighted products of partial derivatives, with the prior of the bias, shape (12, 12).
        gradient: Sum of weighted products of partial derivatives and observations, shape (12,).
        square: Weighted sum of squares of the observations.
        freedom: Expected chi-square at the true parameters.
    """

    information: Array
    gradient: Array
    square: float = 0.0
    freedom: float = 0.0

    @classmethod
    def none(cls, bias_sigma: float) -> "Evidence":
        """Return the evidence before the first data, with the standard deviation of the bias per axis."""
        information = np.zeros((12, 12))
        information[_BIAS, _BIAS] = bias_sigma**-2.0 * np.eye(3)
        return cls(information, np.zeros(12))

    def drifted(self, sigma: float) -> "Evidence":
        """Return the evidence on the bias after a random walk with this standard deviation per axis.

        The old bias is eliminated; the new one takes its place.
        """
        weight = sigma**-2.0
        inverse = np.linalg.inv(self.information[_BIAS, _BIAS] + weight * np.eye(3))
        coupling, on_bias = self.information[_MATRIX, _BIAS], self.gradient[_BIAS]
        information, gradient = np.empty((12, 12)), np.empty(12)
        information[_MATRIX, _MATRIX] = self.information[_MATRIX, _MATRIX] - coupling.dot(inverse).dot(coupling.T)
        information[_MATRIX, _BIAS] = weight * coupling.dot(inverse)
        information[_BIAS, _MATRIX] = information[_MATRIX, _BIAS].T
        information[_BIAS, _BIAS] = weight * (np.eye(3) - weight * inverse)
        gradient[_MATRIX] = self.gradient[_MATRIX] - coupling.dot(inverse).dot(on_bias)
        gradient[_BIAS] = weight * inverse.dot(on_bias)
        return Evidence(information, gradient, self.square - float(on_bias.dot(inverse).dot(on_bias)), self.freedom)

    def added(self, partials: Array, observed: Array, noise: Array, common: Array) -> "Evidence":
        """Return the evidence with n rows of one block.

        Args:
            partials: Partial derivatives with respect to the parameters, shape (n, 12).
            observed: Observations, shape (n,).
            noise: Standard deviations of errors that are independent from row to row, shape (n,).
            common: Standard deviations of errors that may be the same in the whole block, shape (n,); together the rows
                count as one observation with such an error.
        """
        weight = 1.0 / (noise * noise + len(observed) * common * common)
        weighted = weight[:, np.newaxis] * partials
        return Evidence(
            self.information + weighted.T.dot(partials),
            self.gradient + observed.dot(weighted),
            self.square + float(weight.dot(observed * observed)),
            self.freedom + float(weight.dot(noise * noise + common * common)),
        )

    def chi_squares(self) -> Array:
        """Return the chi-square of each signed permutation, minimal over E and bias, shape (48,)."""
        expected = np.zeros((len(_SIGNED), 12))
        expected[:, _MATRIX] = _SIGNED.reshape(len(_SIGNED), 9)
        information = self.information.copy()
        diagonal = np.arange(_MATRIX.stop)
        information[diagonal, diagonal] += MATRIX_SIGMA**-2.0
        seen = expected.dot(self.information)
        left = self.gradient - seen
        squares = self.square - 2.0 * expected.dot(self.gradient) + np.einsum("ki,ki->k", seen, expected)
        chi_squares: Array = squares - np.einsum("ki,ik->k", left, np.linalg.solve(information, left.T))
        return chi_squares

    def wiring(self, *, is_enough: bool) -> Wiring:
        """Return the verdict; `is_enough` is True if what is not observed by now counts as not observable."""
        if self.freedom <= 0.0:
            return Wiring(Verdict.NOT_OBSERVABLE if is_enough else Verdict.UNKNOWN)
        chi_squares = self.chi_squares()
        best = float(chi_squares.min())
        if best > _MISFIT_MAX * self.freedom:
            return Wiring()
        # A residual beyond the assumed errors raises the limit in proportion, as if the errors were larger.
        limit = _LIMIT * max(best / self.freedom, 1.0)
        fits = chi_squares - best <= limit
        axes = [AXES[codes[0]] if (codes == codes[0]).all() else UNKNOWN_AXIS for codes in _CODES[fits].T]
        if not fits[0]:
            verdict = Verdict.WRONG
        elif np.count_nonzero(fits) == 1:
            verdict = Verdict.RIGHT
        else:
            verdict = Verdict.NOT_OBSERVABLE if is_enough else Verdict.UNKNOWN
        likely = " ".join(AXES[code] for code in _CODES[chi_squares.argmin()])
        declared = float(chi_squares[0])
        return Wiring(verdict, " ".join(axes), likely, best / declared if declared > best else 1.0)


def _row(name: str) -> list[float]:
    index = AXES.index(name)
    row = [0.0, 0.0, 0.0]
    row[index % 3] = 1.0 if index < 3 else -1.0
    return row
