import contextlib
import os
import socket
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import serial
import serial.rfc2217
from serial.tools import list_ports

from pygnc_devices import serial_port
from pygnc_devices.errors import EndOfRecordingError, PortBusyError, PortError, PortGoneError
from pygnc_devices.port import Port
from pygnc_devices.ports import open_port


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    for end in (master, slave):
        os.close(end)


def test_bytes_go_both_ways(pty: tuple[int, str]) -> None:
    master, path = pty
    port = open_port(path, 57600)
    os.write(master, b"\x00\x11\x13\xff\r\n")  # no byte is translated or taken for flow control
    assert port.read(1.0) == b"\x00\x11\x13\xff\r\n"
    port.write(b"\r\n\x03")
    assert os.read(master, 10) == b"\r\n\x03"
    port.close()


def test_a_read_ends_at_its_timeout_or_when_woken(pty: tuple[int, str]) -> None:
    port = open_port(pty[1], 57600)
    start_s = time.monotonic()
    assert port.read(0.05) == b""
    assert time.monotonic() - start_s >= 0.05
    threading.Timer(0.05, port.wake).start()
    start_s = time.monotonic()
    assert port.read(5.0) == b""
    assert time.monotonic() - start_s < 2.0
    port.close()


def test_restores_the_settings_of_the_line(pty: tuple[int, str]) -> None:
    _, path = pty
    probe = os.open(path, os.O_RDWR | os.O_NOCTTY)
    before = termios.tcgetattr(probe)
    port = open_port(path, 19200)
    assert termios.tcgetattr(probe) != before
    assert termios.tcgetattr(probe)[5] == termios.B19200
    port.set_baud(38400)
    assert termios.tcgetattr(probe)[5] == termios.B38400
    port.close()
    port.close()
    assert termios.tcgetattr(probe) == before
    os.close(probe)
    open_port(path, 19200).close()


def test_a_port_of_another_program_is_refused_with_its_name(pty: tuple[int, str]) -> None:
    _, path = pty
    ready, release = os.pipe()
    child = os.fork()
    if child == 0:
        port = open_port(path, 9600)
        os.write(release, b"x")
        time.sleep(30)
        port.close()
        os._exit(0)
    try:
        os.read(ready, 1)
        with pytest.raises(PortBusyError, match=rf"in use by .*\(process {child}\)"):
            open_port(path, 9600)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(release)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("/dev/no_such_port", "check the cable"),
        ("file:///no/such/file.raw", "No such file"),
        ("file:///dev/null?speed=3", "only option"),
        ("file:///dev/null?bytes_per_s=fast", "not a number"),
        ("socket://127.0.0.1:1", "start the serial server"),
        ("socket://127.0.0.1", "write the URL as socket://host:4000"),
        ("socket://127.0.0.1:99999", "write the URL as socket://host:4000"),
        ("/dev/null", "not a serial port"),
        ("/dev", "not a serial port"),
        ("nonsense://x", "unknown kind of port; choose from usb://"),
        ("usb://0403", "usb://VENDOR:PRODUCT"),
    ],
)
def test_the_error_for_a_port_names_the_cause(url: str, message: str) -> None:
    with pytest.raises(PortError, match=message):
        open_port(url, 9600)
    try:
        int("not a number")
    except ValueError:  # an exception that the caller handles is not the cause
        with pytest.raises(PortError, match=message):
            open_port(url, 9600)


def test_detects_that_the_other_end_hangs_up() -> None:
    master, slave = os.openpty()
    port = open_port(os.ttyname(slave), 9600)
    os.close(slave)
    os.close(master)
    with pytest.raises(PortGoneError):
        port.read(1.0)
    with pytest.raises(PortGoneError):
        port.write(b"x")
    port.close()


def test_detects_that_a_server_closes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}", 9600)
        client, _ = server.accept()
        client.sendall(b"abc")
        assert port.read(1.0) == b"abc"
        client.close()
        with pytest.raises(PortGoneError, match="closed by the other end"):
            port.read(1.0)
        port.close()


def test_bytes_that_a_server_sends_at_once_are_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        total = 200

        def greet() -> None:
            for _ in range(total):
                client, _ = server.accept()
                client.sendall(b"hello")
                client.close()

        thread = threading.Thread(target=greet)
        thread.start()
        received = 0
        for _ in range(total):
            port = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}", 9600)
            with contextlib.suppress(PortGoneError):
                received += port.read(1.0) == b"hello"
            port.close()
        thread.join()
    assert received == total


def test_detects_that_a_server_accepts_no_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygnc_devices.network_port._WRITE_LIMIT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = open_port(f"socket://127.0.0.1:{server.getsockname()[1]}", 9600)
        with pytest.raises(PortGoneError, match="accepts no bytes"):
            port.write(bytes(50_000_000))
        port.close()


@pytest.mark.filterwarnings("ignore:set.*deprecated:DeprecationWarning")  # in pyserial
def test_an_rfc2217_server_sets_the_baud_rate_and_transfers_bytes() -> None:
    """Uses the server of pyserial with a loop-back plug behind it."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        serial.serial_for_url("loop://", timeout=0) as plug,
    ):
        stopping = threading.Event()

        def serve() -> None:
            with server.accept()[0] as client:
                client.settimeout(0.01)
                manager = serial.rfc2217.PortManager(plug, SimpleNamespace(write=client.sendall))  # type: ignore[arg-type]
                while not stopping.is_set():
                    with contextlib.suppress(TimeoutError):
                        plug.write(b"".join(manager.filter(client.recv(1000))))
                    client.sendall(b"".join(manager.escape(plug.read(1000))))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            port = open_port(f"rfc2217://127.0.0.1:{server.getsockname()[1]}", 38400)
            assert plug.baudrate == 38400
            port.set_baud(57600)
            assert plug.baudrate == 57600
            port.write(b"ab\xff\x00cd")  # FF is the escape byte of Telnet
            received = b""
            while len(received) < 6:
                received += port.read(2.0)
            assert received == b"ab\xff\x00cd"
            assert port.read(0.02) == b""
        finally:
            stopping.set()
            thread.join()
        with pytest.raises(PortGoneError):
            _read_to_the_end(port)
        port.close()


def _read_to_the_end(port: Port) -> None:
    while True:
        port.read(0.1)


def test_a_recording_ends(tmp_path: Path) -> None:
    (tmp_path / "a recording.raw").write_bytes(b"abc")
    port = open_port(f"file://{tmp_path}/a%20recording.raw", 9600)
    assert port.is_recording
    assert port.read(1.0) == b"abc"
    with pytest.raises(EndOfRecordingError):
        port.read(1.0)
    port.close()


def test_a_recording_is_read_in_pieces_and_only_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.raw").touch()
    os.truncate(tmp_path / "x.raw", 1 << 40)
    port = open_port(f"file://{tmp_path}/x.raw", 9600)
    assert 0 < len(port.read(1.0)) <= 65_536
    port.close()
    os.mkfifo(tmp_path / "fifo.raw")
    with pytest.raises(PortError, match="not a regular file"):
        open_port(f"file://{tmp_path}/fifo.raw", 9600)


def test_plays_a_recording_at_a_limited_rate(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(bytes(200))
    port = open_port(f"file://{tmp_path}/x.raw?bytes_per_s=1000", 9600)
    start_s, count = time.monotonic(), 0
    while count < 200:
        count += len(port.read(0.5))
    assert 0.1 < time.monotonic() - start_s < 5.0
    port.close()


def usb_port(device: str, vid: int | None, pid: int | None, serial_number: str | None) -> SimpleNamespace:
    return SimpleNamespace(device=device, vid=vid, pid=pid, serial_number=serial_number)


@pytest.fixture
def usb_ports(monkeypatch: pytest.MonkeyPatch, pty: tuple[int, str]) -> str:
    path = pty[1]
    ports = [
        usb_port("/dev/ttyS0", None, None, None),
        usb_port(path, 0x0403, 0x6015, "A1"),
        usb_port("/dev/ttyUSB7", 0x0403, 0x6015, "B2"),
        usb_port("/dev/ttyACM0", 0x1D6B, 0x0001, None),
    ]
    monkeypatch.setattr(list_ports, "comports", lambda: ports)
    return path


def test_a_port_is_found_by_usb_id_and_serial_number(usb_ports: str) -> None:
    assert serial_port.find_usb_port("usb://0403:6015/A1") == usb_ports
    open_port("usb://0403:6015/A1", 9600).close()
    with pytest.raises(PortError, match="several ports match"):
        serial_port.find_usb_port("usb://0403:6015")
    with pytest.raises(PortError, match=r"no port matches; ports on the USB: .*usb://1d6b:0001 at /dev/ttyACM0"):
        serial_port.find_usb_port("usb://0403:6015/C3")


def test_only_serial_adapters_are_candidates_for_probing(usb_ports: str) -> None:
    assert serial_port.candidate_ports() == sorted([usb_ports, "/dev/ttyUSB7"])
