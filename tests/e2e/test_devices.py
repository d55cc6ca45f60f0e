"""Sensors of the Pi's own during a run: through real processes, on simulated units behind pseudo-terminals."""

import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from statistics import mean

import msgspec
import pytest

from pygnc.bus.messages import DEVICES, DeviceReading, GnssFix, SensorSample
from pygnc.formats.status import Phase
from pygnc_devices.ucb.packets import OUTPUT_PACKETS
from pygnc_ground.inspection.journal import decode_message
from pygnc_instruments.simulators.emus_unit import EmusSimulator
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.e2e.conftest import DEMO, Flight

SETTINGS = """
[formation]
arc_max_s = 120.0

[devices.imu]
family = "ucb"
port = "{home}/imu"
interval_s = 0.1

[devices.heading]
family = "gx2"
port = "{home}/heading"
stream = "CC"
interval_s = 0.0
"""


@pytest.fixture
def equipped(flight: Flight) -> Iterator[tuple[Flight, PtyEndpoint, PtyEndpoint]]:
    """A home whose settings name two units, and the lines on which these are."""
    (flight.home / "pygnc.toml").write_text(SETTINGS.format(home=flight.home))
    with (
        PtyEndpoint(UcbSimulator(restart_s=0.3), flight.home / "imu") as imu,
        PtyEndpoint(Gx2Simulator(), flight.home / "heading") as heading,
    ):
        yield flight, imu, heading


def readings(flight: Flight, device: str) -> list[DeviceReading]:
    return [m for m in flight.inputs() if isinstance(m, DeviceReading) and m.device == device]


def texts(flight: Flight) -> list[str]:
    return [event.text for event in flight.events() if event.name == "device"]


def test_numbers_readings_among_the_inputs(equipped: tuple[Flight, PtyEndpoint, PtyEndpoint]) -> None:
    flight, _, _ = equipped
    flight.start("10", "1000")
    flight.until_phase(Phase.NO_DATA)
    flight.until(lambda: len(readings(flight, "imu")) >= 10 and len(readings(flight, "heading")) >= 50)
    flight.signal(signal.SIGTERM)
    assert flight.wait() == 0
    inputs = flight.inputs()
    assert [message.seq for message in inputs] == list(range(1, len(inputs) + 1))
    numbers = [message.offset for message in inputs if isinstance(message, DeviceReading)]
    assert numbers == list(range(1, len(numbers) + 1))
    imu = readings(flight, "imu")
    packet = next(packet for packet in OUTPUT_PACKETS if packet.name == imu[0].packet)
    for one in imu:
        assert (one.source, one.family) == (DEVICES, "ucb")
        assert set(one.values) == {field.name for field in packet.fields}
        assert one.raw[2:4].decode() == one.packet
    gaps_s = [1e-9 * (after.t_mono_ns - before.t_mono_ns) for before, after in pairwise(imu)]
    assert min(gaps_s) >= 0.05  # of several readings, the one nearest to the interval
    assert mean(gaps_s) >= 0.09

    heading = readings(flight, "heading")
    assert {one.packet for one in heading} == {heading[0].packet}
    assert not [event for event in flight.events() if event.name == "device" and event.severity != "info"]


def test_a_battery_is_read_too(flight: Flight) -> None:
    settings = '[devices.battery]\nfamily = "emus"\nport = "{home}/battery"\ninterval_s = 0.0\n'
    (flight.home / "pygnc.toml").write_text(settings.format(home=flight.home))
    with PtyEndpoint(EmusSimulator(broadcast_s=0.1), flight.home / "battery"):
        flight.start("10", "1000")
        flight.until_phase(Phase.NO_DATA)
        flight.until(lambda: len({one.packet for one in readings(flight, "battery")}) >= 3)
        flight.signal(signal.SIGTERM)
        assert flight.wait() == 0


def test_a_unit_on_the_network_is_read_too(flight: Flight) -> None:
    with TcpEndpoint(MonoDriveSimulator()) as line:
        settings = f'[devices.car]\nfamily = "monodrive"\nport = "{line.url}"\ninterval_s = 0.0\n'
        (flight.home / "pygnc.toml").write_text(settings)
        flight.start("10", "1000")
        flight.until_phase(Phase.NO_DATA)
        flight.until(lambda: len(readings(flight, "car")) >= 10)
        flight.signal(signal.SIGTERM)
        assert flight.wait() == 0
    one = readings(flight, "car")[0]
    assert one.family == "monodrive"
    assert {"accel_z_mps2", "rate_z_rad_s", "time_of_week_ms"} <= one.values.keys()


def test_inspect_shows_them(equipped: tuple[Flight, PtyEndpoint, PtyEndpoint]) -> None:
    flight, _, _ = equipped
    flight.start("10", "1000")
    flight.until_phase(Phase.NO_DATA)
    flight.until(lambda: len(readings(flight, "imu")) >= 2)
    kind, fields = decode_message(msgspec.msgpack.encode(readings(flight, "imu")[0]))
    assert kind == "DeviceReading"
    assert fields["device"] == "imu"


def test_reconnects_an_unplugged_device(equipped: tuple[Flight, PtyEndpoint, PtyEndpoint], demo_time_s: int) -> None:
    flight, imu, _ = equipped
    imu.unplug()
    (flight.home / "sense.bin").write_bytes((DEMO / "sense.bin").read_bytes()[: 40 * 251])
    flight.start("10", str(demo_time_s))
    flight.until_phase(Phase.IDLE)
    flight.until(lambda: any("retrying" in text for text in texts(flight)))
    imu.plug_in()
    flight.until(lambda: bool(readings(flight, "imu")))
    imu.unplug()
    flight.until(lambda: any("disconnected" in text for text in texts(flight)))
    before = len(readings(flight, "imu"))
    imu.plug_in()
    flight.until(lambda: len(readings(flight, "imu")) > before)
    flight.until(lambda: any("reconnected" in text for text in texts(flight)))
    hit = flight.tasks()["devices"]
    os.kill(hit, signal.SIGKILL)
    flight.until_replaced("devices", hit)
    before = len(readings(flight, "imu"))
    flight.until(lambda: len(readings(flight, "imu")) > before)
    hit = flight.tasks()["ingest"]
    os.kill(hit, signal.SIGKILL)
    flight.until_replaced("ingest", hit)
    before = len(readings(flight, "imu"))
    flight.until(lambda: len(readings(flight, "imu")) > before)
    flight.signal(signal.SIGTERM)
    assert flight.wait() == 0
    inputs = flight.inputs()
    assert [message.seq for message in inputs] == list(range(1, len(inputs) + 1))
    numbers = [message.offset for message in inputs if isinstance(message, DeviceReading)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert sum(isinstance(message, SensorSample | GnssFix) for message in inputs) == 6 * 40
    assert flight.status()["fixes_accepted"] == 40


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('family = "toaster"', "unknown device family 'toaster'"),
        ('family = "ucb"\noptions = {colour = 3}', "colour"),
        ('family = "ucb"\nstream = 7', "7 Hz"),
        ('family = "ucb"\nstream = "CC"', "not a rate in Hz"),
        ('family = "mip"\nstream = 7', "no stream to request"),
    ],
)
def test_reports_a_wrong_device_and_continues(
    equipped: tuple[Flight, PtyEndpoint, PtyEndpoint], line: str, complaint: str
) -> None:
    flight, _, _ = equipped
    port = f'port = "{flight.home}/imu"'
    (flight.home / "pygnc.toml").write_text(f"[devices.wrong]\n{port}\n{line}\n")
    flight.start("10", "1000")
    flight.until_phase(Phase.NO_DATA)
    flight.until(lambda: any(complaint in text for text in texts(flight)))
    flight.signal(signal.SIGTERM)
    assert flight.wait() == 0


def test_rejects_an_unknown_setting_of_a_device(flight: Flight) -> None:
    (flight.home / "pygnc.toml").write_text('[devices.imu]\nfamily = "ucb"\nport = "x"\nbuad = 9600\n')
    assert flight.run("10", "1000", "--strict") == 2
    assert "unknown setting devices.imu.buad" in flight.stderr
