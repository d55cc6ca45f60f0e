"""Samples whose time is in doubt wait, or cost no more than themselves; live ones too."""

from collections.abc import Sequence

import msgspec
import numpy as np

from pygnc.bus.messages import (
    LIVE,
    AttitudeEstimate,
    GnssFix,
    InputMessage,
    OrbitMessage,
    SensorSample,
)
from pygnc.navigation import attitude as tracker_module
from tests.pygnc.navigation.attitude_batch import (
    assert_books_balance,
    orbits_of,
    process,
    run,
    samples_of,
    tracker,
    with_time_shift,
)

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
    assert isinstance(inputs[inputs.index(victim) + 1], GnssFix)
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
        msgspec.structs.replace(one, gps_ms=None) if isinstance(one, GnssFix) and one.seq > boot else one
        for one in rebooted
    ]
    attitude = tracker()
    estimates = run(attitude, blind, orbits_of(blind))
    assert [e.gps_ms is None for e in estimates] == [e.input_seq >= boot for e in estimates]
    assert all(np.linalg.norm(e.rate_body_rad_s) > 0.01 for e in estimates)
    assert_books_balance(attitude, inputs)


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


def test_holds_only_a_few_live_samples_after_a_gap(inputs: list[InputMessage], orbits: list[OrbitMessage]) -> None:
    attitude = tracker()
    before = run(attitude, inputs, orbits)
    live = live_behind(inputs, 60, 2 * tracker_module.LIVE_HELD_MAX)
    given = [len(process(attitude, sample, len(before) + 1)) for sample in live]
    held = tracker_module.LIVE_HELD_MAX
    assert given == [0] * held + [held + 1] + [1] * (held - 1)


def test_live_samples_of_another_boot_have_no_time_before_gps_packets(
    inputs: list[InputMessage], orbits: list[OrbitMessage]
) -> None:
    attitude = tracker()
    run(attitude, inputs, orbits)
    live = live_behind(inputs, -5000, 2 * tracker_module.LIVE_HELD_MAX)
    estimates = [estimate for sample in live for estimate in process(attitude, sample, 1)]
    assert len(estimates) == len(live)
    assert all(estimate.gps_ms is None for estimate in estimates)
