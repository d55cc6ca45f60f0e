from dataclasses import replace

import numpy as np
import pytest

from pygnc.common import quaternion
from pygnc.estimators.attitude.settings import MountingSettings
from pygnc.estimators.attitude.wiring import SensorAxes, Verdict, Wiring
from pygnc_ground.replay.result import AttitudeResult, FormationResult, RangeRecords, ReplayResult
from pygnc_ground.report.clock import clock_records
from pygnc_ground.report.comparison import compared_attitudes, compared_orbits, compared_partners, smoother_minus_batch
from pygnc_ground.report.statistics import difference_figures, innovations_of
from pygnc_ground.report.summary import attitude_findings, findings, formation_findings
from tests.pygnc_ground.report import attitude_samples, formation_samples, samples
from tests.pygnc_ground.report.samples import BEGIN_MS

NO_RANGES = formation_samples.ranges(0)


def findings_by_text(result: ReplayResult) -> dict[str, bool]:
    """Return whether each finding is good, by its text."""
    crossed = smoother_minus_batch(result)
    found = findings(
        result,
        compared_orbits(result),
        difference_figures(crossed) if crossed else None,
        clock_records(result.fixes),
    )
    return {finding.text: finding.good for finding in found}


def verdict(result: ReplayResult, words: str) -> bool:
    """Return whether the only finding with these words is good."""
    (good,) = [good for text, good in findings_by_text(result).items() if words in text]
    return good


def test_an_undisturbed_replay_is_good_in_every_respect() -> None:
    result = samples.clean(400)
    assert result.smoothed is not None
    assert all(findings_by_text(replace(result, batch=result.smoothed)).values())


def test_damage_and_unreadable_files_are_reported_first() -> None:
    texts = list(findings_by_text(samples.troubled(60)))
    assert texts[0] == "1 of 3 input files cannot be read."
    assert texts[1].startswith("4\u202f598 of 132\u202f000 input bytes (3.5 %) are damaged")
    assert not verdict(samples.troubled(60), "damaged")


def test_too_many_unused_records_need_attention() -> None:
    result = samples.clean(100)
    for accepted, good in ((96, True), (94, False)):
        result.solution.accepted[:] = np.arange(100) < accepted
        assert verdict(result, "GPS records were used") is good


def test_counters_that_do_not_add_up_are_reported() -> None:
    result = samples.clean(100)
    assert not any("add up" in text for text in findings_by_text(result))
    counts = {"fixes_received": 100, "fixes_accepted": 90, "rejected_gate": 9}
    assert not verdict(replace(result, counts=counts), "do not add up")


def test_innovations_are_judged_by_the_band_of_their_mean() -> None:
    result = samples.clean(300)
    for factor, good, words in ((1.0, True, "as large as"), (1.5, False, "larger than"), (0.6, False, "smaller than")):
        result.solution.nis[:] = 6.0 * factor
        assert verdict(result, f"innovations are {words}") is good


def test_errors_are_judged_by_the_formal_sigma() -> None:
    result = samples.clean(400)
    assert verdict(result, "The position error of the filter")
    for factor in (9.0, 1.0 / 9.0):
        off = replace(result.solution, covariance_ecef=factor * result.solution.covariance_ecef)
        assert not verdict(replace(result, solution=off), "The position error of the filter")
    assert not any("error" in text for text in findings_by_text(replace(result, truth=None)))


def test_a_large_difference_of_smoother_and_batch_needs_attention() -> None:
    result = samples.clean(60)
    assert result.batch is not None
    far = replace(result.batch, position_ecef_m=result.batch.position_ecef_m + 10.0)
    assert not verdict(replace(result, batch=far), "Smoother and batch")
    assert verdict(replace(result, batch=result.smoothed), "Smoother and batch")


def test_restarts_and_new_boots_are_reported() -> None:
    assert not verdict(samples.troubled(60), "restarted 1 time.")
    assert not verdict(samples.troubled(60), "from 2 boots")


def test_missing_records_and_a_missing_orbit_are_reported() -> None:
    assert not verdict(samples.clean(0), "There is no GPS record")
    assert not verdict(samples.without_orbit(samples.clean(20)), "found no orbit")


def test_notes_of_the_replay_are_included() -> None:
    result = replace(samples.clean(20), notes=("no batch solution: too few fixes",))
    assert not verdict(result, "no batch solution: too few fixes")


def test_without_counters_the_rows_are_counted() -> None:
    result = replace(samples.clean(20), counts={})
    assert verdict(result, "20 of 20 GPS records")
    assert np.isfinite(result.solution.nis).all()


COUNT = 900


def clean() -> AttitudeResult:
    return attitude_samples.clean(COUNT, begin_ms=samples.BEGIN_MS)


def attitude_findings_by_text(result: AttitudeResult) -> dict[str, bool]:
    """Return whether each finding is good, by its text."""
    found = attitude_findings(result, compared_attitudes(result), innovations_of(result.samples), MountingSettings())
    return {finding.text: finding.good for finding in found}


def attitude_verdict(result: AttitudeResult, words: str) -> bool:
    """Return whether the only finding with these words is good."""
    (good,) = [good for text, good in attitude_findings_by_text(result).items() if words in text]
    return good


def test_an_undisturbed_flight_is_good_in_every_respect() -> None:
    sentences = attitude_findings_by_text(clean())
    assert all(sentences.values())
    assert len(sentences) == 7


def test_without_an_attitude_there_is_one_finding() -> None:
    assert attitude_findings_by_text(attitude_samples.without_attitude(clean())) == {"There is no attitude.": False}
    nothing = attitude_findings_by_text(attitude_samples.nothing())
    assert nothing == {"There is no sensor sample, so the attitude is unknown.": False}


@pytest.mark.parametrize("without", [False, True])
def test_wrong_axes_of_a_sensor_are_named_with_the_setting_to_change(without: bool) -> None:  # noqa: FBT001 - a case
    result = attitude_samples.without_attitude(clean()) if without else clean()
    wrong = Wiring(Verdict.WRONG, "+y +x +z", "+y +x +z", 0.07)
    found = replace(result, axes=SensorAxes(wrong, Wiring(Verdict.RIGHT, "+x +y +z", "+x +y +z")))
    assert not attitude_verdict(found, "The axes of the magnetometer: readings fit +y +x +z better than the declared")
    assert not attitude_verdict(found, "Set attitude.mounting.magnetometer_from_body = [[1.0, 0.0, 0.0], ")
    assert attitude_verdict(found, "The axes of the gyro: as declared.")


def test_axes_that_are_not_observable_are_no_fault() -> None:
    found = replace(clean(), axes=SensorAxes(gyro=Wiring(Verdict.NOT_OBSERVABLE, "+x ? ?", "+x +y +z")))
    assert attitude_verdict(found, "The axes of the gyro: not observable in this motion, known axes +x ? ?.")


def test_lost_attitudes_and_broken_sensors_are_named() -> None:
    result = attitude_samples.troubled(clean())
    assert not attitude_verdict(result, "lost and re-acquired 1 time.")
    assert not attitude_verdict(result, "The sun sensor on face +Y is considered dead.")
    assert not attitude_verdict(result, "The sun sensor on face −X is considered mirrored.")
    assert not attitude_verdict(result, "The z axis of the gyro is considered stuck.")


def test_a_fraction_below_95_percent_needs_attention() -> None:
    result = clean()
    result.solution.quaternion[:50] = np.nan
    assert not attitude_verdict(result, "850 of 900 sensor samples have an attitude (94.4 %")


@pytest.mark.parametrize(("factor", "words"), [(1.5, "larger than"), (0.5, "smaller than")])
def test_innovations_of_the_wrong_size_are_reported(factor: float, words: str) -> None:
    result = clean()
    result.samples.nis[:] *= factor
    assert not attitude_verdict(result, f"The attitude innovations are {words} their covariance predicts")


def test_errors_above_their_sigma_are_reported() -> None:
    result = clean()
    wide = replace(result.smoothed, attitude_covariance=result.smoothed.attitude_covariance / 4.0)
    assert not attitude_verdict(replace(result, smoothed=wide), "The attitude error of the smoother")
    assert attitude_verdict(replace(result, smoothed=wide), "The attitude error of the filter")


def test_without_an_orbit_one_overall_error_is_reported() -> None:
    result = clean()
    unknown = replace(result.samples, sunlit_fraction=np.full(COUNT, np.nan))
    (text,) = [
        text for text in attitude_findings_by_text(replace(result, samples=unknown)) if "error of the filter" in text
    ]
    assert "° (three-axis RMS)" in text
    assert "sunlight" not in text


def test_a_late_convergence_and_a_wrong_lock_are_reported() -> None:
    result = clean()
    turn = np.where(np.arange(COUNT) < 60, 1.0, 0.0)[:, None] * np.array([0.5, 0.0, 0.0])
    wrong = quaternion.multiply(result.solution.quaternion, quaternion.exponential(turn))
    late = replace(result, solution=replace(result.solution, quaternion=wrong))
    assert not attitude_verdict(late, "within 5° of the truth 300 s after the first sample with an orbit")
    assert not attitude_verdict(late, "off by more than 20° for up to 300 s in a row")


def test_bias_errors_above_their_sigma_are_reported() -> None:
    result = clean()
    off = replace(result.solution, mag_bias_imu_ut=result.solution.mag_bias_imu_ut + 1.0)
    assert not attitude_verdict(replace(result, solution=off), "The bias errors of the filter")


def formation_findings_by_text(result: FormationResult, ranges: RangeRecords = NO_RANGES) -> dict[str, bool]:
    """Return whether each finding is good, by its text."""
    found = formation_findings(ranges, result, compared_partners(result), 43_200.0)
    return {finding.text: finding.good for finding in found}


def test_a_formation_without_trouble_is_good_in_every_respect() -> None:
    assert all(formation_findings_by_text(formation_samples.clean(BEGIN_MS)).values())
    assert all(formation_findings_by_text(formation_samples.without_truth(formation_samples.clean(BEGIN_MS))).values())


def test_a_wrong_orbit_that_is_called_certain_needs_attention() -> None:
    sentences = formation_findings_by_text(formation_samples.wrong(formation_samples.clean(BEGIN_MS)))
    assert [good for text, good in sentences.items() if "reported as certain" in text] == [False] * 3


def test_an_ambiguous_partner_is_reported_with_both_chi_squares_and_the_nearer_orbit() -> None:
    (text,) = [
        text
        for text, good in formation_findings_by_text(formation_samples.ambiguous(BEGIN_MS)).items()
        if "ambiguous" in text and not good
    ]
    assert text.startswith("Partner 75 is ambiguous: 2 distinct orbits fit")
    assert "χ² 500.0 and 500.3 of 118 ranges" in text
    assert "the best orbit is nearest to the truth" in text
    assert any(
        "the mirror orbit is nearest" in text
        for text in formation_findings_by_text(formation_samples.wrong(formation_samples.ambiguous(BEGIN_MS)))
        if "75" in text
    )


def test_the_cause_of_an_unknown_partner_is_reported() -> None:
    sentences = formation_findings_by_text(formation_samples.unsolved(BEGIN_MS))
    assert sentences["Partner 76 is not known: our own orbit is unknown."] is False


@pytest.mark.parametrize(("used", "good"), [(96, True), (94, False)])
def test_rejected_ranges_need_attention_but_old_and_repeated_ones_do_not(*, used: int, good: bool) -> None:
    ranges = formation_samples.ranges(used, rejected=100 - used, old=900, repeated=7)
    found = formation_findings_by_text(formation_samples.clean(BEGIN_MS), ranges)
    assert [is_good for text, is_good in found.items() if f"{used} of 100 ranges are in the newest" in text] == [good]
    assert found["Further ranges: older than the arc: 900, repeated: 7 (the arc is at most 12 h 00 min long)."]
    assert not found[f"Ranges that are not used: rejected by the solution: {100 - used}."]


def test_records_of_several_files_with_equal_times_are_no_loss() -> None:
    result = samples.clean(100)
    gps_ms, accepted = result.fixes.gps_ms.copy(), result.solution.accepted.copy()
    gps_ms[90:], accepted[90:] = gps_ms[80:90], False
    causes = ("",) * 90 + ("not_later",) * 10
    fixes = replace(result.fixes, gps_ms=gps_ms, position_cause=causes, velocity_cause=causes)
    counts = {"fixes_received": 100, "fixes_accepted": 90, "fixes_waiting": 0, "rejected_not_later": 10}
    again = replace(result, fixes=fixes, solution=replace(result.solution, accepted=accepted), counts=counts)
    assert again.not_used == {"repeated": 10}
    assert verdict(again, "90 of 90 GPS records were used")
    assert verdict(again, "10 more GPS records are at the time of a used one")


def test_nearest_and_most_probable_encounter_are_two_sentences_with_their_orbits() -> None:
    result = formation_samples.ambiguous(BEGIN_MS)
    best, mirror = result.conjunctions
    apart = best._replace(probability=2e-3, likeliest=best.nearest._replace(gps_ms=best.nearest.gps_ms + 60_000))
    found = formation_findings_by_text(replace(result, conjunctions=(apart, mirror)))
    assert found[
        "Partner 75 comes nearest (mirror orbit) on 2025-03-21 00:42:20 UTC, in 2 h 33 min, at 40.0 m (sigma 20.0 m)."
    ]
    (text,) = [text for text in found if "collides" in text]
    assert not found[text]
    assert " is 2.0e-03 (best orbit, combined radius 1.00 m; good: up to 0.0001)" in text
    assert text.endswith("most likely on 2025-03-21 00:10:00 UTC, in 2 h 01 min, at 250 m (sigma 20.0 m).")
    far = formation_findings_by_text(replace(result, conjunctions=(best,)))
    (text,) = [text for text in far if "is below 1e-12" in text]
    assert far[text]
    assert "likely" not in text


def test_an_unknown_partner_is_reported_with_the_number_of_its_candidate_orbits() -> None:
    result = formation_samples.ambiguous(BEGIN_MS)
    vague = replace(result.partners[0], cause="standard deviation of its position 9 m at a distance of 8 m")
    sentences = formation_findings_by_text(replace(result, partners=(vague, *result.partners[1:])))
    assert any(text.startswith("Partner 75 is not known: standard") and "; 2 candidate" in text for text in sentences)
