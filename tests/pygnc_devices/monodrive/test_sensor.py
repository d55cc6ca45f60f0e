import itertools
import json
import logging
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from pygnc_devices.errors import DeviceError, NoAnswerError, PortBusyError, PortError, RefusedError
from pygnc_devices.monodrive.configuration import STREAM_DATA, read_configuration, read_vehicle, stream_data
from pygnc_devices.monodrive.driver import MonoDrive
from pygnc_devices.monodrive.sensor import ImuSensor, make_sensors
from pygnc_instruments.simulators.endpoints import TcpEndpoint, UdpEndpoint
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from tests.pygnc_devices.conformance import is_soon, open_descriptors, vain_attempts
from tests.pygnc_devices.monodrive import vectors

G = 9.80665
SEED: dict[str, Any] = {
    "type": "IMU",
    "id": "1",
    "packet_size": 1472,
    "listen_port": 8083,
    "display_process": True,
    "sensor_process": True,
    "location": {"x": -75.0, "y": -25.0, "z": 245.0},
    "rotation": {"pitch": 0.0, "yaw": 0.0, "roll": 0.0},
    "fps": 5.0,
}
KEYS = ["time_stamp", "game_time", "acceleration_vector", "angular_velocity_vector", "timer", "time_of_week"]


def config(port: int, **changes: object) -> str:
    return json.dumps(SEED | {"listen_port": port} | changes)


@pytest.fixture
def line() -> Iterator[TcpEndpoint]:
    with TcpEndpoint(MonoDriveSimulator()) as line:
        yield line


@pytest.fixture
def sensor(line: TcpEndpoint) -> Iterator[ImuSensor]:
    with ImuSensor(config(line._port)) as sensor:
        yield sensor


def test_reads_a_configuration_of_the_client() -> None:
    read = read_configuration(json.dumps(SEED))
    assert (read.id, read.packet_size, read.listen_port, read.location.z, read.fps) == ("1", 1472, 8083, 245.0, 5.0)
    assert read.display_process
    assert read.url("10.0.0.1") == "socket://10.0.0.1:8083"
    assert read_configuration(config(8083, connection_type="udp")).url("10.0.0.1") == "udp://:8083"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"listen_port": "8083"}, r"imu.json, sensor 1.*Expected `int`, got `str` - at `\$.listen_port`"),
        ({"listen_port": 0}, r">= 1 - at `\$.listen_port`"),
        ({"accel_unit": "ft"}, "Invalid enum value 'ft'"),
        ({"connection_type": "pigeon"}, "'pigeon'.*connection_type"),
    ],
)
def test_the_error_for_a_wrong_configuration_names_the_place(
    changes: dict[str, object], message: str, tmp_path: Path
) -> None:
    (tmp_path / "imu.json").write_text(json.dumps(SEED | changes))
    with pytest.raises(DeviceError, match=message):
        make_sensors(tmp_path / "imu.json")


def test_sensors_without_a_process_and_of_other_types_are_not_created(tmp_path: Path) -> None:
    path = tmp_path / "vehicle.json"
    others = [SEED | {"id": "2", "sensor_process": False}, {"type": "Lidar", "beams": 16}, SEED | {"listen_port": 9}]
    path.write_text(json.dumps({"sensors": [SEED, *others]}))
    assert [sensor.name for sensor in make_sensors(path)] == ["IMU_8083", "IMU_9"]
    for text in ("", "3", '{"sensors": 3}'):
        path.write_text(text)
        with pytest.raises(DeviceError, match=r"vehicle\.json"):
            make_sensors(path)
    with pytest.raises(DeviceError, match="No such file"):
        make_sensors(tmp_path / "none.json")


def test_messages_have_the_documented_keys(sensor: ImuSensor) -> None:
    message = sensor.get_message(timeout=5)
    assert message is not None
    assert list(message) == KEYS
    assert isinstance(message["time_of_week"], int)
    assert 345_600_000 <= message["time_of_week"] < 345_700_000
    assert message["time_stamp"] == message["time_of_week"]
    accel = message["acceleration_vector"]
    assert isinstance(accel, list)
    assert sum(part * part for part in accel) == pytest.approx(1.0, abs=1e-3)  # in g, as on the wire
    assert sensor.wait_until_ready(5)
    assert sensor.get_frame_count() > 0


def test_digest_frame_gives_the_documented_message() -> None:
    sensor = ImuSensor(config(8083))
    for frame in (vectors.BIG, vectors.LITTLE, vectors.UNSUMMED):
        assert sensor.digest_frame(frame, 5, 1500.0) == {
            "time_stamp": 5,
            "game_time": 1500.0,
            "acceleration_vector": [0.5, -0.25, -1.0],
            "angular_velocity_vector": [0.125, -0.5, 2.0],
            "timer": 49_152_000,
            "time_of_week": 345_600_000,
        }
    with pytest.raises(ValueError, match="34 bytes"):
        sensor.digest_frame(vectors.BIG[:-1])


def test_the_display_has_its_own_queue_and_drops_the_oldest(sensor: ImuSensor) -> None:
    for _ in range(30):
        assert sensor.get_display_message(timeout=5) is not None
    assert 1 <= len(sensor.get_messages()) <= 12
    assert sensor.get_display_messages()
    assert sensor.device.statistics.queue_drops > 0


def test_has_no_display_queue_without_a_display(line: TcpEndpoint) -> None:
    with ImuSensor(config(line._port, display_process=False)) as sensor:
        assert sensor.get_message(timeout=5) is not None
        assert sensor.get_display_message(timeout=0.05) is None


def test_the_queue_can_be_read_without_blocking_and_ends_with_the_sensor(line: TcpEndpoint) -> None:
    with line.hold(), ImuSensor(config(line._port)) as sensor:
        assert sensor.get_message(block=False) is None
        assert sensor.get_message(timeout=0.05) is None
        assert not sensor.wait_until_ready(0.05)
        found: list[object] = []
        waiting = threading.Thread(target=lambda: found.append(sensor.get_message()))
        waiting.start()
        sensor.stop()
        waiting.join(5)
        assert found == [None]


def test_reconnects_to_a_simulator_without_a_busy_loop(
    line: TcpEndpoint, sensor: ImuSensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_vain = vain_attempts(monkeypatch)
    assert sensor.get_message(timeout=5) is not None
    line.unplug()
    assert is_soon(lambda: not sensor.device.is_connected)
    used_s = time.process_time()
    for _ in range(2):
        assert in_vain.acquire(timeout=10.0)
    assert time.process_time() - used_s < 0.15
    sensor.get_messages(block=False)
    line.plug_in()
    assert sensor.get_message(timeout=10) is not None
    assert sensor.device.statistics.reconnects == 1


def test_raises_in_time_without_a_simulator() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    sensor = ImuSensor(config(port))
    with pytest.raises(PortError, match=f"127.0.0.1:{port}"):
        sensor.start(timeout_s=0.3)
    with pytest.raises(PortError, match="is not started"):
        sensor.get_frame_count()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("is_summed", [True, False], ids=["summed", "unsummed"])
def test_datagrams_are_read(order: Literal["<", ">"], *, is_summed: bool) -> None:
    unit = MonoDriveSimulator(header=8, order=order, has_checksum=is_summed)
    with (
        UdpEndpoint(unit, unit.datagram_bytes) as line,
        ImuSensor(config(line.port, connection_type="udp")) as sensor,
    ):
        messages = [sensor.get_message(timeout=5) for _ in range(10)]
        stamps = [int(message["time_of_week"]) for message in messages if message]  # type: ignore[arg-type]
        # A busy machine may let some messages wait for too long, and then the oldest are dropped.
        steps = [after - before for before, after in itertools.pairwise(stamps)]
        assert len(steps) == 9
        assert all(step > 0 and step % 10 == 0 for step in steps)
        assert sensor.device.statistics.skipped_bytes == 0


def test_a_udp_port_is_exclusive_and_leaves_nothing_behind() -> None:
    unit = MonoDriveSimulator(header=8)
    with UdpEndpoint(unit, unit.datagram_bytes) as line:
        MonoDrive.open(line.url).close()
        threads, descriptors = threading.active_count(), open_descriptors()
        with MonoDrive.open(line.url) as device:
            assert device.read(5) is not None
            with pytest.raises(PortBusyError, match="in use"):
                MonoDrive.open(line.url)
        assert (threading.active_count(), open_descriptors()) == (threads, descriptors)
    for url in ("udp://:99999", "udp://192.0.2.1:8083"):
        with pytest.raises(PortError, match="udp://"):
            MonoDrive.open(url)


def test_reads_newer_headers(caplog: pytest.LogCaptureFixture) -> None:
    with (
        TcpEndpoint(MonoDriveSimulator(header=16, header_order=">", has_checksum=False)) as line,
        caplog.at_level(logging.WARNING),
        MonoDrive.open(line.url) as device,
    ):
        readings = [device.read(5) for _ in range(12)]
    assert all(reading is not None and isinstance(reading.values["sample_count"], int) for reading in readings)
    assert not caplog.records


def serve(answer: bytes, heard: list[bytes]) -> tuple[threading.Thread, int]:
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with server, server.accept()[0] as link:
            heard.append(link.recv(4096))
            link.sendall(answer)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, server.getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b'{"success": true}', None),
        (b'{"success": false}', RefusedError),
        (b"nonsense", NoAnswerError),
    ],
)
def test_sends_the_stream_command_and_reads_its_answer(answer: bytes, error: type[DeviceError] | None) -> None:
    heard: list[bytes] = []
    thread, port = serve(struct.pack("!II", 0x6F6E6F6D, 8 + len(answer)) + answer, heard)
    configuration = read_configuration(config(8083))
    if error is None:
        stream_data(configuration, "127.0.0.1", control_port=port)
    else:
        with pytest.raises(error):
            stream_data(configuration, "127.0.0.1", control_port=port)
    thread.join(5)
    magic, length = struct.unpack("!II", heard[0][:8])
    assert (magic.to_bytes(4, "big"), length) == (b"mono", len(heard[0]))
    sent = json.loads(heard[0][8:])
    assert (sent["type"], sent["message"]["action"], sent["message"]["packet_size"]) == (STREAM_DATA, 0, 1472)


def test_raises_when_another_program_answers() -> None:
    thread, port = serve(b"HTTP/1.1 400 Bad Request\r\n\r\n", [])
    with pytest.raises(NoAnswerError, match="not a monoDrive simulator"):
        stream_data(read_configuration(config(8083)), "127.0.0.1", control_port=port)
    thread.join(5)
    with pytest.raises(NoAnswerError, match="refused"):
        stream_data(read_configuration(config(8083)), "127.0.0.1", control_port=port)


def test_a_file_of_configurations_is_bounded_and_no_fifo(tmp_path: Path) -> None:
    huge, fifo, nested = tmp_path / "huge.json", tmp_path / "fifo.json", tmp_path / "nested.json"
    huge.touch()
    os.truncate(huge, 1 << 40)
    os.mkfifo(fifo)
    nested.write_bytes(b"[" * 10_000)
    for path, fault in ((huge, "larger than"), (fifo, "not a regular file"), (nested, "not JSON")):
        with pytest.raises(DeviceError, match=fault):
            read_vehicle(path)
