from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import KroghInterpolator

from pygnc_ground.truth.ephemeris import HERMITE_WINDOW, LAGRANGE_WINDOW, Arc, Ephemeris, hermite, lagrange
from pygnc_ground.truth.frames import Frame
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray, OrbitTruth, TrueOrbit
from tests.pygnc_ground.truth import orbits
from tests.pygnc_ground.truth.orbits import DURATION_S, START_GPS_MS


def arc(
    t_s: FloatArray, states: FloatArray, *, velocities: bool = True, frame: Frame = Frame.ITRF, margin_s: float = 0.0
) -> Arc:
    sample_ns = orbits.gps_ns(t_s)
    usable_ns = orbits.gps_ns([t_s[0] + margin_s, t_s[-1] - margin_s])
    return Arc(
        gps_ns=sample_ns,
        position_m=states[:, :3],
        velocity_mps=states[:, 3:] if velocities else None,
        frame=frame,
        window=HERMITE_WINDOW if velocities else LAGRANGE_WINDOW,
        usable_ns=(int(usable_ns[0]), int(usable_ns[1])),
    )


def gps_ms(t_s: FloatArray) -> IntArray:
    return orbits.gps_ns(t_s) // 1_000_000


def worst(found: TrueOrbit, states: FloatArray) -> tuple[float, float]:
    position = np.linalg.norm(found.position_ecef_m - states[:, :3], axis=1)
    velocity = np.linalg.norm(found.velocity_ecef_mps - states[:, 3:], axis=1)
    return float(position.max()), float(velocity.max())


def samples_s(spacing_s: float) -> FloatArray:
    return np.arange(0.0, DURATION_S + 1e-9, spacing_s)


@pytest.mark.parametrize(
    ("spacing_s", "velocities", "within_m", "at_ends_m", "within_mps"),
    [
        (5.0, True, 1e-4, 1e-4, 1e-4),
        (25.0, True, 1e-4, 4e-4, 1e-4),
        (60.0, True, 2e-4, 1e-3, 1e-4),
        (120.0, True, 7e-3, 7e-3, 2e-4),
        (180.0, True, 0.014, 0.05, 1e-3),
        (300.0, True, 0.1, 0.3, 1.5e-3),
        (25.0, False, 1e-5, 4e-5, 1e-4),
        (60.0, False, 3e-3, 0.03, 2e-4),
        (120.0, False, 0.05, 0.3, 1.5e-3),
        (180.0, False, 0.1, 2.0, 3e-3),
    ],
)
def test_the_error_between_samples_is_as_stated(
    spacing_s: float,
    velocities: bool,  # noqa: FBT001
    within_m: float,
    at_ends_m: float,
    within_mps: float,
) -> None:
    t_s = samples_s(spacing_s)
    ephemeris = Ephemeris([arc(t_s, orbits.states_itrf(t_s), velocities=velocities)], "test")
    for edges, bound_m in ((False, within_m), (True, at_ends_m)):
        asked_s = orbits.between(spacing_s, edges=edges)
        error_m, error_mps = worst(ephemeris.at_ns(orbits.gps_ns(asked_s)), orbits.states_itrf(asked_s))
        assert bound_m / 50.0 < error_m < bound_m
        assert edges or error_mps < within_mps


def test_positions_alone_every_300_s_would_be_metres_off() -> None:
    t_s = samples_s(300.0)
    for edges, bound_m in ((False, 0.6), (True, 12.0)):
        asked_s = orbits.between(300.0, edges=edges)
        position_m = orbits.states_itrf(t_s)[:, :3]
        found = lagrange(orbits.gps_ns(t_s), position_m, LAGRANGE_WINDOW, orbits.gps_ns(asked_s))
        error_m = np.linalg.norm(found[:, :3] - orbits.states_itrf(asked_s)[:, :3], axis=1).max()
        assert bound_m / 2.0 < error_m < bound_m


@pytest.mark.parametrize("frame", [Frame.ITRF, Frame.GCRF])
def test_samples_are_reproduced_exactly(frame: Frame) -> None:
    t_s = samples_s(60.0)
    states = orbits.states_itrf(t_s) if frame is Frame.ITRF else orbits.states_gcrf(t_s)
    found = Ephemeris([arc(t_s, states, frame=frame)], "test").at(gps_ms(t_s))
    if frame is Frame.ITRF:
        np.testing.assert_array_equal(found.position_ecef_m, states[:, :3])
        np.testing.assert_array_equal(found.velocity_ecef_mps, states[:, 3:])
    else:
        assert worst(found, orbits.states_itrf(t_s)) < (1e-4, 1e-6)


def test_there_is_nothing_outside_the_span_and_everything_within() -> None:
    t_s = samples_s(60.0)
    ephemeris: OrbitTruth = Ephemeris([arc(t_s, orbits.circular(t_s))], "test")
    begin_ms, end_ms = ephemeris.span_gps_ms
    assert (begin_ms, end_ms) == (START_GPS_MS, START_GPS_MS + 6_960_000)
    found = ephemeris.at(np.array([begin_ms - 1, begin_ms, begin_ms + 1, end_ms - 1, end_ms, end_ms + 1]))
    for values in found:
        assert np.isnan(values[[0, -1]]).all()
        assert np.isfinite(values[1:-1]).all()


def test_the_span_in_milliseconds_lies_within_that_in_nanoseconds() -> None:
    t_s = np.arange(10.0) + 0.000_4
    ephemeris = Ephemeris([arc(t_s, orbits.circular(t_s))], "test")
    assert ephemeris.span_gps_ms == (START_GPS_MS + 1, START_GPS_MS + 9000)
    assert np.isfinite(ephemeris.at(np.array(ephemeris.span_gps_ms)).position_ecef_m).all()


def test_an_ephemeris_between_two_milliseconds_is_rejected() -> None:
    t_s = np.array([0.000_4])
    with pytest.raises(ValueError, match="useable time span is empty"):
        Ephemeris([arc(t_s, orbits.circular(t_s))], "test")


def test_samples_outside_the_usable_span_are_used_for_interpolation_only() -> None:
    t_s = samples_s(180.0)
    ephemeris = Ephemeris([arc(t_s, orbits.states_itrf(t_s), velocities=False, margin_s=900.0)], "test")
    assert ephemeris.span_gps_ms == (START_GPS_MS + 900_000, START_GPS_MS + 5_940_000)
    assert np.isnan(ephemeris.at(gps_ms(np.array([899.0, 5941.0]))).position_ecef_m).all()
    asked_s = np.arange(900.0, 1500.0, 50.0)
    assert worst(ephemeris.at(gps_ms(asked_s)), orbits.states_itrf(asked_s))[0] < 0.1


def test_arcs_leave_gaps_and_the_later_one_holds_where_they_meet() -> None:
    parts = [np.arange(0.0, 301.0, 10.0), np.arange(300.0, 601.0, 10.0), np.arange(700.0, 1001.0, 10.0)]
    arcs = [arc(t_s, orbits.circular(t_s) * (1.0 + 1e-3 * number)) for number, t_s in enumerate(parts)]
    ephemeris = Ephemeris(arcs, "test")
    found = ephemeris.at(gps_ms(np.array([150.0, 300.0, 450.0, 600.0, 650.0, 700.0])))
    radius_m = np.linalg.norm(found.position_ecef_m, axis=1)
    np.testing.assert_allclose(radius_m, 7e6 * np.array([1.0, 1.001, 1.001, 1.001, np.nan, 1.002]), rtol=1e-9)
    assert ephemeris.span_gps_ms == (START_GPS_MS, START_GPS_MS + 1_000_000)


def test_an_arc_of_few_samples_is_known_at_them_only() -> None:
    t_s = np.array([0.0, 60.0, 120.0])
    ephemeris = Ephemeris([arc(t_s, orbits.circular(t_s))], "test")
    found = ephemeris.at(gps_ms(np.array([0.0, 30.0, 60.0, 119.0, 120.0])))
    np.testing.assert_array_equal(np.isfinite(found.velocity_ecef_mps[:, 0]), [True, False, True, False, True])


def test_few_positions_without_velocity_are_rejected() -> None:
    t_s = samples_s(60.0)[: LAGRANGE_WINDOW - 1]
    found = Ephemeris([arc(t_s, orbits.circular(t_s), velocities=False)], "test").at(gps_ms(t_s))
    assert np.isnan(found.position_ecef_m).all()
    assert np.isnan(found.velocity_ecef_mps).all()


def test_the_description_contains_origin_span_and_size() -> None:
    t_s = samples_s(10.0)[:31]
    one, two = arc(t_s, orbits.circular(t_s)), arc(t_s + 1000.0, orbits.circular(t_s + 1000.0))
    begin = "a table, 2025-03-20T00:00:00.000Z to"
    assert Ephemeris([one], "a table").description == f"{begin} 2025-03-20T00:05:00.000Z, 31 samples"
    assert Ephemeris([one, two], "a table").description == f"{begin} 2025-03-20T00:21:40.000Z, 62 samples in 2 arcs"


def test_no_times_give_no_states() -> None:
    t_s = np.arange(0.0, 301.0, 10.0)
    found = Ephemeris([arc(t_s, orbits.circular(t_s))], "test").at(np.zeros(0, dtype=np.int64))
    assert found.position_ecef_m.shape == found.velocity_ecef_mps.shape == (0, 3)


@pytest.mark.parametrize(
    ("position_factor", "velocity_factor", "complaint"),
    [
        (1e3, 1e3, "which is not an orbit"),
        (1e-3, 1e-3, "which is not an orbit"),
        (1.0, 0.1, "velocities and positions disagree"),
        (1.0, -1.0, "velocities and positions disagree"),
    ],
)
def test_wrong_units_are_rejected(position_factor: float, velocity_factor: float, complaint: str) -> None:
    t_s = samples_s(60.0)
    states = orbits.circular(t_s) * np.repeat([position_factor, velocity_factor], 3)
    with pytest.raises(ValueError, match=complaint):
        Ephemeris([arc(t_s, states)], "test")


def test_inertial_velocities_in_an_earth_fixed_frame_are_rejected() -> None:
    t_s = samples_s(60.0)
    states = orbits.states_itrf(t_s)
    states[:, 3:] += np.cross([0.0, 0.0, 7.292115e-5], states[:, :3])
    with pytest.raises(ValueError, match=r"disagree by [4-7]%.*relative to the rotating Earth"):
        Ephemeris([arc(t_s, states)], "test")


def test_true_velocities_pass_at_any_usual_spacing() -> None:
    for spacing_s in (1.0, 60.0, 300.0, 360.0):
        t_s = samples_s(spacing_s)
        Ephemeris([arc(t_s, orbits.states_itrf(t_s))], "test")


def test_a_geostationary_satellite_passes() -> None:
    # Geostationary, with velocities rounded to a millimetre per second as some files have them.
    t_s = samples_s(300.0)
    angle = 7.3e-5 * t_s
    position = 42_164e3 * np.stack((np.ones_like(angle), 1e-6 * np.sin(angle), 1e-6 * np.cos(angle)), axis=1)
    velocity = 3.1e-3 * np.stack((np.zeros_like(angle), np.cos(angle), -np.sin(angle)), axis=1)
    Ephemeris([arc(t_s, np.concatenate((position, velocity.round(3)), axis=1))], "test")


@pytest.mark.parametrize(("velocities", "spacing_s", "most_min"), [(True, 480.0, 5), (False, 300.0, 3)])
def test_samples_too_far_apart_are_rejected(velocities: bool, spacing_s: float, most_min: int) -> None:  # noqa: FBT001
    t_s = samples_s(spacing_s)
    with pytest.raises(ValueError, match=rf"are {spacing_s:.0f} s apart.* {most_min} min in a low orbit"):
        Ephemeris([arc(t_s, orbits.states_itrf(t_s), velocities=velocities)], "test")


def test_a_wide_step_is_a_gap_that_does_not_affect_neighbouring_samples() -> None:
    t_s = samples_s(60.0)
    t_s = t_s[(t_s < 2000.0) | (t_s > 4000.0)]
    ephemeris = Ephemeris([arc(t_s, orbits.states_itrf(t_s))], "test")
    assert ephemeris.description.endswith("in 2 arcs")
    asked_s = np.array([1950.0, 1990.0, 3000.0, 4010.0, 4050.0])
    found = ephemeris.at(gps_ms(asked_s))
    np.testing.assert_array_equal(np.isfinite(found.position_ecef_m[:, 0]), [True, False, False, False, True])
    near = [0, 4]
    error = found.position_ecef_m[near] - orbits.states_itrf(asked_s[near])[:, :3]
    assert np.abs(error).max() < 1e-3


def test_a_usable_span_between_two_distant_samples_is_rejected() -> None:
    t_s = samples_s(60.0)
    kept_s = t_s[(t_s < 2000.0) | (t_s > 4000.0)]
    whole = arc(kept_s, orbits.states_itrf(kept_s))
    begin_ns, end_ns = orbits.gps_ns([2500.0, 3500.0]).tolist()
    with pytest.raises(ValueError, match="useable time span is empty"):
        Ephemeris([replace(whole, usable_ns=(begin_ns, end_ns))], "test")


@pytest.mark.parametrize("wrong_mps", ["rounded", "biased"])
def test_velocities_that_do_not_fit_the_positions_are_not_used(wrong_mps: str) -> None:
    t_s = samples_s(60.0)
    states = orbits.states_itrf(t_s)
    states[:, 3:] = states[:, 3:].round(1) if wrong_mps == "rounded" else states[:, 3:] + 0.02
    ephemeris = Ephemeris([arc(t_s, states)], "test")
    assert ephemeris.description.endswith("117 samples, velocities from positions")
    for asked_s in (orbits.between(60.0), t_s[10:-10]):
        error_m, error_mps = worst(ephemeris.at_ns(orbits.gps_ns(asked_s)), orbits.states_itrf(asked_s))
        assert error_m < 3e-3
        assert error_mps < 2e-4


def test_velocities_rounded_to_a_millimetre_per_second_are_used() -> None:
    t_s = samples_s(60.0)
    states = orbits.states_itrf(t_s)
    states[:, 3:] = states[:, 3:].round(3)
    ephemeris = Ephemeris([arc(t_s, states)], "test")
    np.testing.assert_array_equal(ephemeris.at(gps_ms(t_s)).velocity_ecef_mps, states[:, 3:])
    asked_s = orbits.between(60.0)
    assert worst(ephemeris.at_ns(orbits.gps_ns(asked_s)), orbits.states_itrf(asked_s))[0] < 2e-2


def test_positions_rounded_to_a_metre_keep_the_velocities() -> None:
    t_s = samples_s(60.0)
    states = orbits.states_itrf(t_s)
    states[:, :3] = states[:, :3].round()
    ephemeris = Ephemeris([arc(t_s, states)], "test")
    np.testing.assert_array_equal(ephemeris.at(gps_ms(t_s)).velocity_ecef_mps, states[:, 3:])


RNG = np.random.default_rng(5)
SAMPLE_NS: IntArray = 10**18 + np.cumsum(RNG.integers(5, 40, 14)) * 1_000_000_000
MOMENT_NS: IntArray = SAMPLE_NS[0] + RNG.integers(0, SAMPLE_NS[-1] - SAMPLE_NS[0], 50)


def seconds(gps_ns: IntArray) -> FloatArray:
    elapsed_s: FloatArray = (gps_ns - SAMPLE_NS[0]) * 1e-9
    return elapsed_s


def polynomial(degree: int, gps_ns: IntArray) -> FloatArray:
    """Return position and velocity along three polynomials, shape (n, 6)."""
    curves = [np.polynomial.Polynomial(c, domain=[0.0, 300.0]) for c in RNG_COEFFICIENTS[:, : degree + 1]]
    t_s = seconds(gps_ns)
    return np.stack([c(t_s) for c in curves] + [c.deriv()(t_s) for c in curves], axis=1)


RNG_COEFFICIENTS = 7e6 * np.random.default_rng(6).standard_normal((3, 20))


@pytest.mark.parametrize("window", [2, 5, 10])
def test_polynomials_of_the_degree_are_met_exactly_by_positions_alone(window: int) -> None:
    samples = polynomial(window - 1, SAMPLE_NS)
    found = lagrange(SAMPLE_NS, samples[:, :3], window, MOMENT_NS)
    np.testing.assert_allclose(found, polynomial(window - 1, MOMENT_NS), rtol=1e-9, atol=1e-3)


@pytest.mark.parametrize("window", [2, 4, 7])
def test_polynomials_of_the_degree_are_met_exactly_with_velocities(window: int) -> None:
    samples = polynomial(2 * window - 1, SAMPLE_NS)
    found = hermite(SAMPLE_NS, samples, window, MOMENT_NS)
    np.testing.assert_allclose(found, polynomial(2 * window - 1, MOMENT_NS), rtol=1e-9, atol=1e-3)


def test_one_window_is_scipys_polynomial() -> None:
    time_ns, state = SAMPLE_NS[:4], np.random.default_rng(7).standard_normal((4, 6))
    moment_ns = MOMENT_NS[(time_ns[0] < MOMENT_NS) & (time_ns[-1] > MOMENT_NS)]
    t_s, sample_s = seconds(moment_ns), seconds(time_ns)
    positions = KroghInterpolator(sample_s, state[:, :3])
    expected = np.concatenate((positions(t_s), positions.derivative(t_s)), axis=1)
    np.testing.assert_allclose(lagrange(time_ns, state[:, :3], 4, moment_ns), expected, rtol=1e-9, atol=1e-9)
    both = KroghInterpolator(np.repeat(sample_s, 2), state.reshape(8, 3))
    expected = np.concatenate((both(t_s), both.derivative(t_s)), axis=1)
    np.testing.assert_allclose(hermite(time_ns, state, 4, moment_ns), expected, rtol=1e-9, atol=1e-9)


@given(st.integers(0, len(SAMPLE_NS) - 1), st.integers(2, 10))
def test_interpolation_is_exact_at_the_samples(row: int, window: int) -> None:
    state = 7e6 * np.random.default_rng(8).standard_normal((len(SAMPLE_NS), 6))
    np.testing.assert_array_equal(
        lagrange(SAMPLE_NS, state[:, :3], window, SAMPLE_NS[row : row + 1])[0, :3], state[row, :3]
    )
    found = hermite(SAMPLE_NS, state, window, SAMPLE_NS[row : row + 1])[0]
    np.testing.assert_array_equal(found[:3], state[row, :3])
    np.testing.assert_allclose(found[3:], state[row, 3:], rtol=1e-6)


def test_the_window_is_the_samples_around_the_moment() -> None:
    # Only the samples of the window may have an effect: corrupt all others.
    state = polynomial(3, SAMPLE_NS)
    moment_ns = np.array([SAMPLE_NS[6] + 1])
    spoilt = np.full_like(state, 1e12)
    spoilt[5:9] = state[5:9]
    expected = polynomial(3, moment_ns)
    np.testing.assert_allclose(lagrange(SAMPLE_NS, spoilt[:, :3], 4, moment_ns), expected, rtol=1e-9)
    spoilt[5] = spoilt[8] = 1e12
    np.testing.assert_allclose(hermite(SAMPLE_NS, spoilt, 2, moment_ns), expected, rtol=1e-9)
