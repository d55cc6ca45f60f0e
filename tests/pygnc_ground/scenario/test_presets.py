"""Every preset is a valid scenario with the properties of its name."""

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from pygnc.formats.range_scan import scan as scan_ranges
from pygnc.formats.sense_scan import scan as scan_sense
from pygnc_ground.scenario.formation import satellites
from pygnc_ground.scenario.generate import generate_all
from pygnc_ground.scenario.presets import preset_tables, scenario_presets
from pygnc_ground.scenario.settings import Settings, dump_settings, settings_from_tables
from tests.pygnc_ground.scenario.effects import EFFECTS, FAULTS

NAMES = ("dirty", "formation4", "mm_velocity", "nominal", "realistic", "sparse_gps", "tumbling")


def preset(name: str) -> Settings:
    return settings_from_tables(preset_tables(name), name)


def test_all_are_listed_with_a_line_each() -> None:
    summaries = scenario_presets()
    assert tuple(summaries) == NAMES
    for summary in summaries.values():
        assert 20 < len(summary) < 106
        assert not summary.startswith(("#", "["))


def test_an_unknown_preset_raises_with_the_known_names() -> None:
    with pytest.raises(ValueError, match=r"'calm'; choose from dirty, formation4, mm_velocity, nominal"):
        preset_tables("calm")


@pytest.mark.parametrize("name", NAMES)
def test_each_is_three_hours_and_makes_files_the_flight_reads(name: str) -> None:
    settings = preset(name)
    assert settings.duration_s == 10_800
    shortened = replace(settings, duration_s=600, forces=replace(settings.forces, gravity_degree=10))
    for made in generate_all(shortened):
        assert len(scan_sense(made.sense).records) >= 20
        assert len(scan_ranges(made.ranges).ranges) >= (6 if settings.partners else 0)
    assert "[faults.sense]" in dump_settings(settings)


def test_presets_have_the_properties_of_their_names() -> None:
    nominal, tumbling = preset("nominal"), preset("tumbling")
    assert (nominal.gps.position_noise_m, nominal.gps.velocity_noise_mps) == (10.0, 0.01)
    assert np.linalg.norm(nominal.attitude.rate_body_deg_s) == pytest.approx(1.0, abs=0.01)
    assert np.linalg.norm(tumbling.attitude.rate_body_deg_s) == pytest.approx(10.0, abs=0.1)
    assert preset("mm_velocity").gps.velocity_noise_mps == 0.001
    sparse = preset("sparse_gps")
    assert sparse.gps.fix_every_records * sparse.record_s == 300
    assert sparse.gps.outages_s
    realistic = preset("realistic")
    assert realistic.clock.sub_second == "unknown"
    assert realistic.torquers.field_ut
    assert realistic.sun_sensors.cosine_error
    assert any(realistic.imu.panel_field_body_ut)
    dirty = preset("dirty")
    assert dirty.gps.reported_sigma_factor == 0.0
    assert dirty.gps.cold_start_s
    assert dirty.gps.position_outlier_rate
    assert dirty.clock.jumps_s
    assert dirty.clock.reboots_s
    receiver = preset("realistic").gps
    assert receiver.coloured_position_noise_m > receiver.position_noise_m
    assert any(receiver.position_bias_rtn_m)
    for damage in (dirty.faults.sense, dirty.faults.ranges):
        assert all(getattr(damage, name) for name in damage.__struct_fields__)


def test_realistic_has_every_effect_and_no_fault() -> None:
    tables, plain = msgspec.to_builtins(preset("realistic")), msgspec.to_builtins(Settings())
    for section, effects in EFFECTS.items():
        for name in effects:
            assert tables[section][name] != plain[section][name], f"{section}.{name}"
    for section, faults in FAULTS.items():
        for name in faults:
            assert tables[section][name] == plain[section][name], f"{section}.{name}"
    assert tables["faults"] == plain["faults"]


def test_the_formation_is_half_a_kilometre_to_two_apart_and_drifts() -> None:
    settings = replace(preset("formation4"), duration_s=60)
    assert settings.formation.all_satellites
    states = np.array([one.path.states_gcrf([0.0])[0] for one in satellites(settings)])
    pairs = [(one, other) for one in range(4) for other in range(one)]
    distances_m = [np.linalg.norm(states[one, :3] - states[other, :3]) for one, other in pairs]
    assert 500.0 < min(distances_m) < max(distances_m) < 2000.0
    drifts_mps = [np.linalg.norm(partner.velocity_rtn_mps) for partner in settings.partners]
    assert 0.05 < min(drifts_mps) < max(drifts_mps) < 0.3
