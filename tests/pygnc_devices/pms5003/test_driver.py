import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.errors import DeviceError, NoAnswerError
from pygnc_devices.framing import scan_to_end
from pygnc_devices.pms5003 import driver, operations, unit
from pygnc_devices.pms5003.driver import Pms5003
from pygnc_devices.pms5003.framing import make_command, make_frame, scan
from pygnc_devices.pms5003.packets import COUNT_NAMES, FACTORY_PM_NAMES, MEASUREMENT, PM_NAMES
from pygnc_devices.pms5003.unit import PmsUnit, flags
from pygnc_devices.reading import Counters, Reading, Stamp
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.pms5003_unit import PmsFaults, PmsSimulator
from tests.pygnc_devices.conformance import is_soon
from tests.pygnc_devices.pms5003 import vectors

QUICK_S = 0.05


def reading_of(raw: bytes) -> Reading:
    (frame,) = scan(raw, False).frames  # noqa: FBT003 - the signature of every scanner
    found = PmsUnit().interpret(frame, Stamp.now(), Counters())
    assert found is not None
    return found


def test_decodes_a_published_measurement() -> None:
    values = reading_of(vectors.MEASUREMENTS[0]).values
    assert [values[name] for name in FACTORY_PM_NAMES] == [0, 8, 8]
    assert [values[name] for name in PM_NAMES] == [0, 8, 8]
    assert [values[name] for name in COUNT_NAMES] == pytest.approx([2.10, 0.70, 0.45, 0.30, 0.0, 0.0])
    assert (values["version"], values["error_code"]) == (0x97, 0)


def test_makes_the_commands_of_the_manual() -> None:
    made = [make_command(*pair).hex() for pair in ((0xE1, 0), (0xE1, 1), (0xE2, 0), (0xE4, 0), (0xE4, 1))]
    assert made == ["424de100000170", "424de100010171", "424de200000171", "424de400000173", "424de400010174"]


@given(payload=st.binary(min_size=26, max_size=26))
def test_any_payload_survives_its_frame(payload: bytes) -> None:
    (frame,) = scan(make_frame(payload), False).frames  # noqa: FBT003
    assert frame.payload == payload
    assert MEASUREMENT.encode(MEASUREMENT.decode(payload)) == payload
    assert set(flags(MEASUREMENT.decode(payload))) <= {
        unit.FAULT,
        unit.IMPLAUSIBLE,
        unit.NO_PARTICLES,
        unit.BEYOND_RANGE,
    }


@given(octets=st.binary(max_size=200))
def test_any_bytes_are_scanned(octets: bytes) -> None:
    found = scan_to_end(scan, octets)
    assert found.used == len(octets)


@pytest.mark.parametrize(
    ("faults", "flag"),
    [
        (PmsFaults(error_code=3), unit.FAULT),
        (PmsFaults(is_inverted=True), unit.IMPLAUSIBLE),
        (PmsFaults(dead_laser=True), unit.NO_PARTICLES),
    ],
)
def test_flags_doubtful_measurements(faults: PmsFaults, flag: str) -> None:
    assert reading_of(PmsSimulator(faults=faults).frame(0.0)).flags == (flag,)


def test_flags_what_the_range_does_not_contain() -> None:
    assert reading_of(PmsSimulator(mean_ug_m3=2000.0).frame(0.0)).flags == (unit.BEYOND_RANGE,)


def test_flags_measurements_of_a_model_with_other_words() -> None:
    assert unit.IMPLAUSIBLE in reading_of(vectors.TEMPERATURE_MODEL).flags


def test_requests_measurements_and_leaves_the_sensor_active(tmp_path: Path) -> None:
    simulator = PmsSimulator()
    with PtyEndpoint(simulator, tmp_path / "port") as line:
        with Pms5003.open(line.url, sample_s=QUICK_S) as sensor:
            readings = list(itertools.islice(sensor.readings(5.0), 5))
            assert not simulator.is_active
            assert sensor.run(driver.describe(sensor.unit))["version"] == "0x97"
        assert is_soon(lambda: simulator.is_active)
    assert readings[-1].t_mono_ns - readings[1].t_mono_ns > 2 * QUICK_S * 1e9


def test_a_sensor_without_acknowledgements_is_read(tmp_path: Path) -> None:
    simulator = PmsSimulator(faults=PmsFaults(is_mute=True))
    with PtyEndpoint(simulator, tmp_path / "port") as line, Pms5003.open(line.url, sample_s=QUICK_S) as sensor:
        assert len(list(itertools.islice(sensor.readings(5.0), 4))) == 4


def test_a_restarted_sensor_is_made_passive_again(tmp_path: Path) -> None:
    simulator = PmsSimulator(period_s=0.02)
    with PtyEndpoint(simulator, tmp_path / "port") as line, Pms5003.open(line.url, sample_s=QUICK_S) as sensor:
        assert is_soon(lambda: not simulator.is_active and sensor.statistics.readings > 2)
        with line.hold():
            simulator.power_cycle(line.now_s())
        assert is_soon(lambda: simulator.commands.count((0xE1, 0)) >= 2 and not simulator.is_active)


def test_sleeps_and_wakes_with_flagged_measurements(tmp_path: Path) -> None:
    simulator = PmsSimulator(period_s=0.1)
    with PtyEndpoint(simulator, tmp_path / "port") as line, Pms5003.open(line.url) as sensor:
        assert sensor.read(5.0) is not None
        sensor.sleep()
        assert simulator.is_asleep
        time.sleep(0.3)
        assert sensor.latest(0.2) is None
        sensor.wake()
        reading = sensor.read(5.0)
        assert reading is not None
        assert unit.WARMING_UP in reading.flags


def test_wakes_a_sensor_that_another_program_left_asleep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "LONGEST_INTERVAL_S", 0.1)
    monkeypatch.setattr(operations, "SILENCE_S", 0.2)
    simulator = PmsSimulator(period_s=0.05)
    simulator.is_asleep = True
    with PtyEndpoint(simulator, tmp_path / "port") as line, Pms5003.open(line.url) as sensor:
        assert sensor.read(10.0) is not None
        assert is_soon(lambda: sensor.unit.trouble is None)


@pytest.mark.parametrize("act", [operations.sleep, operations.read_measurement])
def test_names_a_sensor_that_does_not_respond(
    act: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_ANSWER_S", 0.05)
    monkeypatch.setattr(operations, "LONGEST_INTERVAL_S", 0.05)
    silent = pytest.raises(NoAnswerError, match=r"no response to .* \(2 attempts")
    with PtyEndpoint(PmsSimulator(), tmp_path / "port") as line, Pms5003.open(line.url) as sensor, line.hold(), silent:
        sensor.run(act(sensor.unit))


def test_refuses_an_interval_of_zero() -> None:
    with pytest.raises(DeviceError, match="sample_s must be above 0 s, not 0 s"):
        Pms5003.open("nowhere", sample_s=0.0)
