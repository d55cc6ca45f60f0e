"""Validation of the settings."""

from dataclasses import replace

import pytest

from pygnc.estimators.formation.settings import FormationSettings


@pytest.mark.parametrize(
    "changed",
    [
        {"range_bias_sigma_m": 0.0},
        {"arc_max_s": float("nan")},
        {"range_noise_m": 500.0},
        {"fix_scale_max": 0.5},
        {"own_fixes_min": 0},
        {"differential_share": 1.1},
        {"calibrated_pairs": ((74, 75, 1_050.0, 0.0),)},
        {"calibrated_pairs": ((74, 74, 1_050.0, 5.0),)},
    ],
)
def test_raises_for_invalid_settings(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        replace(FormationSettings(), **changed)  # type: ignore[arg-type] # whichever it is
