"""Relative orbital elements against brahe's, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.environment.arrays import Array
from pygnc.estimators.formation.elements import elements_by_state, other_state, relative_elements
from pygnc_ground.scenario.settings import Orbit
from pygnc_ground.scenario.trajectory import initial_state_gcrf
from tests.pygnc.environment.authority import brahe

angles = st.floats(0.0, 360.0)
APART = np.array((900.0, -1_500.0, 700.0, 0.4, -0.2, 0.6))


def own_state(inclination: float, node: float, anomaly: float, eccentricity: float = 0.02) -> Array:
    orbit = Orbit(eccentricity=eccentricity, inclination_deg=inclination, raan_deg=node, mean_anomaly_deg=anomaly)
    return initial_state_gcrf(orbit)


def _by_brahe(own: Array, other: Array) -> Array:
    elements = np.asarray(brahe.state_eci_to_roe(own, other, brahe.AngleFormat.RADIANS))
    axis_m = float(brahe.state_eci_to_koe(own, brahe.AngleFormat.RADIANS)[0])
    # Angles, which brahe counts from 0 to 360 degrees.
    elements[[1, 4, 5]] = np.remainder(elements[[1, 4, 5]] + np.pi, 2.0 * np.pi) - np.pi
    return axis_m * elements


@given(
    inclination=st.floats(5.0, 175.0), node=st.floats(5.0, 355.0), anomaly=angles, eccentricity=st.floats(1e-3, 0.05)
)
def test_they_are_those_of_brahe(inclination: float, node: float, anomaly: float, eccentricity: float) -> None:
    own = own_state(inclination, node, anomaly, eccentricity)
    expected = _by_brahe(own, own + APART)
    assert relative_elements(own, own + APART) == pytest.approx(expected, abs=1e-3)


@given(inclination=st.floats(5.0, 175.0), node=angles, anomaly=angles, size=st.floats(0.0, 60.0))
def test_states_come_back_from_them_at_any_distance(
    inclination: float, node: float, anomaly: float, size: float
) -> None:
    own = own_state(inclination, node, anomaly)
    other = own + size * APART
    assert other_state(own, relative_elements(own, other)) == pytest.approx(other, rel=1e-12, abs=1e-6)


def test_their_derivative_is_that_of_brahe() -> None:
    own = own_state(97.5, 30.0, 77.0)
    steps = np.diag(np.repeat((100.0, 0.1), 3))
    columns = [
        (_by_brahe(own, own + APART + step) - _by_brahe(own, own + APART - step)) / (2.0 * step.sum()) for step in steps
    ]
    derivatives = elements_by_state(own, own + APART)
    assert derivatives[:, :3] == pytest.approx(np.transpose(columns)[:, :3], abs=2e-4)
    assert derivatives[:, 3:] == pytest.approx(np.transpose(columns)[:, 3:], abs=0.2)
