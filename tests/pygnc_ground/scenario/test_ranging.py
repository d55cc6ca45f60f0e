"""Ranges between two satellites whose distance is known in closed form."""

import numpy as np
import pytest

from pygnc.formats.range_scan import scan
from pygnc.formats.ranges import RangeMeasurements, decode_ranges
from pygnc_ground.scenario import ranging
from pygnc_ground.scenario.formation import Link, links, satellites
from pygnc_ground.scenario.gps import make_fixes
from pygnc_ground.scenario.settings import Forces, Orbit, Partner, Ranging, Settings
from pygnc_ground.scenario.trajectory import SatellitePath

FORCES = Forces(
    gravity_degree=0, sun_and_moon=False, solid_tides=False, relativity=False, drag=False, radiation_pressure=False
)
PARTNERS = (
    Partner(
        id=75,
        position_rtn_m=(0.0, 0.0, 0.0),
        velocity_rtn_mps=(0.0, 0.0, 5.0),
        delay_bias_m=900.0,
        frequency_offset_hz=100.0,
    ),
    Partner(id=77, position_rtn_m=(0.0, 2000.0, 0.0), delay_bias_m=1100.0, frequency_offset_hz=-30.0),
)
SETTINGS = Settings(duration_s=6000, forces=FORCES, orbit=Orbit(eccentricity=0.0), partners=PARTNERS)
T_S = np.arange(20, 6000, 20)
MEAN_MOTION_RAD_S = np.sqrt(3.986004415e14 / SETTINGS.orbit.semi_major_axis_m**3)
Scene = tuple[SatellitePath, tuple[Link, ...]]


@pytest.fixture(scope="module")
def scene() -> Scene:
    everyone = satellites(SETTINGS)
    return everyone[0].path, links(SETTINGS, everyone[0], everyone)


def measured(scene: Scene, radio: Ranging) -> tuple[ranging.Exchanges, RangeMeasurements]:
    own, partners = scene
    made = ranging.exchanges(radio, own, partners, T_S, seed=1)
    return made, ranging.measured_ranges(radio, partners, made, 1000 + T_S, seed=1)


def test_distances_and_rates_are_those_of_the_closed_form(scene: Scene) -> None:
    made, _ = measured(scene, Ranging())
    # A push across the orbit's plane swings through it: z = v / n * sin(n t). It also lengthens the period a little,
    # which shows near the second crossing.
    phase = MEAN_MOTION_RAD_S * T_S
    first = phase < 3.0
    across_m = 5.0 / MEAN_MOTION_RAD_S * np.sin(phase)
    np.testing.assert_allclose(made.distance_m[first, 0], across_m[first], atol=0.2)
    np.testing.assert_allclose(made.range_rate_mps[first, 0], 5.0 * np.cos(phase)[first], atol=0.01)
    # One ahead of the other they keep their distance, but for the tangent's rising above the circle.
    np.testing.assert_allclose(made.distance_m[:, 1], 2000.0, atol=15.0)


def test_the_frequency_error_is_offset_and_doppler_shift(scene: Scene) -> None:
    made, ranges = measured(scene, Ranging())
    for column, offset_hz in enumerate((100.0, -30.0)):
        mine = ranges.partner_id == PARTNERS[column].id
        # 8.14 Hz per m/s at 2.44 GHz, higher while they approach.
        expected_hz = offset_hz - 8.139 * made.range_rate_mps[:, column]
        np.testing.assert_allclose(ranges.frequency_error_hz[mine], expected_hz, atol=0.01)


def test_noise_is_of_the_declared_size_and_independent(scene: Scene) -> None:
    made, ranges = measured(scene, Ranging(noise_m=30.0))
    errors = ranges.range_m.reshape(-1, 2) - made.distance_m - [900.0, 1100.0]
    assert np.abs(errors.mean(axis=0)).max() < 4 * 30.0 / np.sqrt(len(T_S))
    np.testing.assert_allclose(errors.std(axis=0), 30.0, rtol=4 / np.sqrt(2 * len(T_S)))
    assert np.abs(np.corrcoef(errors.T) - np.eye(2)).max() < 4 / np.sqrt(len(T_S))


def test_outliers_have_the_stated_size_and_rate_to_both_sides(scene: Scene) -> None:
    _, plain = measured(scene, Ranging())
    _, hit = measured(scene, Ranging(outlier_rate=0.2, outlier_m=400.0))
    off_m = np.round(hit.range_m - plain.range_m, 6)
    assert {*off_m.tolist()} == {-400.0, 0.0, 400.0}
    for side in (-400.0, 400.0):
        assert np.mean(off_m == side) == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / len(off_m)))


def test_missing_ranges_are_missing_from_packets_and_truth_alike(scene: Scene) -> None:
    own, partners = scene
    radio = Ranging(missing_rate=0.4)
    made, ranges = measured(scene, radio)
    truth = ranging.true_ranges(partners, made, SETTINGS.start_gps_ms + 1000 * T_S)
    assert np.mean(made.is_measured) == pytest.approx(0.6, abs=4 * np.sqrt(0.24 / made.is_measured.size))
    assert len(ranges) == np.count_nonzero(made.is_measured) == len(truth.gps_ms)
    np.testing.assert_array_equal(ranges.partner_id, truth.partner_id)
    np.testing.assert_array_equal(1000 * (ranges.t_spacecraft_s - 1000), truth.gps_ms - SETTINGS.start_gps_ms)
    np.testing.assert_allclose(ranges.range_m - truth.distance_m - truth.delay_bias_m, 0.0, atol=6 * 30.0)

    packets = ranging.range_packets(make_fixes(SETTINGS, own, T_S, log="range"), ranges, made)
    assert {len(packet) for packet in packets} == {12, 102}
    found = scan(b"".join(packets))
    assert not found.damage
    assert len(found.fixes) == len(T_S)
    np.testing.assert_array_equal(decode_ranges(found.ranges).partner_id, ranges.partner_id)
    # Each range packet follows the fix taken with it.
    number_of_fix = np.cumsum(found.kinds == 0)[found.kinds == 1] - 1
    np.testing.assert_array_equal(T_S[number_of_fix], ranges.t_spacecraft_s - 1000)


def test_missing_ranges_do_not_change_the_noise_of_the_others(scene: Scene) -> None:
    made, fewer = measured(scene, Ranging(missing_rate=0.4))
    _, all_of_them = measured(scene, Ranging())
    np.testing.assert_array_equal(fewer.range_m, all_of_them.range_m[made.is_measured.ravel()])
