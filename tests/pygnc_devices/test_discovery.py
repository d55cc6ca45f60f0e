import contextlib
import math
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pygnc_devices import discovery
from pygnc_devices.discovery import search
from pygnc_devices.errors import DeviceError
from pygnc_devices.family import Family, all_families, family
from pygnc_devices.probing import Recognised, probe_families
from pygnc_devices.ucb.driver import FAMILY
from pygnc_instruments.simulators.emus_unit import EmusSimulator
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.opc_n3_unit import OpcN3Simulator
from pygnc_instruments.simulators.pms5003_unit import PmsSimulator
from pygnc_instruments.simulators.receiver_units import NovatelSimulator
from pygnc_instruments.simulators.sps30_unit import Sps30Simulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from pygnc_instruments.simulators.unit import SimulatedUnit
from pygnc_instruments.simulators.usb_iss import UsbIssSimulator
from tests.pygnc_devices.conformance import open_descriptors


def test_one_unit_among_eight_ports_is_found_in_three_seconds_and_all_are_given_back(tmp_path: Path) -> None:
    # The unit responds at the last baud rate that is tried, and does not stream.
    unit = UcbSimulator(eeprom={1: 0, 2: 2})
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(PtyEndpoint(unit, tmp_path / "unit"))
        dead = []
        for _ in range(7):
            master, slave = os.openpty()
            stack.callback(os.close, master)
            stack.callback(os.close, slave)
            dead.append(os.ttyname(slave))
        threads, descriptors = threading.active_count(), open_descriptors()
        start_s = time.monotonic()
        outcome = search([*dead[:4], line.url, *dead[4:], "/dev/no_such_port"], [FAMILY])
        assert time.monotonic() - start_s < 3.0
        assert [(entry.url, entry.baud) for entry in outcome.found] == [(line.url, 38400)]
        assert outcome.found[0].serial_number == "2008705635"
        assert outcome.found[0].text.startswith("IMU381")
        assert list(outcome.silent) == dead
        assert list(outcome.problems) == ["/dev/no_such_port"]
        assert (threading.active_count(), open_descriptors()) == (threads, descriptors)


@pytest.fixture
def silent_port() -> Iterator[str]:
    """Path of a port without a device."""
    master, slave = os.openpty()
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_reports_a_port_in_use(tmp_path: Path) -> None:
    with PtyEndpoint(UcbSimulator(), tmp_path / "unit") as line, FAMILY.device.open(line.url):  # type: ignore[attr-defined]
        outcome = search([line.url])
    assert "in use" in outcome.problems[line.url]


def test_finds_nothing_without_ports() -> None:
    assert search([]).found == ()


def test_finds_families_by_name() -> None:
    assert family("ucb") is FAMILY
    assert FAMILY in all_families()
    with pytest.raises(DeviceError, match="unknown device family 'toaster'; choose from ucb"):
        family("toaster")


@pytest.mark.parametrize("name", ["emus", "opc_n3", "gx2", "novatel", "pms5003", "sps30"])
def test_finds_units_of_several_families(name: str, tmp_path: Path) -> None:
    units: dict[str, SimulatedUnit] = {
        "emus": EmusSimulator(broadcast_s=math.inf),
        "opc_n3": UsbIssSimulator(OpcN3Simulator()),
        "gx2": Gx2Simulator(),
        "novatel": NovatelSimulator(),
        "pms5003": PmsSimulator(),
        "sps30": Sps30Simulator(),
    }
    with PtyEndpoint(units[name], tmp_path / "unit") as line:
        outcome = search([line.url])
    assert [entry.family for entry in outcome.found] == [name]


@pytest.mark.parametrize(("unit", "name"), [(UcbSimulator(eeprom={1: 0, 2: 6}), "ucb"), (MipSimulator(), "mip")])
def test_finds_a_unit_at_a_rare_baud_rate_when_nothing_responds(unit: SimulatedUnit, name: str, tmp_path: Path) -> None:
    unit.baud = 230_400 if name == "ucb" else 19200
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        (entry,) = search([line.url], [FAMILY, family("mip")]).found
    assert (entry.family, entry.baud) == (name, unit.baud)


class Echo(SimulatedUnit):
    """Line that returns all bytes, such as a plug that connects transmitter and receiver."""

    received = 0

    def receive(self, octets: bytes, now_s: float) -> None:
        self.received += len(octets)
        self._send(octets, now_s)

    def _restart(self, now_s: float) -> None: ...


@pytest.mark.parametrize("name", ["ucb", "ublox"])
def test_a_line_that_returns_all_bytes_is_no_device(name: str, tmp_path: Path) -> None:
    unit = Echo()
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        found = search([line.url], [replace(family(name), bauds=(115200,), rare_bauds=())]).found
    assert found == ()
    assert unit.received < 100


def test_a_line_that_returns_all_bytes_receives_no_protocol(tmp_path: Path) -> None:
    unit = Echo()
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        outcome = search([line.url])
    assert (outcome.found, outcome.foreign) == ((), {})
    assert unit.received < 500


class EchoedUcb(UcbSimulator):
    """Unit on a line that also returns what is sent."""

    def receive(self, octets: bytes, now_s: float) -> None:
        self._send(octets, now_s)
        super().receive(octets, now_s)


def test_a_unit_on_a_line_with_an_echo_is_identified(tmp_path: Path) -> None:
    with PtyEndpoint(EchoedUcb(eeprom={1: 0}), tmp_path / "unit") as line:
        (entry,) = search([line.url], [FAMILY]).found
    assert entry.serial_number == "2008705635"


def test_does_not_search_serial_lines_for_networked_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def ask(url: str, _baud: int, families: list[Family], *_: object, **__: object) -> None:
        asked.extend((url, kind.name) for kind in families)

    monkeypatch.setattr(discovery, "probe_families", ask)
    search(["/dev/ttyX", "socket://127.0.0.1:1"])
    assert ("/dev/ttyX", "ucb") in asked
    assert ("/dev/ttyX", "monodrive") not in asked
    assert ("socket://127.0.0.1:1", "monodrive") in asked
    search(["/dev/ttyX"], [family("monodrive")])  # a networked family is searched for if it is the only one
    assert ("/dev/ttyX", "monodrive") in asked


class TransmitOnly(UcbSimulator):
    """Unit whose receive line is not connected."""

    def receive(self, octets: bytes, now_s: float) -> None:
        del octets, now_s


class ApplicationOnly(UcbSimulator):
    """OpenIMU application with lower-case commands only, such as python-openimu's mock."""

    def _obey(self, kind: bytes, payload: bytes, now_s: float) -> None:
        self._user.obey(kind, payload, now_s)


@pytest.mark.parametrize(("divider", "code"), [(1, 5), (20, 2)])
def test_finds_a_unit_that_only_transmits(divider: int, code: int, tmp_path: Path) -> None:
    with PtyEndpoint(TransmitOnly(eeprom={1: divider, 2: code}), tmp_path / "unit") as line:
        (entry,) = search([line.url], [FAMILY]).found
    assert (entry.family, entry.baud) == ("ucb", 115200 if code == 5 else 38400)
    assert entry.text == "streams S1; does not respond to commands"


@pytest.mark.parametrize("divider", [0, 1])
def test_finds_an_application_that_responds_to_lower_case_commands_only(divider: int, tmp_path: Path) -> None:
    unit = ApplicationOnly(77, "OpenIMU300ZI 5020-3885-02 1.1.1", eeprom={1: divider})
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        (entry,) = search([line.url], [FAMILY]).found
    assert (entry.serial_number, entry.text) == ("77", "OpenIMU300ZI 5020-3885-02 1.1.1")


class TransmitOnlyGx2(Gx2Simulator):
    """Unit that streams from power-up on, and whose receive line is not connected."""

    def receive(self, octets: bytes, now_s: float) -> None:
        del octets, now_s


@pytest.mark.parametrize("kind", ["C2", "CC"])
def test_finds_a_streaming_gx2_that_only_transmits(kind: str, tmp_path: Path) -> None:
    unit = TransmitOnlyGx2(eeprom={0xFCA6: int(kind, 16), 0xFCA2: 5120})  # 10 Hz
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        (entry,) = search([line.url], [family("gx2"), FAMILY]).found
    assert (entry.family, entry.serial_number) == ("gx2", "")
    assert entry.text == f"streams {kind}; does not respond to commands"


@pytest.mark.parametrize("divider", [512, 10240])
def test_identifies_a_gx2_that_streams_already(divider: int, tmp_path: Path) -> None:
    unit = Gx2Simulator(eeprom={0xFCA6: 0xCC, 0xFCA2: divider})
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        (entry,) = search([line.url], [family("gx2")]).found
    assert (entry.serial_number, entry.text) == ("2143-01876", "3DM-GX2")


def test_a_monodrive_simulator_is_not_taken_for_a_streaming_gx2() -> None:
    with TcpEndpoint(MonoDriveSimulator()) as network:
        (entry,) = search([network.url], [family("gx2"), family("monodrive")]).found
    assert (entry.family, entry.text) == ("monodrive", "monoDrive IMU")


class Chatter(SimulatedUnit):
    """Device without a driver that sends the same bytes periodically."""

    def __init__(self, octets: bytes, baud: int, interval_s: float = 1.0, first_s: float = 0.0) -> None:
        super().__init__()
        self.baud = baud
        self._octets = octets
        self._interval_s = interval_s
        self._first_s = first_s
        self._restart(0.0)

    def _restart(self, now_s: float) -> None:
        self._next_s = now_s + self._first_s

    def _tick_s(self) -> float:
        return self._next_s

    def _tick(self) -> bytes:
        self._next_s += self._interval_s
        return self._octets


READABLE = b"T=21.5 C, H=45 %\r\n"
UNREADABLE = bytes(range(0x80, 0x92))


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """Baud rates that searches try, each with the families that are asked."""
    steps: list[tuple[int, list[str]]] = []

    def ask(url: str, baud: int, families: list[Family], *others: Any, **known: Any) -> Recognised | None:  # noqa: ANN401 - passed on
        steps.append((baud, [kind.name for kind in families]))
        return probe_families(url, baud, families, *others, **known)

    monkeypatch.setattr(discovery, "probe_families", ask)
    return steps


def test_other_baud_rates_are_not_tried_where_readable_text_is_received(
    tmp_path: Path, tried: list[tuple[int, list[str]]]
) -> None:
    with PtyEndpoint(Chatter(READABLE, 9600, 0.1), tmp_path / "unit") as line:
        assert search([line.url]).silent == (line.url,)
    assert [baud for baud, _ in tried] == [115200, 9600, 9600]
    assert tried[-1][1] == []  # the port has a baud rate: other families are recognised by their frames


def test_all_families_are_asked_where_readable_text_is_received_first(
    tmp_path: Path, tried: list[tuple[int, list[str]]]
) -> None:
    with PtyEndpoint(Chatter(READABLE, 115200, 0.1), tmp_path / "unit") as line:
        assert search([line.url]).silent == (line.url,)
    assert [baud for baud, _ in tried] == [115200, 115200]
    assert {"emus", "opc_n3"} <= {*tried[-1][1]}


def test_a_rate_at_which_nothing_was_received_yet_is_tried_again_when_a_message_is_due(
    tmp_path: Path, tried: list[tuple[int, list[str]]]
) -> None:
    all_families()  # loaded before the device begins to send
    with PtyEndpoint(Chatter(UNREADABLE, 9600, first_s=0.9), tmp_path / "unit") as line:
        assert search([line.url]).silent == (line.url,)
    bauds = [baud for baud, _ in tried]
    assert bauds[:2] == [115200, 57600]
    # A busy computer may find the next message too near for a rate at which it does not listen.
    assert sorted(bauds[2:]) == [9600, 19200, 38400, 115200, 230400, 460800, 921600]
    listened = [baud for baud in bauds if baud in {9600, 38400, 115200}]
    assert listened == [115200, 9600, 115200, 38400]


class PortWithoutBaud(PtyEndpoint):
    """Port on USB that ignores the baud rate."""

    def _has_same_baud(self) -> bool:
        return True


def test_a_unit_that_sends_text_is_found_where_the_baud_rate_has_no_meaning(tmp_path: Path) -> None:
    with PortWithoutBaud(EmusSimulator(broadcast_s=0.2), tmp_path / "unit") as line:
        (entry,) = search([line.url]).found
    assert (entry.family, entry.serial_number != "") == ("emus", True)


class TransmitOnlyPms(PmsSimulator):
    """Sensor whose receive line is not connected."""

    def receive(self, octets: bytes, now_s: float) -> None:
        del octets, now_s


def test_a_sensor_that_acknowledges_nothing_and_sends_seldom_is_found(tmp_path: Path) -> None:
    with PtyEndpoint(TransmitOnlyPms(), tmp_path / "unit") as line:
        for kinds in ([family("pms5003")], None):
            (entry,) = search([line.url], kinds).found
            assert entry.family == "pms5003"


def test_names_the_protocol_of_a_device_without_a_driver(tmp_path: Path) -> None:
    heading = b"$HEHDT,274.07,T*19\r\n"
    with PtyEndpoint(Chatter(heading, 9600), tmp_path / "unit") as line:
        outcome = search([line.url])
    assert outcome.foreign == {line.url: "NMEA 0183 (GNSS receivers)"}
    assert outcome.reason(line.url).startswith(f"{line.url}: receives NMEA 0183")


def searched_s(url: str) -> float:
    """Search a port without a known device; return the time that it takes, s."""
    start_s = time.monotonic()
    assert search([url]).silent == (url,)
    return time.monotonic() - start_s


@pytest.mark.parametrize(
    ("octets", "interval_s", "limit_s"),
    [(READABLE, 0.05, 1.2), (READABLE, 1.0, 1.3), (UNREADABLE, 0.05, 1.5), (UNREADABLE, 1.0, 1.75)],
)
def test_a_port_that_receives_something_unknown_takes_little_longer_than_a_silent_one(
    octets: bytes, interval_s: float, limit_s: float, silent_port: str, tmp_path: Path
) -> None:
    silent_s = searched_s(silent_port)
    with PtyEndpoint(Chatter(octets, 9600, interval_s), tmp_path / "unit") as line:
        assert searched_s(line.url) < limit_s * silent_s


@pytest.mark.parametrize(
    ("octets", "baud", "interval_s"),
    [(UNREADABLE, 9600, 1.0), (READABLE, 115200, 1.0), (UNREADABLE, 115200, 1.15), (READABLE, 115200, 1.15)],
)
def test_the_phase_of_a_device_that_sends_once_per_second_costs_no_second(
    octets: bytes, baud: int, interval_s: float, silent_port: str, tmp_path: Path
) -> None:
    all_families()

    def search_s(phase: int) -> float:
        with PtyEndpoint(
            Chatter(octets, baud, interval_s, 0.125 * interval_s * phase), tmp_path / f"unit{phase}"
        ) as line:
            return searched_s(line.url)

    with ThreadPoolExecutor() as pool:  # all at once, so that load delays all of them
        silent = pool.submit(searched_s, silent_port)
        slowest_s = max(pool.map(search_s, range(8)))
    assert slowest_s < 1.6 * silent.result()


def test_names_a_unit_in_its_bootloader(tmp_path: Path) -> None:
    unit = UcbSimulator()
    unit.bootloader._flash = bytearray(100)  # an interrupted upgrade
    unit.power_cycle(0.0)
    with PtyEndpoint(unit, tmp_path / "unit") as line:
        (entry,) = search([line.url]).found
    assert (entry.baud, entry.text) == (57600, "in its bootloader")
