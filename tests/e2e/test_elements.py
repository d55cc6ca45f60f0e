"""Runs of main.py without a usable fix: orbit and attitude by uploaded mean elements."""

import os
import signal

import msgspec
import numpy as np
import polars as pl
import pytest

from pygnc.bus.messages import UploadedElements
from pygnc.common import quaternion
from pygnc.common.clock import MS_PER_WEEK
from pygnc.formats import status
from pygnc.formats.status import OrbitMode, Phase
from pygnc_ground.exports.choices import Notation
from pygnc_ground.exports.orbit_messages import omm
from tests.demo_elements import DEMO, RECORD_BYTES, as_tle, demo_elements, without_fixes
from tests.e2e.conftest import Flight, minute_after

RECORDS = 240
SENSE = (DEMO / "sense.bin").read_bytes()[: RECORDS * RECORD_BYTES]
ELEMENTS = demo_elements()
NAME = "pygnc_elements.txt"


def attitude_errors_deg(flight: Flight) -> tuple[np.ndarray, int]:
    """Return the attitude errors in sunlight, and the number of sunlit samples in the truth."""
    truth = pl.read_parquet(DEMO / "truth.parquet")[:RECORDS].filter(pl.col("sunlit_fraction") > 0.99)
    times_ms = (truth["gps_week"] * MS_PER_WEEK + truth["gps_tow_ms"]).to_list()
    true_q = truth.select(f"q{part}_gcrf_from_body" for part in "wxyz").to_numpy()
    row_of = {gps_ms: row for row, gps_ms in enumerate(times_ms)}
    known = [e for e in flight.attitudes() if e.gps_ms in row_of and e.quaternion_gcrf_from_body is not None]
    rows = [row_of[e.gps_ms] for e in known if e.gps_ms is not None]
    found = np.array([e.quaternion_gcrf_from_body for e in known])
    return np.degrees(np.linalg.norm(quaternion.error_vector(found, true_q[rows]), axis=1)), len(truth)


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Flight:
    """Return the finished run with a TLE in the home and no usable fix."""
    flight = Flight(tmp_path_factory.mktemp("flown_elements"))
    (flight.home / "sense.bin").write_bytes(without_fixes(SENSE))
    (flight.home / NAME).write_text(as_tle(ELEMENTS, "DEMO"))
    (flight.home / "pygnc.toml").write_text('[orbit.elements]\nexpected_object = "99001"\n')
    assert flight.run("10", str(minute_after(SENSE)), "--exit-when-done") == 0
    return flight


def test_the_attitude_starts_on_uploaded_elements(flown: Flight) -> None:
    errors_deg, sunlit = attitude_errors_deg(flown)
    assert len(errors_deg) > 0.9 * sunlit
    assert float(np.sqrt(np.mean(errors_deg**2))) < 3.0


def test_status_info_and_events_name_the_origin_of_the_orbit(flown: Flight) -> None:
    final = flown.status()
    assert final["orbit_mode"] == OrbitMode.ELEMENTS
    assert final["fixes_accepted"] == 0
    assert float(final["position_sigma_m_x"]) > 100.0
    assert b" ELEMENTS AGE " in (flown.home / "pygnc_info.txt").read_bytes()
    named = {event.name: event.text for event in flown.events()}
    assert "DEMO 99001 2025-001A, epoch 2025-" in named["elements"]
    assert "the orbit comes from mean elements" in named["orbit_from_elements"]
    assert isinstance(flown.inputs()[0], UploadedElements)
    assert [message.seq for message in flown.inputs()] == list(range(1, len(flown.inputs()) + 1))


@pytest.mark.slow
def test_killed_tasks_give_the_same_estimates(flown: Flight, tmp_path_factory: pytest.TempPathFactory) -> None:
    again = Flight(tmp_path_factory.mktemp("again"))
    for name in ("sense.bin", NAME, "pygnc.toml"):
        (again.home / name).write_bytes((flown.home / name).read_bytes())
    again.start("10", str(minute_after(SENSE)), "--exit-when-done")
    again.until(lambda: "orbit" in again.tasks())
    for task in ("ingest", "orbit", "attitude"):
        if (pid := again.tasks().get(task)) is not None:
            os.kill(pid, signal.SIGKILL)
    assert again.wait() == 0
    first, second = (msgspec.msgpack.encode([run.orbit_messages(), run.attitudes()]) for run in (flown, again))
    assert first == second


@pytest.mark.slow
def test_without_any_gps_time_the_spacecraft_clock_counts_as_utc(flight: Flight) -> None:
    sense = without_fixes(SENSE, with_time=False)
    (flight.home / "sense.bin").write_bytes(sense)
    (flight.home / NAME).write_text(omm(ELEMENTS, (), ELEMENTS.epoch_gps_ms).text(Notation.KVN))
    assert flight.run("10", str(minute_after(sense)), "--exit-when-done") == 0
    assert flight.status()["orbit_mode"] == OrbitMode.ELEMENTS
    errors_deg, sunlit = attitude_errors_deg(flight)
    assert len(errors_deg) > 0.9 * sunlit
    assert float(np.sqrt(np.mean(errors_deg**2))) < 3.0


@pytest.mark.parametrize(
    ("content", "settings", "reason"),
    [
        (as_tle(ELEMENTS)[:68] + "x" + as_tle(ELEMENTS)[69:], "", ", line 1: the checksum is 'x'"),
        (as_tle(ELEMENTS), "25544", ", line 1: the object is 99001 2025-001A instead of 25544"),
        (
            as_tle(msgspec.structs.replace(ELEMENTS, epoch_gps_ms=ELEMENTS.epoch_gps_ms - 31 * 86_400_000)),
            "",
            "line 1: epoch",
        ),
    ],
)
def test_unusable_elements_are_refused_and_the_run_goes_on(
    flight: Flight, content: str, settings: str, reason: str
) -> None:
    sense = without_fixes(SENSE[: 20 * RECORD_BYTES])
    (flight.home / "sense.bin").write_bytes(sense)
    (flight.home / NAME).write_text(content)
    (flight.home / "pygnc.toml").write_text(f'[orbit.elements]\nexpected_object = "{settings}"\n')
    assert flight.run("10", str(minute_after(sense)), "--exit-when-done") == 9
    (refused,) = (event.text for event in flight.events() if event.name == "elements_refused")
    assert refused.startswith(NAME)
    assert reason in refused
    assert flight.status()["orbit_mode"] == OrbitMode.NONE
    assert flight.status()["sensor_packets"] == 100


@pytest.mark.slow
def test_elements_that_appear_after_the_batch_give_an_orbit(flight: Flight) -> None:
    sense = without_fixes(SENSE[: 20 * RECORD_BYTES])
    (flight.home / "sense.bin").write_bytes(sense)
    flight.start("10", str(minute_after(sense)))
    flight.until_phase(Phase.IDLE)
    assert flight.status()["orbit_mode"] == OrbitMode.NONE
    (flight.home / NAME).write_text(as_tle(ELEMENTS))
    flight.until(lambda: flight.status()["orbit_mode"] == OrbitMode.ELEMENTS)
    flight.signal(signal.SIGINT)
    assert flight.wait() == 0
    assert all(int(flight.status()[f"task_{name}_restarts"]) == 0 for name in status.TASK_NAMES)
