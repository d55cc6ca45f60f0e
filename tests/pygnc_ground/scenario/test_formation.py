import numpy as np
import pytest

from pygnc_ground.scenario.formation import Link, links, satellites
from pygnc_ground.scenario.settings import Forces, Formation, Partner, Settings

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
