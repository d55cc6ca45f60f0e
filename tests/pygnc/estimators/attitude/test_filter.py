"""From nothing to a fine attitude: accuracy, consistency, search, restart."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate, FilterMemory, Mode
from pygnc.estimators.attitude.mekf import AttitudeRejectCause, Standing
from pygnc.estimators.attitude.sample import SampleCorrection
from pygnc.estimators.attitude.search import Search
from pygnc.estimators.attitude.state import ERRORS
from pygnc.estimators.checkpoint import decode, encode
from tests.pygnc.estimators.attitude.truth import (
    NORMALS,
    SETTINGS,
    SIZE,
    STEP_S,
    Truth,
    error_deg,
    errors_deg,
    fly,
    run,
    with_normals,
    with_samples,
)

TRUTH = fly(3, 60.0)
SETTLED = 240
"""Samples in 20 minutes."""


@pytest.fixture(scope="module")
def flown() -> tuple[AttitudeFilter, list[AttitudeUpdate]]:
    """Return the filter after an hour, and its updates."""
    return run(TRUTH)


@pytest.fixture(scope="module")
def updates(flown: tuple[AttitudeFilter, list[AttitudeUpdate]]) -> list[AttitudeUpdate]:
    return flown[1]


def nees(truth: Truth, updates: list[AttitudeUpdate]) -> Array:
    """Normalised attitude error squared, 3 on average."""
    values = []
    for update in updates:
        assert update.state is not None
        error = quaternion.error_vector(truth.quaternion[update.seq], update.state.quaternion)
        values.append(error.dot(np.linalg.solve(update.state.covariance[:3, :3], error)))
    return np.array(values)


def test_finds_the_attitude_within_three_minutes_and_never_loses_it(updates: list[AttitudeUpdate]) -> None:
    found = [update.state is not None for update in updates].index(True)
    assert found * STEP_S <= 180.0
    assert updates[found].restarted
    assert all(update.state is not None and not update.restarted for update in updates[found + 1 :])
    assert errors_deg(TRUTH, updates[found:]).max() < 10.0


@pytest.mark.parametrize("seed", range(20, 26))
def test_finds_the_attitude_of_a_slowly_rotating_body_within_six_minutes(seed: int) -> None:
    truth = fly(seed, 8.0, rate_deg_s=0.2)
    errors = errors_deg(truth, run(truth)[1])
    assert np.isfinite(errors[round(360.0 / STEP_S) :]).all()
    assert errors[np.isfinite(errors)].max() < 15.0


def test_errors_are_small_in_sunlight_and_eclipse(updates: list[AttitudeUpdate]) -> None:
    settled = updates[SETTLED:]
    errors = errors_deg(TRUTH, settled)
    in_sun = np.array([update.in_sun for update in settled])
    assert 100 < np.count_nonzero(in_sun) < len(settled) - 100
    assert math.sqrt(np.mean(np.square(errors[in_sun]))) < 0.8
    assert math.sqrt(np.mean(np.square(errors[~in_sun]))) < 2.0


def test_errors_agree_with_the_covariance(updates: list[AttitudeUpdate]) -> None:
    """The errors of one run are correlated, so their mean is known to a factor of two only."""
    assert 1.5 < nees(TRUTH, updates[SETTLED:]).mean() < 6.0


def test_estimates_the_biases(flown: tuple[AttitudeFilter, list[AttitudeUpdate]]) -> None:
    attitude, updates = flown
    state = attitude.state
    assert state is not None
    np.testing.assert_allclose(state.mag_bias_ut, TRUTH.mag_bias_ut, atol=0.3)
    np.testing.assert_allclose(updates[-1].rate_body_rad_s, TRUTH.rate_body_rad_s, atol=math.radians(0.1))


def test_mode_follows_from_the_uncertainty() -> None:
    updates = run(fly(20, 16.0, rate_deg_s=0.2))[1]
    modes = [update.mode for update in updates]
    assert modes[0] is Mode.SEARCHING
    assert Mode.COARSE in modes
    assert modes[-1] is Mode.FINE
    for update in updates:
        fine = update.state is not None and update.state.attitude_sigma_rad < SETTINGS.start.fine_sigma_rad
        assert (update.mode is Mode.FINE) == fine


def test_light_distinguishes_sun_from_shadow(updates: list[AttitudeUpdate]) -> None:
    for update, around in zip(updates, TRUTH.environments, strict=True):
        assert update.in_sun == (around.sunlit_fraction > 0.0)


@pytest.mark.parametrize("seed", range(10, 16))
def test_other_flights_are_found_too(seed: int) -> None:
    truth = fly(seed, 8.0, rate_deg_s=(0.5, 1.0, 3.0)[seed % 3])
    errors = errors_deg(truth, run(truth)[1])
    assert not np.isnan(errors[-1])
    assert errors[np.isfinite(errors)].max() < 15.0
    assert errors[-20:].max() < 5.0


def test_reports_no_attitude_in_the_dark_with_unknown_biases() -> None:
    truth = fly(5, 10.0, start_angle_deg=150.0)
    assert all(around.sunlit_fraction == 0.0 for around in truth.environments)
    updates = run(truth)[1]
    assert all(update.mode is Mode.SEARCHING and update.state is None and not update.in_sun for update in updates)


def test_provides_a_rate_without_an_orbit() -> None:
    attitude = AttitudeFilter(SETTINGS)
    for sample in TRUTH.samples[:20]:
        update = attitude.process(sample, None)
        assert (update.state, update.mode, update.cause) == (None, Mode.SEARCHING, AttitudeRejectCause.NO_ENVIRONMENT)
        # The bias is not known either.
        assert np.abs(update.rate_body_rad_s - TRUTH.rate_body_rad_s).max() < math.radians(3.2)


def test_a_track_bridges_a_while_without_orbit() -> None:
    attitude, _ = run(replace(TRUTH, samples=TRUTH.samples[:SETTLED], environments=TRUTH.environments[:SETTLED]))
    updates = [attitude.process(sample, None) for sample in TRUTH.samples[SETTLED : SETTLED + 60]]
    assert all(update.cause is AttitudeRejectCause.NO_ENVIRONMENT for update in updates)
    sigma = [update.state.attitude_sigma_rad for update in updates if update.state is not None]
    assert len(sigma) == 60
    assert sigma[-1] > sigma[0]
    assert error_deg(TRUTH, updates[-1]) < 5.0


def test_a_weak_field_is_not_used_and_the_attitude_without_it_ends_after_an_hour() -> None:
    """As after the ascent of an elliptical orbit; the readings are those of external fields."""
    attitude, updates = run(replace(TRUTH, samples=TRUTH.samples[:SETTLED], environments=TRUTH.environments[:SETTLED]))
    assert updates[-1].state is not None
    sample, environment = TRUTH.samples[SETTLED], TRUTH.environments[SETTLED]
    weak = replace(environment, field_gcrf_ut=np.array((0.1, -0.1, 0.15)), sunlit_fraction=0.0)
    begin_ms = updates[-1].gps_ms
    known_until_ms = 0
    for step in range(1, 400):
        update = attitude.process(replace(sample, gps_ms=begin_ms + 10_000 * step), weak)
        assert "magnetometer" not in update.innovations
        if update.state is not None:
            known_until_ms = update.gps_ms
    assert 0 < known_until_ms - begin_ms <= 3_600_000
    assert update.mode is Mode.SEARCHING


def test_a_restored_filter_continues_bit_for_bit() -> None:
    for cut in (2, 8, 400):
        attitude = AttitudeFilter(SETTINGS)
        for pair in zip(TRUTH.samples[:cut], TRUTH.environments[:cut], strict=True):
            attitude.process(*pair)
        restored = AttitudeFilter(SETTINGS, decode(encode(attitude.memory), FilterMemory))
        assert encode(restored.memory) == encode(attitude.memory)
        for pair in zip(TRUTH.samples[cut : cut + 40], TRUTH.environments[cut : cut + 40], strict=True):
            first, second = attitude.process(*pair), restored.process(*pair)
            assert first.rate_body_rad_s.tobytes() == second.rate_body_rad_s.tobytes()
            assert first.mode is second.mode
        assert encode(restored.memory) == encode(attitude.memory)


def test_rejects_damaged_checkpoints(flown: tuple[AttitudeFilter, list[AttitudeUpdate]]) -> None:
    saved = encode(flown[0].memory)
    fields = msgspec.msgpack.decode(saved)
    with pytest.raises(ValueError, match="version"):
        AttitudeFilter(SETTINGS, decode(msgspec.msgpack.encode({**fields, "version": 99}), FilterMemory))
    without = {key: value for key, value in fields.items() if key != "search"}
    with pytest.raises(ValueError, match="search"):
        AttitudeFilter(SETTINGS, decode(msgspec.msgpack.encode(without), FilterMemory))
    with pytest.raises(ValueError, match="faces"):
        AttitudeFilter(SETTINGS, decode(msgspec.msgpack.encode({**fields, "faces": b"123"}), FilterMemory))


@pytest.mark.parametrize("kept", [(0, 1, 3, 4, 5), (0, 1, 2, 4)])
def test_fewer_sun_sensors_are_enough(kept: tuple[int, ...]) -> None:
    settings = with_normals(NORMALS[list(kept)])
    correction = SampleCorrection(settings)
    truth = fly(12, 28.0)
    samples = [replace(s, lux=correction.illuminance([*s.lux[list(kept)], 7e4])) for s in truth.samples]
    updates = run(with_samples(truth, samples), settings)[1]
    assert sum(update.restarted for update in updates) == 1
    assert np.nanmax(errors_deg(truth, updates)[150:]) < 3.0
    assert not any(update.faces.dead.any() or update.faces.mirrored.any() for update in updates)


@pytest.mark.parametrize(
    ("off_deg", "standing"),
    [
        ((2.0,), Standing.CONFIRMED),
        ((30.0,), Standing.DOUBTED),
        ((30.0, 2.0), Standing.CONFIRMED),
        ((30.0, 40.0), None),
    ],
)
def test_searches_confirm_a_track_or_end_it(
    monkeypatch: pytest.MonkeyPatch, off_deg: tuple[float, ...], standing: Standing | None
) -> None:
    attitude, truth = AttitudeFilter(SETTINGS), fly(3, 12.0)
    pairs = iter(zip(truth.samples, truth.environments, strict=True))
    while attitude.memory.check is None:
        attitude.process(*next(pairs))
    assert attitude.memory.track is not None
    attitude.memory.track = attitude.memory.track._replace(standing=Standing.FOUND)
    for angle_deg in off_deg:
        assert attitude.memory.track is not None
        assert not attitude.memory.track.is_confirmed
        state = attitude.memory.track.state
        turn = quaternion.exponential(np.radians([angle_deg, 0.0, 0.0]))
        found = replace(state, quaternion=quaternion.multiply(state.quaternion, turn))
        monkeypatch.setattr(Search, "process", lambda *_, found=found: found)
        update = attitude.process(*next(pairs))
    track = attitude.memory.track
    assert (track and track.standing) is standing
    assert (update.mode is Mode.SEARCHING) == (standing is not Standing.CONFIRMED)
    assert update.restarted == (len(off_deg) == 2 and standing is Standing.CONFIRMED)
    assert attitude.memory.was_contradicted == (standing is None)


def test_a_track_that_became_uncertain_is_confirmed_again() -> None:
    attitude = AttitudeFilter(SETTINGS)
    pairs = iter(zip(TRUTH.samples, TRUTH.environments, strict=True))
    while attitude.memory.track is None or not attitude.memory.track.is_confirmed:
        attitude.process(*next(pairs))
    attitude.memory.inflation = np.zeros(SIZE)
    attitude.memory.inflation[ERRORS.attitude] = math.radians(13.0)
    attitude.process(*next(pairs))
    assert attitude.memory.track.standing is Standing.FOUND
    checks = 0
    while not attitude.memory.track.is_confirmed:
        update = attitude.process(*next(pairs))
        assert update.state is not None
        checks += attitude.memory.check is not None
    assert checks > 8


def test_an_uncertain_first_attitude_is_reported_after_a_second_search() -> None:
    """At 0.2 deg/s, the first samples leave an uncertainty of 8.7 degrees."""
    attitude, truth = AttitudeFilter(SETTINGS), fly(20, 8.0, rate_deg_s=0.2)
    hidden = 0
    for pair in zip(truth.samples, truth.environments, strict=True):
        update = attitude.process(*pair)
        track = attitude.memory.track
        if track is not None and track.standing is Standing.TENTATIVE:
            hidden += 1
            assert update.state is None
            assert attitude.state is None
            assert update.mode is Mode.SEARCHING
        elif update.restarted:
            break
    assert hidden > 24
    assert track is not None
    assert track.is_confirmed
    assert update.state is not None
    assert error_deg(truth, update) < 3.0 * math.degrees(update.state.attitude_sigma_rad)


def test_an_attitude_found_in_the_dark_is_reported_after_a_search_in_light() -> None:
    """The search finds an attitude in the shadow with known biases, by the field alone."""
    truth, attitude = fly(3, 40.0, start_angle_deg=125.0), AttitudeFilter(SETTINGS)
    prior = attitude.memory.search.prior
    prior.mean[:6] = *truth.gyro_bias_rad_s, *truth.mag_bias_ut
    prior.covariance[:6, :6] = np.diag(np.repeat((1e-4, 0.5), 3) ** 2)
    hidden = 0
    for sample, around in zip(truth.samples, truth.environments, strict=True):
        update = attitude.process(sample, around)
        if around.sunlit_fraction == 0.0:
            hidden += attitude.memory.track is not None
            assert update.state is None
    assert hidden > 24
    assert update.state is not None
    assert error_deg(truth, update) < 5.0
