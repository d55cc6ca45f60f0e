"""Raw measurements of scenarios, against formulas in the Earth-fixed frame that the simulator does not use."""

import ast
import inspect
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pygnc_ground.gnss.antennas import navigation_axes, orbital_axes, wind_up_cycles
from pygnc_ground.gnss.measurements import HALF_CYCLE, L1_HZ, L2_HZ, LOST_LOCK, GnssOrbits
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.scenario import constellation, environment, raw_gnss, trajectory
from pygnc_ground.scenario.generate import generate
from pygnc_ground.scenario.make import make_scenario
from pygnc_ground.scenario.raw_gnss import _wind_up_cycles
from pygnc_ground.scenario.settings import settings_from_tables
from tests.pygnc_ground.scenario.raw_scenario import Made, scenario

pytestmark = [pytest.mark.timeout(180), pytest.mark.xdist_group("raw_gnss")]
_C = 299_792_458.0
_EARTH_RAD_S = 7.2921151467e-5
_QUIET = {"multipath_m": 0.0, "slip_rate_per_h": 0.0, "signal_in_space_m": 0.0}
_RATIO = (L1_HZ / L2_HZ) ** 2


def residuals(made: Made, orbits: GnssOrbits) -> tuple[FloatArray, list[FloatArray]]:
    """Return ionosphere-free codes minus ranges by the truth, and phases likewise for each pass."""
    table, start_ms = made.measurements, made.path.start_gps_ms
    codes, passes = list[FloatArray](), list[FloatArray]()
    for name in np.unique(table.satellite):
        rows = np.flatnonzero(table.satellite == name)
        clock_s = made.files.clock_s[(table.gps_ms[rows] - start_ms) // 10_000]
        true_s = np.maximum(1e-3 * (table.gps_ms[rows] - start_ms) - clock_s, 0.0)
        own_m, travel_s = made.path.states_itrf(true_s)[:, :3], np.full(len(rows), 0.075)
        for _ in range(4):
            states = orbits.states(str(name), table.gps_ms[rows], -clock_s - travel_s)
            x, y, z = states.position_ecef_m.T
            turn = _EARTH_RAD_S * travel_s
            sent_m = np.stack((x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn), z), axis=1)
            travel_s = np.linalg.norm(sent_m - own_m, axis=1) / _C
        relativity_s = -2.0 / _C**2 * np.einsum("ni,ni->n", states.position_ecef_m, states.velocity_ecef_mps)
        range_m = _C * (travel_s + clock_s - states.clock_s - relativity_s)
        codes.append(_combined(table.code_p1_m, table.code_p2_m)[rows] - range_m)
        phase = _combined(table.phase_l1_m, table.phase_l2_m)[rows] - range_m
        passes += np.split(phase, np.flatnonzero(np.diff(table.gps_ms[rows]) > 10_000) + 1)
    return np.concatenate(codes), passes


def _combined(first: FloatArray, second: FloatArray) -> FloatArray:
    return (_RATIO * first - second) / (_RATIO - 1.0)


def test_codes_and_phases_agree_with_the_true_geometry() -> None:
    made = scenario(**_QUIET)
    codes, passes = residuals(made, made.precise)
    assert abs(np.median(codes)) < 0.1
    assert 0.5 < codes.std() < 1.5
    # Wind-up, the delay by gravitation and clocks between their samples are some centimetres.
    spread = np.concatenate([one - np.median(one) for one in passes])
    assert spread.std() < 0.06


@pytest.mark.slow
def test_broadcast_messages_fit_the_orbit_and_have_the_error_demanded() -> None:
    for error_m, limits_m in ((0.0, (0.0, 0.4)), (3.0, (1.5, 5.0))):
        made = scenario(**_QUIET | {"signal_in_space_m": error_m})
        precise, broadcast = (
            np.concatenate([np.full(len(one), np.median(one)) for one in residuals(made, orbits)[1]])
            for orbits in (made.precise, made.broadcast)
        )
        assert limits_m[0] <= (precise - broadcast).std() <= limits_m[1]


def test_the_ionosphere_delays_codes_and_advances_phases() -> None:
    made = scenario(**_QUIET)
    table = made.measurements
    rows = table.satellite == table.satellite[0]
    differences_m = (table.code_p2_m - table.code_p1_m)[rows], (table.phase_l2_m - table.phase_l1_m)[rows]
    assert abs(np.median(np.diff(differences_m[0] + differences_m[1]))) < 0.1
    assert np.median(table.code_p2_m - table.code_p1_m) > 0.1
    none = scenario(**_QUIET | {"ionosphere_tecu": 0.0}).measurements
    assert abs(np.mean(none.code_p2_m - none.code_p1_m)) < 0.05


def test_slips_and_half_cycles_are_integers_and_halves_and_flagged() -> None:
    quiet = scenario(**_QUIET).measurements
    slips = scenario(**_QUIET | {"slip_rate_per_h": 20.0, "slip_flagged_fraction": 1.0}).measurements
    halves = scenario(**_QUIET | {"half_cycle_rate_per_h": 20.0}).measurements
    cycles = (slips.phase_l1_m - quiet.phase_l1_m) * L1_HZ / _C
    assert cycles == pytest.approx(np.rint(cycles), abs=1e-4)
    for name in np.unique(slips.satellite):
        rows = slips.satellite == name
        changed = np.flatnonzero(np.abs(np.diff(cycles[rows])) > 0.5) + 1
        assert (slips.loss_of_lock_l1[rows][changed] & LOST_LOCK).all()
    half = (halves.phase_l1_m - quiet.phase_l1_m) * L1_HZ / _C
    wrong = np.abs(half - np.rint(half)) > 0.4
    assert wrong.any()
    assert (halves.loss_of_lock_l1[wrong] & HALF_CYCLE).all()


def test_the_clock_jumps_by_milliseconds() -> None:
    made = scenario(**_QUIET | {"clock_jumps": True, "clock_drift_ppm": 1.0, "clock_offset_s": 0.0})
    steps_s = np.diff(made.files.clock_s)
    jumps = steps_s[np.abs(steps_s) > 5e-4]
    assert len(jumps) == 4
    assert jumps == pytest.approx(np.full(4, -1e-3), abs=2e-5)
    assert np.abs(made.files.clock_s).max() < 5.2e-4


def test_one_frequency_and_few_channels() -> None:
    table = scenario(**_QUIET | {"frequencies": 1, "channels": 4}).measurements
    assert np.isnan(table.code_p2_m).all()
    assert np.unique(table.gps_ms, return_counts=True)[1].max() == 4


def test_a_scenario_is_written_with_its_raw_measurements(tmp_path: Path) -> None:
    scenario = make_scenario(settings={"duration_s": 600, "raw_gnss": {"interval_s": 30}})
    names = {path.relative_to(tmp_path / "out").as_posix() for path in scenario.write(tmp_path / "out")}
    assert {"gnss/observations.rnx", "gnss/navigation.rnx", "gnss/precise.sp3"} <= names
    assert make_scenario(settings={"duration_s": 600}).satellites[0].raw is None


def test_no_satellite_in_view_names_the_setting() -> None:
    settings = settings_from_tables(
        {"duration_s": 60, "raw_gnss": {"interval_s": 10, "elevation_mask_deg": 89.99}}, "test"
    )
    with pytest.raises(ValueError, match="elevation_mask_deg"):
        generate(settings)


def test_wind_up_agrees_with_the_formula_of_wu() -> None:
    made = scenario(**_QUIET)
    t_s = np.arange(0.0, 1800.0, 10.0)
    states = made.path.states_gcrf(t_s)
    sun_m = np.tile([1.2e11, 8e10, 3e10], (len(t_s), 1))
    orbit_m = np.tile([1.5e7, 1.8e7, 1.2e7], (len(t_s), 1)) + np.outer(t_s, [2e3, -1e3, 3e3])
    toward = states[:, :3] - orbit_m
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    ours = _wind_up_cycles(orbit_m, sun_m, states, toward)
    receiver = orbital_axes(states[:, :3], states[:, 3:])
    antenna = np.stack((receiver[:, 0], -receiver[:, 1], -receiver[:, 2]), axis=1)
    theirs = np.unwrap(wind_up_cycles(navigation_axes(orbit_m, sun_m), antenna, toward), period=1.0)
    for one, other in pairwise((ours - ours[0], theirs - theirs[0])):
        assert one == pytest.approx(other, abs=1e-6)


def test_the_simulator_has_no_model_of_the_estimator() -> None:
    """Common are data types, file formats, and the evaluation of messages, which agrees with RTKLIB."""
    allowed = {
        ("broadcast", "EPHEMERIS"), ("broadcast", "Klobuchar"), ("broadcast", "evaluated"),
        ("measurements", "HALF_CYCLE"), ("measurements", "LOST_LOCK"), ("measurements", "GnssMeasurements"),
        ("measurements", "ReceiverFacts"), ("rinex_navigation", "write_navigation"), ("rinex_writer", "write_rinex3"),
    }  # fmt: skip
    for module in (raw_gnss, constellation, environment, trajectory):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                assert not node.module.startswith(("pygnc.environment", "pygnc.estimators", "pygnc_ground.orbit"))
                if node.module.startswith("pygnc_ground.gnss"):
                    assert {(node.module.rsplit(".", 1)[1], one.name) for one in node.names} <= allowed
