import math

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import DEVICES, LIVE, BatchEnd, DeviceReading, GnssFix, InputMessage, SensorSample
from pygnc.common import quaternion
from pygnc.common.clock import SpacecraftReading
from pygnc.configuration.settings import DeviceSettings, Settings
from pygnc.estimators.attitude.settings import AttitudeSettings, OwnSensorSettings
from pygnc.inputs.input_state import InputCounters
from pygnc.inputs.live import device_messages
from pygnc.navigation.attitude import AttitudeTracker
from pygnc.navigation.own_sensors import OwnSensors, device_values
from pygnc_ground.truth.load import load_attitude_truth
from tests.pygnc.navigation.attitude_batch import DEMO, MODEL, orbits_of, run, samples_of

VALUES = device_values(AttitudeSettings())
BOTH = OwnSensorSettings(gyro="imu", magnetometer="heading")
SAMPLE = SensorSample(
    seq=9,
    source=LIVE,
    offset=3,
    kind="",
    t_spacecraft_s=1000,
    t_spacecraft_ms=0,
    time_sigma_s=None,
    mag_imu_ut=(1.0, 2.0, 3.0),
    gyro_imu_rad_s=(0.1, 0.2, 0.3),
    lux=(0.0,) * 6,
    raw=b"",
    t_mono_ns=10_000_000_000,
)


def reading(device: str, t_mono_ns: int = 9_500_000_000, **values: float | str | None) -> DeviceReading:
    rates: dict[str, float | str | None] = {"rate_x_rad_s": 0.01, "rate_y_rad_s": 0.02, "rate_z_rad_s": 0.03}
    return DeviceReading(
        seq=8,
        source=DEVICES,
        offset=1,
        device=device,
        family="ucb",
        packet="S1",
        t_mono_ns=t_mono_ns,
        t_wall_ns=0,
        t_device_ns=None,
        lost_before=0,
        raw=b"",
        values={**rates, **values},
    )


def rates(own: OwnSensors, settings: OwnSensorSettings, sample: SensorSample = SAMPLE) -> tuple[float, float, float]:
    return own.measured(sample, settings, VALUES).gyro_imu_rad_s


def test_without_settings_the_host_measures() -> None:
    own = OwnSensors()
    own.take(reading("imu"), OwnSensorSettings(), VALUES)
    assert own.measured(SAMPLE, OwnSensorSettings(), VALUES) is SAMPLE


def test_the_newest_reading_of_each_sensor_replaces_the_hosts() -> None:
    own = OwnSensors()
    own.take(reading("imu", 8_000_000_000, rate_x_rad_s=5.0), BOTH, VALUES)
    own.take(reading("imu"), BOTH, VALUES)
    own.take(reading("other", rate_x_rad_s=7.0), BOTH, VALUES)
    own.take(reading("heading", mag_x_t=2e-5, mag_y_t=-3e-5, mag_z_t=1e-6), BOTH, VALUES)
    measured = own.measured(SAMPLE, BOTH, VALUES)
    assert measured.gyro_imu_rad_s == (0.01, 0.02, 0.03)
    assert measured.mag_imu_ut == pytest.approx((20.0, -30.0, 1.0))
    assert (measured.lux, measured.t_spacecraft_s) == (SAMPLE.lux, SAMPLE.t_spacecraft_s)


def test_one_sensor_leaves_the_other_to_the_host() -> None:
    only, own = OwnSensorSettings(gyro="imu"), OwnSensors()
    own.take(reading("imu"), only, VALUES)
    assert own.measured(SAMPLE, only, VALUES).mag_imu_ut == SAMPLE.mag_imu_ut


@pytest.mark.parametrize("missing", [None, "off", math.nan, math.inf])
def test_an_incomplete_reading_is_not_taken(missing: str | float | None) -> None:
    own = OwnSensors()
    own.take(reading("imu", rate_y_rad_s=missing), BOTH, VALUES)
    assert own.newest == {}


def test_a_missing_or_old_reading_is_no_number() -> None:
    only, own = OwnSensorSettings(gyro="imu", age_max_s=1.0), OwnSensors()
    assert all(map(math.isnan, rates(own, only)))
    own.take(reading("imu", 8_900_000_000), only, VALUES)
    assert all(map(math.isnan, rates(own, only)))
    own.take(reading("imu", 9_100_000_000), only, VALUES)
    assert rates(own, only) == (0.01, 0.02, 0.03)


def test_samples_of_files_keep_the_hosts_values() -> None:
    filed = msgspec.structs.replace(SAMPLE, t_mono_ns=None)
    assert OwnSensors().measured(filed, BOTH, VALUES) is filed


def test_the_settings_name_a_declared_sensor() -> None:
    attitude = AttitudeSettings(own_sensors=OwnSensorSettings(gyro="imu"))
    with pytest.raises(ValueError, match=r"attitude.own_sensors.gyro is 'imu'.*\[devices.imu\]"):
        Settings(attitude=attitude)
    Settings(attitude=attitude, devices={"imu": DeviceSettings(family="ucb", port="/dev/null")})


def test_a_star_tracker_measures_beside_the_host_while_it_sees_stars() -> None:
    stars, own = OwnSensorSettings(star_tracker="stars", age_max_s=1.0), OwnSensors()
    attitude = msgspec.structs.replace(
        reading("stars"),
        values={"quaternion_w": 0.5, "quaternion_x": 0.5, "quaternion_y": -0.5, "quaternion_z": 0.5},
    )
    assert own.measured(SAMPLE, stars, VALUES) is SAMPLE
    own.take(attitude, stars, VALUES)
    assert own.measured(SAMPLE, stars, VALUES).readings == {"star_tracker": (0.5, 0.5, -0.5, 0.5)}
    late = msgspec.structs.replace(SAMPLE, t_mono_ns=12_000_000_000)
    assert own.measured(late, stars, VALUES) is late
    blind = attitude.values | {"quaternion_z": None}
    own.take(msgspec.structs.replace(attitude, t_mono_ns=11_500_000_000, values=blind), stars, VALUES)
    assert own.measured(late, stars, VALUES) is late


def test_own_sensors_alone_give_the_attitude(inputs: list[InputMessage]) -> None:
    """Readings and fixes of devices in place of the host's packets, with the true attitude by a star tracker."""
    truth = load_attitude_truth(DEMO.parent / "truth.parquet")
    assert truth is not None
    own = OwnSensorSettings(gyro="imu", magnetometer="imu", star_tracker="stars", samples_s=1.0)
    settings = Settings(
        attitude=AttitudeSettings(own_sensors=own),
        devices={name: DeviceSettings(family="ucb", port="/dev/null") for name in ("imu", "stars")},
    )
    attitude, taken = AttitudeTracker(settings.attitude, MODEL), list[InputMessage]()
    first = next(m for m in inputs if isinstance(m, GnssFix) and m.gps_ms is not None)
    offset_ms = (first.gps_ms or 0) - 1000 * (first.t_spacecraft_s or 0) + 250
    for message in inputs:
        t_mono_ns = 1_000_000_000 * getattr(message, "t_spacecraft_s", 0)
        if isinstance(message, GnssFix) and message.gps_ms is not None:
            t_s, t_ms = divmod(message.gps_ms - offset_ms, 1000)
            changes = {"seq": len(taken) + 1, "source": DEVICES, "t_spacecraft_s": t_s, "t_spacecraft_ms": t_ms}
            taken.append(msgspec.structs.replace(message, **changes))
        elif isinstance(message, SensorSample):
            q = truth.at(np.array([1000 * message.t_spacecraft_s + offset_ms])).quaternion[0]
            axes = (f"quaternion_{axis}" for axis in "wxyz")
            stars = reading("stars", t_mono_ns, **dict(zip(axes, q.tolist(), strict=True)))
            rates = dict(zip(VALUES["gyro"], message.gyro_imu_rad_s, strict=True))
            field = dict(zip(VALUES["magnetometer"], (1e-6 * one for one in message.mag_imu_ut), strict=True))
            for one in (stars, reading("imu", t_mono_ns, **rates, **field)):
                clock, earlier = SpacecraftReading(0, 0), InputCounters()
                taken += device_messages(one, len(taken) + 1, settings, clock, earlier)  # type: ignore[arg-type]
    taken.append(BatchEnd(seq=len(taken) + 1, cause=""))
    estimates = run(attitude, taken, orbits_of(taken))
    assert len(estimates) == len(samples_of(inputs))
    known = [estimate for estimate in estimates if estimate.mode == "fine" and estimate.gps_ms is not None]
    assert {estimate.gps_ms - 1000 * estimate.t_spacecraft_s for estimate in known} == {offset_ms}  # type: ignore[operator]
    assert {estimate.mode for estimate in estimates[-40:]} == {"fine"}
    true = truth.at(np.array([estimate.gps_ms for estimate in known])).quaternion
    errors = quaternion.error_vector(np.array([estimate.quaternion_gcrf_from_body for estimate in known]), true)
    assert np.nanmax(np.degrees(np.linalg.norm(errors, axis=1))[-60:]) < 1.0
    with_stars = sum(estimate.dof == 6 for estimate in estimates)
    assert attitude.counts["readings_used"] == with_stars > 10
