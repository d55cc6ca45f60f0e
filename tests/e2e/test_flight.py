"""Processing of a batch by real processes: status, files and logs."""

import os
import shutil
import signal
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from pygnc.bus.journal_files import list_segments
from pygnc.bus.messages import BatchEnd, GnssFix, OrbitWatermark, SensorSample, SourceFile
from pygnc.common import quaternion
from pygnc.common.clock import MS_PER_WEEK, gps_ms_from_week
from pygnc.formats import status
from pygnc.formats.status import MAGNETOMETER_REFUTED, AttitudeMode, OrbitMode, Phase
from pygnc_ground.truth.load import load_truth
from tests.e2e.conftest import DEMO, SENSE, Flight, copy_first_hour

pytestmark = pytest.mark.xdist_group("flown_demo")  # one worker makes the fixtures of this module


def test_processes_a_batch_to_its_end(flown_demo: Flight) -> None:
    final = flown_demo.status()
    assert final["phase"] == Phase.STOPPED
    assert final["orbit_mode"] == OrbitMode.PREDICTED
    assert final["damaged_bytes"] == 0
    assert final["delivered_bytes"] == final["source_bytes"] == final["batch_written_bytes"]
    (line,) = flown_demo.stderr.splitlines()
    assert "attitude.mounting.imu_from_body" in line
    assert all(not s.is_open for s in list_segments([flown_demo.newest_run()]))


def test_counters_add_up_from_the_file_to_the_estimator(flown_demo: Flight) -> None:
    final = flown_demo.status()
    inputs = flown_demo.inputs()
    produced = sum(1 for m in inputs if isinstance(m, GnssFix))
    rejected = sum(int(final[f"rejected_{cause}"]) for cause in status.REJECT_CAUSES)
    assert final["gps_packets"] == produced == final["fixes_received"]
    assert int(final["fixes_accepted"]) + rejected == produced
    assert final["sensor_packets"] == sum(1 for m in inputs if isinstance(m, SensorSample))
    assert final["lost_messages"] == 0
    assert [m.seq for m in inputs] == list(range(1, len(inputs) + 1))
    assert isinstance(inputs[0], SourceFile)
    assert isinstance(inputs[-1], BatchEnd)


def test_batch_files_equal_the_input(flown_demo: Flight) -> None:
    sources = [Path("sense.bin"), *(p.relative_to(flown_demo.home) for p in flown_demo.home.glob("range/rng*.bin"))]
    assert len(sources) > 1
    for source in sources:
        assert (flown_demo.home / "pygnc_batch" / source).read_bytes() == (flown_demo.home / source).read_bytes()


def test_reads_range_files_under_the_names_of_the_older_code(demo: Flight, demo_time_s: int) -> None:
    shutil.copy(demo.home / "range" / "rng00000.bin", demo.home / "range.bin")
    for file in sorted((demo.home / "range").iterdir()):
        file.rename(demo.home / file.name)
    demo.run("10", str(demo_time_s), "--exit-when-done")
    files = [message for message in demo.inputs() if isinstance(message, SourceFile)]
    assert [file.name for file in files] == ["sense.bin", "range.bin", "rng00000.bin", "rng00001.bin"]
    # The packet cut by the end of rng00000.bin continues in rng00001.bin, but not in the file after range.bin.
    assert [file.damaged_bytes > 0 for file in files] == [False, True, False, False]
    for name in ("rng00000.bin", "rng00001.bin"):
        assert (demo.home / "pygnc_batch" / name).read_bytes() == (demo.home / name).read_bytes()


def test_tasks_predict_the_orbit_until_ctrl_c(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    demo.until(lambda: demo.status()["orbit_mode"] == OrbitMode.PREDICTED)
    first = demo.status()
    assert float(first["orbit_age_s"]) >= 55.0
    demo.until(lambda: float(demo.status()["orbit_age_s"]) >= float(first["orbit_age_s"]) + 2.0)
    assert set(demo.tasks()) == {"ingest", "orbit", "attitude", "formation", "batch_writer", "status"}
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0
    assert demo.status()["phase"] == Phase.STOPPED


def test_an_idle_run_uses_little_processor_time(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    demo.until(lambda: demo.status()["orbit_mode"] == OrbitMode.PREDICTED)
    demo.until_elapsed(0.5)
    before_s = {name: processor_s(pid) for name, pid in demo.tasks().items()}
    demo.until_elapsed(2.0)
    used_s = {name: processor_s(pid) - before_s[name] for name, pid in demo.tasks().items()}
    assert all(seconds < 0.2 for seconds in used_s.values()), used_s
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_both_start_scripts_are_equivalent(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s), "--exit-when-done", main="pygnc_main.py")
    assert demo.wait() == 0
    assert demo.status()["phase"] == Phase.STOPPED


def test_reports_missing_input_and_continues(flight: Flight) -> None:
    flight.start("10", "1000")
    flight.until_phase(Phase.NO_DATA)
    flight.signal(signal.SIGINT)
    assert flight.wait() == 0
    assert any(event.name == "no_input" for event in flight.events())


def test_the_timeout_ends_the_run(demo: Flight, demo_time_s: int) -> None:
    assert demo.run("0", str(demo_time_s)) == 0
    assert any(event.name == "stop" and event.text == "timeout" for event in demo.events())


@pytest.mark.parametrize("words", [(), ("10",), ("ten", "0"), ("10", "0", "--what")])
def test_rejects_wrong_arguments_with_one_line_and_exit_code_2(flight: Flight, words: tuple[str, ...]) -> None:
    assert flight.run(*words) == 2
    assert "usage: python main.py" in flight.stderr
    assert flight.stderr.count("\n") == 1
    assert list(flight.home.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[orbit]\ngravity = 50\n", "unknown setting orbit.gravity"),
        ("[orbit]\ngravity_degree = 500\n", "gravity_degree"),
        ("[orbit\n", "line 1"),
        ("[attitude.mounting]\nimu_from_body = [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]\n", "another reflection"),
        ("[attitude.mounting]\nmagnetometer_from_body = [[2, 0, 0], [0, 1, 0], [0, 0, 1]]\n", "magnetometer_from_body"),
    ],
)
def test_rejects_unusable_settings_with_file_and_reason(flight: Flight, content: str, complaint: str) -> None:
    (flight.home / "mine.toml").write_text(content)
    assert flight.run("10", "0", "--config", str(flight.home / "mine.toml"), "--strict") == 2
    assert "mine.toml" in flight.stderr
    assert complaint in flight.stderr
    assert flight.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_faulty_settings_file_does_not_cost_the_run(flight: Flight, demo_time_s: int) -> None:
    (flight.home / "sense.bin").write_bytes(SENSE)
    (flight.home / "pygnc.toml").write_text("[formation\n")
    assert flight.run("10", str(demo_time_s), "--exit-when-done") == 9
    assert b"\nWARN SETTINGS\n" in (flight.home / "pygnc_info.txt").read_bytes()
    assert flight.status()["orbit_mode"] == OrbitMode.PREDICTED
    assert "the run uses the default settings" in flight.stderr
    assert [event.severity for event in flight.events() if event.name == "settings"] == ["warning"]


def test_rejects_a_second_run_in_the_same_home(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    second = Flight(demo.home)
    assert second.run("10", str(demo_time_s)) == 3
    assert "already running" in second.stderr
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0


@pytest.mark.slow
def test_each_run_has_a_new_log_folder(demo: Flight, demo_time_s: int) -> None:
    for _ in range(2):
        demo.run("10", str(demo_time_s), "--exit-when-done")
    runs = sorted(p.name for p in (demo.home / "pygnc_logs").iterdir())
    assert runs == ["run-00001", "run-00002"]
    assert not any(c in path.name for path in (demo.home / "pygnc_logs").rglob("*") for c in " :")


@pytest.mark.slow
def test_two_runs_give_the_same_estimates_bit_for_bit(
    flown_hour: Flight, tmp_path_factory: pytest.TempPathFactory, demo_time_s: int
) -> None:
    again = Flight(tmp_path_factory.mktemp("again"))
    copy_first_hour(again.home)
    assert again.run("10", str(demo_time_s), "--exit-when-done") == 0
    first, second = (msgspec.msgpack.encode([run.orbit_messages(), run.attitudes()]) for run in (flown_hour, again))
    assert first == second
    assert len(again.estimates()) > 100
    assert len(again.attitudes()) > 500


def test_estimates_agree_with_the_truth_within_their_sigmas(flown_demo: Flight) -> None:
    truth = load_truth(DEMO / "truth.parquet")
    estimates = [e for e in flown_demo.estimates() if e.gps_ms <= truth.span_gps_ms[1]]
    settled = estimates[len(estimates) // 3 :]
    true = truth.at(np.array([e.gps_ms for e in settled]))
    errors_m = np.array([e.position_ecef_m for e in settled]) - true.position_ecef_m
    rms_m = float(np.sqrt((errors_m**2).sum(axis=1).mean()))
    assert rms_m < 2.5
    normalised = errors_m / np.array([e.position_sigma_m for e in settled])
    assert 0.5 < float(np.sqrt((normalised**2).mean())) < 1.5


def test_orbit_task_answers_every_gps_packet_and_the_end_of_the_batch(flown_demo: Flight) -> None:
    answered = [m.seq for m in flown_demo.inputs() if isinstance(m, GnssFix | BatchEnd)]
    messages = flown_demo.orbit_messages()
    assert [m.seq for m in messages] == list(range(1, len(messages) + 1))
    complete = [m.last_input_seq for m in messages if isinstance(m, OrbitWatermark) or m.input_seq == m.last_input_seq]
    assert complete == answered
    watermarks = [m.last_input_seq for m in messages if isinstance(m, OrbitWatermark)]
    assert watermarks == [*answered[:4], answered[-1]]  # the filter needs five fixes


def test_every_sample_has_an_attitude_near_the_truth(flown_demo: Flight) -> None:
    samples = [m.seq for m in flown_demo.inputs() if isinstance(m, SensorSample)]
    attitudes = flown_demo.attitudes()
    assert [estimate.input_seq for estimate in attitudes] == samples
    truth = pl.read_parquet(DEMO / "truth.parquet")
    times_ms = (truth["gps_week"] * MS_PER_WEEK + truth["gps_tow_ms"]).to_list()
    true_q = truth.select(f"q{part}_gcrf_from_body" for part in "wxyz").to_numpy()
    true_rate = truth.select(f"{axis}_rate_body_rad_s" for axis in "xyz").to_numpy()
    row_of = {gps_ms: row for row, gps_ms in enumerate(times_ms)}
    known = [e for e in attitudes if e.gps_ms in row_of and e.quaternion_gcrf_from_body is not None]
    assert len(known) > 0.95 * len(truth)
    rows = [row_of[e.gps_ms] for e in known if e.gps_ms is not None]
    found = np.array([e.quaternion_gcrf_from_body for e in known])
    errors_deg = np.degrees(np.linalg.norm(quaternion.error_vector(found, true_q[rows]), axis=1))
    assert errors_deg.max() < 8.0
    assert float(np.sqrt(np.square(errors_deg[60:]).mean())) < 1.5
    rate_errors = np.array([e.rate_body_rad_s for e in known]) - true_rate[rows]
    assert np.degrees(np.abs(rate_errors[60:])).max() < 0.2
    final = flown_demo.status()
    newest = attitudes[-1]
    assert newest.quaternion_gcrf_from_body is not None
    assert final["attitude_mode"] == AttitudeMode.FINE
    assert [final[f"quaternion_{part}"] for part in "wxyz"] == pytest.approx(newest.quaternion_gcrf_from_body, abs=1e-6)
    assert final["in_sun"] == newest.in_sun
    assert gps_ms_from_week(int(final["attitude_gps_week"]), int(final["attitude_gps_tow_ms"])) == newest.gps_ms
    assert float(final["attitude_orbit_age_s"]) == newest.orbit_age_s


def test_sample_counters_add_up(flown_demo: Flight) -> None:
    final = flown_demo.status()
    unused = sum(int(final[f"samples_{cause}"]) for cause in status.SAMPLE_CAUSES)
    assert final["samples_received"] == final["sensor_packets"]
    assert int(final["samples_used"]) + unused == final["samples_received"]
    assert final["samples_held"] == 0


def test_reports_a_missing_home(flight: Flight) -> None:
    homeless = Flight(flight.home / "absent")
    assert homeless.run("10", "0") == 7
    assert "set HOME to an existing folder" in homeless.stderr
    assert homeless.stderr.count("\n") == 1


def test_calibrates_the_magnetometer_and_reports_it_once(flown_demo: Flight) -> None:
    (event,) = [event for event in flown_demo.events() if event.name == "mag_calibrated"]
    assert (event.task, event.severity) == ("attitude", "info")
    bias_ut = [float(word) for word in event.text.partition("bias ")[2].partition(" uT")[0].split(", ")]
    assert bias_ut == pytest.approx([20.0, 10.0, -25.0], abs=1.0)
    final = flown_demo.status()
    assert final["mag_calibration_seen"] == final["samples_received"]
    assert 1000 < int(final["mag_calibration_kept"]) <= int(final["mag_calibration_seen"])
    assert all(0.0 < float(final[f"mag_calibration_sigma_ut_{axis}"]) < 0.5 for axis in "xyz")


def test_reports_axes_that_the_motion_does_not_determine_without_a_warning(flown_demo: Flight) -> None:
    events = [event for event in flown_demo.events() if event.name == "sensor_axes"]
    assert {event.severity for event in events} == {"info"}
    assert flown_demo.status()["mirrored_faces"] == 0
    last = flown_demo.attitudes()[-1]
    assert (last.magnetometer_wiring, last.gyro_wiring) == ("not_observable", "not_observable")
    assert last.magnetometer_axes == "? +y ?"  # the body turns about the axis that is the sensor's y axis


@pytest.mark.slow
def test_a_reversed_axis_is_found_and_no_attitude_is_fine_from_then_on(demo: Flight, demo_time_s: int) -> None:
    """The sensor's y axis reads with the opposite sign of the declared one."""
    reversed_y = "[[0.0, -1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, -1.0]]"
    (demo.home / "pygnc.toml").write_text(f"[attitude.mounting]\nmagnetometer_from_body = {reversed_y}\n")
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 9
    events = [event for event in demo.events() if event.name == "sensor_axes"]
    assert events[0].severity == "warning"
    assert "-y" in events[0].text
    modes = {estimate.mode for estimate in demo.attitudes() if estimate.magnetometer_wiring == "wrong"}
    assert modes <= {"searching", "coarse"}
    assert int(demo.status()["mirrored_faces"]) & MAGNETOMETER_REFUTED
    assert b"AXES" in (demo.home / "pygnc_info.txt").read_bytes()
