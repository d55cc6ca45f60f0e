"""The device of docs/devices.md, "A device of your own": its text, installed as a package."""

import itertools
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pygnc_devices.discovery import search
from pygnc_devices.family import Family, family, family_names
from pygnc_devices.line_family import line_family
from pygnc_instruments.simulators.declared_unit import DeclaredSimulator, values_at
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from tests.other_packages import OtherPackage
from tests.pygnc_command import app
from tests.pygnc_devices.conformance import DriverConformance, PacketConformance, ScannerConformance

ROOT = Path(__file__).resolve().parents[2]
SECTION = (ROOT / "docs/devices.md").read_text().split("## A device of your own")[1].split("\n## ")[0]
BLOCKS = dict(re.findall(r"```(python|toml|)\n(.*?)```", SECTION, re.DOTALL))
PROJECT = tomllib.loads(BLOCKS["toml"])


PACKAGE = PROJECT["project"]
RAIN = OtherPackage(PACKAGE["entry-points"], {"rain": BLOCKS["python"]}, PACKAGE["name"], PACKAGE["version"])
"""Module and entry point in the documentation."""


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    with RAIN.importable(folder):
        yield folder


class Rain:
    """Descriptor that looks the family up when a test uses it, after its installation."""

    def __get__(self, *_: object) -> Family:
        return rain()


@cache
def rain() -> Family:
    return family("rain")


class TestScanner(ScannerConformance):
    family = Rain()

    def frames(self) -> list[bytes]:
        return [
            b"$RAIN,12.25,0.4,21.5*20\r\n",
            b"$HLTH,98,1.2.0*2A\r\n",
            b"$RAIN,,,*38\r\n",
            b"$HLTH,1,$RAIN*19\r\n",
        ]

    def test_the_longest_frame_is_declared(self) -> None:
        assert max(map(len, self.frames())) <= family("rain").wire.longest_frame


class TestPackets(PacketConformance):
    family = Rain()


class TestDriver(DriverConformance):
    family = Rain()

    def simulator(self) -> DeclaredSimulator:
        return simulated(period_s=0.02)


def simulated(kind: Family | None = None, **options: Any) -> DeclaredSimulator:  # noqa: ANN401 - the simulator's own
    kind = kind or family("rain")
    assert kind.make_frame is not None
    return DeclaredSimulator(kind.packets, kind.make_frame, question=kind.question, **options)


def test_the_documented_device_has_less_than_sixty_lines() -> None:
    assert sum(len(block.splitlines()) for block in BLOCKS.values()) < 60


def test_its_family_is_found_by_name() -> None:
    assert "rain" in family_names()
    assert family("rain").title == "Rain gauge"
    assert family("rain").packets[0].columns() == [
        ("rain_mm", "mm"),
        ("rate_mm_h", "mm/h"),
        ("temperature_degc", "degC"),
    ]


def test_decodes_the_documented_line(tmp_path: Path) -> None:
    (line,) = re.findall(r"`(\$RAIN.*?)`", BLOCKS["python"])
    (tmp_path / "x.raw").write_text(f"{line}\n")
    with family("rain").device.open(f"file://{tmp_path}/x.raw") as device:  # type: ignore[attr-defined]
        (reading,) = list(device)
    assert dict(reading.values) == {"rain_mm": 12.25, "rate_mm_h": 0.4, "temperature_degc": 21.5}


def test_simulates_a_device_from_its_declaration(tmp_path: Path) -> None:
    gauge, _ = family("rain").packets
    values = values_at(gauge, 10.0)
    assert len(set(values.values())) == 3
    with PtyEndpoint(simulated(period_s=0.02), tmp_path / "port") as line:
        found = search([line.url], [family("rain")]).found
        assert [(entry.family, entry.text) for entry in found] == [("rain", "Rain gauge")]


def test_finds_a_device_that_sends_once_per_second(tmp_path: Path) -> None:
    unit = simulated(period_s=1.0)
    with PtyEndpoint(unit, tmp_path / "port") as line:
        assert line.wait_until(lambda: unit.next_s() > 0.5)  # just after a line: the next line arrives a second later
        assert search([line.url], [family("rain")]).found


def test_polls_a_device_with_a_question(tmp_path: Path) -> None:
    asked = line_family("asked", "One that is asked", family("rain").packets, question=b"?\r\n", interval_s=0.02)  # type: ignore[arg-type]
    unit = simulated(asked)
    with PtyEndpoint(unit, tmp_path / "port") as line, asked.device.open(line.url, interval_s=0.01) as device:  # type: ignore[attr-defined]
        readings = list(itertools.islice(device.readings(silence_s=10.0), 6))
        line.unplug()
        line.plug_in()
        assert device.read(15.0) is not None
    assert {reading.packet.name for reading in readings} == {"RAIN", "HLTH"}
    with PtyEndpoint(unit, tmp_path / "port") as line:
        assert search([line.url], [asked]).found


def test_lines_without_a_checksum_are_read(tmp_path: Path) -> None:
    plain = line_family("plain", "Plain lines", family("rain").packets, has_checksum=False)  # type: ignore[arg-type]
    (tmp_path / "x.raw").write_bytes(b"\xfeRAIN,1,2,3\r\nWIND,7\nRAIN,4,5,x\nHLTH,9,abc\n")
    with plain.device.open(f"file://{tmp_path}/x.raw") as device:  # type: ignore[attr-defined]
        readings = list(device)
        damaged = device.statistics.damaged
    assert [reading.packet.name for reading in readings] == ["RAIN", "HLTH"]
    assert damaged["content"] == 1


def test_the_documented_commands_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    commands = [line.split("#")[0].split() for line in BLOCKS[""].splitlines()]
    assert [command[:3] for command in commands] == [
        ["pygnc", "device", name] for name in ("simulate", "list", "stream", "log")
    ]

    def run(command: list[str], *more: str) -> str:
        arguments = [part for part in command[1:] if part != "&"]
        result = CliRunner().invoke(app, [*arguments, *more])
        assert result.exit_code == 0, result.output
        return result.stdout

    with PtyEndpoint(simulated(period_s=0.05), Path("./rain-port")):
        assert "rain" in run(commands[1])
        assert "rate_mm_h=" in run(commands[2], "--count", "4")
        run(commands[3], "--count", "4")
    texts = [log.read_text() for log in (tmp_path / "logs").glob("*.csv")]
    assert any("rain_mm,rate_mm_h,temperature_degc" in text and "s,mm,mm/h,degC" in text for text in texts)
    assert "rain-port" in run(commands[0], "--seconds", "0.2")
