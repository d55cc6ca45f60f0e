import numpy as np
import pytest
from msgspec import structs

from pygnc.common.constants import SolutionStatus
from pygnc.formats.range_scan import scan
from pygnc_ground.scenario.formation import Link, links, satellites
from pygnc_ground.scenario.generate import ranges_of, scenario_of
from pygnc_ground.scenario.gps import CommonNoise, make_fixes, position_errors
from pygnc_ground.scenario.sensor_settings import Gps
from pygnc_ground.scenario.settings import Forces, Formation, Partner, Ranging, Settings

SETTINGS = Settings(
    duration_s=120,
    forces=Forces(gravity_degree=2, drag=False, radiation_pressure=False),
    formation=Formation(own_id=0x4A, pair_bias_spread_m=15.0),
    partners=(
        Partner(
            id=0x4C,
            position_rtn_m=(0.0, 700.0, 0.0),
            delay_bias_m=1000.0,
            frequency_offset_hz=200.0,
            boot_before_start_s=1.0,
        ),
        Partner(
            id=0x4B,
            position_rtn_m=(0.0, 0.0, 500.0),
            delay_bias_m=1100.0,
            frequency_offset_hz=-50.0,
            boot_before_start_s=2.0,
        ),
    ),
)


def all_links(settings: Settings) -> dict[tuple[int, int], Link]:
    everyone = satellites(settings)
    return {(one.id, link.partner_id): link for one in everyone for link in links(settings, one, everyone)}


def test_every_satellite_has_a_link_to_every_other() -> None:
    assert {*all_links(SETTINGS)} == {(74, 76), (74, 75), (76, 74), (76, 75), (75, 74), (75, 76)}


def test_each_satellite_has_a_seed_and_a_boot_time_of_its_own() -> None:
    everyone = satellites(SETTINGS)
    assert [one.id for one in everyone] == [74, 76, 75]
    assert everyone[0].settings == SETTINGS
    assert [one.settings.clock.boot_before_start_s for one in everyone] == [5130.4, 1.0, 2.0]
    assert len({one.settings.seed for one in everyone}) == 3


def test_satellites_start_at_their_configured_positions() -> None:
    own, first, second = (one.path.states_gcrf([0.0])[0] for one in satellites(SETTINGS))
    normal = np.cross(own[:3], own[3:])
    assert np.linalg.norm(first[:3] - own[:3]) == pytest.approx(700.0, abs=1e-6)
    np.testing.assert_allclose(second[:3] - own[:3], 500.0 * normal / np.linalg.norm(normal), atol=1e-6)


def test_the_bias_belongs_to_the_pair() -> None:
    found = {pair: link.delay_bias_m for pair, link in all_links(SETTINGS).items()}
    assert found[74, 76] == found[76, 74] == 1000.0
    assert found[74, 75] == found[75, 74] == 1100.0
    assert found[76, 75] == found[75, 76]


@pytest.mark.slow
def test_a_pair_of_partners_has_the_mean_bias_and_the_stated_spread() -> None:
    drawn = []
    for seed in range(100):
        settings = Settings(seed=seed, duration_s=60, forces=SETTINGS.forces, partners=SETTINGS.partners)
        everyone = satellites(settings)[1:]
        drawn += [link.delay_bias_m for link in links(settings, everyone[0], everyone)]
    assert np.mean(drawn) == pytest.approx(1050.0, abs=4 * 15.0 / 10.0)
    assert np.std(drawn) == pytest.approx(15.0, rel=4 / np.sqrt(200))


def test_carriers_differ_as_their_oscillators_do() -> None:
    found = {pair: link.frequency_offset_hz for pair, link in all_links(SETTINGS).items()}
    assert (found[74, 76], found[76, 74]) == (200.0, -200.0)
    assert (found[76, 75], found[75, 76]) == (-250.0, 250.0)


def test_a_receiver_without_position_still_knows_the_time() -> None:
    partners = (structs.replace(SETTINGS.partners[0], fixes_until_s=61.0), SETTINGS.partners[1])
    settings = structs.replace(SETTINGS, partners=partners, ranging=Ranging(interval_s=20))
    own, silent, other = satellites(settings)
    t_s = np.arange(20, 121, 20)
    fixes = make_fixes(silent.settings, silent.path, t_s, "range")
    np.testing.assert_array_equal(fixes.position_status == SolutionStatus.COMPUTED, t_s < 61)
    assert (fixes.gps_week > 0).all()
    for one in (own, other):
        assert (make_fixes(one.settings, one.path, t_s, "range").position_status == SolutionStatus.COMPUTED).all()


def test_a_partner_that_measures_no_ranges_has_fixes_only() -> None:
    partners = (structs.replace(SETTINGS.partners[0], measures_ranges=False), SETTINGS.partners[1])
    settings = structs.replace(SETTINGS, partners=partners, ranging=Ranging(interval_s=20))
    everyone = satellites(settings)
    streams = [scan(ranges_of(settings, one, everyone)) for one in everyone]
    assert [len(stream.ranges) for stream in streams] == [12, 0, 12]
    assert [len(stream.fixes) for stream in streams] == [6, 6, 6]
    for one in everyone:
        assert ranges_of(settings, one, everyone) == scenario_of(settings, one, everyone).ranges


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_coloured_noise_is_common_to_the_stated_fraction(fraction: float) -> None:
    settings = Settings(
        gps=Gps(position_noise_m=0.0, coloured_position_noise_m=5.0, coloured_noise_time_s=1.0), duration_s=2000
    )
    t_s = np.arange(0, 2000)
    common = CommonNoise(fraction, settings.seed)
    errors_m = [position_errors(settings.gps).draw(t_s, seed, "range", common) for seed in (7, 8)]
    assert np.std(errors_m) == pytest.approx(5.0, rel=0.1)
    correlation = np.corrcoef(errors_m[0].ravel(), errors_m[1].ravel())[0, 1]
    assert correlation == pytest.approx(fraction, abs=0.1)
