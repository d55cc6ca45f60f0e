from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from pygnc_ground.report.eclipse import eclipses, shade
from pygnc_ground.report.palette import SHADE
from pygnc_ground.report.time_axis import sample_axis, time_axis
from tests.pygnc_ground.report import attitude_samples, samples

RESULT = attitude_samples.clean(400, begin_ms=samples.BEGIN_MS)
TIME = sample_axis(time_axis(samples.clean(90)), RESULT.samples.gps_ms)
BEGIN_H = 21.0 + 10.0 / 60.0


def test_an_eclipse_is_where_the_orbit_is_in_the_shadow() -> None:
    ((begin, end),) = eclipses(RESULT.samples, TIME)
    assert (begin - BEGIN_H, end - BEGIN_H) == pytest.approx((160 * 5 / 3600, 280 * 5 / 3600))


def test_where_the_orbit_is_not_known_the_light_tells() -> None:
    unknown = replace(RESULT.samples, sunlit_fraction=np.full(400, np.nan))
    assert eclipses(unknown, TIME) == pytest.approx(eclipses(RESULT.samples, TIME))


def test_it_is_shaded_behind_all_else() -> None:
    axes = Figure().subplots()
    shade([axes], eclipses(RESULT.samples, TIME))
    (patch,) = axes.patches
    assert same_color(patch.get_facecolor(), SHADE)
    assert patch.get_zorder() < 1.0
