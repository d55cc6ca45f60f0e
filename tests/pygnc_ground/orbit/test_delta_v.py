"""Changes of the velocity by manoeuvres, by smoother and batch."""

import numpy as np
import pytest

from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.orbit_scores import solution_table
from pygnc_ground.orbit.batch.solve import solve_batch
from pygnc_ground.orbit.delta_v import delta_vs, manoeuvre_spans, restarts
from pygnc_ground.orbit.smoother import smooth
from tests.pygnc.estimators.orbit.test_manoeuvre import BEFORE, NOMINAL, with_pulses
from tests.pygnc.estimators.orbit.truth import CADENCE_S, ORIENTATION, make_fixes, run

SETTINGS = OrbitSettings()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pulses", "delta_v_mps", "sigma_mps"), [(1, 0.05, 0.002), (1800 // CADENCE_S, 6e-5 * 1800, 0.008)]
)
def test_the_change_of_the_velocity_is_within_three_sigma(pulses: int, delta_v_mps: float, sigma_mps: float) -> None:
    orbit, updates = run(make_fixes(with_pulses((0.0, delta_v_mps / pulses, 0.0), pulses)))
    forward = {update.fix.gps_ms: update.state for update in updates if update.state is not None}
    smoothed = smooth(updates, list(forward), OrbitDynamics(SETTINGS, orbit.frames), SETTINGS)
    table = solution_table(smoothed, orbit.frames)
    times = np.array(sorted(forward))
    fixes = [update.fix for update in updates]
    batch = solve_batch(fixes, times, SETTINGS, ORIENTATION, restarts(updates)).solution
    for after, is_smoothed in ((table, True), (batch, False)):
        (found,) = delta_vs(updates, after, SETTINGS, orbit.frames, is_smoothed=is_smoothed)
        assert found.span.before_ms <= NOMINAL.gps_ms[BEFORE + 1]
        assert found.span.after_ms >= NOMINAL.gps_ms[min(BEFORE + pulses, BEFORE + 1)]
        assert (np.abs(found.rtn_mps - (0.0, delta_v_mps, 0.0)) < 3.0 * found.sigma_mps).all()
        assert found.sigma_mps.max() < sigma_mps


def test_without_a_manoeuvre_there_is_no_span() -> None:
    _, updates = run(make_fixes(NOMINAL)[:60])
    assert manoeuvre_spans(updates) == []
    assert restarts(updates) == []
