"""Filter, smoother and batch in orbits of every class. The benchmark does the same with more orbits."""

import pytest

from pygnc_ground.campaign.orbit_injections import NOMINAL, score_class
from pygnc_ground.campaign.orbit_world import ORBIT_CLASSES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ORBIT_CLASSES)
def test_errors_agree_with_the_covariance_in_orbits_of_every_class(name: str) -> None:
    for estimator, score in score_class(name, NOMINAL, 520, 8).items():
        assert score.nees < 2.0, estimator
        assert score.error_m2 < (2.0 if estimator == "filter" else 1.5) ** 2, estimator
        assert score.outside_s == 0.0, estimator
