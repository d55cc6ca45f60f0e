"""A gyro of the Pi's own in place of the host's: a simulated unit on a pseudo-terminal, and no sense file."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pygnc.bus.messages import DeviceReading
from pygnc.common import quaternion
from pygnc.estimators.attitude.settings import MountingSettings
from pygnc.formats.sense import SENSOR_PACKET
from pygnc.host.sentence_types import GPSS, SENS
from pygnc_devices.declaration import Value
from pygnc_devices.ucb import fields
from pygnc_ground.truth.load import load_attitude_truth
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.e2e.conftest import DEMO
from tests.e2e.linked_flight import SENSORS, LinkedFlight, record, time_of

RECORDS = 119
"""595 samples in 50 minutes, most of it in sunlight."""
RATE_BODY_DEG_S = (1.0, 0.3, 0.2)
"""Rate of the demonstration."""
BIAS_RAD_S = np.radians([0.3, -0.2, 0.1])
NOISE_RAD_S = np.radians(0.005)
"""Small: the samples come 300 times as fast as in flight, so several may share a reading, and its noise with it."""
SETTINGS = """
[devices.imu]
family = "ucb"
port = "{home}/imu"
interval_s = 0.0

[attitude.own_sensors]
gyro = "imu"

[attitude.gyro]
noise_rad_s = 0.00045
"""


class TumblingUnit(UcbSimulator):
    """A unit on the body of the demonstration, with bias and noise of its own."""

    noise = np.random.default_rng(31)

    def values(self, t_s: float) -> dict[str, Value]:
        true = MountingSettings().gyro.dot(np.radians(RATE_BODY_DEG_S))
        rate = true + BIAS_RAD_S + NOISE_RAD_S * self.noise.standard_normal(3)
        names = (f"rate_{axis}_rad_s" for axis in "xyz")
        return super().values(t_s) | dict(zip(names, rate.tolist(), strict=True))


@pytest.fixture
def equipped(tmp_path: Path) -> Iterator[tuple[LinkedFlight, PtyEndpoint]]:
    """A home whose settings name the unit as gyro."""
    flight = LinkedFlight(tmp_path)
    (flight.home / "pygnc.toml").write_text(SETTINGS.format(home=flight.home))
    unit = TumblingUnit(restart_s=0.3)
    unit.ram[fields.PACKET_TYPE] = int.from_bytes(b"z1")
    with PtyEndpoint(unit, flight.home / "imu") as imu:
        yield flight, imu
        flight.stop_hard()
        flight.host.close()


def attitude_errors(flight: LinkedFlight) -> tuple[np.ndarray, float]:
    """Return the errors in degrees and the NEES per degree of freedom."""
    truth = load_attitude_truth(DEMO / "truth.parquet")
    assert truth is not None
    known = [e for e in flight.attitudes() if e.gps_ms is not None and e.quaternion_gcrf_from_body is not None]
    true = truth.at(np.array([e.gps_ms for e in known]))
    found = np.array([e.quaternion_gcrf_from_body for e in known])
    vectors = quaternion.error_vector(found, true.quaternion)[true.known]
    sigmas = np.array([e.sigma_rad for e in known])[true.known]
    return np.degrees(np.linalg.norm(vectors, axis=1)), float(np.mean((vectors / sigmas) ** 2))


def without_gyro(packet: bytes) -> bytes:
    """The sensor packet of a host without a gyro."""
    words = np.frombuffer(packet, SENSOR_PACKET).copy()
    words["gyro"] = 0
    return words.tobytes()


def send(flight: LinkedFlight, numbers: range) -> None:
    for number in numbers:
        sensors, gps = record(number)
        settled = len(flight.host.outcomes) + SENSORS + 1
        for packet in sensors:
            # The unit sends at 100 Hz.
            next_s = time.monotonic() + 0.015
            flight.host.run(lambda next_s=next_s: time.monotonic() > next_s)  # type: ignore[misc]
            flight.host.send(SENS, tail=without_gyro(packet))
        flight.host.send(GPSS, tail=gps)
        flight.host.run(lambda settled=settled: len(flight.host.outcomes) >= settled)  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_attitudes_come_from_the_own_gyro(equipped: tuple[LinkedFlight, PtyEndpoint]) -> None:
    flight, imu = equipped
    flight.connect("10", str(time_of(0)))
    flight.host.run(lambda: any(isinstance(m, DeviceReading) for m in flight.inputs()), 20.0)
    send(flight, range(RECORDS))
    flight.host.run(lambda: len(flight.attitudes()) >= RECORDS * SENSORS, 90.0)
    errors_deg, nees = attitude_errors(flight)
    assert len(errors_deg) > RECORDS // 2
    assert np.median(errors_deg) < 1.5
    assert errors_deg[-1] < 3.0
    assert nees < 2.0
    known = [e for e in flight.attitudes() if e.gyro_bias_imu_rad_s is not None]
    assert known[-1].gyro_bias_imu_rad_s == pytest.approx(BIAS_RAD_S, abs=np.radians(0.05))

    imu.unplug()
    flight.host.run(lambda: any("disconnected" in event.text for event in flight.events()), 20.0)
    before = len(flight.attitudes())
    stale_s = time.monotonic() + 2.0
    flight.host.run(lambda: time.monotonic() > stale_s)
    send(flight, range(RECORDS, RECORDS + 1))
    flight.host.run(lambda: len(flight.attitudes()) >= before + SENSORS, 20.0)
    assert {e.cause for e in flight.attitudes()[before:]} == {"not_finite"}
    flight.signal(signal.SIGTERM)
    assert flight.until_ended() == 0
