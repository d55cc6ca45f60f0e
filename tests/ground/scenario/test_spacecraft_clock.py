import numpy as np

from pygnc_ground.scenario.settings import SpacecraftClock
from pygnc_ground.scenario.spacecraft_clock import readings_s


def test_it_counts_whole_seconds_from_2000_at_boot() -> None:
    clock = SpacecraftClock(boot_before_start_s=5130.4)
    assert readings_s(clock, [0, 0.5, 0.6, 25]).tolist() == [946_689_930, 946_689_930, 946_689_931, 946_689_955]


def test_it_drifts_by_parts_per_million() -> None:
    clock = SpacecraftClock(boot_before_start_s=0.5, drift_ppm=-100.0)
    true_s = np.arange(0, 100_000, 1000)
    lost_s = true_s - (readings_s(clock, true_s) - 946_684_800)
    np.testing.assert_allclose(lost_s, 1e-4 * true_s, atol=0.6)
