"""A sample of the radiation campaign: flips that once falsified a flight, and some of random fields and files."""

import random
from pathlib import Path

import pytest

from pygnc.configuration.load import load
from tests.e2e.conftest import SENSE, Flight, minute_after
from tests.faults.radiation import FILE_PLACES, OUTCOMES, judge
from tests.faults.task_bench import GROUP, Flip, Recording, TaskBench

LAST_SEQ = 12 * GROUP
pytestmark = pytest.mark.xdist_group("radiation")


@pytest.fixture(scope="module")
def recording(flown_hour: Flight) -> Recording:
    return Recording.of(flown_hour.newest_run()).until(LAST_SEQ)


def bench(task: str, recording: Recording, flown_hour: Flight, folder: Path) -> TaskBench:
    settings = load(None, flown_hour.home)
    return TaskBench(task, recording, folder, settings, minute_after(SENSE))


def test_an_orbit_whose_time_jumps_into_the_future_recovers(
    recording: Recording, flown_hour: Flight, tmp_path: Path
) -> None:
    orbit = bench("orbit", recording, flown_hour, tmp_path)
    assert [payload for _, payload in recording.streams["orbit"]] == [*orbit.reference.messages.values()]
    dice = random.Random(1)  # noqa: S311 - repeatable
    found = orbit.fly(Flip("field", 8 * GROUP, dice, "_memory.fix_gps_ms"))
    assert judge(("field", "orbit", 1), found, orbit.reference).outcome == "recovered"
    for seed in range(5):
        dice = random.Random(seed)  # noqa: S311 - repeatable
        where = ("field", *FILE_PLACES, "step")[seed % 5]
        found = orbit.fly(Flip(where, dice.randint(8 * GROUP, recording.last_seq), dice))
        trial = judge((where, "orbit", seed), found, orbit.reference)
        assert trial.outcome in OUTCOMES[:4], trial


def test_an_attitude_whose_quaternion_changes_its_sign_is_reported(
    recording: Recording, flown_hour: Flight, tmp_path: Path
) -> None:
    attitude = bench("attitude", recording, flown_hour, tmp_path)
    dice = random.Random(2)  # noqa: S311 - repeatable
    flip = Flip("step", recording.last_seq - 2 * GROUP, dice, "quaternion", 63)
    trial = judge(("step", "attitude", 1), attitude.fly(flip), attitude.reference)
    assert trial.outcome == "flagged", trial


def test_no_flip_in_the_status_task_changes_the_status_unnoticed(
    recording: Recording, flown_hour: Flight, tmp_path: Path
) -> None:
    status = bench("status", recording, flown_hour, tmp_path)
    for seed in range(8):
        dice = random.Random(seed)  # noqa: S311 - repeatable
        where = ("field", "step")[seed % 2]
        found = status.fly(Flip(where, recording.last_seq - GROUP * (seed % 3), dice))
        trial = judge((where, "status", seed), found, status.reference)
        assert trial.outcome in OUTCOMES[:4], trial
