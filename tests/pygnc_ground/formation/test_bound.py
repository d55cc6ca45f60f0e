"""Cramer-Rao bound against finite differences of trajectories by brahe, single orbits and limiting cases."""

import json
import math
from functools import cache
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.dynamics import OrbitDynamics
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_cli.exit_codes import ExitCode
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.commands.bound import app
from pygnc_ground.formation.bound import (
    FormationBound,
    FormationMotion,
    FormationPriors,
    RangeMeasurements,
    bound_document,
    bound_formation,
    formation_bound,
    linearise_formation,
)
from pygnc_ground.orbit.bound import KnownFixes, orbit_bounds
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.settings import Forces, Orbit, Spacecraft, settings_from_tables
from pygnc_ground.scenario.trajectory import Trajectory, initial_state_gcrf

START_MS = 1_391_299_218_000
T_S = 100.0 * np.arange(19)
FORCES = Forces(gravity_degree=12, drag=False, solid_tides=False, relativity=False)
CRAFT = Spacecraft()
FRAMES = EarthFrames(ORIENTATION)
SETTINGS = OrbitSettings(gravity_degree=12)
KNOWN_DRAG = FormationPriors(bias_m=20.0, common_log_drag=0.0, differential_log_drag=0.0)
RELATIVE = np.array(
    (
        np.zeros(6),
        (900.0, -600.0, 700.0, 0.1, 0.2, -0.1),
        (-500.0, 1_200.0, 400.0, -0.2, 0.05, 0.1),
        (300.0, 700.0, -900.0, 0.05, -0.1, 0.2),
    )
)


def path(state: FloatArray) -> Trajectory:
    return Trajectory(START_MS, float(T_S[-1]), state, CRAFT, FORCES)


@cache
def motion(count: int = 4) -> FormationMotion:
    if count < 4:
        full = motion()
        return FormationMotion(full.gps_ms, full.states_gcrf[:count], full.d_state_d_first[:count], full.ecef_from_gcrf)
    own = initial_state_gcrf(Orbit())
    states = np.stack([path(own + relative).states_gcrf(T_S) for relative in RELATIVE])
    return linearise_formation(START_MS + (1e3 * T_S).astype(np.int64), states, SETTINGS, FRAMES)


def fixes(count: int, fixed: int, position_m: float = 10.0, velocity_mps: float = 0.01) -> FloatArray:
    sigma = np.full((count, len(T_S), 6), np.inf)
    sigma[:fixed] = np.repeat((position_m, velocity_mps), 3)
    return sigma


def ranges(links: list[tuple[int, int]], sigma_m: float, rows: IntArray | None = None) -> RangeMeasurements:
    rows = np.arange(len(T_S)) if rows is None else rows
    one, other = (np.tile(np.array(end), len(rows)) for end in zip(*links, strict=True))
    return RangeMeasurements(np.repeat(rows, len(links)), one, other, np.full(len(one), sigma_m))


def mesh(count: int) -> list[tuple[int, int]]:
    return list(combinations(range(count), 2))


def star(count: int) -> list[tuple[int, int]]:
    return [(0, other) for other in range(1, count)]


def bound(count: int, fixed: int, seen: RangeMeasurements, priors: FormationPriors = KNOWN_DRAG) -> FormationBound:
    return formation_bound(motion(count), fixes(count, fixed), seen, priors)


def joint_covariance(found: FormationBound) -> FloatArray:
    """Return the covariance of all partners together, (n, 6 p, 6 p)."""
    root = np.concatenate(found.root, axis=1)
    return np.asarray(root @ root.swapaxes(1, 2))


def no_larger(one: FormationBound, other: FormationBound) -> bool:
    """Return True if no combination of relative states is known worse to `one` than to `other`."""
    return all(
        np.linalg.eigvalsh((second - first) / np.sqrt(np.outer(np.diag(second), np.diag(second)))).min() > -1e-6
        for first, second in zip(joint_covariance(one), joint_covariance(other), strict=True)
    )


# --- Independent computation ------------------------------------------------------------------------------------------


STEPS = np.repeat((2.0, 0.002), 3)


@cache
def displaced() -> tuple[FloatArray, FloatArray]:
    """Three satellites, as they are and with each number of each state a step more and less: ITRF and GCRF.

    Shapes (3, 6, 2, 3, n, 6): which satellite, which number, which way; then the states of all.
    """
    starts = initial_state_gcrf(Orbit()) + RELATIVE[:3]
    as_is = [path(start) for start in starts]
    kinds = []
    for states_of in (Trajectory.states_itrf, Trajectory.states_gcrf):
        states = np.tile(np.array([states_of(one, T_S) for one in as_is]), (3, 6, 2, 1, 1, 1))
        for satellite, start in enumerate(starts):
            for number, step in enumerate(np.diag(STEPS)):
                for way, sign in enumerate((1.0, -1.0)):
                    states[satellite, number, way, satellite] = states_of(path(start + sign * step), T_S)
        kinds.append(states)
    return kinds[0], kinds[1]


@pytest.mark.slow
@pytest.mark.parametrize(("links", "fixed", "sigma_m"), [(mesh(3), 3, 1.0), (mesh(3), 1, 10.0), (star(3), 2, 5.0)])
def test_bound_matches_finite_differences_of_trajectories(
    links: list[tuple[int, int]], fixed: int, sigma_m: float
) -> None:
    itrf, gcrf = displaced()
    between = [np.linalg.norm(gcrf[..., one, :, :3] - gcrf[..., other, :, :3], axis=-1) for one, other in links]
    measured = np.concatenate((itrf[..., :fixed, :, :].reshape(3, 6, 2, -1), *between), axis=-1)
    relative = gcrf[..., 1:, :, :3] - gcrf[..., :1, :, :3]
    by_state, moved = (
        ((each[:, :, 0] - each[:, :, 1]).reshape(18, -1) / (2.0 * np.tile(STEPS, 3)[:, None])).T
        for each in (measured, relative.reshape(3, 6, 2, -1))
    )
    by_bias = np.zeros((len(by_state), len(links)))
    by_bias[-len(links) * len(T_S) :] = np.repeat(np.eye(len(links)), len(T_S), axis=0)
    sigma = np.concatenate(
        (np.tile(np.repeat((10.0, 0.01), 3), fixed * len(T_S)), np.full(len(links) * len(T_S), sigma_m))
    )
    jacobian = np.concatenate((by_state, by_bias), axis=1) / sigma[:, None]
    prior_sigma = np.concatenate((np.tile(np.repeat((1e5, 1e3), 3), 3), np.full(len(links), 20.0)))
    unit = np.concatenate((np.tile(STEPS, 3), np.ones(len(links))))
    information = unit[:, None] * (jacobian.T @ jacobian + np.diag(prior_sigma**-2)) * unit
    covariance = unit[:, None] * np.linalg.inv(information) * unit
    variance = np.einsum("ia,ab,ib->i", moved, covariance[:18, :18], moved).reshape(2, len(T_S), 3).sum(axis=2)
    found = bound(3, fixed, ranges(links, sigma_m))
    np.testing.assert_allclose(found.position_m, np.sqrt(variance), rtol=2e-3)
    biases_m = np.sqrt(np.diagonal(covariance)[18:])
    np.testing.assert_allclose([found.bias_sigma_m[pair] for pair in links], biases_m, rtol=2e-3)


def test_drag_partials_match_the_orbit_bound() -> None:
    """Derivative by the drag factor against the flight's dynamics with a factor that is a little larger."""
    dynamics = OrbitDynamics(SETTINGS, FRAMES)
    begin = np.concatenate((motion().states_gcrf[1, 0], np.zeros(4)))
    more = begin.copy()
    more[6] = 0.1
    for row in (5, 18):
        to_ms = int(motion().gps_ms[row])
        after = [dynamics.propagate_vector(START_MS, state, to_ms)[0][:6] for state in (begin, more)]
        np.testing.assert_allclose(
            motion().d_state_d_first[1, row, :6, 6], (after[1] - after[0]) / 0.1, rtol=0.1, atol=1e-4
        )


def test_without_ranges_the_bound_is_that_of_two_single_orbits() -> None:
    """With drags as unknown as in a single orbit, the relative bound is the root of two of that of one orbit."""
    priors = FormationPriors(common_log_drag=0.0, differential_log_drag=10.0)
    found = bound(2, 2, ranges(star(2), 1e9), priors)
    singles = [
        orbit_bounds(KnownFixes(motion().gps_ms, states, fixes(1, 1)[0]), SETTINGS, FRAMES).deterministic_smoother
        for states in motion().states_gcrf[:2]
    ]
    expected = singles[0].covariance + singles[1].covariance
    sigma = np.sqrt(np.diagonal(expected, axis1=1, axis2=2))
    allowed = 1e-3 * sigma[:, :, None] * sigma[:, None]
    assert (np.abs(found.root[0] @ found.root[0].swapaxes(-1, -2) - expected) < allowed).all()
    np.testing.assert_allclose(found.position_m[0], np.sqrt(2.0) * singles[0].position_m, rtol=1e-2)


# --- What it must keep ------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(st.data())
def test_another_measurement_never_increases_the_bound(data: st.DataObject) -> None:
    chosen = data.draw(st.sets(st.sampled_from(mesh(4)), min_size=1, max_size=5))
    further = data.draw(st.sampled_from(sorted(set(mesh(4)) - chosen)))
    fixed = data.draw(st.integers(1, 3))
    sigma_m = data.draw(st.sampled_from((1.0, 10.0)))
    fewer = bound(4, fixed, ranges(sorted(chosen), sigma_m))
    assert no_larger(bound(4, fixed, ranges(sorted({*chosen, further}), sigma_m)), fewer)
    assert no_larger(bound(4, fixed + 1, ranges(sorted(chosen), sigma_m)), fewer)


def test_tighter_priors_never_increase_the_bound() -> None:
    seen = ranges(mesh(4), 1.0)
    known = bound(4, 1, seen, FormationPriors(0.0, 0.0, 0.0))
    biased = bound(4, 1, seen, FormationPriors(20.0, 0.0, 0.0))
    dragged = bound(4, 1, seen, FormationPriors(20.0, 0.8, 0.1))
    assert no_larger(known, biased)
    assert no_larger(biased, dragged)
    assert set(known.bias_sigma_m.values()) == {0.0}
    assert all(0.0 < sigma_m <= 20.0 for sigma_m in biased.bias_sigma_m.values())


def test_both_directions_equal_one_range_with_half_the_variance() -> None:
    links = mesh(4)
    twice = bound(4, 1, ranges([*links, *((other, one) for one, other in links)], 10.0))
    once = bound(4, 1, ranges(links, 10.0 / np.sqrt(2.0)))
    np.testing.assert_allclose(twice.position_m, once.position_m, rtol=1e-6)
    assert twice.bias_sigma_m == pytest.approx(once.bias_sigma_m, rel=1e-6)


def test_bound_scales_with_all_standard_deviations() -> None:
    one = bound(3, 3, ranges(mesh(3), 1.0), FormationPriors(1.0, 0.0, 0.0))
    wider = fixes(3, 3, 30.0, 0.03), ranges(mesh(3), 3.0)
    three = formation_bound(motion(3), *wider, FormationPriors(3.0, 0.0, 0.0))
    np.testing.assert_allclose(joint_covariance(three), 9.0 * joint_covariance(one), rtol=1e-4, atol=1e-9)


def test_bound_does_not_depend_on_the_order_of_partners() -> None:
    full, order = motion(3), [0, 2, 1]
    swapped = FormationMotion(full.gps_ms, full.states_gcrf[order], full.d_state_d_first[order], full.ecef_from_gcrf)
    seen = ranges([(0, 1), (1, 2)], 5.0)
    renamed = ranges([(0, 2), (2, 1)], 5.0)
    one = formation_bound(full, fixes(3, 1), seen, KNOWN_DRAG)
    other = formation_bound(swapped, fixes(3, 1), renamed, KNOWN_DRAG)
    np.testing.assert_allclose(other.rms_m, one.rms_m[::-1], rtol=1e-6)
    assert other.rms_all_m == pytest.approx(one.rms_all_m, rel=1e-6)


# --- Other coordinates ------------------------------------------------------------------------------------------------


def test_rtn_covariance_matches_samples() -> None:
    found = bound(2, 2, ranges(star(2), 1.0))
    row = 12
    own = motion().states_gcrf[0, row]
    root = np.linalg.cholesky(found.root[0, row] @ found.root[0, row].T)
    errors = np.random.default_rng(4).standard_normal((4_000, 6)) @ root.T
    in_plane = np.trace(found.covariance_rtn[0, row, :3, :3])
    assert np.sqrt(in_plane) == pytest.approx(found.position_m[0, row], rel=1e-9)
    normal = np.cross(own[:3], own[3:])
    normal /= np.linalg.norm(normal)
    assert np.sqrt(found.covariance_rtn[0, row, 2, 2]) == pytest.approx((errors[:, :3] @ normal).std(), rel=0.05)


PARTNERS = [
    {"id": 75, "position_rtn_m": [100.0, 900.0, 200.0], "velocity_rtn_mps": [0.0, -0.2, 0.1]},
    {"id": 77, "position_rtn_m": [-200.0, -600.0, 300.0], "velocity_rtn_mps": [0.1, 0.4, 0.0]},
]


def found(*, everyone: bool, noise_m: float = 1.0) -> FormationBound:
    tables = {
        "duration_s": 1800,
        "forces": {"gravity_degree": 8, "drag": False},
        "ranging": {"noise_m": noise_m},
        "formation": {"all_satellites": everyone},
        "partners": PARTNERS,
    }
    return bound_formation(settings_from_tables(tables, "test"), OrbitSettings(gravity_degree=8))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


def test_fixes_of_all_satellites_reduce_the_bound() -> None:
    alone, together = found(everyone=False), found(everyone=True)
    assert alone.partners == (75, 77)
    assert list(alone.bias_sigma_m) == [(0, 1), (0, 2)]
    assert list(together.bias_sigma_m) == [(0, 1), (0, 2), (1, 2)]
    assert together.rms_all_m < 5.0 < alone.rms_all_m


def test_bound_of_fixes_alone_matches_their_number() -> None:
    """About 19 m over the root of their number, and the root of 2 of that for a difference."""
    bound = found(everyone=True, noise_m=1e6)
    fixes = len(bound.motion.gps_ms)
    assert fixes == 1800 // 25 + 1800 // 60 - 6
    assert bound.rms_all_m == pytest.approx(math.sqrt(2.0) * 19.0 / math.sqrt(fixes), rel=0.25)


def test_rms_of_the_axes_adds_up_to_3d() -> None:
    shown = msgspec.to_builtins(bound_document(found(everyone=True)))
    assert isinstance(shown["partners"], dict)
    for figures in shown["partners"].values():
        axes = [figures[name] for name in ("r_m", "t_m", "n_m")]
        assert math.hypot(*axes) == pytest.approx(figures["position_rms_m"])


def test_table_and_json_show_the_same_figures(tmp_path: Path) -> None:
    (tmp_path / "short.toml").write_text("duration_s = 600\n[forces]\ngravity_degree = 8\n")
    short = ("--preset", "formation4", "--config", str(tmp_path / "short.toml"), "--formation")
    code, text = run(*short, "--json")
    assert code == 0
    printed = json.loads(text)
    assert set(printed["partners"]) == {"75", "76", "77"}
    code, table = run(*short)
    assert code == 0
    for partner, figures in printed["partners"].items():
        (row,) = [line for line in table.splitlines() if f" {partner} " in line]
        assert f"{figures['position_rms_m']:.3f}" in row


@pytest.mark.parametrize(
    ("arguments", "expected", "cause"),
    [
        (("sense.bin", "--truth", "x", "--formation"), ExitCode.USAGE, "--formation"),
        (("--preset", "nominal", "--formation"), ExitCode.INPUT, "[[partners]]"),
    ],
)
def test_command_reports_errors_in_one_line(arguments: tuple[str, ...], expected: ExitCode, cause: str) -> None:
    code, output = run(*arguments)
    assert code == expected
    assert output.count("\n") == 1
    assert cause in output
