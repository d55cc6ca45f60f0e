"""A receiver and an IMU on ports of the Pi, simulated on pseudo-terminals: no sense file and no packet of the host."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pygnc.bus.messages import DEVICES, GnssFix, OrbitEstimate, SensorSample, vector3
from pygnc.configuration.data_files import load_earth_orientation
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.navigation.orbit import OrbitTracker
from pygnc_devices.ucb import fields
from pygnc_ground.truth.load import load_truth
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.receiver_units import NovatelSimulator, vector
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.e2e.conftest import DEMO
from tests.e2e.linked_flight import LinkedFlight, time_of

TRUTH = load_truth(DEMO / "truth.parquet")
START_GPS_MS = TRUTH.span_gps_ms[0] + 600_250
SIGMA_M, SIGMA_MPS = 2.0, 0.05
SETTINGS = """
[devices.gps]
family = "auto"
port = "{home}/gps"
interval_s = 0.0
stream = 4

[orbit]
own_receiver = "gps"

[devices.imu]
family = "ucb"
port = "{home}/imu"
interval_s = 0.0

[attitude.own_sensors]
gyro = "imu"
magnetometer = "imu"
samples_s = 0.5
"""


class OrbitingReceiver(NovatelSimulator):
    """A receiver on the orbit of the demonstration; its errors are those that it states."""

    noise = np.random.default_rng(31)

    def gps_s(self, t_s: float) -> float:
        """Return the GPS time at a time of the simulation."""
        return 1e-3 * START_GPS_MS + t_s

    def solution(self, gps_s: float) -> dict[str, Any]:
        true = TRUTH.at(np.array([round(1e3 * gps_s)]))
        position_m = true.position_ecef_m[0] + SIGMA_M * self.noise.standard_normal(3)
        velocity_mps = true.velocity_ecef_mps[0] + SIGMA_MPS * self.noise.standard_normal(3)
        stated = {"sigma_m": SIGMA_M, "sigma_mps": SIGMA_MPS}
        return vector("ecef", "m", position_m.tolist()) | vector("velocity", "mps", velocity_mps.tolist()) | stated


@pytest.fixture
def equipped(tmp_path: Path) -> Iterator[tuple[LinkedFlight, PtyEndpoint]]:
    """A home whose settings name the receiver, which sends nothing until the flight requests it."""
    flight = LinkedFlight(tmp_path)
    (flight.home / "pygnc.toml").write_text(SETTINGS.format(home=flight.home))
    imu = UcbSimulator(restart_s=0.3)
    imu.ram[fields.PACKET_TYPE] = int.from_bytes(b"z1")
    with PtyEndpoint(OrbitingReceiver(), flight.home / "gps") as line, PtyEndpoint(imu, flight.home / "imu"):
        yield flight, line
        flight.stop_hard()
        flight.host.close()


def fixes_of(flight: LinkedFlight) -> list[GnssFix]:
    return [message for message in flight.inputs() if isinstance(message, GnssFix)]


def orbits_of(flight: LinkedFlight) -> list[OrbitEstimate]:
    return [estimate for estimate in flight.estimates() if estimate.accepted]


@pytest.mark.slow
def test_orbits_come_from_the_own_receiver(equipped: tuple[LinkedFlight, PtyEndpoint]) -> None:
    flight, line = equipped
    flight.connect("10", str(time_of(0)))
    flight.host.run(lambda: len(orbits_of(flight)) >= 60, 60.0)
    assert {fix.source for fix in fixes_of(flight)} == {DEVICES}

    # A restarted process reads each reading once.
    pid = flight.tasks()["ingest"]
    os.kill(pid, signal.SIGKILL)
    flight.host.run(lambda: flight.tasks().get("ingest", pid) != pid)
    known = len(orbits_of(flight))
    flight.host.run(lambda: len(orbits_of(flight)) >= known + 20, 30.0)
    offsets = [fix.offset for fix in fixes_of(flight)]
    assert offsets == sorted(set(offsets))

    # The receiver is unplugged, loses its settings, and comes back.
    line.unplug()
    known = len(orbits_of(flight))
    flight.host.run(lambda: any(event.text.startswith("gps: ") for event in flight.events()), 10.0)
    line.plug_in()
    flight.host.run(lambda: len(orbits_of(flight)) >= known + 20, 30.0)

    # The journaled inputs give the same orbits again, bit for bit.
    found = orbits_of(flight)
    tracker = OrbitTracker(OrbitSettings(own_receiver="gps"), load_earth_orientation(flight.home)[0])
    outcomes = [outcome for message in flight.inputs() for outcome in tracker.outcomes(message)]
    again = {outcome.seq: outcome.state.x[:3] for outcome in outcomes if outcome.update and outcome.state}
    assert all(vector3(again[estimate.input_seq]) == estimate.position_gcrf_m for estimate in found)

    true = TRUTH.at(np.array([estimate.gps_ms for estimate in found]))
    errors = np.array([estimate.position_ecef_m for estimate in found]) - true.position_ecef_m
    sigmas = np.array([estimate.position_sigma_m for estimate in found])
    assert np.linalg.norm(errors[-20:], axis=1).max() < 3.0 * SIGMA_M
    assert np.mean((errors / sigmas) ** 2) < 3.0

    # Samples come from the gyro and the magnetometer of the other unit, at the right times.
    # The flight goes on meanwhile: attitudes are read first, since a sample is always there before its attitude.
    timed = [estimate for estimate in flight.attitudes() if estimate.gps_ms is not None]
    sampled = {m.seq: m.t_mono_ns for m in flight.inputs() if isinstance(m, SensorSample) and m.t_mono_ns is not None}
    assert len(timed) > 10
    begin_ns = round(1e9 * line._start_s)
    sampled_ms = [START_GPS_MS + 1e-6 * (sampled[estimate.input_seq] - begin_ns) for estimate in timed]
    late_ms = [estimate.gps_ms - at_ms for estimate, at_ms in zip(timed, sampled_ms, strict=True)]  # type: ignore[operator]
    assert np.abs(late_ms).max() < 300.0
    assert {estimate.cause for estimate in timed[5:]} <= {"", "not_finite"}
    fitted = [estimate for estimate in timed if not estimate.cause]
    assert np.linalg.norm(fitted[-1].rate_body_rad_s) > 0.0
