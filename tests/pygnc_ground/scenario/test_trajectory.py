"""The propagated truth against closed forms and other libraries' models of the same forces."""

import brahe
import erfa
import numpy as np
import numpy.typing as npt
import pytest
import satkit
from msgspec.structs import astuple, replace

from pygnc_ground.scenario import environment
from pygnc_ground.scenario.settings import Forces, Impulse, Orbit, Partner, Settings, Spacecraft, Thrust
from pygnc_ground.scenario.trajectory import (
    Manoeuvres,
    Trajectory,
    density_factors,
    initial_state_gcrf,
    partner_state_gcrf,
)

# mypy: disable-error-code="arg-type"
# brahe's stubs declare the members of its enumerations as methods.


GM_EARTH_M3_S2 = 3.986004415e14
"""EGM2008."""
EARTH_RADIUS_M = 6_378_136.3
J2 = 1.0826355e-3
START_GPS_MS = 2358 * 604_800_000 + 345_600_000
ORBIT = Orbit(eccentricity=0.01, mean_anomaly_deg=40.0)
CENTRAL_ONLY = Forces(
    gravity_degree=0,
    sun_and_moon=False,
    solid_tides=False,
    relativity=False,
    drag=False,
    radiation_pressure=False,
)
GRAVITATIONAL = replace(CENTRAL_ONLY, gravity_degree=70, sun_and_moon=True)
FloatArray = npt.NDArray[np.float64]


def trajectory(orbit: Orbit, forces: Forces, duration_s: float) -> Trajectory:
    return Trajectory(START_GPS_MS, duration_s, initial_state_gcrf(orbit), Spacecraft(), forces)


def kepler_positions_m(orbit: Orbit, t_s: FloatArray) -> FloatArray:
    """Return positions in closed form: Kepler's equation by Newton, then the rotations Rz(raan) Rx(i) Rz(argument of
    perigee).
    """
    a, e = orbit.semi_major_axis_m, orbit.eccentricity
    mean = np.radians(orbit.mean_anomaly_deg) + np.sqrt(GM_EARTH_M3_S2 / a**3) * t_s
    eccentric = mean.copy()
    for _ in range(20):
        eccentric -= (eccentric - e * np.sin(eccentric) - mean) / (1 - e * np.cos(eccentric))
    x, y = a * (np.cos(eccentric) - e), a * np.sqrt(1 - e**2) * np.sin(eccentric)
    raan, i, argp = np.radians([orbit.raan_deg, orbit.inclination_deg, orbit.argument_of_perigee_deg])
    u, v = x * np.cos(argp) - y * np.sin(argp), x * np.sin(argp) + y * np.cos(argp)
    return np.column_stack(
        (
            u * np.cos(raan) - v * np.sin(raan) * np.cos(i),
            u * np.sin(raan) + v * np.cos(raan) * np.cos(i),
            v * np.sin(i),
        )
    )


def accelerations_mps2(path: Trajectory, t_s: FloatArray, step_s: float = 5.0) -> FloatArray:
    """Return fourth-order central differences of the velocity in GCRF."""
    near = [path.states_gcrf(t_s + k * step_s)[:, 3:] for k in (-2, -1, 1, 2)]
    return (near[0] - 8 * near[1] + 8 * near[2] - near[3]) / (12 * step_s)


def test_the_central_force_alone_gives_keplers_orbit() -> None:
    t_s = np.arange(0.0, 6000.0, 7.0)
    path = trajectory(ORBIT, CENTRAL_ONLY, 6000.0)
    error_m = path.states_gcrf(t_s)[:, :3] - kepler_positions_m(ORBIT, t_s)
    assert np.abs(error_m).max() < 1e-3


def test_the_central_force_alone_keeps_energy_and_momentum() -> None:
    states = trajectory(ORBIT, CENTRAL_ONLY, 6000.0).states_gcrf(np.arange(0.0, 6000.0, 7.0))
    r, v = states[:, :3], states[:, 3:]
    energy = 0.5 * np.sum(v**2, axis=1) - GM_EARTH_M3_S2 / np.linalg.norm(r, axis=1)
    momentum = np.cross(r, v)
    np.testing.assert_allclose(energy, -0.5 * GM_EARTH_M3_S2 / ORBIT.semi_major_axis_m, rtol=1e-11)
    np.testing.assert_allclose(momentum, np.broadcast_to(momentum[0], momentum.shape), rtol=1e-11, atol=1.0)


def test_nodal_precession_agrees_with_closed_form_theory() -> None:
    orbit = Orbit(inclination_deg=51.6)
    forces = replace(CENTRAL_ONLY, gravity_degree=2)
    revolutions, a = 5, orbit.semi_major_axis_m
    mean_motion = np.sqrt(GM_EARTH_M3_S2 / a**3)
    t_s = np.linspace(0.0, revolutions * 2 * np.pi / mean_motion, 500)
    states = trajectory(orbit, forces, float(t_s[-1])).states_gcrf(t_s)
    normal = np.cross(states[:, :3], states[:, 3:])
    node_rate = np.polyfit(t_s, np.unwrap(np.arctan2(normal[:, 0], -normal[:, 1])), 1)[0]
    expected = -1.5 * mean_motion * J2 * (EARTH_RADIUS_M / a) ** 2 * np.cos(np.radians(51.6))
    assert node_rate == pytest.approx(expected, rel=0.02)


def test_gravity_sun_and_moon_against_satkit_and_erfa() -> None:
    t_s = np.arange(60.0, 5900.0, 120.0)
    path = trajectory(ORBIT, GRAVITATIONAL, 6000.0)
    position_m = path.states_gcrf(t_s)[:, :3]
    instants = environment.epochs(START_GPS_MS, t_s)
    expected = []
    for r, rotation, instant in zip(position_m, environment.itrf_from_gcrf(instants), instants, strict=True):
        gravity = rotation.T @ satkit.gravity(rotation @ r, model=satkit.gravmodel.egm2008, degree=70)
        jd_tt = instant.jd_as_time_system(brahe.TimeSystem.TT)
        moon_m = erfa.moon98(2_400_000.5, jd_tt - 2_400_000.5)["p"] * erfa.DAU
        heliocentric, _ = erfa.epv00(2_400_000.5, jd_tt - 2_400_000.5)
        sun_m = -heliocentric["p"] * erfa.DAU
        expected.append(gravity + tide(r, moon_m, 4.9028e12) + tide(r, sun_m, 1.32712440018e20))
    # The low-precision series of Sun and Moon leave some 1e-9, a wrong term 1e-7 or more.
    assert np.abs(accelerations_mps2(path, t_s) - np.array(expected)).max() < 2e-8


def tide(r: FloatArray, body: FloatArray, gm: float) -> FloatArray:
    """Third-body acceleration relative to the Earth's centre."""
    apart = body - r
    return gm * (apart / np.linalg.norm(apart) ** 3 - body / np.linalg.norm(body) ** 3)


def early_push_mps2(orbit: Orbit, forces: Forces) -> FloatArray:
    """Return the acceleration after about 33 s, the first third of 100 s, by which `forces` differ from gravitation
    alone.
    """
    ends = [trajectory(orbit, chosen, 100.0).states_gcrf([100.0])[0, :3] for chosen in (forces, GRAVITATIONAL)]
    return 2.0 * (ends[0] - ends[1]) / 100.0**2


def test_drag_opposes_the_motion_relative_to_the_rotating_atmosphere() -> None:
    drag = early_push_mps2(ORBIT, replace(GRAVITATIONAL, drag=True))
    state = trajectory(ORBIT, GRAVITATIONAL, 50.0).states_gcrf([50.0])[0]
    wind_mps = state[3:] - np.cross([0.0, 0.0, 7.292115e-5], state[:3])
    speed_mps, size = np.linalg.norm(wind_mps), np.linalg.norm(drag)
    assert drag @ wind_mps < -0.999 * size * speed_mps
    craft = Spacecraft()
    density_kg_m3 = size / (0.5 * craft.drag_coefficient * craft.area_m2 / craft.mass_kg * speed_mps**2)
    assert 1e-14 < density_kg_m3 < 5e-12, "between quiet and stormy at 500 km"


def test_radiation_pressure_pushes_away_from_the_sun_and_stops_in_the_shadow() -> None:
    # At the March equinox the Sun stands in the direction of GCRF's x axis.
    noon = Orbit(raan_deg=0.0, argument_of_perigee_deg=0.0, mean_anomaly_deg=0.0)
    midnight = Orbit(raan_deg=0.0, argument_of_perigee_deg=0.0, mean_anomaly_deg=180.0)
    craft, sunlight = Spacecraft(), replace(GRAVITATIONAL, radiation_pressure=True)
    pressure_pa = 1361.0 / 299_792_458.0
    expected = pressure_pa * craft.reflectivity_coefficient * craft.area_m2 / craft.mass_kg
    push = early_push_mps2(noon, sunlight)
    assert push[0] == pytest.approx(-expected, rel=0.03)
    assert np.linalg.norm(push[1:]) < 0.02 * expected
    np.testing.assert_allclose(early_push_mps2(midnight, sunlight), 0.0, atol=0.01 * expected)


@pytest.mark.parametrize("mean_anomaly_deg", [0.0, 60.0, 120.0, 200.0, 300.0])
def test_solid_tides_are_those_of_love_numbers_and_the_free_core_nutation(mean_anomaly_deg: float) -> None:
    orbit = Orbit(mean_anomaly_deg=mean_anomaly_deg)
    push = early_push_mps2(orbit, replace(GRAVITATIONAL, solid_tides=True))
    r = trajectory(orbit, GRAVITATIONAL, 40.0).states_gcrf([33.3])[0, :3]
    (instant,) = environment.epochs(START_GPS_MS, [33.3])
    expected = deformed_earth_mps2(r, brahe.moon_position(instant), 4.9028e12)
    expected += deformed_earth_mps2(r, brahe.sun_position(instant), 1.32712440018e20)
    expected += k1_correction_mps2(r, instant)
    # Degree 3, the smaller lines of the frequency-dependent part and the pole tide are left out here.
    assert 1e-7 < np.linalg.norm(push) < 5e-7
    assert np.linalg.norm(push - expected) < 0.03 * np.linalg.norm(push)


def deformed_earth_mps2(r: FloatArray, body: FloatArray, gm: float) -> FloatArray:
    """Attraction of the Earth's tidal bulge: degree 2 with one Love number (IERS Conventions 2010, table 6.3)."""
    size, apart = np.linalg.norm(r), np.linalg.norm(body)
    cosine = r @ body / (size * apart)
    strength = 0.301 * gm * EARTH_RADIUS_M**5 / (apart**3 * size**4)
    bulge: FloatArray = strength * (1.5 * (1.0 - 5.0 * cosine**2) * r / size + 3.0 * cosine * body / apart)
    return bulge


def k1_correction_mps2(r: FloatArray, instant: brahe.Epoch) -> FloatArray:
    """The largest line of the frequency-dependent part, K1 (IERS Conventions 2010, equation 6.8b and table 6.5a)."""
    in_phase, out_of_phase = 470.9e-12, -30.2e-12
    theta = instant.gmst(brahe.AngleFormat.RADIANS) + np.pi
    c21 = in_phase * np.sin(theta) + out_of_phase * np.cos(theta)
    s21 = in_phase * np.cos(theta) - out_of_phase * np.sin(theta)
    (rotation,) = environment.itrf_from_gcrf([instant])
    x, y, z = fixed = rotation @ r
    size = np.linalg.norm(r)
    # The gradient of sqrt(15) GM R^2 z (c21 x + s21 y) / r^5.
    slope = np.array([c21 * z, s21 * z, c21 * x + s21 * y]) - 5.0 * z * (c21 * x + s21 * y) / size**2 * fixed
    correction: FloatArray = rotation.T @ slope * np.sqrt(15.0) * GM_EARTH_M3_S2 * EARTH_RADIUS_M**2 / size**5
    return correction


def test_relativity_is_schwarzschilds_term() -> None:
    push = early_push_mps2(ORBIT, replace(GRAVITATIONAL, relativity=True))
    state = trajectory(ORBIT, GRAVITATIONAL, 40.0).states_gcrf([33.3])[0]
    r, v = state[:3], state[3:]
    size, light_mps = np.linalg.norm(r), 299_792_458.0
    # IERS Conventions 2010, equation 10.12.
    expected = (4 * GM_EARTH_M3_S2 / size - v @ v) * r + 4 * (r @ v) * v
    expected *= GM_EARTH_M3_S2 / (light_mps**2 * size**3)
    # The push is a mean over 100 s, in which the term changes.
    assert np.linalg.norm(push - expected) < 0.01 * np.linalg.norm(expected)


def test_the_default_forces_are_all_of_them() -> None:
    forces = Forces()
    assert forces.gravity_degree >= 70
    assert not any(value is False for value in astuple(forces))


def test_the_earth_fixed_velocity_is_the_derivative_of_the_earth_fixed_position() -> None:
    path = trajectory(ORBIT, Forces(), 600.0)
    t_s = np.arange(60.0, 540.0, 20.0)
    near = [path.states_itrf(t_s + dt)[:, :3] for dt in (-20.0, -10.0, 10.0, 20.0)]
    derivative = (near[0] - 8 * near[1] + 8 * near[2] - near[3]) / 120.0
    assert np.abs(path.states_itrf(t_s)[:, 3:] - derivative).max() < 3e-5


def test_a_partner_starts_at_its_configured_position() -> None:
    own = initial_state_gcrf(ORBIT)
    partner = partner_state_gcrf(own, Partner(id=0x4B, position_rtn_m=(30.0, 1000.0, -400.0)))
    r, v = own[:3], own[3:]
    radial, normal = r / np.linalg.norm(r), np.cross(r, v) / np.linalg.norm(np.cross(r, v))
    axes = np.array([radial, np.cross(normal, radial), normal])
    np.testing.assert_allclose(axes @ (partner[:3] - r), [30.0, 1000.0, -400.0], atol=1e-6)


def test_an_impulse_changes_the_velocity_at_its_time_along_the_axes_of_the_orbit() -> None:
    impulse = Impulse(at_s=600.0, delta_v_rtn_mps=(0.01, 0.05, -0.02))
    state = initial_state_gcrf(ORBIT)
    moved = Trajectory(START_GPS_MS, 1200.0, state, Spacecraft(), GRAVITATIONAL, manoeuvres=Manoeuvres((impulse,)))
    plain = trajectory(ORBIT, GRAVITATIONAL, 1200.0)
    np.testing.assert_allclose(moved.states_gcrf([599.9]), plain.states_gcrf([599.9]), atol=1e-6)
    before, after = plain.states_gcrf([600.0])[0], moved.states_gcrf([600.0])[0]
    np.testing.assert_allclose(after[:3], before[:3], atol=1e-6)
    radial = before[:3] / np.linalg.norm(before[:3])
    normal = np.cross(before[:3], before[3:])
    normal /= np.linalg.norm(normal)
    axes = np.stack((radial, np.cross(normal, radial), normal))
    np.testing.assert_allclose(axes @ (after - before)[3:], impulse.delta_v_rtn_mps, atol=1e-8)
    # Thereafter it moves like a satellite with that state.
    again = Trajectory(START_GPS_MS + 600_000, 600.0, after, Spacecraft(), GRAVITATIONAL)
    np.testing.assert_allclose(moved.states_gcrf([1200.0]), again.states_gcrf([600.0]), atol=2e-3)


def test_low_thrust_agrees_with_many_small_impulses() -> None:
    acceleration = (1e-5, 6e-5, -2e-5)
    thrust = Thrust(begin_s=300.0, duration_s=600.0, acceleration_rtn_mps2=acceleration)
    small = tuple(
        Impulse(at_s=305.0 + 10.0 * number, delta_v_rtn_mps=tuple(10.0 * part for part in acceleration))
        for number in range(60)
    )
    state, end_s = initial_state_gcrf(ORBIT), [299.0, 1200.0]
    continuous, pulsed = (
        Trajectory(START_GPS_MS, 1200.0, state, Spacecraft(), GRAVITATIONAL, manoeuvres=each)
        for each in (Manoeuvres(thrusts=(thrust,)), Manoeuvres(small))
    )
    np.testing.assert_allclose(continuous.states_gcrf(end_s), pulsed.states_gcrf(end_s), atol=2e-3)
    plain = trajectory(ORBIT, GRAVITATIONAL, 1200.0).states_gcrf(end_s)
    assert np.linalg.norm((continuous.states_gcrf(end_s) - plain)[1, :3]) > 20.0


def test_simultaneous_thrusts_add_up_and_partners_do_not_manoeuvre() -> None:
    half = Thrust(begin_s=100.0, duration_s=500.0, acceleration_rtn_mps2=(0.0, 3e-5, 0.0))
    whole = replace(half, acceleration_rtn_mps2=(0.0, 6e-5, 0.0))
    settings = Settings(duration_s=700, forces=GRAVITATIONAL, orbit=ORBIT, thrusts=(half, half))
    both = Trajectory.of(settings).states_gcrf([700.0])
    np.testing.assert_array_equal(both, Trajectory.of(replace(settings, thrusts=(whole,))).states_gcrf([700.0]))
    partner = Partner(id=0x4B, position_rtn_m=(0.0, 500.0, 0.0))
    quiet = replace(settings, thrusts=())
    np.testing.assert_array_equal(
        Trajectory.of(settings, partner).states_gcrf([700.0]), Trajectory.of(quiet, partner).states_gcrf([700.0])
    )


def lost_axis_m(craft: Spacecraft, drag_ratio: float = 1.0, phase_deg: float = 0.0) -> float:
    """Return the decrease of a partner's semi-major axis by drag in one period of the area's variation."""
    settings = Settings(
        duration_s=5_600,
        orbit=Orbit(semi_major_axis_m=6_778_000.0, eccentricity=0.0),
        spacecraft=craft,
        forces=replace(CENTRAL_ONLY, drag=True),
    )
    partner = Partner(id=75, position_rtn_m=(0.0, 0.0, 0.0), drag_ratio=drag_ratio, area_variation_phase_deg=phase_deg)
    states = Trajectory.of(settings, partner).states_gcrf([0.0, 2_800.0, 5_600.0])
    energy = 0.5 * np.sum(states[:, 3:] ** 2, axis=1) - GM_EARTH_M3_S2 / np.linalg.norm(states[:, :3], axis=1)
    axis_m = -0.5 * GM_EARTH_M3_S2 / energy
    return float(axis_m[0] - axis_m[1])


def test_drag_of_a_partner_is_in_proportion_to_its_ratio() -> None:
    assert lost_axis_m(Spacecraft(), 3.0) == pytest.approx(3.0 * lost_axis_m(Spacecraft()), rel=1e-2)


def test_the_area_varies_with_its_phase() -> None:
    varied = Spacecraft(area_variation=0.5)
    # The mean of a sine over its first half is 2 / pi.
    more, less = (lost_axis_m(varied, phase_deg=phase_deg) for phase_deg in (0.0, 180.0))
    mean = lost_axis_m(Spacecraft())
    assert 0.5 * (more + less) == pytest.approx(mean, rel=1e-3)
    assert (more - less) / mean == pytest.approx(2.0 * 0.5 * 2.0 / np.pi, rel=0.3)


def test_a_constant_factor_on_the_density_is_one_on_the_drag() -> None:
    denser = replace(Forces(), density_bias=float(np.log(3.0)))
    axes_m = []
    for forces in (Forces(), replace(Forces(), drag=False), denser):
        path = Trajectory(START_GPS_MS, 5_600.0, initial_state_gcrf(Orbit()), Spacecraft(), forces)
        states = path.states_gcrf([0.0, 5_600.0])
        energy = 0.5 * np.sum(states[:, 3:] ** 2, axis=1) - GM_EARTH_M3_S2 / np.linalg.norm(states[:, :3], axis=1)
        axes_m.append(float(np.diff(-0.5 * GM_EARTH_M3_S2 / energy)[0]))
    usual, without, more = axes_m
    assert (more - without) / (usual - without) == pytest.approx(3.0, rel=1e-2)


def test_the_varying_factor_on_the_density_is_a_gauss_markov_process_of_its_seed() -> None:
    forces = Forces(density_bias=0.3, density_error=0.2, density_error_time_s=21_600.0)
    logs = np.log(density_factors(forces, 20_000, seed=4)) - 0.3
    assert logs.std() == pytest.approx(0.2, rel=0.03)
    assert np.corrcoef(logs[1:], logs[:-1])[0, 1] == pytest.approx(np.exp(-0.5), abs=0.02)
    assert density_factors(forces, 3, seed=5) != density_factors(forces, 3, seed=4)
    assert density_factors(Forces(), 3, seed=4) == [1.0, 1.0, 1.0]


def test_a_trajectory_beyond_its_scenario_agrees_with_a_longer_one() -> None:
    short, long = Settings(duration_s=600), Settings(duration_s=10_800)
    beyond, within = Trajectory.of(short, beyond_s=10_200.0), Trajectory.of(long)
    assert np.abs(beyond.states_gcrf([10_800.0]) - within.states_gcrf([10_800.0])).max() < 0.1
