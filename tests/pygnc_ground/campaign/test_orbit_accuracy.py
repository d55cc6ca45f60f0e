"""Consistency on every preset without faults. The benchmark does the same with 20 seeds."""

import pytest

from pygnc_ground.campaign.orbit_accuracy import PRESETS, preset_consistency

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("preset", PRESETS)
def test_errors_and_innovations_are_consistent(preset: str) -> None:
    found = preset_consistency(preset, 2)
    low, high = found.nis.band_per_dof
    assert low < found.nis.mean_per_dof < high
    for name, nees in found.nees.items():
        # Errors of one run hang together: two runs tell NEES to a half, and formal over actual error to a third.
        assert 0.5 < nees.mean_per_dof < 1.5, name
        assert 0.67 < found.formal_over_actual[name] < 1.5, name
