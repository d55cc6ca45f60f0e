"""The motion of an arc against brahe's propagation of the same forces, and its derivatives against differences."""

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings, SpacecraftSettings
from pygnc_ground.orbit.batch.first_orbit import first_orbit
from pygnc_ground.orbit.batch.forces import FIRST_NODE, RADIATION, STATE, Factors
from pygnc_ground.orbit.batch.trajectory import ArcDynamics, Grid, LinearMotion
from tests.pygnc.estimators.orbit.truth import ORIENTATION, propagate, sun_synchronous

FloatArray = npt.NDArray[np.float64]
FRAMES = EarthFrames(ORIENTATION)
SETTINGS = OrbitSettings()
BEGIN = sun_synchronous().gcrf[0]
TIMES = np.array(sun_synchronous().gps_ms[::12])
NO_OFFSET = np.zeros(len(TIMES))
INVISIBLE = SpacecraftSettings(area_m2=0.0)


@cache
def dynamics(craft: SpacecraftSettings) -> ArcDynamics:
    return ArcDynamics(Grid(int(TIMES[0]), int(TIMES[-1])), FRAMES, craft)


def rough_nodes() -> FloatArray:
    """Positions and velocities at the nodes by a force model of the oblate Earth alone."""
    grid = Grid(int(TIMES[0]), int(TIMES[-1]))
    orbit = first_orbit(TIMES[:1], BEGIN[None, :3], BEGIN[None, 3:], grid, np.array([0.0, 0.0, 1.0]))
    assert orbit is not None
    return orbit[1]


def motion(craft: SpacecraftSettings, values: FloatArray, iterations: int = 4) -> LinearMotion:
    reference = rough_nodes()
    for _ in range(iterations):
        found = dynamics(craft).linearise(reference, values)
        reference = found.nodes(np.zeros(len(values)))
    return found


def unknowns(craft: SpacecraftSettings = INVISIBLE) -> FloatArray:
    settings = replace(SETTINGS, spacecraft=craft)
    values = dynamics(craft).parameters.prior(settings, Factors()).mean
    values[STATE] = BEGIN
    return values


def test_three_hours_agree_with_brahe_to_fifteen_centimetres() -> None:
    """Ephemerides of Sun and Moon, and the tide's lag and frequency-dependent part, make the difference."""
    states = motion(INVISIBLE, unknowns()).states(TIMES, NO_OFFSET)
    reference = propagate(BEGIN, TIMES.tolist(), tides=True)
    error = states - reference
    assert np.linalg.norm(error[:, :3], axis=1).max() < 0.15
    assert np.linalg.norm(error[:, 3:], axis=1).max() < 2e-4


def test_each_iteration_squares_the_error() -> None:
    final = motion(INVISIBLE, unknowns()).states(TIMES, NO_OFFSET)
    errors_m = [
        np.abs(motion(INVISIBLE, unknowns(), count).states(TIMES, NO_OFFSET) - final)[:, :3].max() for count in (1, 2)
    ]
    assert np.abs(rough_nodes()[-1, -1, :3] - final[-1, :3]).max() > 100.0
    assert errors_m[0] < 1.0
    assert errors_m[1] < 1e-5


@pytest.mark.parametrize(
    ("column", "step"),
    [
        (0, 10.0),
        (4, 0.01),
        (RADIATION, 0.5),
        (FIRST_NODE + 4, 0.05),
        (FIRST_NODE + 8 + 2, 1e-7),
        (FIRST_NODE + 3, 1e-7),
    ],
)
def test_derivatives_are_those_of_the_motion(column: int, step: float) -> None:
    craft = SpacecraftSettings()
    values = unknowns(craft)
    derivatives = motion(craft, values).derivatives(TIMES, NO_OFFSET)[:, :, column]
    changed = values.copy()
    changed[column] += step
    difference = motion(craft, changed).states(TIMES, NO_OFFSET)
    changed[column] -= 2.0 * step
    difference -= motion(craft, changed).states(TIMES, NO_OFFSET)
    expected = difference / (2.0 * step)
    for part in (slice(0, 3), slice(3, 6)):
        assert np.abs(derivatives[:, part] - expected[:, part]).max() < 2e-3 * np.abs(expected[:, part]).max()


def test_states_at_an_offset_are_those_of_that_time() -> None:
    found = motion(INVISIBLE, unknowns())
    early = found.states(TIMES[1:4] - 200, np.zeros(3))
    np.testing.assert_allclose(found.states(TIMES[1:4], np.full(3, -0.2)), early, rtol=1e-12, atol=1e-6)


def test_a_correction_moves_nodes_and_states_alike() -> None:
    found = motion(INVISIBLE, unknowns())
    correction = np.zeros(len(unknowns()))
    correction[STATE] = (10.0, 0.0, -5.0, 0.01, 0.0, 0.0)
    moved = found.states(TIMES, NO_OFFSET) + found.derivatives(TIMES, NO_OFFSET) @ correction
    nonlinear = unknowns() + correction
    expected = dynamics(INVISIBLE).linearise(found.nodes(correction), nonlinear).states(TIMES, NO_OFFSET)
    np.testing.assert_allclose(moved[:, :3], expected[:, :3], atol=2e-3)


def test_changes_are_those_of_the_derivatives() -> None:
    found = motion(INVISIBLE, unknowns())
    correction = np.linspace(-1.0, 1.0, len(unknowns()))
    correction[FIRST_NODE:] *= 1e-7
    changes = found.changes(TIMES, NO_OFFSET, correction)
    derivatives = found.derivatives(TIMES, NO_OFFSET)
    np.testing.assert_allclose(changes, derivatives @ correction[: derivatives.shape[2]], rtol=1e-12, atol=1e-12)
    partials = np.arange(18.0 * len(TIMES)).reshape(-1, 3, 6)
    of_functions = found.derivatives(TIMES, NO_OFFSET, partials)
    np.testing.assert_allclose(of_functions, partials @ derivatives, rtol=1e-9, atol=1e-9)


def test_covariances_are_those_of_the_derivatives() -> None:
    found, count = motion(INVISIBLE, unknowns()), len(unknowns())
    root = np.random.default_rng(3).normal(size=(count, count)) * np.where(np.arange(count) < FIRST_NODE, 1.0, 1e-8)
    covariance = root.T @ root
    derivatives = found.derivatives(TIMES, NO_OFFSET)
    acting = derivatives.shape[2]
    expected = derivatives @ covariance[:acting, :acting] @ derivatives.transpose(0, 2, 1)
    order = np.random.default_rng(4).permutation(len(TIMES))
    covariances = found.covariances(TIMES[order], covariance)
    sigma = np.sqrt(np.diagonal(expected, axis1=1, axis2=2))
    difference = (covariances - expected[order]) / (sigma[order, :, None] * sigma[order, None, :])
    assert np.abs(difference).max() < 1e-9


def test_times_outside_the_grid_belong_to_its_first_and_last_segment() -> None:
    grid = Grid(0, 700_000)
    segment, fraction = grid.locate(np.array([-3_000, 0, 300_000, 899_999, 903_000]), np.zeros(5))
    assert segment.tolist() == [0, 0, 1, 2, 2]
    np.testing.assert_allclose(fraction, [-0.01, 0.0, 0.0, 299.999 / 300.0, 1.01])
