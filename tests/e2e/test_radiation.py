"""A sample of the radiation campaign: flips that once falsified a flight, and some of random fields and files."""

import dis
import os
import random
import signal
from pathlib import Path

import msgspec
import pytest

from pygnc.bus.messages import OrbitEstimate
from pygnc.configuration.data_files import load_earth_orientation
from pygnc.configuration.load import load
from pygnc.estimators.orbit.measurement import linearise_fix
from pygnc.formats.status import Phase
from pygnc.launch.workspace import runtime_folder
from pygnc.navigation.orbit import OrbitTracker
from pygnc.navigation.pipeline import orbit_response
from pygnc.tasks.second_look import INTERVAL_S
from tests.e2e.conftest import SENSE, SENSE_RECORD_BYTES, Flight, minute_after
from tests.e2e.linked_flight import LinkedFlight, stream, time_of
from tests.faults import radiation
from tests.faults.bit_flips import flip_in_code
from tests.faults.radiation import FILE_PLACES, OUTCOMES, judge
from tests.faults.task_bench import GROUP, Flip, Recording, TaskBench

LAST_SEQ = 12 * GROUP
FILED, WRONG, LATER = 30, 3, 3
"""Records of a flight: in its file, sent while an instruction is wrong, and sent afterwards."""
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


def test_a_flip_in_the_status_tasks_copy_of_the_run_state_does_not_last(
    recording: Recording, flown_hour: Flight, tmp_path: Path
) -> None:
    status = bench("status", recording, flown_hour, tmp_path)
    for seed, name in enumerate(("not_recorded", "events", "phase", "restarts")):
        dice = random.Random(seed)  # noqa: S311 - repeatable
        found = status.fly(Flip("step", recording.last_seq - GROUP, dice, name))
        assert found.flipped.startswith("task._state.")
        trial = judge(("step", "status", seed), found, status.reference)
        assert trial.outcome in {"no effect", "recovered"}, trial


@pytest.mark.slow
def test_packets_that_arrive_while_the_task_of_the_line_restarts_are_reported_to_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_link(flight: LinkedFlight, _: random.Random) -> str:
        os.kill(flight.tasks()["host_link"], signal.SIGKILL)
        return "host_link killed"

    monkeypatch.setattr(radiation, "_flip_processes", kill_link)
    after_the_batch = 6  # a seed
    trial = radiation.Campaign(tmp_path).fly_memory(after_the_batch)
    assert trial.outcome == "flagged", trial
    assert "reported lost to the host: 1 GPSS, 5 SENS" in trial.reported


def undisturbed_estimates(flight: Flight) -> list[OrbitEstimate]:
    """Return the orbit estimates that follow from the inputs of a flight, with their numbers in its stream."""
    orientation, _ = load_earth_orientation(flight.home)
    tracker = OrbitTracker(load(None, flight.home).orbit, orientation)
    made = (each for message in flight.inputs() for each in orbit_response(tracker, message, 1).estimates)
    numbers = (estimate.seq for estimate in flight.estimates())
    return [msgspec.structs.replace(one, seq=seq) for one, seq in zip(made, numbers, strict=True)]


@pytest.mark.slow
def test_a_flipped_instruction_of_a_running_task_is_found_and_its_wrong_estimates_are_reported(tmp_path: Path) -> None:
    (tmp_path / "sense.bin").write_bytes(SENSE[: FILED * SENSE_RECORD_BYTES])
    flight = LinkedFlight(tmp_path)
    host = flight.connect("10", str(time_of(FILED)))
    flight.until_phase(Phase.IDLE)
    host.run((runtime_folder(tmp_path) / "orbit.verified").exists)
    instructions = dis.get_instructions(linearise_fix)
    minus = next(one.offset for one in instructions if (one.opname, one.argrepr) == ("BINARY_OP", "-"))
    before = flight.tasks()["orbit"]
    flip_in_code(before, linearise_fix.__code__, minus, 8)  # the difference of two positions becomes their ratio
    stream(host, range(FILED, FILED + WRONG))

    host.run(lambda: any(event.name == "estimates_wrong" for event in flight.events()), 3.0 * INTERVAL_S)
    stream(host, range(FILED + WRONG, FILED + WRONG + LATER))
    host.run(lambda: len(flight.estimates()) == FILED + WRONG + LATER)
    flight.signal(signal.SIGINT)
    assert flight.until_ended() == 9

    expected = undisturbed_estimates(flight)
    wrong = [k for k, pair in enumerate(zip(flight.estimates(), expected, strict=True)) if pair[0] != pair[1]]
    assert wrong == [*range(FILED, FILED + WRONG)]
    events = {event.name: event for event in flight.events() if event.task == "orbit"}
    assert "instruction" in next(event.text for event in flight.events() if event.name == "state_changed")
    assert events["estimates_wrong"].text.startswith("3 estimates from number")
    assert flight.tasks() == {}
    assert "WARN WRONG" in (tmp_path / "pygnc_info.txt").read_text()
