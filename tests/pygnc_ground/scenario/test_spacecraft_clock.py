import numpy as np

from pygnc_ground.scenario.clock_settings import SpacecraftClock
from pygnc_ground.scenario.spacecraft_clock import lateness_s, readings_s


def test_it_counts_whole_seconds_from_2000_at_boot() -> None:
    clock = SpacecraftClock(boot_before_start_s=5130.4)
    assert readings_s(clock, [0, 0.5, 0.6, 25]).tolist() == [946_689_930, 946_689_930, 946_689_931, 946_689_955]


def test_it_drifts_by_parts_per_million() -> None:
    clock = SpacecraftClock(boot_before_start_s=0.5, drift_ppm=-100.0)
    true_s = np.arange(0, 100_000, 1000)
    lost_s = true_s - (readings_s(clock, true_s) - 946_684_800)
    np.testing.assert_allclose(lost_s, 1e-4 * true_s, atol=0.6)


def test_it_jumps_by_what_is_stated_from_then_on() -> None:
    clock = SpacecraftClock(boot_before_start_s=5000.0, jumps_s=((100.0, -1760.0), (200.0, 30.5)))
    assert readings_s(clock, [99, 100, 199, 200]).tolist() == [
        946_689_899,
        946_688_140,
        946_688_239,
        946_688_270,
    ]


def test_it_starts_again_at_a_reboot_and_forgets_earlier_jumps() -> None:
    clock = SpacecraftClock(boot_before_start_s=5000.0, jumps_s=((100.0, 1e6), (400.0, 7.0)), reboots_s=(350.5, 300.0))
    since_2000_s = readings_s(clock, [299, 300, 310, 351, 399, 400]) - 946_684_800
    assert since_2000_s.tolist() == [1_005_299, 0, 10, 0, 48, 56]


def test_late_samples_are_as_many_and_as_late_as_stated() -> None:
    late_s = lateness_s(SpacecraftClock(jitter_s=3, jitter_rate=0.1), 20_000, seed=1)
    assert {*late_s.tolist()} == {0, 1, 2, 3}
    # Four standard errors of a count of 2000, and of a third of it.
    assert abs(np.count_nonzero(late_s) - 2000) < 4 * np.sqrt(1800)
    assert np.all(np.abs(np.bincount(late_s)[1:] - 667) < 4 * np.sqrt(645))
    assert not lateness_s(SpacecraftClock(), 100, seed=1).any()
