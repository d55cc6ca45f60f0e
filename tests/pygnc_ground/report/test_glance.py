from dataclasses import replace

import numpy as np

from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report.clock_segments import clock_records
from pygnc_ground.report.comparison import estimates, smoother_minus_batch
from pygnc_ground.report.glance import findings
from pygnc_ground.report.statistics import difference_figures, estimate_figures
from tests.pygnc_ground.report import samples


def told(result: ReplayResult) -> dict[str, bool]:
    """Whether each sentence is good, by its text."""
    crossed = smoother_minus_batch(result)
    found = findings(
        result,
        [estimate_figures(one) for one in estimates(result)],
        difference_figures(crossed) if crossed else None,
        clock_records(result.fixes),
    )
    return {finding.text: finding.good for finding in found}


def verdict(result: ReplayResult, words: str) -> bool:
    """Of the one sentence with these words."""
    (good,) = [good for text, good in told(result).items() if words in text]
    return good


def test_an_undisturbed_replay_is_good_in_every_respect() -> None:
    result = samples.clean(400)
    assert result.smoothed is not None
    assert all(told(replace(result, batch=result.smoothed)).values())


def test_damage_and_unreadable_files_are_told_first() -> None:
    texts = list(told(samples.troubled(60)))
    assert texts[0] == "1 of 3 input files cannot be read."
    assert texts[1].startswith("4\u202f598 of 132\u202f000 input bytes (3.5 %) are damaged")
    assert not verdict(samples.troubled(60), "damaged")


def test_too_many_unused_records_are_worth_a_look() -> None:
    result = samples.clean(100)
    for accepted, good in ((96, True), (94, False)):
        counts = {
            "fixes_received": 100,
            "fixes_accepted": accepted,
            "fixes_waiting": 0,
            "rejected_gate": 100 - accepted,
        }
        assert verdict(replace(result, counts=counts), "GPS records were used") is good


def test_books_that_do_not_balance_are_told() -> None:
    result = samples.clean(100)
    assert not any("balance" in text for text in told(result))
    counts = {"fixes_received": 100, "fixes_accepted": 90, "rejected_gate": 9}
    assert not verdict(replace(result, counts=counts), "do not balance")


def test_innovations_are_judged_by_the_band_of_their_mean() -> None:
    result = samples.clean(300)
    for factor, good, words in ((1.0, True, "as large as"), (1.5, False, "larger than"), (0.6, False, "smaller than")):
        result.solution.nis[:] = 6.0 * factor
        assert verdict(result, f"innovations are {words}") is good


def test_errors_are_judged_by_the_formal_sigma() -> None:
    result = samples.clean(400)
    assert verdict(result, "The filter is right to")
    for factor in (9.0, 1.0 / 9.0):
        off = replace(result.solution, covariance_ecef=factor * result.solution.covariance_ecef)
        assert not verdict(replace(result, solution=off), "The filter is right to")
    assert not any("right to" in text for text in told(replace(result, truth=None)))


def test_smoother_and_batch_far_apart_are_worth_a_look() -> None:
    result = samples.clean(60)
    assert result.batch is not None
    far = replace(result.batch, position_ecef_m=result.batch.position_ecef_m + 10.0)
    assert not verdict(replace(result, batch=far), "Smoother and batch")
    assert verdict(replace(result, batch=result.smoothed), "Smoother and batch")


def test_restarts_and_new_boots_are_told() -> None:
    assert not verdict(samples.troubled(60), "start again 1 time.")
    assert not verdict(samples.troubled(60), "from 2 boots")


def test_no_record_and_no_orbit_are_told() -> None:
    assert not verdict(samples.clean(0), "There is no GPS record")
    assert not verdict(samples.without_orbit(samples.clean(20)), "found no orbit")


def test_notes_of_the_replay_are_passed_on() -> None:
    result = replace(samples.clean(20), notes=("no batch solution: too few fixes",))
    assert not verdict(result, "no batch solution: too few fixes")


def test_a_replay_whose_books_are_unknown_is_judged_by_its_rows() -> None:
    result = replace(samples.clean(20), counts={})
    assert verdict(result, "20 of 20 GPS records")
    assert np.isfinite(result.solution.nis).all()
