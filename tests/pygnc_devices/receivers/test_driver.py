"""Commands of receivers, and what their messages become."""

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pygnc.bus.messages import DEVICES, DeviceReading, GnssFix, Message
from pygnc.common.clock import SpacecraftReading
from pygnc.configuration.settings import DeviceSettings, Settings
from pygnc.estimators.orbit.settings import OrbitSettings, ScreeningSettings
from pygnc.inputs.input_state import InputCounters
from pygnc.inputs.live import device_messages, waiting_fix
from pygnc.inputs.own_receiver import own_fix
from pygnc.navigation.screening import screen, screen_velocity
from pygnc_devices.discovery import search
from pygnc_devices.errors import DeviceError, RefusedError
from pygnc_devices.family import family
from pygnc_devices.framing import scan_to_end
from pygnc_devices.reading import Counters, Reading, RecordedStamp
from pygnc_devices.receivers import unit as receiver_unit
from pygnc_ground.receivers import log as receiver_log
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.receiver_units import (
    NovatelSimulator,
    ReceiverSimulator,
    SkytraqSimulator,
    UbloxSimulator,
    ubx_frame,
)
from tests.fakes import receiver_logs as fake
from tests.fakes.receiver_logs import Solution

FIRST_MS = 2400 * 604_800_000 + 604_797_000


def solution(number: int) -> Solution:
    return Solution(FIRST_MS + 1000 * number, (6.8e6, 1e5, -2e5), (100.0, 7400.0, 900.0))


def readings(name: str, content: bytes) -> list[Reading]:
    """Return the readings of a recording."""
    kind, counters = family(name), Counters()
    unit: Any = kind.interpreter(0)
    found = [
        unit.interpret(frame, RecordedStamp.now(), counters) for frame in scan_to_end(kind.scanner, content).frames
    ]
    return [reading for reading in found if reading is not None]


def recorded(reading: Reading, name: str, seq: int) -> DeviceReading:
    """Return a reading as the flight records it."""
    values = {key: value.hex() if isinstance(value, bytes) else value for key, value in reading.values.items()}
    place = (seq, DEVICES, seq, "gps", name, reading.packet.name, reading.t_mono_ns, 0, None, 0)
    return DeviceReading(*place, reading.raw, values)


UNITS: dict[str, tuple[str, ReceiverSimulator, str, str]] = {
    "OEM719": ("novatel", NovatelSimulator(), "BESTXYZ", "OM7CR0709RN0000"),
    "u-blox 6": ("ublox", UbloxSimulator(generation=6), "NAV-SOL", "HPG 1.32"),
    "u-blox 8": ("ublox", UbloxSimulator(generation=8), "NAV-PVT", "HPG 1.32"),
    "u-blox 10": ("ublox", UbloxSimulator(generation=10), "NAV-PVT", "HPG 1.32"),
    "Venus 8": ("skytraq", SkytraqSimulator(), "navigation data", "kernel 2.2.3, ODM 1.7.28, revision 20.5.6"),
}


@pytest.mark.parametrize("model", UNITS)
def test_a_silent_receiver_is_found_and_sends_at_the_rate_that_is_set(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver_unit, "_SILENCE_S", 0.2)
    name, unit, packet, version = UNITS[model]
    kind = family(name)
    unit.baud = kind.bauds[-1]
    with PtyEndpoint(unit, tmp_path / "port", speed=4.0) as line:
        (found,) = search([line.url], [kind]).found
        assert (found.family, found.baud) == (name, kind.bauds[-1])
        assert version in found.text
        device: Any = kind.device.open(line.url, found.baud)  # type: ignore[attr-defined]
        with device:
            assert device.identify()["version"] == version
            device.set_rate(10.0)
            first, second = device.read(5.0), device.read(5.0)
            assert (first.packet.name, unit.rate_hz) == (packet, 10.0)
            assert second.t_device_ns - first.t_device_ns == 100_000_000
            # A receiver that has lost its settings gets them again, also if its port was open all the time.
            line.unplug()
            line.plug_in()
            assert device.read(10.0) is not None
            with line.hold():
                unit.power_cycle(line.now_s())
            assert line.wait_until(lambda: unit.rate_hz == 10.0)
            with pytest.raises(DeviceError, match="rate 0 Hz"):
                device.set_rate(0.0)


def test_a_refused_rate_is_an_error(tmp_path: Path) -> None:
    for unit, name, hz in ((NovatelSimulator(), "novatel", 1e-6), (SkytraqSimulator(), "skytraq", 3.0)):
        kind = family(name)
        with PtyEndpoint(unit, tmp_path / "port") as line:
            device: Any = kind.device.open(line.url)  # type: ignore[attr-defined]
            with device, pytest.raises(RefusedError):
                device.set_rate(hz)


def test_ascii_and_binary_give_the_same_values() -> None:
    (text,), (binary,) = (readings("novatel", make(solution(0))) for make in (fake.bestxyza, fake.bestxyzb))
    assert text.packet is binary.packet
    assert text.values.keys() <= binary.values.keys()
    for name, value in text.values.items():
        other = binary.values[name]
        assert value in (other, b"") if isinstance(other, bytes) else value == pytest.approx(other, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "encode"), [("novatel", fake.bestxyzb), ("ublox", fake.nav_pvt), ("skytraq", fake.receiver_state)]
)
def test_missing_epochs_are_counted_also_over_the_end_of_a_week(name: str, encode: Callable[[Solution], bytes]) -> None:
    sent = [number for number in range(12) if number not in {5, 7, 8}]
    found = readings(name, fake.log([solution(number) for number in sent], encode, fake.sentences))
    assert [reading.t_device_ns for reading in found] == [1_000_000_000 * number for number in sent]
    assert sum(reading.lost_before for reading in found) == 3
    assert {reading.lost_before for reading in found} == {0, 1, 2}


def test_a_receiver_that_does_not_know_the_time_has_no_device_time() -> None:
    pvt = bytearray(fake.nav_pvt(solution(0))[6:-2])
    pvt[11] = 0
    content = ubx_frame(b"\x01\x07", bytes(pvt)) + fake.nav_pvt(solution(1))
    assert [reading.t_device_ns for reading in readings("ublox", content)] == [None, 0]
    (reading,) = readings("novatel", fake.bestxyza(solution(0), status="UNKNOWN"))
    assert reading.t_device_ns is None


@pytest.mark.parametrize(
    ("name", "unit", "resolution_m"),
    [
        ("novatel", NovatelSimulator(), 1e-6),
        ("ublox", UbloxSimulator(), 0.02),
        ("ublox", UbloxSimulator(generation=6), 0.01),
        ("skytraq", SkytraqSimulator(), 0.01),
        ("skytraq", SkytraqSimulator(sends_state=True), 1e-6),
    ],
)
def test_messages_of_each_receiver_become_fixes_of_the_flight(
    name: str, unit: ReceiverSimulator, resolution_m: float
) -> None:
    gps_s = unit.gps_s(0.5)
    (reading,) = readings(name, unit.message(gps_s))
    fix = own_fix(recorded(reading, name, 8), 12, 1_000_250)
    assert fix is not None
    expected = unit.solution(gps_s)
    assert (fix.kind, fix.gps_ms) == (f"{name} {reading.packet.name}", round(1e3 * gps_s))
    assert fix.position_ecef_m == pytest.approx([expected[f"ecef_{axis}_m"] for axis in "xyz"], abs=resolution_m)
    assert fix.velocity_ecef_mps == pytest.approx([expected[f"velocity_{axis}_mps"] for axis in "xyz"], abs=0.011)
    sigma_m = 0.0 if name == "skytraq" else expected["sigma_m"]
    assert fix.position_sigma_m == pytest.approx([sigma_m] * 3, abs=0.01)
    assert screen(fix, ScreeningSettings()) is None
    assert screen_velocity(fix, ScreeningSettings()) is None


def flown(found: Sequence[DeviceReading], earlier: InputCounters) -> list[Message]:
    """Return the messages that the flight records of readings."""
    device = DeviceSettings(family="ublox", port="/dev/null")
    settings, messages = Settings(orbit=OrbitSettings(own_receiver="gps"), devices={"gps": device}), list[Message]()
    for one in found:
        for message in device_messages(one, len(messages) + 1, settings, SpacecraftReading(1000, 0), earlier):
            earlier.count(message)
            messages.append(message)
    messages += waiting_fix(len(messages) + 1, settings, SpacecraftReading(1000, 0), earlier.own_epoch)
    assert [message.seq for message in messages] == list(range(1, len(messages) + 1))
    return messages


def fixes_of(messages: Sequence[Message]) -> list[GnssFix]:
    return [message for message in messages if isinstance(message, GnssFix)]


@pytest.mark.parametrize("generation", [6, 9])
def test_the_standard_deviations_of_fixes_are_those_of_nav_cov(generation: int, tmp_path: Path) -> None:
    unit = UbloxSimulator(10.0, generation, sends_covariances=True)
    with PtyEndpoint(unit, tmp_path / "port", speed=4.0) as line:
        device: Any = family("ublox").device.open(line.url)  # type: ignore[attr-defined]
        with device:
            arrived = list(islice(device.readings(5.0), 14))
    begin = arrived[0].packet.name == "NAV-COV"
    found = [recorded(one, "ublox", seq) for seq, one in enumerate(arrived[begin : begin + 13], 1)]
    # The first covariance shows that others follow; one is lost, and at the end one has not come yet.
    del found[5], found[10:]
    first, *others = fixes_of(flown(found, InputCounters("gps")))
    assert [fix.gps_ms - (first.gps_ms or 0) for fix in others] == [100, 200, 300, 400, 500]  # type: ignore[operator]
    accuracies = {len(fix.raw): np.square(fix.position_sigma_m).sum() for fix in (first, *others)}
    assert list(accuracies.values()) == pytest.approx([3 * 1.5**2, 6 * 1.5**2], rel=0.02)
    alone = [len(fix.raw) == len(first.raw) for fix in (first, *others)]
    assert alone == [True, False, True, True, False, True]

    # The reader of logs gives the same fix.
    (tmp_path / "log.ubx").write_bytes(others[0].raw)
    (logged,) = receiver_log.read(tmp_path / "log.ubx")
    assert isinstance(logged, GnssFix)
    for name in ("kind", "gps_ms", "raw", "position_ecef_m", "position_sigma_m", "velocity_sigma_mps", "time_sigma_s"):
        assert getattr(logged, name) == getattr(others[0], name)


def test_a_restarted_process_continues_an_epoch() -> None:
    unit = UbloxSimulator(sends_covariances=True)
    content = b"".join(unit.message(unit.gps_s(second)) for second in range(4))
    found = [recorded(one, "ublox", seq) for seq, one in enumerate(readings("ublox", content), 1)]
    whole = flown(found, InputCounters("gps"))
    assert [type(message) for message in whole] == [GnssFix, DeviceReading] + [DeviceReading, GnssFix] * 3
    for cut in range(len(found)):
        again = InputCounters("gps")
        for message in whole[:cut]:
            again.count(message)
        rest = flown(found[again.last_live_seq[DEVICES] :], again)
        assert [fix.raw for fix in fixes_of([*whole[:cut], *rest])] == [fix.raw for fix in fixes_of(whole)]
