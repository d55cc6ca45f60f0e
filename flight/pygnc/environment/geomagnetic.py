"""Main geomagnetic field from the spherical harmonics of the IGRF, to degree 13.

With the solid harmonics I(n, m) = (a / r)^(n + 1) P(n, m)(z / r) exp(i m longitude), the potential of degree n and
order m is the real part of a (g - i h) I(n, m), and its derivatives by x, y and z are harmonics of degree n + 1
(Cunningham 1970; Montenbruck & Gill, Satellite Orbits, equation 3.33). The field is therefore a matrix, linear in g and
h, times the harmonics of degrees 2 to 14. P(n, m) is a polynomial in z / r times a power of the distance from the axis,
so nothing is divided by that distance and the poles need no special case.
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array

DEGREE: Final = 13
COEFFICIENTS: Final = DEGREE * (DEGREE + 2)

_REFERENCE_RADIUS_M: Final = 6_371_200.0
"""Reference radius of the coefficients; it belongs to no ellipsoid."""
_UT_PER_NT: Final = 1e-3

_HARMONICS: Final = [(n, m) for n in range(2, DEGREE + 2) for m in range(n + 1)]
"""Degree and order of the 117 harmonics that represent the field."""
_RADIUS_POWER: Final = np.array([n + 1 for n, _ in _HARMONICS])
_AXIS_POWER: Final = np.array([m for _, m in _HARMONICS])

_Kind = TypeVar("_Kind", np.float64, np.complex128)


class MainField:
    """Main field, piecewise linear in time between the epochs of the model; 25 us for one point, 1 ms for a thousand.

    Outside the epochs the first and the last interval are extrapolated, as a predicted secular variation requires.
    """

    def __init__(self, epochs_gps_ms: list[int], coefficients_nt: Array) -> None:
        """Build the field from the coefficients of a model.

        Args:
            epochs_gps_ms: GPS milliseconds of at least two epochs, ascending.
            coefficients_nt: Schmidt semi-normalised coefficients in nT in the usual order (g10, g11, h11, g20, g21,
                h21, ...), shape (epochs, 195).

        Raises:
            ValueError: The shapes disagree, the epochs do not ascend, or a value is not finite.
        """
        if len(epochs_gps_ms) < 2 or coefficients_nt.shape != (len(epochs_gps_ms), COEFFICIENTS):
            raise ValueError(
                f"main field: at least 2 epochs with {COEFFICIENTS} coefficients each are required, not"
                f" {len(epochs_gps_ms)} epochs and coefficients of shape {coefficients_nt.shape}"
            )
        spans_ms = np.diff(np.array(epochs_gps_ms))
        if not (np.isfinite(coefficients_nt).all() and (spans_ms > 0).all()):
            raise ValueError("main field: the epochs must ascend and all coefficients must be finite")
        self._epochs_gps_ms = epochs_gps_ms
        self._field = np.zeros((len(epochs_gps_ms), 3, 2 * len(_HARMONICS)))
        for at_epochs, field in zip(coefficients_nt.T, _fields_of_coefficients(), strict=True):
            self._field += at_epochs[:, np.newaxis, np.newaxis] * field
        self._field_per_ms = np.diff(self._field, axis=0) / spans_ms[:, np.newaxis, np.newaxis]

    def at(self, gps_ms: int, position_ecef_m: Array) -> Array:
        """Return the field in ITRF, uT, shape (n, 3).

        Args:
            gps_ms: GPS milliseconds since the GPS epoch.
            position_ecef_m: Positions outside the Earth's core, ITRF, m, shape (n, 3).
        """
        epoch = min(max(bisect_right(self._epochs_gps_ms, gps_ms) - 1, 0), len(self._field_per_ms) - 1)
        field = self._field[epoch] + self._field_per_ms[epoch] * (gps_ms - self._epochs_gps_ms[epoch])
        components: Array = field.dot(_harmonics(position_ecef_m))
        return components.T


def _harmonics(position_m: Array) -> Array:
    """Return the real parts of the solid harmonics, then the imaginary parts, shape (2 * 117, n)."""
    radius_m = np.sqrt(np.einsum("ni,ni->n", position_m, position_m))
    x, y, z = position_m.T / radius_m
    of_height, of_radius = _powers(np.array((z, _REFERENCE_RADIUS_M / radius_m)), DEGREE + 3).swapaxes(0, 1)
    size = _LEGENDRE.dot(of_height[: DEGREE + 2])
    size *= of_radius.take(_RADIUS_POWER, axis=0)
    around = _powers(x + 1j * y, DEGREE + 2)
    parts = np.array((around.real, around.imag)).take(_AXIS_POWER, axis=1)
    parts *= size
    return parts.reshape(2 * len(_HARMONICS), -1)


def _powers(base: npt.NDArray[_Kind], count: int) -> npt.NDArray[_Kind]:
    """Return the powers 0 to count - 1 of `base`, shapes (...) -> (count, ...)."""
    powers = np.empty((count, *base.shape), base.dtype)
    powers[0] = 1.0
    powers[1:] = base
    return np.multiply.accumulate(powers, axis=0, out=powers)


def _legendre() -> Array:
    """Return P(n, m)(u) / (1 - u^2)^(m / 2), the m-th derivative of P(n)(u), by powers of u, shape (117, 15)."""
    rows = np.zeros((len(_HARMONICS), DEGREE + 2))
    for row, (n, m) in zip(rows, _HARMONICS, strict=True):
        for k in range((n - m) // 2 + 1):
            of_legendre = math.comb(n, k) * math.comb(2 * (n - k), n) / 2**n
            row[n - 2 * k - m] = (-1) ** k * of_legendre * math.perm(n - 2 * k, m)
    return rows


def _fields_of_coefficients() -> Iterator[Array]:
    """Yield, for each coefficient of 1 nT, the three field components in uT per harmonic, shape (3, 2 * 117)."""
    column = {harmonic: index for index, harmonic in enumerate(_HARMONICS)}
    for n in range(1, DEGREE + 1):
        for m in range(n + 1):
            schmidt = math.sqrt((2 - (m == 0)) * math.factorial(n - m) / math.factorial(n + m)) * _UT_PER_NT
            for factor in (schmidt, -1j * schmidt)[: 1 + (m > 0)]:
                row = np.zeros((3, len(_HARMONICS)), np.complex128)
                outer = factor / (1 + (m > 0))
                row[:2, column[n + 1, m + 1]] = outer, -1j * outer
                if m:
                    inner = -0.5 * (n - m + 1) * (n - m + 2) * factor
                    row[:2, column[n + 1, m - 1]] = inner, 1j * inner
                row[2, column[n + 1, m]] = (n - m + 1) * factor
                yield np.concatenate((row.real, -row.imag), axis=1)


_LEGENDRE: Final = _legendre()
