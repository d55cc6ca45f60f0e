"""The Earth's gravity field, EGM2008 (Pavlis et al. 2012), tide free, to degree 70.

satkit evaluates it with coefficients compiled in. It never downloads this model, but a file EGM2008.gfc in one of its
data folders would take precedence; none is installed with the flight software.
"""

from typing import Final

import satkit

from pygnc.environment.arrays import Array

GM_EARTH_M3_S2: Final = 3.986_004_415e14
EARTH_RADIUS_M: Final = 6_378_136.3
"""Reference radius of the coefficients; no ellipsoid's."""
DEGREE_MAX: Final = 70

_EGM2008: Final = satkit.gravmodel.egm2008


def gravity(position_ecef_m: Array, degree: int) -> Array:
    """Gravitational acceleration in m/s^2, ECEF, without the centrifugal part.

    Args:
        position_ecef_m: Shape (3,).
        degree: Degree and order of the expansion, 2 to 70. Cost grows with its square: 20 in 5 us, 50 in 20 us.
    """
    return satkit.gravity(position_ecef_m, model=_EGM2008, degree=degree)


def gravity_and_gradient(position_ecef_m: Array, degree: int) -> tuple[Array, Array]:
    """`gravity` and its derivative by the position, ECEF, in 1/s^2, shape (3, 3); twice the cost."""
    return satkit.gravity_and_partials(position_ecef_m, model=_EGM2008, degree=degree)
