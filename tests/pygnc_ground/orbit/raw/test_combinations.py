"""Combinations without the ionosphere, against the published formulas."""

from dataclasses import replace

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc_ground.gnss.measurements import L1_WAVELENGTH_M, L2_WAVELENGTH_M, GnssMeasurements
from pygnc_ground.orbit.raw.combinations import combine
from tests.fakes.gnss_measurements import measurements

_GAMMA = (77.0 / 60.0) ** 2
"""IS-GPS-200, 20.3.3.3.3.3: the square of the ratio of both frequencies, by which delays on L2 are larger."""


def delayed(delay_m: float) -> tuple[GnssMeasurements, Array]:
    """Return measurements of ranges with a delay of the ionosphere on L1, and the ranges."""
    made = measurements(20, 3)
    range_m: Array = 2.2e7 + 1e3 * np.arange(len(made), dtype=np.float64)
    none = np.zeros(len(made), dtype=np.uint8)
    seen = replace(
        made,
        code_l1_m=range_m + delay_m,
        code_p1_m=range_m + delay_m,
        code_p2_m=range_m + _GAMMA * delay_m,
        phase_l1_m=range_m - delay_m,
        phase_l2_m=range_m - _GAMMA * delay_m,
        loss_of_lock_l1=none,
        loss_of_lock_l2=none,
    )
    return seen, range_m


def test_two_frequencies_give_the_range_without_the_ionosphere() -> None:
    seen, range_m = delayed(10.0)
    combined = combine(seen)
    expected_m = (seen.code_p2_m - _GAMMA * seen.code_p1_m) / (1.0 - _GAMMA)
    assert combined.dual.all()
    np.testing.assert_allclose(combined.code_m, expected_m, atol=1e-6)
    np.testing.assert_allclose(combined.code_m, range_m, atol=1e-6)
    np.testing.assert_allclose(combined.phase_m, range_m, atol=1e-6)
    # The wavelength of the narrow lane.
    narrow_m = 1.0 / (1.0 / L1_WAVELENGTH_M + 1.0 / L2_WAVELENGTH_M)
    np.testing.assert_allclose(combined.wind_up_m, narrow_m)
    assert narrow_m == pytest.approx(0.107, abs=1e-4)


def test_one_frequency_gives_the_range_without_the_ionosphere_in_the_mean_of_code_and_phase() -> None:
    seen, range_m = delayed(10.0)
    combined = combine(seen.without_l2())
    assert not combined.dual.any()
    np.testing.assert_allclose(combined.phase_m, range_m, atol=1e-6)
    np.testing.assert_allclose(combined.code_m, range_m + 10.0, atol=1e-6)
    np.testing.assert_allclose(combined.wind_up_m, 0.5 * L1_WAVELENGTH_M)
