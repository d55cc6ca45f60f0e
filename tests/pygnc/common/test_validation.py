import math
from types import SimpleNamespace

import pytest

from pygnc.common.validation import require_positive


def test_accepts_positive_values() -> None:
    require_positive(SimpleNamespace(mass_kg=1e-9, other=-1.0), "mass_kg")


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_names_values_that_are_not_positive(value: float) -> None:
    with pytest.raises(ValueError, match="mass_kg must be positive"):
        require_positive(SimpleNamespace(area_m2=1.0, mass_kg=value), "area_m2", "mass_kg")
