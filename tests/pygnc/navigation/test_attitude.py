"""Attitude tracker: restarts change nothing, missing inputs are reported."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import (
    AttitudeEstimate,
    GnssFix,
    InputMessage,
    OrbitEstimate,
    OrbitMessage,
    OrbitWatermark,
    SensorSample,
)
from pygnc.navigation import attitude as tracker_module
from pygnc.navigation.attitude import AttitudeTracker
from tests.pygnc.navigation.attitude_batch import (
    MODEL,
    RECORDS,
    SETTINGS,
    assert_books_balance,
    process,
    run,
    samples_of,
    tracker,
)

# --- Answers of the orbit task ------------------------------------------------------------------------------------


def test_a_packet_without_an_orbit_is_answered_by_a_watermark(
    inputs: list[InputMessage], orbits: list[OrbitMessage]
) -> None:
    fixes = [message.seq for message in inputs if isinstance(message, GnssFix)]
    marks = [message for message in orbits if isinstance(message, OrbitWatermark)]
    assert [mark.last_input_seq for mark in marks] == [*fixes[:4], inputs[-1].seq]
    assert [message.seq for message in orbits] == list(range(1, len(orbits) + 1))
    own = [m.last_input_seq for m in orbits if isinstance(m, OrbitEstimate) and m.input_seq == m.last_input_seq]
    assert own == fixes[4:]


def test_awaits_the_orbit_after_a_gps_packet(inputs: list[InputMessage]) -> None:
    attitude = tracker()
    (fix,) = [message for message in inputs if isinstance(message, GnssFix)][:1]
    assert not attitude.awaits_orbit
    process(attitude, fix, 1)
    assert attitude.awaits_orbit
    attitude.take_orbit(OrbitWatermark(seq=1, last_input_seq=fix.seq))
    assert not attitude.awaits_orbit


# --- Estimates ------------------------------------------------------------------------------------------------------


def test_every_sample_gives_one_estimate_with_its_number_and_time(
    inputs: list[InputMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    samples = samples_of(inputs)
    assert [e.input_seq for e in undisturbed] == [sample.seq for sample in samples]
    assert [e.seq for e in undisturbed] == list(range(1, len(samples) + 1))
    fix = next(message for message in inputs if isinstance(message, GnssFix))
    fix_ms = fix.gps_ms
    assert fix_ms is not None
    assert fix.t_spacecraft_s is not None
    offset_ms = fix_ms - 1000 * fix.t_spacecraft_s
    assert [e.gps_ms for e in undisturbed] == [1000 * s.t_spacecraft_s + offset_ms for s in samples]


def test_a_sample_uses_the_orbit_of_the_last_packet_before_it(undisturbed: list[AttitudeEstimate]) -> None:
    """The first ones take the first orbit, made of five fixes, back in time."""
    ages_s = [e.orbit_age_s for e in undisturbed]
    assert ages_s[:25] == [float(age) for age in range(-120, 5, 5)]
    assert ages_s[25:] == [5.0, 10.0, 15.0, 20.0, 25.0] * (RECORDS - 5)
    assert not any(e.orbit_late for e in undisturbed)


def test_finds_and_keeps_the_attitude(undisturbed: list[AttitudeEstimate]) -> None:
    modes = [e.mode for e in undisturbed]
    begin = modes.index("fine")
    assert begin < 45
    assert set(modes[begin:]) == {"fine"}
    for estimate in undisturbed:
        known = estimate.mode != "searching"
        parts = (estimate.quaternion_gcrf_from_body, estimate.sigma_rad, estimate.mag_bias_imu_ut)
        assert [part is not None for part in parts] == [known] * 3
    assert [e.found for e in undisturbed].count(True) == 1


def test_rate_and_field_are_the_readings_in_body_axes_without_biases(
    inputs: list[InputMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    imu_from_body = np.array(SETTINGS.mounting.imu_from_body)
    sample, estimate = samples_of(inputs)[-1], undisturbed[-1]
    assert estimate.gyro_bias_imu_rad_s is not None
    assert estimate.mag_bias_imu_ut is not None
    mag_ut = imu_from_body.dot(estimate.mag_body_ut) + estimate.mag_bias_imu_ut
    gyro_rad_s = imu_from_body.dot(estimate.rate_body_rad_s) + estimate.gyro_bias_imu_rad_s
    assert mag_ut == pytest.approx(np.array(sample.mag_imu_ut), abs=1e-9)
    # The rate is also without a scale error of some per cent.
    assert gyro_rad_s == pytest.approx(np.array(sample.gyro_imu_rad_s), abs=0.05 * np.radians(1.0))


def test_scale_factors_of_other_sensors_make_no_difference(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    def halved(message: InputMessage) -> InputMessage:
        if not isinstance(message, SensorSample):
            return message
        gyro, lux = (tuple(0.5 * value for value in values) for values in (message.gyro_imu_rad_s, message.lux))
        return msgspec.structs.replace(message, gyro_imu_rad_s=gyro, lux=lux)

    doubling = replace(
        SETTINGS, gyro=replace(SETTINGS.gyro, scale=2.0), sun_sensors=replace(SETTINGS.sun_sensors, scale=2.0)
    )
    scaled = AttitudeTracker(doubling, MODEL)
    assert run(scaled, [halved(message) for message in inputs], orbits) == undisturbed


@pytest.mark.parametrize("cut", [1, 7, 29, 31, 40, 90])
def test_a_restart_anywhere_changes_no_bit(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate], cut: int
) -> None:
    first = tracker()
    waiting = list(orbits)
    estimates: list[AttitudeEstimate] = []
    for message in inputs[:cut]:
        while first.awaits_orbit:
            first.take_orbit(waiting.pop(0))
        estimates += process(first, message, len(estimates) + 1)
    packed = first.checkpoint()
    second = tracker(packed)
    estimates += run(second, inputs[cut:], waiting, len(estimates) + 1)
    assert msgspec.msgpack.encode(estimates) == msgspec.msgpack.encode(undisturbed)
    assert_books_balance(second, inputs)


# --- What is missing ------------------------------------------------------------------------------------------------


def test_gives_rates_but_no_attitude_without_an_orbit(inputs: list[InputMessage]) -> None:
    marks = [OrbitWatermark(seq=k, last_input_seq=m.seq) for k, m in enumerate(inputs, 1) if isinstance(m, GnssFix)]
    attitude = tracker()
    estimates = run(attitude, inputs, marks)
    assert len(estimates) == len(samples_of(inputs))
    assert {e.mode for e in estimates} == {"searching"}
    assert {e.cause for e in estimates} == {"no_surroundings"}
    assert all(np.linalg.norm(e.rate_body_rad_s) > 0.01 for e in estimates)
    assert all(e.gps_ms is not None for e in estimates)
    assert_books_balance(attitude, inputs)


def test_a_limited_number_of_samples_waits_for_the_first_orbit(
    inputs: list[InputMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "HELD_MAX", held_max := 32)
    attitude = tracker()
    given = [len(process(attitude, message, 1)) for message in samples_of(inputs)]
    assert given[: held_max + 1] == [*[0] * held_max, held_max + 1]
    assert set(given[held_max + 1 :]) == {1}


def test_the_counters_are_right_while_held_samples_are_released(
    inputs: list[InputMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module, "HELD_MAX", held_max := 8)
    attitude = tracker()
    for received, message in enumerate(samples_of(inputs)[: 2 * held_max], 1):
        for _ in attitude.outcomes(message):
            assert_books_balance(attitude, samples_of(inputs)[:received])


def test_propagates_an_old_orbit_and_reports_its_age(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    last = next(k for k, m in enumerate(orbits) if isinstance(m, OrbitEstimate) and m.input_seq == m.last_input_seq)
    stale: list[OrbitMessage] = [
        m if k <= last or isinstance(m, OrbitWatermark) else OrbitWatermark(seq=m.seq, last_input_seq=m.last_input_seq)
        for k, m in enumerate(orbits)
    ]
    estimates = run(tracker(), inputs, stale)
    assert [e.orbit_age_s for e in estimates[25:]] == [float(age) for age in range(5, 5 * (5 * RECORDS - 25) + 5, 5)]
    assert {e.mode for e in estimates[45:]} == {"fine"}
    ours, fresh = (np.array(e[-1].quaternion_gcrf_from_body) for e in (estimates, undisturbed))
    assert np.linalg.norm(ours - fresh) < np.radians(0.3)  # the field 100 m beside


def test_marks_estimates_made_without_the_orbits_answer(inputs: list[InputMessage], orbits: list[OrbitMessage]) -> None:
    attitude = tracker()
    run(attitude, inputs[:61], orbits)
    estimates = run(attitude, inputs[61:], [])
    first_unanswered = next(message.seq for message in inputs[61:] if isinstance(message, GnssFix))
    assert all(e.orbit_late == (e.input_seq > first_unanswered) for e in estimates)
    assert {e.mode for e in estimates} == {"fine"}


# --- Sensors at fault -----------------------------------------------------------------------------------------------


def test_a_rate_beyond_the_gyros_range_is_flagged(inputs: list[InputMessage], orbits: list[OrbitMessage]) -> None:
    victim = samples_of(inputs)[81]
    beyond = msgspec.structs.replace(victim, gyro_imu_rad_s=(0.0, 32767 * np.radians(1 / 65.6), 0.0))
    spoilt = [beyond if message.seq == victim.seq else message for message in inputs]
    estimates = {e.input_seq: e for e in run(tracker(), spoilt, orbits)}
    assert estimates[victim.seq].gyro_axes_beyond_range == (1,)
    assert estimates[victim.seq].mode == "searching"
    assert estimates[victim.seq - 1].gyro_axes_beyond_range == ()


def test_milliseconds_of_samples_are_part_of_their_time(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    later_ms = {50: 999, 51: 7}
    later = [
        msgspec.structs.replace(message, t_spacecraft_ms=later_ms.get(message.seq, 0), time_sigma_s=3e-4)
        if isinstance(message, SensorSample)
        else message
        for message in inputs
    ]
    estimates = run(tracker(), later, orbits)
    shifts = {
        e.input_seq: e.gps_ms - before.gps_ms
        for e, before in zip(estimates, undisturbed, strict=True)
        if e.gps_ms is not None and before.gps_ms is not None
    }
    assert {seq: shift for seq, shift in shifts.items() if shift} == later_ms


def test_an_uncertain_time_makes_the_attitude_of_a_rotating_body_uncertain(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    uncertain = [
        msgspec.structs.replace(message, time_sigma_s=1.0) if isinstance(message, SensorSample) else message
        for message in inputs
    ]
    for estimate, before in zip(run(tracker(), uncertain, orbits)[60:], undisturbed[60:], strict=True):
        assert estimate.sigma_rad is not None
        assert before.sigma_rad is not None
        assert np.linalg.norm(estimate.sigma_rad) > 0.9 * np.linalg.norm(estimate.rate_body_rad_s)
        assert np.linalg.norm(estimate.sigma_rad) > np.linalg.norm(before.sigma_rad)
