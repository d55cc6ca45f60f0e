"""Validation of the settings."""

from dataclasses import replace

import pytest

from pygnc.estimators.formation.settings import FormationSettings


@pytest.mark.parametrize(
    "changed",
    [
        {"range_noise_m": 500.0},
        {"calibrated_pairs": ((74, 74, 1_050.0, 5.0),)},
    ],
)
def test_rejects_settings_that_contradict_each_other(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(changed))):
        replace(FormationSettings(), **changed)  # type: ignore[arg-type] # whichever it is
