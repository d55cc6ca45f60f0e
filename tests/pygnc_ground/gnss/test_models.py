"""Models of the signal against published numbers and other computations."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from pygnc_ground.gnss.antennas import SatelliteAntennas, continuous, navigation_axes, orbital_axes, wind_up_cycles
from pygnc_ground.gnss.broadcast import EPHEMERIS, BroadcastOrbits
from pygnc_ground.gnss.ranges import Links, gravity_delay_m
from pygnc_ground.gnss.sp3_orbits import Sp3Orbits
from pygnc_ground.truth.sp3 import SatelliteSamples
from pygnc_system.files import data_file
from tests.fakes.gnss_measurements import measurements
from tests.pygnc_ground.gnss.simulation import BEGIN_MS, FRAMES, C, Circles, integrated, light_time, measure

JULY_2010_MS = 964_224_000_000


def test_range_is_the_light_time_in_inertial_axes() -> None:
    """The receiver is at rest in inertial space; the prediction works in rotating axes."""
    circles = Circles()
    states = integrated(lambda _, place: -3.986004415e14 * place / np.linalg.norm(place) ** 3, 31.0, 30.0)
    seen = measure(circles, states, 30.0, 3, clock_s=lambda _: 0.0)
    links = Links.of(seen, circles, None, FRAMES)
    turn = FRAMES.at_each(seen.gps_ms, np.zeros(len(seen))).ecef_from_gcrf
    place = states[(seen.gps_ms - BEGIN_MS) // 30_000, :3]
    antenna_m = np.einsum("nij,nj->ni", turn, place)
    predicted = links.ranges(antenna_m, np.zeros(len(seen))).range_m
    at_s = 1e-3 * (seen.gps_ms - BEGIN_MS)
    exact = [C * light_time(circles, *one) for one in zip(seen.satellite.tolist(), at_s.tolist(), place, strict=True)]
    distance_m = np.linalg.norm(links.position_ecef_m - antenna_m, axis=1)
    delay_m = gravity_delay_m(links.position_ecef_m, antenna_m, distance_m)
    np.testing.assert_allclose(predicted - delay_m, exact, atol=2e-3)


def test_clock_of_an_eccentric_orbit_has_the_published_relativistic_effect() -> None:
    """IS-GPS-200, 20.3.3.3.3.1: F e sqrt(A) sin E, with F = -4.442807633e-10 s / sqrt(m)."""
    row = np.zeros(1, EPHEMERIS)
    row["prn"], row["sqrt_a_sqrt_m"], row["eccentricity"], row["i0_rad"] = 5, 5153.6, 0.02, 0.96
    row["fit_interval_h"], row["accuracy_m"] = 12.0, 2.4
    row["toe_gps_ns"] = row["toc_gps_ns"] = BEGIN_MS * 1_000_000
    orbits, seen = BroadcastOrbits(row), measurements(40, 1, first_ms=BEGIN_MS)
    links = Links.of(seen, orbits, None, FRAMES)
    after_s = 1e-3 * (seen.gps_ms - BEGIN_MS) - 0.0775
    mean = np.sqrt(3.986005e14) / 5153.6**3 * after_s
    eccentric = np.array([brentq(lambda e, m=m: e - 0.02 * np.sin(e) - m, m - 1.0, m + 1.0, xtol=1e-14) for m in mean])
    expected_s = -4.442807633e-10 * 0.02 * 5153.6 * np.sin(eccentric)
    np.testing.assert_allclose(links.clock_s, expected_s, atol=1e-15)


def test_delay_by_gravity_is_that_of_the_slower_light_along_the_path() -> None:
    """Light is slower by the factor 1 - 2 GM / (r c^2)."""
    sent, received = np.array([26.56e6, 0.0, 0.0]), np.array([1.0e6, 6.9e6, 0.0])
    distance_m = float(np.linalg.norm(sent - received))
    delay_m = quad(lambda part: 1.0 / np.linalg.norm(sent + part * (received - sent)), 0.0, 1.0)[0]
    expected_m = 2.0 * 3.986004415e14 / C**2 * distance_m * delay_m
    found_m = gravity_delay_m(sent[np.newaxis], received[np.newaxis], np.array([distance_m]))[0]
    assert found_m == pytest.approx(expected_m, rel=1e-6)
    assert 0.015 < found_m < 0.02


def test_turn_of_the_receiver_winds_the_phase_up_by_a_cycle() -> None:
    """Wu et al. (1993): a turn about the boresight changes the phase by one cycle."""
    angle = np.linspace(0.0, 2.0 * np.pi, 50)
    zeros, ones = np.zeros(50), np.ones(50)
    turned = np.stack(
        (
            np.stack((np.cos(angle), np.sin(angle), zeros), axis=1),
            np.stack((-np.sin(angle), np.cos(angle), zeros), axis=1),
            np.stack((zeros, zeros, ones), axis=1),
        ),
        axis=1,
    )
    transmitter = np.tile(np.diag((1.0, -1.0, -1.0)), (50, 1, 1))
    down = np.tile((0.0, 0.0, -1.0), (50, 1))
    cycles = continuous(wind_up_cycles(transmitter, turned, down), np.zeros(0, dtype=np.int64))
    assert abs(cycles[-1] - cycles[0]) == pytest.approx(1.0)


def test_antenna_of_the_receiver_is_mounted_on_axes_of_flight_and_nadir() -> None:
    """Above the pole, climbing."""
    axes = orbital_axes(np.array([[0.0, 0.0, 7.0e6]]), np.array([[-7500.0, 0.0, 100.0]]))[0]
    np.testing.assert_allclose(axes, [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]], atol=1e-12)


def test_satellite_turns_its_x_axis_to_the_sun() -> None:
    axes = navigation_axes(np.array([[26.56e6, 0.0, 0.0]]), np.array([[1e11, 1e11, 0.0]]))[0]
    np.testing.assert_allclose(axes[2], (-1.0, 0.0, 0.0), atol=1e-12)
    assert axes[0, 1] == pytest.approx(1.0)
    assert np.linalg.det(axes) == pytest.approx(1.0)


def test_antennas_of_the_package_have_the_published_offsets() -> None:
    """igs05.atx: G11 is SVN 46 (IIR) with z 1.1413 m less the trend, blocks II and IIA have x 0.279 m."""
    antennas = SatelliteAntennas.of(data_file("gnss_antennas/igs05_gps.atx").read_text())
    block_iia, other = antennas.offset_m("G03", JULY_2010_MS), antennas.offset_m("G02", JULY_2010_MS)
    assert block_iia is not None
    assert other is not None
    np.testing.assert_allclose(block_iia, (0.279, 0.0, 2.6195), atol=1e-3)
    np.testing.assert_allclose(other, (0.0, 0.0, 0.6139), atol=1e-3)
    assert antennas.offset_m("G99", JULY_2010_MS) is None


def test_antennas_of_a_later_launch_are_those_of_the_users_file() -> None:
    """igs20.atx: G04 is SVN 74, the first GPS III, from 2019 on; SVN 36 and 49 were G04 before."""

    def entry(first: str, offset_mm: tuple[float, float, float]) -> str:
        of_bands = "".join(
            f"   {band}".ljust(60) + "START OF FREQUENCY\n" + "".join(f"{value:10.2f}" for value in offset_mm).ljust(60)
            + "NORTH / EAST / UP\n" + f"   {band}".ljust(60) + "END OF FREQUENCY\n"
            for band in ("G01", "G02")
        )  # fmt: skip
        return (
            "".ljust(60) + "START OF ANTENNA\n" + "BLOCK III           G04".ljust(60) + "TYPE / SERIAL NO\n"
            + first.ljust(60) + "VALID FROM\n" + of_bands + "".ljust(60) + "END OF ANTENNA\n"
        )  # fmt: skip

    head = "     1.4            M".ljust(60) + "ANTEX VERSION / SYST\n"
    antennas = SatelliteAntennas.of(head + entry("  2019     1     9     0     0    0.0000000", (-3.22, 1.9, 1100.0)))
    in_2020_ms = 1_262_304_000_000
    offset_m = antennas.offset_m("G04", in_2020_ms)
    assert offset_m is not None
    np.testing.assert_allclose(offset_m, (-0.003_22, 0.0019, 1.1), atol=1e-9)
    assert antennas.offset_m("G04", JULY_2010_MS) is None


def test_damaged_antex_file_is_named() -> None:
    with pytest.raises(ValueError, match="line 1: not an ANTEX file"):
        SatelliteAntennas.of("nothing")


def samples(walk_m2_s: float) -> SatelliteSamples:
    steps = np.arange(200)
    random = np.random.default_rng(1)
    angle = 1.458e-4 * 900.0 * steps
    place = 26.56e6 * np.stack((np.cos(angle), np.sin(angle) * 0.8, np.sin(angle) * 0.6), axis=1)
    walk_m = np.cumsum(np.sqrt(900.0 * walk_m2_s) * random.standard_normal(200))
    return SatelliteSamples(JULY_2010_MS * 1_000_000 + 900_000_000_000 * steps, place, walk_m / C)


def test_positions_are_interpolated_to_millimetres_and_clocks_between_samples() -> None:
    orbits = Sp3Orbits({"G01": samples(1e-5)})
    middle = JULY_2010_MS + 900_000 * 100 + 450_000
    found = orbits.states("G01", np.array([middle, JULY_2010_MS - 1]), np.zeros(2))
    angle = 1.458e-4 * 900.0 * 100.5
    expected = 26.56e6 * np.array((np.cos(angle), np.sin(angle) * 0.8, np.sin(angle) * 0.6))
    np.testing.assert_allclose(found.position_ecef_m[0], expected, atol=2e-3)
    clock = samples(1e-5).clock_s
    assert found.clock_s[0] == pytest.approx(0.5 * (clock[100] + clock[101]))
    assert np.isnan(found.clock_s[1])


def test_noise_of_a_clock_follows_from_its_samples() -> None:
    assert Sp3Orbits({"G01": samples(4e-5)}).clock_walk_m2_s["G01"] == pytest.approx(4e-5, rel=0.4)
