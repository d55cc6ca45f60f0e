"""A receiver and an IMU on ports of the Pi, simulated on pseudo-terminals: no sense file and no packet of the host."""

import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pygnc.bus.messages import DEVICES, GnssFix, OrbitEstimate, SensorSample
from pygnc.common.clock import week_from_gps_ms
from pygnc_devices.declaration import Value
from pygnc_devices.ucb import fields
from pygnc_ground.truth.load import load_truth
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.e2e.conftest import DEMO
from tests.e2e.linked_flight import LinkedFlight, time_of

TRUTH = load_truth(DEMO / "truth.parquet")
START_GPS_MS = TRUTH.span_gps_ms[0] + 600_250
SIGMA_M, SIGMA_MPS = 2.0, 0.05
SETTINGS = """
[devices.gps]
family = "mip"
port = "{home}/gps"
interval_s = 0.0

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


class OrbitingUnit(MipSimulator):
    """A unit with a receiver on the orbit of the demonstration; its errors are those that it states."""

    noise = np.random.default_rng(31)
    begin_s = math.nan
    latest: tuple[float, dict[str, Value]] = math.nan, {}

    def gps_ms(self, t_mono_ns: int | None = None) -> float:
        """Return the GPS time at a monotonic time, by default at present."""
        t_s = time.monotonic() if t_mono_ns is None else 1e-9 * t_mono_ns
        return START_GPS_MS + 1e3 * (t_s - self.begin_s)

    def _values(self, t_s: float) -> dict[str, Value]:
        # All fields of a packet are of one time.
        if self.latest[0] != t_s:
            self.latest = t_s, super()._values(t_s) | self.fix()
        return self.latest[1]

    def fix(self) -> dict[str, Value]:
        """Return the present values of the receiver."""
        gps_ms = self.gps_ms()
        whole = int(gps_ms)
        true = TRUTH.at(np.array([whole]))
        position_m = true.position_ecef_m[0] + 1e-3 * (gps_ms - whole) * true.velocity_ecef_mps[0]
        latitude = math.asin(position_m[2] / np.linalg.norm(position_m))
        longitude = math.atan2(position_m[1], position_m[0])
        (sin_b, cos_b), (sin_l, cos_l) = ((math.sin(angle), math.cos(angle)) for angle in (latitude, longitude))
        ned = np.array(
            [[-sin_b * cos_l, -sin_b * sin_l, cos_b], [-sin_l, cos_l, 0.0], [-cos_b * cos_l, -cos_b * sin_l, -sin_b]]
        )
        position_m = position_m + SIGMA_M * self.noise.standard_normal(3)
        velocity_mps = ned @ (true.velocity_ecef_mps[0] + SIGMA_MPS * self.noise.standard_normal(3))
        week, tow_ms = week_from_gps_ms(whole)
        named = {f"ecef_{axis}_m": value for axis, value in zip("xyz", position_m.tolist(), strict=True)}
        axes = ("north", "east", "down")
        named |= {f"velocity_{axis}_mps": value for axis, value in zip(axes, velocity_mps.tolist(), strict=True)}
        return named | {
            "latitude_rad": latitude,
            "longitude_rad": longitude,
            "ecef_accuracy_m": math.sqrt(3.0) * SIGMA_M,
            "speed_accuracy_mps": math.sqrt(3.0) * SIGMA_MPS,
            "week": week,
            "tow_s": 1e-3 * (tow_ms + gps_ms - whole),
            "fix_type": 0,
            "satellites": 9,
        }


@pytest.fixture
def equipped(tmp_path: Path) -> Iterator[tuple[LinkedFlight, OrbitingUnit]]:
    """A home whose settings name the unit as receiver."""
    flight = LinkedFlight(tmp_path)
    (flight.home / "pygnc.toml").write_text(SETTINGS.format(home=flight.home))
    parts = [(descriptor, 1) for descriptor in (0x03, 0x04, 0x05, 0x09, 0x0B)]
    unit = OrbitingUnit("3DM-GX5-45", formats={0x81: parts})
    unit.begin_s = time.monotonic()
    imu = UcbSimulator(restart_s=0.3)
    imu.ram[fields.PACKET_TYPE] = int.from_bytes(b"z1")
    with PtyEndpoint(unit, flight.home / "gps"), PtyEndpoint(imu, flight.home / "imu"):
        yield flight, unit
        flight.stop_hard()
        flight.host.close()


def fixes_of(flight: LinkedFlight) -> list[GnssFix]:
    return [message for message in flight.inputs() if isinstance(message, GnssFix)]


def orbits_of(flight: LinkedFlight) -> list[OrbitEstimate]:
    return [estimate for estimate in flight.estimates() if estimate.accepted]


@pytest.mark.slow
def test_orbits_come_from_the_own_receiver(equipped: tuple[LinkedFlight, OrbitingUnit]) -> None:
    flight, unit = equipped
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

    found = orbits_of(flight)
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
    late_ms = [estimate.gps_ms - unit.gps_ms(sampled[estimate.input_seq]) for estimate in timed]  # type: ignore[operator]
    assert np.abs(late_ms).max() < 300.0
    assert {estimate.cause for estimate in timed[5:]} <= {"", "not_finite"}
    fitted = [estimate for estimate in timed if not estimate.cause]
    assert np.linalg.norm(fitted[-1].rate_body_rad_s) > 0.0
