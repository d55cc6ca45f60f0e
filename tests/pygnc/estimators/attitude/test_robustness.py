"""Broken sensors, missing samples, jumping clocks: flagged, survived, and the error bounded."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.attitude import search
from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.mekf import AttitudeRejectCause
from pygnc.estimators.attitude.sample import AttitudeSample
from pygnc.estimators.attitude.sun_sensors import IlluminanceInnovation
from pygnc.estimators.attitude.window import Window, WindowSample
from tests.pygnc.estimators.attitude.truth import SETTINGS, Truth, errors_deg, fly, run, with_samples

TRUTH = fly(3, 30.0)
BREAKS = 180
"""Samples in 15 minutes."""

MIRRORED = 2
"""A face from which the Sun turns away in this flight, while it shines on the opposite one."""


def rms(errors: Array) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def broken_from(start: int, broken: Truth) -> Truth:
    return with_samples(TRUTH, [*TRUTH.samples[:start], *broken.samples[start:]])


@pytest.mark.parametrize("face", range(6))
def test_flags_and_excludes_a_dead_face(face: int) -> None:
    truth = broken_from(BREAKS, fly(3, 30.0, dead=face))
    updates = run(truth)[1]
    assert not any(update.restarted for update in updates[BREAKS:])
    assert rms(errors_deg(truth, updates[BREAKS:])) < 1.5
    flagged = np.array([update.faces.dead for update in updates])
    assert not np.delete(flagged, face, axis=1).any()
    clearly_lit = updates[-1].faces.dark[face] > 0.0
    assert flagged[:, face].any() == clearly_lit


def test_flags_and_excludes_a_mirrored_face() -> None:
    truth = broken_from(BREAKS, fly(3, 30.0, mirrored=MIRRORED))
    updates = run(truth)[1]
    assert updates[-1].faces.mirrored[MIRRORED]
    assert not np.delete(updates[-1].faces.mirrored, MIRRORED).any()
    lit = [u.innovations.get("sun_sensors") for u in updates if u.faces.mirrored[MIRRORED]]
    used = [light.used[MIRRORED] for light in lit if isinstance(light, IlluminanceInnovation)]
    assert used
    assert not any(used)
    assert rms(errors_deg(truth, updates[BREAKS:])) < 1.5


@pytest.mark.parametrize("fault", ["dead", "mirrored"])
def test_finds_the_attitude_with_a_broken_face(fault: str) -> None:
    truth = fly(3, 25.0, dead=0) if fault == "dead" else fly(3, 25.0, mirrored=0)
    errors = errors_deg(truth, run(truth)[1])
    assert np.isfinite(errors[240:]).all()
    assert rms(errors[240:]) < 2.5


def test_a_stuck_gyro_axis_is_flagged_and_its_rate_estimated() -> None:
    stuck = [replace(sample, gyro_imu_rad_s=_with(sample.gyro_imu_rad_s, 1, 0.01)) for sample in TRUTH.samples]
    truth = with_samples(TRUTH, [*TRUTH.samples[:BREAKS], *stuck[BREAKS:]])
    updates = run(truth)[1]
    assert updates[-1].gyro.stuck.tolist() == [False, True, False]
    assert not any(update.gyro.stuck.any() for update in updates[:BREAKS])
    errors = errors_deg(truth, updates[BREAKS + 60 :])
    assert np.isfinite(errors).all()
    assert rms(errors) < 4.0
    np.testing.assert_allclose(updates[-1].rate_body_rad_s, truth.rate_body_rad_s, atol=np.radians(0.5))


def test_flags_a_rate_out_of_range_and_abandons_the_attitude() -> None:
    beyond = replace(TRUTH.samples[BREAKS], gyro_imu_rad_s=np.radians([10.0, -499.5, 3.0]))
    truth = with_samples(TRUTH, [*TRUTH.samples[:BREAKS], beyond, *TRUTH.samples[BREAKS + 1 :]])
    updates = run(truth)[1]
    assert updates[BREAKS].gyro.beyond_range.tolist() == [False, True, False]
    assert (updates[BREAKS].state, updates[BREAKS].mode) == (None, Mode.SEARCHING)
    # The biases are still known, so the attitude is soon found again.
    assert np.isfinite(errors_deg(truth, updates[BREAKS + 24 :])).all()


def _thinned(truth: Truth, kept: list[int]) -> Truth:
    samples = [truth.samples[k] for k in kept]
    return replace(truth, samples=samples, environments=[truth.environments[k] for k in kept])


def test_missing_samples_are_bridged() -> None:
    rng = np.random.default_rng(1)
    truth = _thinned(TRUTH, np.flatnonzero(rng.random(len(TRUTH.samples)) > 0.3).tolist())
    updates = run(truth)[1]
    assert sum(update.restarted for update in updates) == 1
    assert rms(errors_deg(truth, updates[100:])) < 1.2


def test_a_long_gap_starts_a_search_with_the_known_biases() -> None:
    truth = _thinned(TRUTH, [*range(BREAKS), *range(BREAKS + 120, len(TRUTH.samples))])
    updates = run(truth)[1]
    assert updates[BREAKS].state is None
    assert updates[BREAKS + 20].state is not None
    assert errors_deg(truth, updates[BREAKS:])[20:].max() < 5.0


@pytest.mark.parametrize("jump_ms", [-600_000, 600_000])
def test_recovers_the_attitude_after_the_clock_was_set(jump_ms: int) -> None:
    late = [replace(sample, gps_ms=sample.gps_ms + jump_ms) for sample in TRUTH.samples[BREAKS:]]
    truth = with_samples(TRUTH, [*TRUTH.samples[:BREAKS], *late])
    updates = run(truth)[1]
    if jump_ms < 0:
        assert updates[BREAKS].cause is AttitudeRejectCause.NOT_LATER
    assert updates[BREAKS + 2].state is None
    assert np.isfinite(errors_deg(truth, updates[BREAKS + 30 :])).all()
    assert rms(errors_deg(truth, updates[BREAKS + 30 :])) < 1.5


def test_one_sample_from_the_past_changes_nothing() -> None:
    early = replace(TRUTH.samples[BREAKS], gps_ms=TRUTH.samples[0].gps_ms)
    truth = with_samples(TRUTH, [*TRUTH.samples[:BREAKS], early, *TRUTH.samples[BREAKS + 1 :]])
    updates = run(truth)[1]
    assert updates[BREAKS].cause is AttitudeRejectCause.NOT_LATER
    assert sum(update.restarted for update in updates) == 1


@pytest.mark.parametrize("field", ["mag_imu_ut", "gyro_imu_rad_s", "lux"])
def test_rejects_a_sample_that_is_not_finite(field: str) -> None:
    good, nothing = TRUTH.samples[BREAKS], np.full(3, np.nan)
    spoilt = {
        "mag_imu_ut": replace(good, mag_imu_ut=nothing),
        "gyro_imu_rad_s": replace(good, gyro_imu_rad_s=nothing),
        "lux": replace(good, lux=np.full(6, np.nan)),
    }[field]
    truth = with_samples(TRUTH, [*TRUTH.samples[:BREAKS], spoilt, *TRUTH.samples[BREAKS + 1 :]])
    updates = run(truth)[1]
    assert updates[BREAKS].cause is AttitudeRejectCause.NOT_FINITE
    assert updates[BREAKS + 1].state is not None


def test_rejects_outliers() -> None:
    rng = np.random.default_rng(2)
    samples: list[AttitudeSample] = []
    struck = []
    for sample in TRUTH.samples:
        if sample.seq >= BREAKS and rng.random() < 0.1:
            struck.append(sample.seq)
            samples.append(replace(sample, mag_imu_ut=sample.mag_imu_ut + 30.0 * rng.normal(size=3)))
        else:
            samples.append(sample)
    truth = with_samples(TRUTH, samples)
    updates = run(truth)[1]
    refused = [u.seq for u in updates if "magnetometer" in u.innovations and not u.innovations["magnetometer"].is_used]
    assert len(set(struck) - set(refused)) <= 2
    assert rms(errors_deg(truth, updates[BREAKS:])) < 1.0


def test_an_unmodelled_shadow_does_not_change_the_face_counters() -> None:
    dark = [replace(sample, lux=np.zeros(6)) for sample in TRUTH.samples]
    truth = with_samples(TRUTH, [*TRUTH.samples[:BREAKS], *dark[BREAKS : BREAKS + 60], *TRUTH.samples[BREAKS + 60 :]])
    updates = run(truth)[1]
    assert not any(update.in_sun for update in updates[BREAKS : BREAKS + 60])
    assert all(update.faces.trusted.all() for update in updates)
    assert rms(errors_deg(truth, updates[BREAKS:])) < 2.5


def test_all_faces_saturate_most_of_the_time_in_this_light() -> None:
    """Precondition of the other tests: the brightest face is nearly always at full scale."""
    full = [sample.lux.max() >= SETTINGS.sun_sensors.saturation_lux for sample in TRUTH.samples]
    assert np.mean(full) > 0.8


def _with(vector: Array, axis: int, value: float) -> Array:
    changed = vector.copy()
    changed[axis] = value
    return changed


def test_a_search_without_hope_costs_a_quarter_and_still_finds_the_attitude(monkeypatch: pytest.MonkeyPatch) -> None:
    hopeful = 60
    fitted = []

    class CountedWindow(Window):
        def __init__(self, samples: list[WindowSample], *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - passed on
            fitted.append(samples[-1].sample.seq)
            super().__init__(samples, *arguments, **named)

    monkeypatch.setattr(search, "Window", CountedWindow)
    order = np.random.default_rng(4).permutation(BREAKS)
    wrong = [replace(TRUTH.samples[k], mag_imu_ut=TRUTH.samples[order[k]].mag_imu_ut) for k in range(BREAKS)]
    truth = with_samples(TRUTH, [*wrong, *TRUTH.samples[BREAKS:]])
    settings = replace(SETTINGS, start=replace(SETTINGS.start, full_rate_samples=hopeful))
    updates = run(truth, settings)[1]
    assert all(update.state is None for update in updates[:BREAKS])
    assert sum(hopeful <= seq < BREAKS for seq in fitted) < 0.4 * (BREAKS - hopeful)
    assert errors_deg(truth, updates[-1:])[0] < 5.0
