"""From inputs and orbits to attitudes: restarts change nothing, times in doubt wait, what is missing is said."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import (
    LIVE,
    AttitudeEstimate,
    BatchEnd,
    GpsFix,
    InputMessage,
    Message,
    OrbitEstimate,
    OrbitMark,
    OrbitMessage,
    SensorSample,
)
from pygnc.common.clock import gps_ms_from_week
from pygnc.configuration.data_files import data_file
from pygnc.configuration.geomagnetic_file import PACKAGED, read_main_field
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.estimators.attitude.calibration_samples import CalibrationSamples
from pygnc.estimators.attitude.settings import AttitudeSettings, MagnetometerSettings
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.tasks import attitude_tracker
from pygnc.tasks.attitude_tracker import AttitudeTracker, TrackerState
from pygnc.tasks.orbit_tracker import OrbitTracker, mark_behind
from pygnc.tasks.sense_file import SenseFile
from pygnc.tasks.surroundings import SurroundingsModel

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo" / "sense.bin"
RECORDS = 24
NONE = EarthOrientationTable.none()
SETTINGS = AttitudeSettings()
MODEL = SurroundingsModel(NONE, read_main_field(data_file(PACKAGED)))


def tracker(state: TrackerState | None = None) -> AttitudeTracker:
    return AttitudeTracker(SETTINGS, MODEL, state)


@pytest.fixture(scope="module")
def demo() -> SenseFile:
    """The demonstration batch."""
    file = SenseFile(DEMO, "sense.bin", 5)
    for _ in file.scan():
        pass
    return file


def batch(demo: SenseFile, records: int) -> list[InputMessage]:
    """The first records, and the end of the batch."""
    messages = [m for m in demo.messages(np.arange(records), 1) if isinstance(m, SensorSample | GpsFix)]
    return [*messages, BatchEnd(seq=messages[-1].seq + 1, cause="")]


@pytest.fixture(scope="module")
def inputs(demo: SenseFile) -> list[InputMessage]:
    """The first ten minutes."""
    return batch(demo, RECORDS)


@pytest.fixture(scope="module")
def orbits(inputs: list[InputMessage]) -> list[OrbitMessage]:
    return orbits_of(inputs)


@pytest.fixture(scope="module")
def undisturbed(inputs: list[InputMessage], orbits: list[OrbitMessage]) -> list[AttitudeEstimate]:
    return run(tracker(), inputs, orbits)


def orbits_of(inputs: Sequence[Message]) -> list[OrbitMessage]:
    """What the orbit task makes of the inputs."""
    orbit_tracker = OrbitTracker(OrbitSettings(), NONE)
    messages: list[OrbitMessage] = []
    for message in inputs:
        estimates = orbit_tracker.take(message, len(messages) + 1)
        messages += [*estimates, *mark_behind(message, estimates, len(messages) + 1)]
    return messages


def run(
    attitude: AttitudeTracker, inputs: Sequence[InputMessage], orbits: Sequence[OrbitMessage], first_seq: int = 1
) -> list[AttitudeEstimate]:
    """Take all inputs, and orbits when they are awaited."""
    waiting = list(orbits)
    estimates: list[AttitudeEstimate] = []
    for message in inputs:
        while attitude.awaits_orbit and waiting:
            attitude.take_orbit(waiting.pop(0))
        estimates += attitude.take(message, first_seq + len(estimates))
    return estimates


def samples_of(inputs: Sequence[InputMessage]) -> list[SensorSample]:
    return [message for message in inputs if isinstance(message, SensorSample)]


def with_time_shift(inputs: Sequence[InputMessage], seqs: set[int], by_s: int) -> list[InputMessage]:
    """The inputs with another spacecraft time in some of them."""
    return [
        msgspec.structs.replace(message, t_spacecraft_s=message.t_spacecraft_s + by_s)
        if message.seq in seqs and isinstance(message, SensorSample | GpsFix) and message.t_spacecraft_s is not None
        else message
        for message in inputs
    ]


def assert_books_balance(attitude: AttitudeTracker, inputs: Sequence[InputMessage]) -> None:
    unused = sum(n for name, n in attitude.counts.items() if name.startswith("samples_") and name not in BALANCE)
    received, used, held = (attitude.counts[name] for name in BALANCE)
    assert received == used + held + unused == len(samples_of(inputs))


BALANCE = ("samples_received", "samples_used", "samples_held")


# --- Answers of the orbit task ------------------------------------------------------------------------------------


def test_a_packet_without_an_orbit_of_its_own_is_answered_by_a_mark(
    inputs: list[InputMessage], orbits: list[OrbitMessage]
) -> None:
    fixes = [message.seq for message in inputs if isinstance(message, GpsFix)]
    marks = [message for message in orbits if isinstance(message, OrbitMark)]
    assert [mark.through for mark in marks] == [*fixes[:4], inputs[-1].seq]
    assert [message.seq for message in orbits] == list(range(1, len(orbits) + 1))
    own = [m.through for m in orbits if isinstance(m, OrbitEstimate) and m.input_seq == m.through]
    assert own == fixes[4:]


def test_after_a_gps_packet_its_answer_is_awaited(inputs: list[InputMessage]) -> None:
    attitude = tracker()
    (fix,) = [message for message in inputs if isinstance(message, GpsFix)][:1]
    assert not attitude.awaits_orbit
    attitude.take(fix, 1)
    assert attitude.awaits_orbit
    attitude.take_orbit(OrbitMark(seq=1, through=fix.seq))
    assert not attitude.awaits_orbit


# --- Estimates ------------------------------------------------------------------------------------------------------


def test_every_sample_gives_one_estimate_with_its_number_and_time(
    inputs: list[InputMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    samples = samples_of(inputs)
    assert [e.input_seq for e in undisturbed] == [sample.seq for sample in samples]
    assert [e.seq for e in undisturbed] == list(range(1, len(samples) + 1))
    fix = next(message for message in inputs if isinstance(message, GpsFix))
    fix_ms = gps_ms_from_week(fix.gps_week, fix.gps_tow_ms)
    assert fix_ms is not None
    assert fix.t_spacecraft_s is not None
    offset_ms = fix_ms - 1000 * fix.t_spacecraft_s
    assert [e.gps_ms for e in undisturbed] == [1000 * s.t_spacecraft_s + offset_ms for s in samples]


def test_a_sample_takes_the_orbit_of_the_last_packet_before_it(undisturbed: list[AttitudeEstimate]) -> None:
    """The first ones take the first orbit, made of five fixes, back in time."""
    ages_s = [e.orbit_age_s for e in undisturbed]
    assert ages_s[:25] == [float(age) for age in range(-120, 5, 5)]
    assert ages_s[25:] == [5.0, 10.0, 15.0, 20.0, 25.0] * (RECORDS - 5)
    assert not any(e.orbit_late for e in undisturbed)


def test_the_attitude_is_found_and_stays(undisturbed: list[AttitudeEstimate]) -> None:
    modes = [e.mode for e in undisturbed]
    begin = modes.index("fine")
    assert begin < 30
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


def test_other_sensors_with_their_scale_factors_make_no_difference(
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
        estimates += first.take(message, len(estimates) + 1)
    packed = msgspec.msgpack.encode(first.checkpoint())
    second = tracker(msgspec.msgpack.decode(packed, type=TrackerState))
    estimates += run(second, inputs[cut:], waiting, len(estimates) + 1)
    assert msgspec.msgpack.encode(estimates) == msgspec.msgpack.encode(undisturbed)
    assert_books_balance(second, inputs)


# --- What is missing ------------------------------------------------------------------------------------------------


def test_without_any_orbit_there_are_rates_and_no_attitude(inputs: list[InputMessage]) -> None:
    marks = [OrbitMark(seq=k, through=m.seq) for k, m in enumerate(inputs, 1) if isinstance(m, GpsFix)]
    attitude = tracker()
    estimates = run(attitude, inputs, marks)
    assert len(estimates) == len(samples_of(inputs))
    assert {e.mode for e in estimates} == {"searching"}
    assert {e.cause for e in estimates} == {"no_surroundings"}
    assert all(np.linalg.norm(e.rate_body_rad_s) > 0.01 for e in estimates)
    assert all(e.gps_ms is not None for e in estimates)
    assert_books_balance(attitude, inputs)


def test_no_more_than_so_many_samples_wait_for_the_first_orbit(
    inputs: list[InputMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attitude_tracker, "HELD_MAX", held_max := 32)
    attitude = tracker()
    given = [len(attitude.take(message, 1)) for message in samples_of(inputs)]
    assert given[: held_max + 1] == [*[0] * held_max, held_max + 1]
    assert set(given[held_max + 1 :]) == {1}


def test_an_orbit_that_grows_old_is_carried_on_and_its_age_told(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    last = next(k for k, m in enumerate(orbits) if isinstance(m, OrbitEstimate) and m.input_seq == m.through)
    stale: list[OrbitMessage] = [
        m if k <= last or isinstance(m, OrbitMark) else OrbitMark(seq=m.seq, through=m.through)
        for k, m in enumerate(orbits)
    ]
    estimates = run(tracker(), inputs, stale)
    assert [e.orbit_age_s for e in estimates[25:]] == [float(age) for age in range(5, 5 * (5 * RECORDS - 25) + 5, 5)]
    assert {e.mode for e in estimates[30:]} == {"fine"}
    ours, fresh = (np.array(e[-1].quaternion_gcrf_from_body) for e in (estimates, undisturbed))
    assert np.linalg.norm(ours - fresh) < np.radians(0.3)  # the field 100 m beside


def test_an_answer_that_did_not_come_in_time_is_told(inputs: list[InputMessage], orbits: list[OrbitMessage]) -> None:
    attitude = tracker()
    run(attitude, inputs[:61], orbits)
    estimates = run(attitude, inputs[61:], [])
    first_unanswered = next(message.seq for message in inputs[61:] if isinstance(message, GpsFix))
    assert all(e.orbit_late == (e.input_seq > first_unanswered) for e in estimates)
    assert {e.mode for e in estimates} == {"fine"}


# --- Times in doubt -------------------------------------------------------------------------------------------------


def test_one_damaged_sample_time_costs_that_sample(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    victim = samples_of(inputs)[72].seq
    for by_s in (64, 1 << 20, -(1 << 8), -(1 << 29)):
        attitude = tracker()
        estimates = run(attitude, with_time_shift(inputs, {victim}, by_s), orbits)
        assert [e.input_seq for e in estimates] == [e.input_seq for e in undisturbed]
        untimed = [e for e in estimates if e.gps_ms is None]
        assert [(e.input_seq, e.cause, e.mode) for e in untimed] == [(victim, "no_time", "searching")]
        assert estimates[-1].mode == "fine"
        assert_books_balance(attitude, inputs)


def test_a_damaged_sample_time_just_before_a_gps_packet_costs_that_sample(
    inputs: list[InputMessage], orbits: list[OrbitMessage]
) -> None:
    victim = samples_of(inputs)[74]
    assert isinstance(inputs[inputs.index(victim) + 1], GpsFix)
    estimates = run(tracker(), with_time_shift(inputs, {victim.seq}, 64), orbits)
    assert [e.input_seq for e in estimates if e.gps_ms is None] == [victim.seq]
    assert estimates[-1].mode == "fine"


def test_a_gap_is_bridged_when_a_gps_packet_confirms_the_clock(
    inputs: list[InputMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    left = [message for message in inputs if not 61 <= message.seq <= 90]
    estimates = run(tracker(), left, orbits_of(left))
    times = {e.input_seq: e.gps_ms for e in undisturbed}
    assert [e.gps_ms for e in estimates] == [times[e.input_seq] for e in estimates]
    assert len(estimates) == len(samples_of(left))
    assert estimates[-1].mode == "fine"


def test_samples_of_a_new_boot_wait_for_its_map(
    inputs: list[InputMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    """The clock falls back to its start in the middle of a record, where GPS time is known all along."""
    boot = samples_of(inputs)[63].seq
    back_s = 946_684_805 - samples_of(inputs)[63].t_spacecraft_s
    rebooted = with_time_shift(inputs, {message.seq for message in inputs if message.seq >= boot}, back_s)
    attitude = tracker()
    estimates = run(attitude, rebooted, orbits_of(rebooted))
    assert [e.gps_ms for e in estimates] == [e.gps_ms for e in undisturbed]
    assert estimates[-1].mode == "fine"
    assert_books_balance(attitude, inputs)


def test_a_boot_without_gps_time_has_rates_without_times(inputs: list[InputMessage]) -> None:
    boot = samples_of(inputs)[63].seq
    back_s = 946_684_805 - samples_of(inputs)[63].t_spacecraft_s
    rebooted = with_time_shift(inputs, {message.seq for message in inputs if message.seq >= boot}, back_s)
    blind = [
        msgspec.structs.replace(message, gps_week=0) if isinstance(message, GpsFix) and message.seq > boot else message
        for message in rebooted
    ]
    attitude = tracker()
    estimates = run(attitude, blind, orbits_of(blind))
    assert [e.gps_ms is None for e in estimates] == [e.input_seq >= boot for e in estimates]
    assert all(np.linalg.norm(e.rate_body_rad_s) > 0.01 for e in estimates)
    assert_books_balance(attitude, inputs)


# --- Calibration of the magnetometer --------------------------------------------------------------------------------

TRUE_MAG_BIAS_UT = (20.0, 10.0, -25.0)


@pytest.fixture(scope="module")
def dark(demo: SenseFile) -> list[InputMessage]:
    """The first half an hour with sun sensors that are all dead."""
    return [
        msgspec.structs.replace(message, lux=(0.0,) * 6) if isinstance(message, SensorSample) else message
        for message in batch(demo, 72)
    ]


@pytest.fixture(scope="module")
def orbits_in_the_dark(dark: list[InputMessage]) -> list[OrbitMessage]:
    return orbits_of(dark)


@pytest.fixture(scope="module")
def in_the_dark(dark: list[InputMessage], orbits_in_the_dark: list[OrbitMessage]) -> list[AttitudeEstimate]:
    return run(tracker(), dark, orbits_in_the_dark)


def test_without_an_attitude_the_magnetometers_bias_is_told_when_it_is_calibrated(
    dark: list[InputMessage], in_the_dark: list[AttitudeEstimate]
) -> None:
    known = [k for k, estimate in enumerate(in_the_dark) if estimate.mag_calibration_sigma_ut is not None]
    assert known == list(range(known[0], len(in_the_dark)))
    assert all(estimate.mag_bias_imu_ut is None for estimate in in_the_dark[: known[0]])
    assert {estimate.mode for estimate in in_the_dark[: known[0] + 1]} == {"searching"}
    first = in_the_dark[known[0]]
    assert first.mag_bias_imu_ut == pytest.approx(TRUE_MAG_BIAS_UT, abs=1.0)
    assert max(first.mag_calibration_sigma_ut or ()) < 1.0
    imu_from_body = np.array(SETTINGS.mounting.imu_from_body)
    shown_ut = imu_from_body.dot(first.mag_body_ut) + first.mag_bias_imu_ut
    assert shown_ut == pytest.approx(np.array(samples_of(dark)[known[0]].mag_imu_ut), abs=1e-9)


def test_a_calibration_is_news_once(dark: list[InputMessage], orbits_in_the_dark: list[OrbitMessage]) -> None:
    attitude, waiting = tracker(), list(orbits_in_the_dark)
    news = []
    for message in dark:
        while attitude.awaits_orbit:
            attitude.take_orbit(waiting.pop(0))
        news += [outcome.calibrated for outcome in attitude.outcomes(message) if outcome.calibrated_anew]
    assert len(news) == 1
    assert attitude.counts["mag_calibration_seen"] == attitude.counts["mag_calibration_kept"] == 360


def test_a_restart_about_a_calibration_changes_no_bit(
    dark: list[InputMessage], orbits_in_the_dark: list[OrbitMessage], in_the_dark: list[AttitudeEstimate]
) -> None:
    """One tracker after another, each from the checkpoint of the one before."""
    first = next(k for k, estimate in enumerate(in_the_dark) if estimate.mag_calibration_sigma_ut is not None)
    decisive = in_the_dark[first].input_seq - dark[0].seq
    waiting = list(orbits_in_the_dark)
    attitude, estimates = tracker(), list[AttitudeEstimate]()
    for k, message in enumerate(dark):
        if k in {100, *range(decisive - 2, decisive + 4), decisive + 50}:
            packed = msgspec.msgpack.encode(attitude.checkpoint())
            attitude = tracker(msgspec.msgpack.decode(packed, type=TrackerState))
        while attitude.awaits_orbit:
            attitude.take_orbit(waiting.pop(0))
        estimates += attitude.take(message, len(estimates) + 1)
    assert msgspec.msgpack.encode(estimates) == msgspec.msgpack.encode(in_the_dark)


def test_a_fine_attitude_does_not_feel_the_calibration(
    demo: SenseFile, orbits_in_the_dark: list[OrbitMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    lit = batch(demo, 72)
    with_it = run(tracker(), lit, orbits_in_the_dark)
    assert with_it[-1].mag_calibration_sigma_ut is not None
    assert with_it[-1].mode == "fine"
    monkeypatch.setattr(CalibrationSamples, "add", lambda *_: None)
    without = run(tracker(), lit, orbits_in_the_dark)
    assert without[-1].mag_calibration_sigma_ut is None
    plain = [msgspec.structs.replace(estimate, mag_calibration_sigma_ut=None) for estimate in with_it]
    assert msgspec.msgpack.encode(plain) == msgspec.msgpack.encode(without)


def test_a_calibration_in_the_settings_is_used_once_and_the_whole_bias_told(
    inputs: list[InputMessage], orbits: list[OrbitMessage], undisturbed: list[AttitudeEstimate]
) -> None:
    """A magnetometer with unequal axes gives, calibrated, what an ideal one gives."""
    matrix = ((0.95, -0.01, 0.005), (-0.01, 1.03, -0.015), (0.005, -0.015, 0.98))
    bias_ut = np.array([30.0, -20.0, 10.0])
    shown = [
        msgspec.structs.replace(m, mag_imu_ut=tuple((np.linalg.solve(matrix, m.mag_imu_ut) + bias_ut).tolist()))
        if isinstance(m, SensorSample)
        else m
        for m in inputs
    ]
    magnetometer = MagnetometerSettings(bias_ut=(30.0, -20.0, 10.0), matrix=matrix)
    estimates = run(AttitudeTracker(AttitudeSettings(magnetometer=magnetometer), MODEL), shown, orbits)
    for ours, ideal in zip(estimates, undisturbed, strict=True):
        assert (ours.mode, ours.found) == (ideal.mode, ideal.found)
        assert ours.mag_body_ut == pytest.approx(ideal.mag_body_ut, abs=1e-6)
        if ideal.mag_bias_imu_ut is not None:
            total_ut = bias_ut + np.linalg.solve(matrix, ideal.mag_bias_imu_ut)
            assert ours.mag_bias_imu_ut == pytest.approx(total_ut, abs=1e-6)
    assert estimates[-1].mode == "fine"


def test_what_the_settings_know_is_told_before_anything_else_is_known(inputs: list[InputMessage]) -> None:
    marks = [OrbitMark(seq=k, through=m.seq) for k, m in enumerate(inputs, 1) if isinstance(m, GpsFix)]
    magnetometer = MagnetometerSettings(bias_ut=(20.1, 9.9, -25.2), bias_sigma_ut=3.0)
    estimates = run(AttitudeTracker(AttitudeSettings(magnetometer=magnetometer), MODEL), inputs, marks)
    assert {e.mode for e in estimates} == {"searching"}
    assert {e.mag_bias_imu_ut for e in estimates} == {(20.1, 9.9, -25.2)}
    imu_from_body = np.array(SETTINGS.mounting.imu_from_body)
    shown_ut = [imu_from_body.dot(e.mag_body_ut) + e.mag_bias_imu_ut for e in estimates]
    assert np.array(shown_ut) == pytest.approx(np.array([sample.mag_imu_ut for sample in samples_of(inputs)]))


# --- Sensors at fault -----------------------------------------------------------------------------------------------


def test_a_rate_beyond_the_gyros_range_is_flagged(inputs: list[InputMessage], orbits: list[OrbitMessage]) -> None:
    victim = samples_of(inputs)[81]
    beyond = msgspec.structs.replace(victim, gyro_imu_rad_s=(0.0, 32767 * np.radians(1 / 65.6), 0.0))
    spoilt = [beyond if message.seq == victim.seq else message for message in inputs]
    estimates = {e.input_seq: e for e in run(tracker(), spoilt, orbits)}
    assert estimates[victim.seq].gyro_axes_beyond_range == (1,)
    assert estimates[victim.seq].mode == "searching"
    assert estimates[victim.seq - 1].gyro_axes_beyond_range == ()


# --- Live samples -------------------------------------------------------------------------------------------------


def live_behind(inputs: Sequence[InputMessage], by_s: int, count: int) -> list[SensorSample]:
    """Live samples, one a second, the first of them `by_s` behind the last sample of the inputs."""
    last = samples_of(inputs)[-1]
    return [
        msgspec.structs.replace(
            last, seq=inputs[-1].seq + 1 + k, source=LIVE, offset=k + 1, t_spacecraft_s=last.t_spacecraft_s + by_s + k
        )
        for k in range(count)
    ]


def test_live_samples_behind_a_gap_are_held_for_a_few_only(
    inputs: list[InputMessage], orbits: list[OrbitMessage]
) -> None:
    attitude = tracker()
    before = run(attitude, inputs, orbits)
    live = live_behind(inputs, 60, 2 * attitude_tracker.LIVE_HELD_MAX)
    given = [len(attitude.take(sample, len(before) + 1)) for sample in live]
    held = attitude_tracker.LIVE_HELD_MAX
    assert given == [0] * held + [held + 1] + [1] * (held - 1)


def test_live_samples_of_another_boot_have_no_time_until_gps_tells_it(
    inputs: list[InputMessage], orbits: list[OrbitMessage]
) -> None:
    attitude = tracker()
    run(attitude, inputs, orbits)
    live = live_behind(inputs, -5000, 2 * attitude_tracker.LIVE_HELD_MAX)
    estimates = [estimate for sample in live for estimate in attitude.take(sample, 1)]
    assert len(estimates) == len(live)
    assert all(estimate.gps_ms is None for estimate in estimates)
