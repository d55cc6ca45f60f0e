import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from pygnc_devices import probing
from pygnc_devices.discovery import search
from pygnc_devices.family import family
from pygnc_devices.probing import Heard, probe_families
from pygnc_devices.serial_port import SerialPort
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.pms5003_unit import PmsSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.vectornav_unit import VectorNavSimulator


@pytest.fixture
def silent_port() -> Iterator[str]:
    """Path of a port without a device."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_the_time_for_a_silent_port_does_not_grow_with_the_number_of_families(silent_port: str) -> None:
    mip = family("mip")
    start_s = time.monotonic()
    search([silent_port], [mip])
    one_s = time.monotonic() - start_s
    start_s = time.monotonic()
    search([silent_port], [replace(mip, name=f"mip_{number}") for number in range(5)])
    assert time.monotonic() - start_s < 2.5 * one_s


def test_commands_of_two_families_are_sent_with_a_pause_between_them(
    silent_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[float, bytes]] = []

    class Watched(SerialPort):
        def write(self, octets: bytes) -> None:
            sent.append((time.monotonic(), octets))
            super().write(octets)

    monkeypatch.setattr(probing, "open_port", Watched)
    probe_families(silent_port, 115_200, [family(name) for name in ("ucb", "gx2", "mip")], [], Heard(), 5.0)
    assert len({octets for _, octets in sent}) == 3
    assert min(late - early for (early, _), (late, _) in pairwise(sent)) > 0.015


def test_a_family_that_only_listens_is_asked_once_something_is_received(tmp_path: Path) -> None:
    unit = VectorNavSimulator()
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        (entry,) = search([line.url], [replace(family("vectornav"), quiet_bauds=()), family("emus")]).found
    assert (entry.family, entry.serial_number) == ("vectornav", "100012345")


def test_a_server_that_closes_its_connection_after_a_foreign_command_is_asked_by_each_family() -> None:
    unit = UcbSimulator(eeprom={1: 0})

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection:
                    while (octets := connection.recv(4096)).startswith(b"UU"):
                        unit.receive(octets, time.monotonic())
                        time.sleep(0.05)
                        connection.sendall(unit.run(time.monotonic()))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        url = f"socket://127.0.0.1:{listener.getsockname()[1]}"
        (entry,) = search([url], [family("vectornav"), family("ucb")]).found
        listener.shutdown(socket.SHUT_RDWR)
    assert (entry.family, entry.serial_number) == ("ucb", "2008705635")


class Seldom(UcbSimulator):
    """Unit that receives nothing and sends a packet per second."""

    def receive(self, octets: bytes, now_s: float) -> None:
        del octets, now_s


def test_a_unit_whose_packet_arrives_after_its_probe_is_recognised(tmp_path: Path) -> None:
    unit = Seldom(eeprom={1: 100})
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        time.sleep(max(0.0, 0.3 - line.now_s() % 1.0))
        found = probe_families(line.url, 115_200, [family("ucb")], [], Heard(bytearray(b"heard before")), 5.0, 1.2)
    assert found is not None
    assert found[1].text == "streams S1; does not respond to commands"


def test_a_line_is_listened_to_until_one_whole_message_was_received() -> None:
    master, slave = os.openpty()

    def send() -> None:
        time.sleep(0.4)
        os.write(master, bytes(range(0x80, 0x90)))

    sender = threading.Thread(target=send)
    sender.start()
    heard = Heard(bytearray(b"heard before"))
    start_s = time.monotonic()
    assert probe_families(os.ttyname(slave), 115_200, [family("ucb")], [], heard, 5.0, 3.0) is None
    took_s = time.monotonic() - start_s
    sender.join()
    os.close(master)
    os.close(slave)
    assert heard.octets.endswith(bytes(range(0x80, 0x90)))
    assert took_s < 1.5


def test_the_next_message_is_expected_after_the_shortest_interval() -> None:
    heard = Heard()
    assert heard.next_message_s(9.0) is None
    heard.add(b"first", 10.0)
    assert heard.next_message_s(10.5) == pytest.approx(0.5)
    for begin_s in (12.0, 13.0, 15.0):  # those at 11 s and 14 s were not received
        heard.add(b"a me", begin_s)
        heard.add(b"ssage", begin_s + 0.05)
    assert heard.next_message_s(15.25) == pytest.approx(0.75)
    assert heard.next_message_s(16.75) == pytest.approx(0.25)


def test_a_frame_that_arrives_before_its_family_is_asked_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_TURN_S", 0.6)  # the second family is asked so much later
    master, slave = os.openpty()
    sender = threading.Timer(0.3, os.write, (master, PmsSimulator().frame(0.0)))
    sender.start()
    found = probe_families(os.ttyname(slave), 9600, [family("mip"), family("pms5003")], [], Heard(), 5.0)
    sender.join()
    os.close(master)
    os.close(slave)
    assert found is not None
    assert found[0].name == "pms5003"
