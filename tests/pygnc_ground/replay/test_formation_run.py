"""Formation arrays of a replay against the flight's messages and the truth."""

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import (
    ClosestApproach,
    FormationEstimate,
    GnssFix,
    InputMessage,
    RangeMeasurement,
)
from pygnc.configuration.settings import Settings
from pygnc.environment.frames import EarthFrames
from pygnc_ground.replay.collect import Collected, collect, make_pipeline, range_records
from pygnc_ground.replay.formation_run import formation_result, predicted_conjunctions
from pygnc_ground.replay.result import FormationResult
from pygnc_ground.truth.load import load_truth
from pygnc_ground.truth.orbit_truth import OrbitTruth
from tests.pygnc.navigation import formation_batch as batch

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("formation_batch")]  # one worker makes its fixtures


@cache
def truths() -> dict[int, OrbitTruth]:
    folder = batch.home().parent
    return {number: load_truth(folder / str(number) / "truth.parquet") for number in (batch.OWN_ID, *batch.PARTNERS)}


def run(messages: Iterable[InputMessage], settings: Settings = batch.SETTINGS) -> Collected:
    return collect(messages, make_pipeline(settings, batch.orientation(), attitude=False))


def result(flight: Collected) -> FormationResult:
    found = formation_result(flight.partners, flight.formation, batch.SETTINGS.formation, truths())
    assert found is not None
    return found


@pytest.fixture(scope="module")
def everything() -> Collected:
    return run(batch.inputs())


@pytest.fixture(scope="module")
def solved(everything: Collected) -> FormationResult:
    return result(everything)


@pytest.fixture(scope="module")
def ranges_only() -> FormationResult:
    """Formation from our own radio and receiver alone; both radios are calibrated."""
    calibrated = replace(batch.SETTINGS.formation, range_bias_m=1_050.0, range_bias_sigma_m=20.0)
    own = [
        message
        for message in batch.inputs()
        if not (isinstance(message, GnssFix | RangeMeasurement) and message.satellite_id)
    ]
    return result(run(own, replace(batch.SETTINGS, formation=calibrated)))


def test_no_result_without_partners() -> None:
    assert formation_result([], None, batch.SETTINGS.formation, {}) is None


def test_states_are_the_flights_in_time_order(everything: Collected, solved: FormationResult) -> None:
    for partner in solved.partners:
        estimates = [
            message
            for message in everything.partners
            if isinstance(message, FormationEstimate) and message.partner_id == partner.partner
        ]
        assert sorted(message.gps_ms for message in estimates) == partner.states.gps_ms.tolist()
        row = {gps_ms: number for number, gps_ms in enumerate(partner.states.gps_ms.tolist())}
        for message in estimates[::50]:
            assert message.position_rtn_m is not None
            assert message.covariance_rtn is not None
            assert partner.states.rtn[row[message.gps_ms], :3].tolist() == list(message.position_rtn_m)
            covariance = partner.states.covariance_rtn[row[message.gps_ms]]
            np.testing.assert_array_equal(covariance, covariance.T)
            assert covariance[4, 2] == message.covariance_rtn[4 * 5 // 2 + 2]


def test_states_and_tracks_are_near_the_truth(solved: FormationResult) -> None:
    assert [partner.partner for partner in solved.partners] == list(batch.PARTNERS)
    for partner in solved.partners:
        assert not partner.ambiguous
        assert partner.cause == ""
        assert partner.with_truth
        states = partner.states
        inside = np.isfinite(states.true_rtn[:, 0])
        assert np.abs(states.rtn - states.true_rtn)[inside, :3].max() < 12.0
        assert np.abs(states.rtn - states.true_rtn)[inside, 3:].max() < 0.02
        inside = np.isfinite(partner.true_track[:, 0])
        assert inside.sum() > 50
        assert np.abs(partner.orbits[0].rtn - partner.true_track)[inside, :3].max() < 12.0


def test_every_range_is_accounted_for_as_by_the_counters_of_the_flight(everything: Collected) -> None:
    again = msgspec.structs.replace(everything.ranges[-1], seq=10**6)
    lost = msgspec.structs.replace(again, seq=10**6 + 1, t_spacecraft_s=0, range_m=1.0)
    own = msgspec.structs.replace(again, seq=10**6 + 2, partner_id=again.satellite_id or batch.OWN_ID)
    *inputs, end = batch.inputs()
    short = replace(batch.SETTINGS, formation=replace(batch.SETTINGS.formation, arc_max_s=1800.0))
    flight = run([*inputs, again, lost, own, end], short)
    records, counts = range_records(flight, short.formation), flight.range_counts
    assert len(records) == counts["ranges_received"] == len(everything.ranges) + 3
    assert records.used == counts["ranges_used"] == np.isfinite(records.residual_m).sum()
    assert records.used + sum(records.not_used.values()) == len(records)
    assert records.not_used == {"old": counts["ranges_old"], "repeated": 1, "no_time": 1, "same_satellite": 1}
    assert [cause for time, cause in zip(records.gps_ms, records.cause, strict=True) if time is None] == ["no_time"]


def test_ranges_are_the_true_distance_with_bias_and_noise(solved: FormationResult) -> None:
    assert len(solved.links) == 3
    for link in solved.links:
        assert (np.diff(link.gps_ms) >= 0).all()
        one, other = (truths()[end].at(link.gps_ms).position_ecef_m for end in link.pair)
        distance_m = np.linalg.norm(other - one, axis=1)
        inside = np.isfinite(distance_m)
        assert np.abs(link.model_m - distance_m)[inside].max() < 12.0
        np.testing.assert_allclose(link.model_m + link.residual_m + link.bias_m, link.range_m, rtol=0, atol=1e-6)
        assert link.residual_rms_m == pytest.approx(link.noise_m, rel=0.2)


def test_by_ranges_alone_the_mirror_is_one_of_the_orbits(ranges_only: FormationResult) -> None:
    solved = [partner for partner in ranges_only.partners if not partner.cause]
    assert solved
    for partner in solved:
        assert partner.ambiguous
        best, mirror = partner.orbits[:2]
        assert mirror.chi_square == pytest.approx(partner.chi2_mirror)
        assert mirror.chi_square - best.chi_square < ranges_only.margin
        # Both have the same distances, so they cannot be distinguished.
        apart_m = np.linalg.norm(best.rtn[:, :3], axis=1) - np.linalg.norm(mirror.rtn[:, :3], axis=1)
        assert np.abs(apart_m).max() < 60.0
        assert np.linalg.norm(best.rtn[:, :3] - mirror.rtn[:, :3], axis=1).max() > 100.0
        assert np.isfinite(partner.states.mirror_rtn_m).all()


def test_tracks_span_the_ranges_without_estimates(everything: Collected) -> None:
    settings, solution = batch.SETTINGS.formation, everything.formation
    assert solution is not None
    estimates = [message for message in everything.partners if isinstance(message, FormationEstimate)]
    found = formation_result(estimates[-1:], solution, settings, {})
    assert found is not None
    times = [seen.gps_ms for seen in solution.ranges]
    assert found.track_gps_ms[0] <= min(times)
    assert found.track_gps_ms[-1] >= max(times)


def test_an_unsolved_partner_has_only_a_cause(ranges_only: FormationResult) -> None:
    (partner,) = [partner for partner in ranges_only.partners if partner.cause]
    assert re.fullmatch(r"standard deviation of its position \d+ m at a distance of \d+ m", partner.cause)
    assert not partner.states.known.any()
    assert partner.orbits


def test_orbits_of_a_partner_differ_from_each_other(ranges_only: FormationResult) -> None:
    for partner in ranges_only.partners:
        costs = [orbit.chi_square for orbit in partner.orbits]
        assert costs == sorted(costs)
        for number, orbit in enumerate(partner.orbits):
            for other in partner.orbits[:number]:
                assert np.abs(orbit.rtn - other.rtn)[:, :3].max() > 5.0


def test_the_margin_is_the_settings_chi_square_for_many_ranges(solved: FormationResult) -> None:
    # n log(1 + x / n) for x = 30 is 30 minus 30^2 / 2 n to first order.
    freedom = sum(len(link.gps_ms) for link in solved.links) - 7 * 3 - 3
    assert solved.margin == pytest.approx(30.0 + 450.0 / freedom, rel=0.01)


def test_the_cause_of_an_unknown_orbit_is_copied() -> None:
    estimates = [FormationEstimate(1, 9, 8, 1_000, 77, "our own orbit is not known")]
    found = formation_result(estimates, None, batch.SETTINGS.formation, truths())
    assert found is not None
    (partner,) = found.partners
    assert partner.cause == "our own orbit is not known"
    assert partner.orbits == ()
    assert not partner.states.known.any()
    assert not partner.with_truth


def test_encounters_are_those_that_the_flight_reports(everything: Collected) -> None:
    reported = [message for message in everything.partners if isinstance(message, ClosestApproach)]
    newest = [message for message in reported if message.last_input_seq == reported[-1].last_input_seq]
    frames = EarthFrames(batch.orientation())
    found = predicted_conjunctions(everything.partners, everything.formation, batch.SETTINGS, frames, radius_m=1.0)
    assert [each.partner for each in found] == [message.partner_id for message in newest]
    for each, message in zip(found, newest, strict=True):
        assert abs(each.nearest.gps_ms - message.gps_ms) <= 5_000
        assert each.nearest.distance_m == pytest.approx(message.distance_m, abs=1.0)
        assert each.nearest.sigma_m == pytest.approx(message.sigma_m, rel=0.02)
        assert 0.0 <= each.likeliest.probability <= each.probability <= 1.0
