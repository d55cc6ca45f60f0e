"""`pygnc device simulate`."""

from pathlib import Path

import pytest

from pygnc_cli.exit_codes import ExitCode
from pygnc_instruments.device.simulate_command import SIMULATORS
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.other_packages import OtherPackage
from tests.pygnc_instruments.device.running import run


@pytest.mark.parametrize(
    ("arguments", "why", "code"),
    [
        (["toaster", "--pty", "x"], "choose from dmu380", ExitCode.USAGE),
        (["dmu380"], "--pty PATH or --tcp PORT", ExitCode.USAGE),
        (["dmu380", "--pty", "x", "--fault", "heat=1"], "KIND is one of lost", ExitCode.USAGE),
        (["dmu380", "--pty", "/dev/null"], "is not a simulated port", ExitCode.DEVICE),
    ],
)
def test_reports_unusable_simulation_options(arguments: list[str], why: str, code: ExitCode) -> None:
    assert why in run("simulate", *arguments, code=code).stderr


UNIT = """
from pygnc_instruments.simulators.unit import SimulatedUnit


class Beeper(SimulatedUnit):
    def _restart(self, now_s): ...
"""


def test_an_installed_package_adds_a_model(tmp_path: Path) -> None:
    entries = {"pygnc.simulators": {"beeper": "beeper:Beeper", "broken": "beeper:UNIT"}}
    with OtherPackage(entries, {"beeper": UNIT}, "beepers").importable(tmp_path):
        assert str(tmp_path / "port") in run("simulate", "beeper", "--pty", tmp_path / "port", "--seconds", 0.01).stdout
        broken = run("simulate", "broken", "--pty", tmp_path / "port", code=ExitCode.DEVICE).stderr
        assert "broken" in run("simulate", "toaster", "--tcp", 0, code=ExitCode.USAGE).stderr
    assert "beepers" in broken


@pytest.mark.parametrize("kind", ["--pty", "--tcp"])
def test_a_second_simulator_at_a_port_is_refused(kind: str, line: PtyEndpoint) -> None:
    with TcpEndpoint(UcbSimulator()) as network:
        place = line.url if kind == "--pty" else network._port
        error = run("simulate", "dmu380", kind, place, "--seconds", 0.01, code=ExitCode.DEVICE).stderr
    assert "another" in error
    assert Path(line.url).exists()


def test_a_link_that_a_killed_simulator_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "port").symlink_to(tmp_path / "gone")
    assert str(tmp_path / "port") in run("simulate", "dmu380", "--pty", tmp_path / "port", "--seconds", 0.01).stdout


def test_simulated_units_have_distinct_serial_numbers() -> None:
    numbers = [getattr(make(), "serial_number", None) for make in SIMULATORS.values()]
    known = [number for number in numbers if number is not None]
    assert len(known) >= 6
    assert len(set(known)) == len(known)
