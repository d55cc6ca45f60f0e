"""Injected line faults, and errors of simulated units."""

import socket
import time
from pathlib import Path

import pytest

from pygnc_devices.errors import PortGoneError
from pygnc_devices.ucb.driver import Ucb
from pygnc_instruments.simulators.endpoints import FaultInjector, FaultRates, PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.ucb_unit import UcbSimulator

OCTETS = bytes(range(256)) * 200


def test_no_faults_without_rates() -> None:
    injector = FaultInjector(FaultRates())
    assert injector.apply(OCTETS, 0.0) == OCTETS
    assert injector.injected == 0


@pytest.mark.parametrize("kind", ["lost", "flipped", "doubled"])
def test_faults_occur_at_their_rate_and_are_counted(kind: str) -> None:
    injector = FaultInjector(FaultRates(**{kind: 0.02}), seed=4)
    arrived = injector.apply(OCTETS, 0.0)
    assert injector.injected == pytest.approx(0.02 * len(OCTETS), rel=0.15)
    assert len(arrived) - len(OCTETS) == {"lost": -1, "flipped": 0, "doubled": 1}[kind] * injector.injected
    if kind == "flipped":
        assert sum((a ^ b).bit_count() for a, b in zip(arrived, OCTETS, strict=True)) == injector.injected


def test_the_same_seed_gives_the_same_faults() -> None:
    rates = FaultRates(lost=0.01, flipped=0.01, doubled=0.01)
    first, again, other = (FaultInjector(rates, seed).apply(OCTETS, 0.0) for seed in (1, 1, 2))
    assert first == again != other


def test_silences_have_their_rate_and_duration() -> None:
    injector = FaultInjector(FaultRates(silences_per_s=0.1, silence_s=2.0), seed=2)
    silent_s = sum(0.1 for k in range(20_000) if not injector.apply(b"x", k * 0.1))
    assert silent_s == pytest.approx(injector.injected * 2.0, rel=0.02)
    assert injector.injected == pytest.approx(2000 / (10 + 2), rel=0.25)


class BrokenUnit(UcbSimulator):
    """Unit with a programming error."""

    def receive(self, octets: bytes, now_s: float) -> None:
        raise ZeroDivisionError(octets, now_s)


@pytest.mark.parametrize("is_network", [False, True])
def test_an_error_of_a_unit_ends_the_wait_for_its_response_and_is_raised(tmp_path: Path, *, is_network: bool) -> None:
    unit = BrokenUnit()
    line = TcpEndpoint(unit) if is_network else PtyEndpoint(unit, tmp_path / "port")
    start_s = time.monotonic()
    with pytest.raises(ZeroDivisionError), line, Ucb.open(line.url) as device, pytest.raises(PortGoneError):
        device.identify()
    assert time.monotonic() - start_s < 3.0


def test_an_error_of_a_unit_ends_the_wait_for_a_condition(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), PtyEndpoint(BrokenUnit(), tmp_path / "port") as line, Ucb.open(line.url):
        line.wait_until(lambda: False, 20.0)


def test_a_client_that_connects_as_another_one_leaves_stays_connected() -> None:
    line = TcpEndpoint(UcbSimulator())
    address = "127.0.0.1", int(line.url.rpartition(":")[2])
    with socket.create_connection(address):
        line._read(5.0)
    with socket.create_connection(address, timeout=5.0) as client:  # both ends are ready at the next read
        line._read(5.0)
        line._read(0.0)
        line._write(b"A")
        assert client.recv(1) == b"A"
    line._close()
