import math

import numpy as np
import pytest
from scipy.special import lpmv

from pygnc.common.arrays import Array
from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, read_main_field
from pygnc.environment.geomagnetic import COEFFICIENTS, DEGREE, MainField
from pygnc_system.files import data_file
from tests.pygnc.environment.authority import brahe, epoch

YEAR_MS = 31_557_600_000
REFERENCE_RADIUS_M = 6_371_200.0

# Place in ITRF in m and field there in nT, by ppigrf 2.1.0 (IAGA V-MOD) from its own copy of IGRF-14.
PPIGRF = (
    ("2000-01-01T00:00:00Z", (125e3, 4_971e3, 4_477e3), (-1_907.591, -45_793.123, -10_894.767)),
    ("2004-02-29T12:00:00Z", (-2_423e3, -4_289e3, 4_633e3), (24_025.159, 33_427.645, -15_735.346)),
    ("2009-12-31T18:00:00Z", (2_071e3, -5_123e3, 4_344e3), (-16_814.656, 31_654.049, -8_256.954)),
    ("2014-07-07T07:07:07Z", (6_215e3, -1_247e3, -3_463e3), (17_159.355, -6_935.719, 578.088)),
    ("2017-01-01T00:00:00Z", (6_744e3, -1_656e3, -1_250e3), (14_549.543, -7_610.831, 12_302.584)),
    ("2020-06-30T23:59:59Z", (-3_407e3, -5_928e3, 1_546e3), (12_240.415, 14_745.838, 17_764.570)),
    ("2024-12-31T23:00:00Z", (-6_498e3, -2_755e3, -1_582e3), (-11_336.918, -9_679.354, 18_418.946)),
    ("2025-11-21T12:00:00Z", (-5_882e3, 144e3, 3_536e3), (29_709.501, -2_864.028, 7_550.327)),
    ("2029-12-31T00:00:00Z", (-4_569e3, 2_366e3, 4_407e3), (35_148.547, -15_911.131, -3_290.683)),
)


@pytest.fixture(scope="module")
def igrf() -> MainField:
    return read_main_field(data_file(MAIN_FIELD_TABLE))


def places(count: int) -> Array:
    """Positions from 300 to 1000 km in all directions, both poles and points near them first, shape (count, 3)."""
    random = np.random.default_rng(5)
    directions = random.normal(size=(count, 3))
    directions[:4] = (0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (1e-9, 0.0, 1.0), (1e-3, -1e-3, -1.0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    positions: Array = directions * (REFERENCE_RADIUS_M + random.uniform(300e3, 1_000e3, (count, 1)))
    return positions


def constant(coefficients_nt: Array) -> MainField:
    """A field of one epoch's coefficients for all times."""
    return MainField([0, YEAR_MS], np.array((coefficients_nt, coefficients_nt)))


def test_the_field_is_that_of_brahe_from_2000_to_2030(igrf: MainField) -> None:
    positions = places(1_000)
    years = gps_ms_from_utc_iso("2000-01-01T00:00:00Z"), gps_ms_from_utc_iso("2029-12-31T00:00:00Z")
    moments = np.random.default_rng(6).integers(*years, len(positions)).tolist()
    geodetic = brahe.position_ecef_to_geodetic(positions, brahe.AngleFormat.RADIANS)
    for gps_ms, position_m, place in zip(moments, positions, geodetic, strict=True):
        expected_nt = brahe.igrf_ecef(epoch(gps_ms), place, brahe.AngleFormat.RADIANS)
        # It counts years in its own way, half a day's change.
        np.testing.assert_allclose(igrf.at(gps_ms, position_m[None])[0], 1e-3 * expected_nt, rtol=0.0, atol=0.3e-3)


@pytest.mark.parametrize(("utc", "position_m", "expected_nt"), PPIGRF)
def test_the_field_is_that_of_its_publishers_code(
    igrf: MainField, utc: str, position_m: tuple[float, ...], expected_nt: tuple[float, ...]
) -> None:
    ours = igrf.at(gps_ms_from_utc_iso(utc), np.array([position_m]))[0]
    # Leap seconds are worth 1e-4 nT.
    np.testing.assert_allclose(1e3 * ours, expected_nt, rtol=0.0, atol=2e-3)


@pytest.mark.parametrize("index", [0, 1, 2, 9, 62, 100, 168, 170, COEFFICIENTS - 1])
def test_each_coefficient_makes_the_gradient_of_its_harmonic(index: int) -> None:
    coefficients = np.zeros(COEFFICIENTS)
    coefficients[index] = 30_000.0
    degree = math.isqrt(index + 1)
    order = (index + 2 - degree**2) // 2

    def potential(points: Array) -> Array:
        """In nT m, with the Legendre functions of SciPy, whose sign alternates with the order."""
        radius, longitude = np.linalg.norm(points, axis=-1), np.arctan2(points[..., 1], points[..., 0])
        schmidt = (-1) ** order * math.sqrt(
            (2 if order else 1) * math.factorial(degree - order) / math.factorial(degree + order)
        )
        is_h = order > 0 and (index + 2 - degree**2) % 2
        wave = np.sin(order * longitude) if is_h else np.cos(order * longitude)
        size = REFERENCE_RADIUS_M * (REFERENCE_RADIUS_M / radius) ** (degree + 1)
        of_latitude = schmidt * lpmv(order, degree, points[..., 2] / radius)
        return np.asarray(30_000.0 * size * of_latitude * wave)

    positions = places(30)[4:]
    step_m = 200.0
    steps = step_m * np.eye(3)[:, None]
    expected_nt = -(potential(positions + steps) - potential(positions - steps)).T / (2.0 * step_m)
    np.testing.assert_allclose(1e3 * constant(coefficients).at(0, positions), expected_nt, rtol=0.0, atol=0.01)


def test_many_points_at_once_are_the_same_as_each_alone(igrf: MainField) -> None:
    positions = places(50)
    alone = np.concatenate([igrf.at(1_400_000_000_000, position[None]) for position in positions])
    np.testing.assert_allclose(igrf.at(1_400_000_000_000, positions), alone, rtol=0.0, atol=1e-9)
    assert igrf.at(0, np.empty((0, 3))).shape == (0, 3)


def test_between_and_beyond_its_epochs_the_field_changes_evenly() -> None:
    random, positions = np.random.default_rng(7), places(10)
    early, middle, late = random.normal(size=(3, COEFFICIENTS))
    field = MainField([0, YEAR_MS, 3 * YEAR_MS], np.array((early, middle, late)))
    for years, coefficients in (
        (-1.0, 2.0 * early - middle),
        (0.0, early),
        (0.25, 0.75 * early + 0.25 * middle),
        (1.0, middle),
        (2.5, 0.25 * middle + 0.75 * late),
        (3.0, late),
        (5.0, 2.0 * late - middle),
    ):
        expected = constant(coefficients).at(0, positions)
        np.testing.assert_allclose(field.at(round(years * YEAR_MS), positions), expected, rtol=0.0, atol=1e-12)


def test_half_a_day_may_share_a_moment(igrf: MainField) -> None:
    positions = places(500)
    for year in range(2000, 2030, 5):
        gps_ms = gps_ms_from_utc_iso(f"{year}-07-01T00:00:00Z")
        change_ut = igrf.at(gps_ms + 43_200_000, positions) - igrf.at(gps_ms, positions)
        assert np.linalg.norm(change_ut, axis=1).max() < 0.25e-3


@pytest.mark.parametrize(
    ("epochs", "coefficients", "says"),
    [
        ([0], np.zeros((1, COEFFICIENTS)), "1 epochs"),
        ([0, 1], np.zeros((2, COEFFICIENTS - 1)), rf"\(2, {COEFFICIENTS - 1}\)"),
        ([0, 1, 2], np.zeros((2, COEFFICIENTS)), "3 epochs"),
        ([1, 1], np.zeros((2, COEFFICIENTS)), "ascend"),
        ([2, 1], np.zeros((2, COEFFICIENTS)), "ascend"),
        ([0, 1], np.full((2, COEFFICIENTS), np.nan), "finite"),
    ],
)
def test_rejects_unusable_coefficients(epochs: list[int], coefficients: Array, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        MainField(epochs, coefficients)


def test_the_degree_is_the_igrfs() -> None:
    assert (DEGREE, COEFFICIENTS) == (13, 195)
